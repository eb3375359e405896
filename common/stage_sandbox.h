/* What a stage's process may do: what its stage_ops says, with what every stage needs.
 * Relies on sandbox.
 * Leaves the needs of one stage to that stage. */
#ifndef KVPIPE_COMMON_STAGE_SANDBOX_H
#define KVPIPE_COMMON_STAGE_SANDBOX_H

#include "common/stage.h"

/* Gives up the rest, as st->conf is, and says in the log what holds. Call when the process's files
 * are made and before it has threads. Blocks on the disk. */
void stage_sandbox_enter(struct stage *st);
/* Whether the process may do what it needs with this config. */
bool stage_sandbox_covers(const struct stage *st, const struct conf *conf);

#endif
