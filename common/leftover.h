/* Processes that an earlier monitor left behind when it was killed.
 * Relies on the locked pid files in RUN/pids.
 * Leaves starting new ones to the caller. */
#ifndef KVPIPE_COMMON_LEFTOVER_H
#define KVPIPE_COMMON_LEFTOVER_H

#include <stddef.h>

/* Sends the signal to every stage that holds a pid file under `run`. Returns how many there are. */
size_t leftover_signal(const char *run, int sig);
/* The same for the processes of one stage ("muxer"). */
size_t leftover_signal_stage(const char *run, const char *stage, int sig);

#endif
