/* The stage runtime: arguments, exit codes, drain, pid files.
 * Relies on Check; each test is a process of its own, so signals can be raised.
 * Leaves real stages to the pipeline tests. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/leftover.h"
#include "common/mem.h"
#include "common/pidfile.h"
#include "common/stage.h"
#include "tests/unit/holder.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

static char dir[64];
static char *config;
static int setups, drains, teardowns;
static char listen_seen[256];
static void (*in_setup)(struct stage *st);
static int setup_result;

static void kill_self(evutil_socket_t fd, short what, void *arg)
{
    raise((int)(intptr_t)arg);
}

static void raise_soon(struct stage *st, int sig)
{
    static const struct timeval now = {0};
    event_base_once(st->base, -1, EV_TIMEOUT, kill_self, (void *)(intptr_t)sig, &now);
}

static int setup(struct stage *st)
{
    setups++;
    ck_assert_ptr_nonnull(st->base);
    ck_assert_ptr_nonnull(st->report);
    snprintf(listen_seen, sizeof listen_seen, "%s %s %s", st->conf->encoder.listen,
             st->conf->encoder.connect, st->instance);
    if (in_setup)
        in_setup(st);
    return setup_result;
}

static void drain(struct stage *st)
{
    drains++;
    ck_assert(st->draining);
    stage_quit(st, 0);
}

static void teardown(struct stage *st)
{
    teardowns++;
}

static const struct stage_ops ops = {
    .name = "encoder", .summary = "a test", .setup = setup, .drain = drain, .teardown = teardown};

static int stage_run(char *a, char *b, char *c, char *d, char *e)
{
    char *argv[] = {"kvpipe-encoder", a, b, c, d, e, NULL};
    int argc = 1;
    while (argv[argc])
        argc++;
    return stage_main(argc, argv, &ops);
}

static void up(void)
{
    unsetenv("KVPIPE_RUN");
    scratch_make(dir, sizeof dir, "stage");
    config = xasprintf("%s/c.yaml", dir);
    FILE *f = fopen(config, "w");
    fprintf(f, "run: %s/a/run\nlog: error\nstreams:\n  - {name: cam, source: {type: test}}\n", dir);
    fclose(f);
    setups = drains = teardowns = setup_result = 0;
    in_setup = NULL;
}

static void down(void)
{
    scratch_remove(dir);
    free(config);
}

START_TEST(bad_arguments_and_configs_exit_with_2)
{
    ck_assert_int_eq(stage_run(NULL, NULL, NULL, NULL, NULL), 2);
    ck_assert_int_eq(stage_run("--nonsense", NULL, NULL, NULL, NULL), 2);
    ck_assert_int_eq(stage_run("-c", "/nonexistent", NULL, NULL, NULL), 2);
    ck_assert_int_eq(stage_run("-c", config, "more", NULL, NULL), 2);
    ck_assert_int_eq(stage_run("-c", config, "-s", "nobody", NULL), 2);
    ck_assert_int_eq(stage_run("-c", config, "-i", "../x", NULL), 2);
    ck_assert_int_eq(setups, 0);
}
END_TEST

START_TEST(help_version_and_check_exit_with_0)
{
    ck_assert_int_eq(stage_run("--help", NULL, NULL, NULL, NULL), 0);
    ck_assert_int_eq(stage_run("--version", NULL, NULL, NULL, NULL), 0);
    ck_assert_int_eq(stage_run("-n", "-c", config, NULL, NULL), 0);
    ck_assert_int_eq(setups, 0);
}
END_TEST

/* Asks from another process while the loop of this one turns, and reads the answer's exit code at
 * its end. */
static pid_t asker;

static void ask_and_terminate(struct stage *st)
{
    char *run = xasprintf("%s/a/run", dir);
    stage_ready(st);
    asker = fork();
    if (asker == 0) {
        int code = stage_run("--healthy", run, NULL, NULL, NULL);
        kill(getppid(), SIGTERM);
        _exit(code);
    }
    free(run);
}

START_TEST(healthy_is_0_while_it_is_ready)
{
    int status;
    in_setup = ask_and_terminate;
    ck_assert_int_eq(stage_run("-c", config, NULL, NULL, NULL), 0);
    ck_assert_int_eq(waitpid(asker, &status, 0), asker);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(healthy_is_1_when_nobody_runs)
{
    ck_assert_int_eq(stage_run("--healthy", dir, NULL, NULL, NULL), 1);
    ck_assert_int_eq(setups, 0);
}
END_TEST

static void terminate(struct stage *st)
{
    stage_ready(st);
    raise_soon(st, SIGTERM);
}

START_TEST(sigterm_drains_and_exits_with_0)
{
    in_setup = terminate;
    ck_assert_int_eq(stage_run("-c", config, NULL, NULL, NULL), 0);
    ck_assert_int_eq(setups, 1);
    ck_assert_int_eq(drains, 1);
    ck_assert_int_eq(teardowns, 1);
}
END_TEST

START_TEST(links_are_those_of_this_process)
{
    in_setup = terminate;
    ck_assert_int_eq(stage_run("-c", config, "-i", "encoder-7", NULL), 0);
    char *expected = xasprintf(
        "ipc://%s/a/run/sockets/encoder.sock ipc://%s/a/run/sockets/capture.sock encoder-7", dir,
        dir);
    ck_assert_str_eq(listen_seen, expected);
    free(expected);
}
END_TEST

START_TEST(a_failed_setup_exits_with_1)
{
    setup_result = -EADDRINUSE;
    ck_assert_int_eq(stage_run("-c", config, NULL, NULL, NULL), 1);
    ck_assert_int_eq(teardowns, 0);
}
END_TEST

static void quit_at_once(struct stage *st)
{
    stage_quit(st, 1);
}

START_TEST(quit_inside_setup_is_not_forgotten)
{
    in_setup = quit_at_once;
    ck_assert_int_eq(stage_run("-c", config, NULL, NULL, NULL), 1);
    ck_assert_int_eq(teardowns, 1);
}
END_TEST

static void again(struct stage *st)
{
    char *argv[] = {"kvpipe-encoder", "-c", config, "-i", "encoder-1", NULL};
    pid_t pid = fork(); /* a second process of the same name */
    if (pid == 0)
        _exit(stage_main(5, argv, &ops));
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WEXITSTATUS(status), 1);
    ck_assert_int_eq(pidfile_holder(st->conf->run, "encoder-1"), getpid());
    ck_assert_uint_eq(leftover_signal(st->conf->run, 0), 0); /* never ourselves */
    stage_quit(st, 0);
}

START_TEST(an_instance_runs_once)
{
    in_setup = again;
    ck_assert_int_eq(stage_run("-c", config, "-i", "encoder-1", NULL), 0);
    ck_assert_int_eq(setups, 1);
}
END_TEST

START_TEST(what_an_earlier_monitor_left_is_found_and_ended)
{
    int status;
    pid_t holder;
    ck_assert_int_eq(pidfile_dirs(dir), 0);
    pid_t pid = holder_start(dir, "capture-1", NULL);
    ck_assert_int_eq(pidfile_holder(dir, "capture-1"), pid);
    ck_assert_int_eq(pidfile_lock(dir, "capture-1", NULL, &holder), -EWOULDBLOCK);
    ck_assert_int_eq(holder, pid);
    ck_assert_uint_eq(leftover_signal(dir, SIGKILL), 1);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(pidfile_holder(dir, "capture-1"), 0);
    ck_assert_uint_eq(leftover_signal(dir, 0), 0);
}
END_TEST

START_TEST(only_its_own_stream_is_served)
{
    struct stage st = {.only_stream = "a"};
    ck_assert(stage_serves(&st, "a"));
    ck_assert(!stage_serves(&st, "b"));
    st.only_stream = NULL;
    ck_assert(stage_serves(&st, "b"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("stage");
    TCase *t = tcase_create("stage");
    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, up, down);
    tcase_add_test(t, bad_arguments_and_configs_exit_with_2);
    tcase_add_test(t, help_version_and_check_exit_with_0);
    tcase_add_test(t, healthy_is_0_while_it_is_ready);
    tcase_add_test(t, healthy_is_1_when_nobody_runs);
    tcase_add_test(t, sigterm_drains_and_exits_with_0);
    tcase_add_test(t, links_are_those_of_this_process);
    tcase_add_test(t, a_failed_setup_exits_with_1);
    tcase_add_test(t, quit_inside_setup_is_not_forgotten);
    tcase_add_test(t, an_instance_runs_once);
    tcase_add_test(t, what_an_earlier_monitor_left_is_found_and_ended);
    tcase_add_test(t, only_its_own_stream_is_served);
    suite_add_tcase(s, t);
    return suite_run(s);
}
