/* Instances: what an earlier monitor left is adopted when it runs what we would start.
 * Relies on Check and forked processes that hold pid files; nothing of the pipeline is started.
 * Leaves whole pipelines to tests/monitor. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/pidfile.h"
#include "common/stage.h"
#include "monitor/instances.h"
#include "tests/unit/holder.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

static char dir[64];
static struct event_base *base;
static struct conf *conf;
static struct instances all;

static void up(void)
{
    scratch_make(dir, sizeof dir, "instances");
    ck_assert_int_eq(pidfile_dirs(dir), 0);
    char *text = xasprintf("run: %s\nmuxer: {exec: /bin/false}\n"
                           "streams:\n  - name: a\n    source: {type: test}\n",
                           dir);
    ck_assert_int_eq(conf_parse(text, strlen(text), "test.yaml", stderr, &conf), 0);
    free(text);
    base = event_base_new();
    instances_init(&all, base, conf, NULL);
}

static void down(void)
{
    instances_fini(&all);
    event_base_free(base);
    conf_free(&conf);
    scratch_remove(dir);
}

static struct instance *get(const char *name)
{
    for (size_t i = 0; i < all.count; i++)
        if (strcmp(all.list[i].plan->instance, name) == 0)
            return &all.list[i];
    ck_abort_msg("no %s in the plan", name);
}

static void report(const char *name, pid_t pid, int64_t now_ns, uint64_t uptime_ms)
{
    instances_heard(&all, &(struct report_row){.instance = (char *)name,
                                               .pid = (uint32_t)pid,
                                               .ready = true,
                                               .heard_ns = now_ns,
                                               .uptime_ms = uptime_ms});
}

START_TEST(one_that_runs_the_same_is_adopted_until_it_ends)
{
    struct instance *muxer = get("muxer-1");
    char *identity = stage_identity(conf, "muxer", NULL, "muxer-1");
    pid_t pid = holder_start(dir, "muxer-1", identity);
    int64_t now = clock_mono_ns();
    free(identity);
    instances_adopt(&all, now);
    ck_assert_int_eq(muxer->pid, pid);
    ck_assert(instances_own(&all, pid));
    ck_assert_uint_eq(instances_running_all(&all), 1);
    ck_assert_int_eq(muxer->supervisor.state, SUPERVISOR_STARTING);
    report("muxer-1", pid + 1, now, 0); /* of a process of before */
    ck_assert_int_eq(muxer->supervisor.state, SUPERVISOR_STARTING);
    report("muxer-1", pid, now, 20);
    ck_assert_int_eq(muxer->supervisor.state, SUPERVISOR_READY);
    ck_assert_int_eq(muxer->supervisor.started_ns, now - 20 * NS_PER_MS);
    instances_collect(&all, now); /* not ours to collect */
    ck_assert_int_eq(muxer->pid, pid);
    kill(pid, SIGKILL);
    event_base_loop(base, EVLOOP_ONCE);
    ck_assert_int_eq(muxer->pid, 0);
    ck_assert_int_eq(muxer->supervisor.state, SUPERVISOR_BACKOFF);
    ck_assert(!muxer->ended); /* its code is nobody's to tell */
    waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(one_that_is_adopted_is_asked_to_end_and_not_started_again)
{
    struct instance *muxer = get("muxer-1");
    char *identity = stage_identity(conf, "muxer", NULL, "muxer-1");
    pid_t pid = holder_start(dir, "muxer-1", identity);
    free(identity);
    instances_adopt(&all, clock_mono_ns());
    ck_assert_uint_eq(instances_stop(&all, muxer->plan->group), 1);
    event_base_loop(base, EVLOOP_ONCE);
    ck_assert_int_eq(muxer->supervisor.state, SUPERVISOR_STOPPED);
    ck_assert_uint_eq(instances_running_all(&all), 0);
    waitpid(pid, NULL, 0);
}
END_TEST

static const char *const others[] = {"muxer version=0 config=0 stream=-", "", NULL};

START_TEST(one_that_runs_something_else_is_not_adopted_and_asked_to_end_before_a_start)
{
    struct instance *muxer = get("muxer-1");
    pid_t pid = holder_start(dir, "muxer-1", others[_i]);
    int64_t now = clock_mono_ns();
    int status;
    instances_adopt(&all, now);
    ck_assert_int_eq(muxer->pid, 0);
    ck_assert(!instances_own(&all, pid));
    all.group = muxer->plan->group;
    for (size_t i = 0; i < all.count; i++)
        if (&all.list[i] != muxer)
            supervisor_stop(&all.list[i].supervisor); /* only this one is of interest */
    instances_tick(&all, now);
    ck_assert_int_eq(muxer->supervisor.state, SUPERVISOR_WAITING);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WTERMSIG(status), SIGTERM);
    instances_tick(&all, now + NS_PER_MS);
    ck_assert_int_eq(muxer->supervisor.state, SUPERVISOR_STARTING);
    ck_assert_int_gt(muxer->pid, 0);
    ck_assert_int_eq(waitpid(muxer->pid, NULL, 0), muxer->pid);
}
END_TEST

/* Its monitor was killed just after it had started it. */
START_TEST(one_that_comes_up_late_is_adopted_when_its_turn_comes)
{
    struct instance *muxer = get("muxer-1");
    char *identity = stage_identity(conf, "muxer", NULL, "muxer-1");
    int64_t now = clock_mono_ns();
    instances_adopt(&all, now);
    ck_assert_int_eq(muxer->pid, 0);
    pid_t pid = holder_start(dir, "muxer-1", identity);
    free(identity);
    all.group = muxer->plan->group;
    for (size_t i = 0; i < all.count; i++)
        if (&all.list[i] != muxer)
            supervisor_stop(&all.list[i].supervisor);
    instances_tick(&all, now);
    ck_assert_int_eq(muxer->pid, pid);
    ck_assert_uint_eq(all.group, PLAN_GROUPS - 1); /* nobody waits for its report */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("instances");
    TCase *t = tcase_create("instances");
    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, up, down);
    tcase_add_test(t, one_that_runs_the_same_is_adopted_until_it_ends);
    tcase_add_test(t, one_that_is_adopted_is_asked_to_end_and_not_started_again);
    tcase_add_loop_test(t,
                        one_that_runs_something_else_is_not_adopted_and_asked_to_end_before_a_start,
                        0, sizeof others / sizeof *others);
    tcase_add_test(t, one_that_comes_up_late_is_adopted_when_its_turn_comes);
    suite_add_tcase(s, t);
    return suite_run(s);
}
