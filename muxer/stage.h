/* kvpipe-muxer: what its files share of the process.
 * Relies on common/stage and common/relay.
 * Leaves the work on frames to mux.c. */
#ifndef KVPIPE_MUXER_STAGE_H
#define KVPIPE_MUXER_STAGE_H

#include "common/stage.h"

extern const struct stage_ops muxer_stage;

#endif
