/* The encoder as a stage: raw frames come in, coded ones go out, coded tracks pass.
 * Relies on common/stage.h.
 * Leaves its parts to stage.c. */
#ifndef KVPIPE_ENCODER_STAGE_H
#define KVPIPE_ENCODER_STAGE_H

#include "common/stage.h"

extern const struct stage_ops encoder_stage;

#endif
