/* Starts one process, and keeps its log file from growing without end.
 * Relies on posix_spawn(3).
 * Leaves when to start to supervisor.c, and collecting to the loop's SIGCHLD. */
#ifndef KVPIPE_MONITOR_CHILD_H
#define KVPIPE_MONITOR_CHILD_H

#include <sys/types.h>

struct child_conf {
    const char *program;                  /* path, or a name looked up in PATH */
    const char *file, *instance, *stream; /* -c, -i, and -s when not NULL */
    const char *log_path;                 /* its stderr is appended there; NULL: ours */
};

/* Starts it in a process group of its own, so that a terminal's Ctrl-C reaches only the monitor,
 * which stops the stages in order. Returns 0 and *pid, or a negative errno (-ENOENT: no such
 * program). */
int child_start(const struct child_conf *conf, pid_t *pid);
/* The program of a stage: beside our own binary when it is there, else the name for PATH. Caller
 * frees. */
char *child_program(const char *stage);
/* When the file is longer than 10 MB: its content moves to PATH.1 (replacing it) and it is emptied
 * in place, since the child goes on writing to it. */
void child_log_bound(const char *path);
/* Reads how a process ended: its exit code, or 128 + signal. */
int child_code(int status);

#endif
