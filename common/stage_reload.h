/* SIGHUP: a changed config taken over by a process that runs.
 * Relies on conf and conf_slice.
 * Leaves a change that is more than streams to a restart, and streams to the stage. */
#ifndef KVPIPE_COMMON_STAGE_RELOAD_H
#define KVPIPE_COMMON_STAGE_RELOAD_H

#include "common/stage.h"

/* The monitor keeps the config that passed its check, and that all stages are to run, in a file
 * that this variable names for them. */
#define STAGE_CONFIG_COPY "KVPIPE_CONFIG"

/* The file that this process reads its config from: the copy when there is one. */
const char *stage_reload_file(const struct stage *st, const struct conf *conf);
/* Loads the config for this process: from the copy when there is one. Prints faults to stderr.
 * Returns 0 or a negative errno. */
int stage_reload_read(const struct stage *st, const char *file, struct conf **conf);
/* Reads the config again, and when nothing but streams differs, and they need no more than the
 * process may do since its start, swaps it in and tells the stage. In any other case all stays as
 * it is, and the log and st->fault say why. Returns true when st->conf is a new one. Blocks on the
 * disk. */
bool stage_reload(struct stage *st);

#endif
