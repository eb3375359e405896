/* The door of a process: its loop answers, or nobody does.
 * Relies on Check and forked processes.
 * Leaves real stages to tests/monitor/containers. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/health.h"
#include "common/conf.h"
#include "common/mem.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#define INSTANCE "muxer-1"

static char dir[64];
static int said[2];

static void up(void)
{
    scratch_make(dir, sizeof dir, "health");
    char *sockets = xasprintf("%s/" CONF_SOCKETS, dir);
    ck_assert_int_eq(mkdir(sockets, 0700), 0);
    free(sockets);
    ck_assert_int_eq(pipe(said), 0);
}

static void down(void)
{
    scratch_remove(dir);
}

/* A process with a door that answers `state` (NULL: what it does by itself), from when this returns
 * until it is killed. */
static pid_t serve(const char *state)
{
    struct health *h = NULL;
    char c;
    pid_t pid = fork();
    if (pid == 0) {
        struct event_base *base = event_base_new();
        if (health_open(base, dir, INSTANCE, &h) < 0)
            _exit(1);
        if (state)
            health_say(h, state);
        if (write(said[1], "x", 1) != 1)
            _exit(1);
        event_base_dispatch(base);
        _exit(0);
    }
    ck_assert_int_eq(read(said[0], &c, 1), 1);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void check_answer(const char *expected)
{
    char state[HEALTH_STATE_MAX];
    ck_assert_int_eq(health_ask(dir, INSTANCE, state), 0);
    ck_assert_str_eq(state, expected);
}

START_TEST(a_loop_that_turns_answers)
{
    pid_t pid = serve("ready");
    check_answer("ready");
    check_answer("ready");
    end(pid);
}
END_TEST

START_TEST(before_anything_is_said_it_starts)
{
    pid_t pid = serve(NULL);
    check_answer("starting");
    end(pid);
}
END_TEST

START_TEST(the_longest_word_arrives)
{
    pid_t pid = serve("fifteen-letters");
    check_answer("fifteen-letters");
    end(pid);
}
END_TEST

START_TEST(a_loop_that_stands_still_does_not_answer)
{
    char state[HEALTH_STATE_MAX];
    pid_t pid = serve("ready");
    kill(pid, SIGSTOP);
    ck_assert_int_eq(health_ask(dir, INSTANCE, state), -ETIMEDOUT);
    end(pid);
}
END_TEST

START_TEST(one_that_many_ask_in_vain_is_not_waited_for)
{
    char state[HEALTH_STATE_MAX];
    pid_t pid = serve("ready"), askers[40];
    kill(pid, SIGSTOP);
    for (unsigned i = 0; i < 40; i++)
        if ((askers[i] = fork()) == 0)
            _exit(health_ask(dir, INSTANCE, state) == -ETIMEDOUT ? 0 : 1);
    for (unsigned i = 0; i < 40; i++) {
        int status;
        ck_assert_int_eq(waitpid(askers[i], &status, 0), askers[i]);
        ck_assert_int_eq(status, 0);
    }
    end(pid);
}
END_TEST

START_TEST(nobody_was_ever_there)
{
    char state[HEALTH_STATE_MAX];
    ck_assert_int_eq(health_ask(dir, INSTANCE, state), -ENOENT);
}
END_TEST

START_TEST(the_one_that_was_there_is_dead)
{
    char state[HEALTH_STATE_MAX];
    end(serve("ready"));
    ck_assert_int_eq(health_ask(dir, INSTANCE, state), -ECONNREFUSED);
}
END_TEST

START_TEST(the_next_one_takes_a_dead_ones_place)
{
    end(serve("draining"));
    pid_t pid = serve("ready");
    check_answer("ready");
    end(pid);
}
END_TEST

START_TEST(a_door_that_is_closed_is_gone)
{
    char state[HEALTH_STATE_MAX];
    struct health *h = NULL;
    struct event_base *base = event_base_new();
    ck_assert_int_eq(health_open(base, dir, INSTANCE, &h), 0);
    health_close(&h);
    ck_assert_ptr_null(h);
    ck_assert_int_eq(health_ask(dir, INSTANCE, state), -ENOENT);
    event_base_free(base);
}
END_TEST

START_TEST(a_path_that_no_socket_can_have_is_refused)
{
    struct health *h = NULL;
    struct event_base *base = event_base_new();
    char instance[129];
    memset(instance, 'i', sizeof instance);
    instance[sizeof instance - 1] = '\0';
    ck_assert_int_eq(health_open(base, dir, instance, &h), -ENAMETOOLONG);
    event_base_free(base);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("health");
    TCase *t = tcase_create("health");
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, up, down);
    tcase_add_test(t, a_loop_that_turns_answers);
    tcase_add_test(t, before_anything_is_said_it_starts);
    tcase_add_test(t, the_longest_word_arrives);
    tcase_add_test(t, a_loop_that_stands_still_does_not_answer);
    tcase_add_test(t, one_that_many_ask_in_vain_is_not_waited_for);
    tcase_add_test(t, nobody_was_ever_there);
    tcase_add_test(t, the_one_that_was_there_is_dead);
    tcase_add_test(t, the_next_one_takes_a_dead_ones_place);
    tcase_add_test(t, a_door_that_is_closed_is_gone);
    tcase_add_test(t, a_path_that_no_socket_can_have_is_refused);
    suite_add_tcase(s, t);
    return suite_run(s);
}
