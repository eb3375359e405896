/* Processes that an earlier monitor left behind when it was killed.
 * Relies on the locked pid files in RUN/pids.
 * Leaves starting new ones to the caller. */
#ifndef KVPIPE_COMMON_LEFTOVER_H
#define KVPIPE_COMMON_LEFTOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Sends the signal to every stage that holds a pid file under `run`. Returns how many there are. */
size_t leftover_signal(const char *run, int sig);

/* Whether this one is to be left alone. */
typedef bool (*leftover_keep_fn)(void *arg, const char *instance, pid_t pid);

/* The same for the processes of one stage ("muxer"; NULL: of all) but those that are kept. */
size_t leftover_signal_others(const char *run, const char *stage, int sig, leftover_keep_fn keep,
                              void *arg);

#endif
