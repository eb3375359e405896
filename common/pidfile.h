/* A locked file that says which process runs as this instance, and what it runs: two never do.
 * Relies on flock(2): the lock goes with the process, however it ends.
 * Leaves what to do about the other process to the caller. */
#ifndef KVPIPE_COMMON_PIDFILE_H
#define KVPIPE_COMMON_PIDFILE_H

#include <sys/types.h>

/* Makes RUN and RUN/pids when missing. Returns 0 or a negative errno. */
int pidfile_dirs(const char *run);
/* Locks RUN/pids/INSTANCE.pid and writes our pid and, when not NULL, a line that says what we run.
 * Returns the descriptor (keep it open), or -EWOULDBLOCK with the holder in *holder (0: unknown),
 * or another negative errno. Does not wait. */
int pidfile_lock(const char *run, const char *instance, const char *identity, pid_t *holder);
/* Writes another line into the file of a lock that we hold. Returns 0 or a negative errno. */
int pidfile_write(int fd, const char *identity);
/* Who holds it: a pid, 0 when nobody does, or a negative errno (-EAGAIN: somebody, but not the
 * process that the file names: it is about to write its own number, or runs in another container).
 */
pid_t pidfile_holder(const char *run, const char *instance);

#define PIDFILE_IDENTITY_MAX 512

struct pidfile_process {
    pid_t pid;
    int pidfd; /* for poll, pidfd_send_signal and close: never another process, as a pid may be */
    char identity[PIDFILE_IDENTITY_MAX]; /* "" when it wrote none */
};

/* Opens the process that holds it. Returns 0 (close p->pidfd), -ENOENT when nobody does, -EAGAIN as
 * above, or another negative errno. */
int pidfile_open_holder(const char *run, const char *instance, struct pidfile_process *p);

#endif
