/* Starts one process, with the limits of its stage.
 * Relies on fork(2) and execve(2).
 * Leaves when to start to supervisor.c, and collecting to the loop's SIGCHLD. */
#ifndef KVPIPE_MONITOR_CHILD_H
#define KVPIPE_MONITOR_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct conf_process;

struct child_conf {
    const char *program;                  /* path, or a name looked up in PATH */
    const char *file, *instance, *stream; /* -c, -i, and -s when not NULL */
    const char *log_path;                 /* its stderr is appended there; NULL: ours */
    char *const *variables; /* NAME=VALUE, added to its environment; NULL at the end, or NULL */
    const struct conf_process *process; /* nice and cpus; NULL: none */
    bool dies_with_us;                  /* SIGTERM when we end, however we do */
};

/* Starts it in a process group of its own, so that a terminal's Ctrl-C reaches only the monitor,
 * which stops the stages in order. What systemd told us of our own service is not in its
 * environment. Returns 0 and *pid, or a negative errno (-ENOENT: no such program; -EINVAL: cpus
 * that this machine does not have). */
int child_start(const struct child_conf *conf, pid_t *pid);
/* The program of a stage: beside our own binary when it is there, else the name for PATH. Caller
 * frees. */
char *child_program(const char *stage);
/* Reads how a process ended: its exit code, or 128 + signal. */
int child_code(int status);

#endif
