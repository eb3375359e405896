/* A locked file that says which process runs as this instance: two processes never do.
 * Relies on flock(2): the lock goes with the process, however it ends.
 * Leaves what to do about the other process to the caller. */
#ifndef KVPIPE_COMMON_PIDFILE_H
#define KVPIPE_COMMON_PIDFILE_H

#include <sys/types.h>

/* Makes RUN and RUN/pids when missing. Returns 0 or a negative errno. */
int pidfile_dirs(const char *run);
/* Locks RUN/pids/INSTANCE.pid and writes our pid. Returns the descriptor (keep it open), or
 * -EWOULDBLOCK with the holder in *holder (0: unknown), or another negative errno. Does not wait.
 */
int pidfile_lock(const char *run, const char *instance, pid_t *holder);
/* Who holds it: a pid, 0 when nobody does, or a negative errno. */
pid_t pidfile_holder(const char *run, const char *instance);

#endif
