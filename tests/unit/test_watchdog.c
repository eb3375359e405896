/* A process whose loop stands still ends itself; one that works, or was stopped, does not.
 * Relies on Check and forked processes.
 * Leaves systemd's watchdog to tests/monitor/containers. */
#include <check.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/thread.h>

#include "common/log.h"
#include "common/watchdog.h"
#include "tests/unit/suite.h"

#define LIMIT_S 1

static void on_block(evutil_socket_t fd, short what, void *arg)
{
    for (;;)
        pause();
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
    event_base_loopbreak(arg);
}

/* A process that watches itself and, after `wait_s`, calls fn on its loop. */
static pid_t watched(int wait_s, event_callback_fn fn)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    log_init("test", LOG_NONE);
    signal(SIGABRT, SIG_DFL);
    evthread_use_pthreads();
    struct event_base *base = event_base_new();
    struct watchdog *w = watchdog_start(base, LIMIT_S);
    struct timeval tv = {.tv_sec = wait_s};
    event_base_once(base, -1, EV_TIMEOUT, fn, base, &tv);
    event_base_dispatch(base);
    watchdog_stop(&w);
    event_base_free(base);
    _exit(w ? 1 : 0);
}

START_TEST(a_loop_that_stands_still_ends_the_process)
{
    int status;
    pid_t pid = watched(1, on_block);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

START_TEST(a_loop_that_turns_does_not)
{
    int status;
    pid_t pid = watched(2 * LIMIT_S, on_end);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(a_process_that_was_stopped_goes_on)
{
    int status;
    pid_t pid = watched(2 * LIMIT_S, on_end);
    sleep(1); /* it is in its loop */
    kill(pid, SIGSTOP);
    sleep(2 * LIMIT_S); /* the fault itself */
    kill(pid, SIGCONT);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("watchdog");
    TCase *t = tcase_create("watchdog");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_loop_that_stands_still_ends_the_process);
    tcase_add_test(t, a_loop_that_turns_does_not);
    tcase_add_test(t, a_process_that_was_stopped_goes_on);
    suite_add_tcase(s, t);
    return suite_run(s);
}
