/* A process that holds a pid file. Relies on common/pidfile and Check. */
#ifndef KVPIPE_TESTS_HOLDER_H
#define KVPIPE_TESTS_HOLDER_H

#include <check.h>
#include <signal.h>
#include <unistd.h>

#include "common/pidfile.h"

/* It holds it from when this returns until it is killed. */
static inline pid_t holder_start(const char *dir, const char *instance, const char *identity)
{
    int said[2];
    pid_t holder, pid;
    char c;
    ck_assert_int_eq(pipe(said), 0);
    pid = fork();
    if (pid == 0) {
        signal(SIGTERM, SIG_DFL); /* Check has a handler */
        if (pidfile_lock(dir, instance, identity, &holder) >= 0 && write(said[1], "x", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    close(said[1]);
    ck_assert_int_eq(read(said[0], &c, 1), 1);
    close(said[0]);
    return pid;
}

#endif
