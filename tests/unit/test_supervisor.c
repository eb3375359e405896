/* Restart policy, with time in the test's hands.
 * Relies on Check.
 * Leaves real processes to the pipeline tests. */
#include <check.h>

#include "common/clock.h"
#include "monitor/supervisor.h"
#include "tests/unit/suite.h"

#define MS NS_PER_MS
#define S NS_PER_S

static struct supervisor sup;

static void started_at(int64_t now)
{
    supervisor_init(&sup, 7);
    ck_assert_int_eq(supervisor_tick(&sup, now), SUPERVISOR_START);
    supervisor_started(&sup, now);
}

/* Ticks as the monitor does, from `from` until something is to be done or until `to`. */
static int64_t tick_until(int64_t from, int64_t to, enum supervisor_action *action)
{
    for (int64_t t = from; t <= to; t += 50 * MS)
        if ((*action = supervisor_tick(&sup, t)) != SUPERVISOR_NOTHING)
            return t;
    return to;
}

START_TEST(the_first_restart_comes_at_once_then_backoff_doubles_from_100_ms_to_10_s_with_jitter)
{
    int64_t now = 100 * S, expected = 100 * MS;
    started_at(now);
    supervisor_exited(&sup, now, 1);
    ck_assert_int_eq(sup.next_start_ns, now);
    ck_assert_int_eq(supervisor_tick(&sup, now), SUPERVISOR_START);
    supervisor_started(&sup, now);
    for (int i = 0; i < 12; i++) {
        supervisor_exited(&sup, now, 1);
        int64_t wait = sup.next_start_ns - now;
        ck_assert_msg(wait >= expected * 3 / 4 && wait <= expected * 5 / 4, "restart %d: %lld ms",
                      i, (long long)(wait / MS));
        ck_assert_int_eq(supervisor_tick(&sup, sup.next_start_ns - 1), SUPERVISOR_NOTHING);
        now = sup.next_start_ns;
        ck_assert_int_eq(supervisor_tick(&sup, now), SUPERVISOR_START);
        supervisor_started(&sup, now);
        expected = expected * 2 < 10 * S ? expected * 2 : 10 * S;
    }
    ck_assert_uint_eq(sup.restarts, 13);
}
END_TEST

START_TEST(five_seconds_up_reset_the_backoff)
{
    started_at(S);
    for (int i = 0; i < 5; i++) {
        supervisor_exited(&sup, 2 * S, 1);
        supervisor_started(&sup, 2 * S);
    }
    supervisor_exited(&sup, 7 * S, 139);
    ck_assert_int_eq(sup.next_start_ns, 7 * S);
}
END_TEST

static void fail_often(unsigned times, int64_t every)
{
    for (unsigned i = 0; i < times; i++) {
        supervisor_exited(&sup, sup.started_ns + every, 1);
        supervisor_started(&sup, sup.next_start_ns);
    }
}

START_TEST(five_failures_are_a_crash_loop_however_long_it_ran_each_time)
{
    started_at(S);
    fail_often(4, _i * S);
    supervisor_exited(&sup, sup.started_ns + _i * S, 1);
    ck_assert(supervisor_loops(&sup));
    ck_assert_int_eq(sup.state, SUPERVISOR_LOOPING);
    ck_assert_str_eq(supervisor_state_name(sup.state), "crash loop");
    ck_assert_int_eq(supervisor_tick(&sup, sup.next_start_ns), SUPERVISOR_START); /* all the same */
}
END_TEST

START_TEST(four_failures_or_a_minute_up_are_none)
{
    started_at(S);
    fail_often(3, S);
    supervisor_exited(&sup, sup.started_ns + S, 1);
    ck_assert_int_eq(sup.state, SUPERVISOR_BACKOFF);
    supervisor_started(&sup, sup.next_start_ns);
    supervisor_exited(&sup, sup.started_ns + 60 * S, 1);
    ck_assert(!supervisor_loops(&sup));
}
END_TEST

START_TEST(a_restart_that_is_asked_for_comes_at_once_and_counts_as_no_failure)
{
    started_at(S);
    supervisor_heard(&sup, 2 * S, true, false);
    ck_assert(supervisor_restart(&sup, 3 * S));
    ck_assert_int_eq(supervisor_tick(&sup, 3 * S), SUPERVISOR_NOTHING);
    supervisor_exited(&sup, 4 * S, 0);
    ck_assert_int_eq(supervisor_tick(&sup, 4 * S), SUPERVISOR_START);
    supervisor_started(&sup, 4 * S);
    ck_assert_uint_eq(sup.restarts, 0);
}
END_TEST

START_TEST(one_that_does_not_end_when_asked_is_killed)
{
    enum supervisor_action a;
    started_at(S);
    supervisor_heard(&sup, 2 * S, true, false);
    ck_assert(supervisor_restart(&sup, 2 * S));
    ck_assert_int_eq(tick_until(2 * S, 60 * S, &a), 6500 * MS);
    ck_assert_int_eq(a, SUPERVISOR_KILL);
    supervisor_exited(&sup, 7 * S, 137);
    ck_assert_int_eq(supervisor_tick(&sup, 7 * S), SUPERVISOR_START);
}
END_TEST

START_TEST(one_that_is_ended_for_a_fault_of_its_own_counts_as_failed)
{
    started_at(S);
    supervisor_heard(&sup, 2 * S, true, false);
    ck_assert(supervisor_fail(&sup, 3 * S));
    ck_assert(!supervisor_fail(&sup, 3 * S));
    supervisor_exited(&sup, 4 * S, 0);
    ck_assert_int_eq(sup.state, SUPERVISOR_BACKOFF);
    ck_assert_uint_eq(sup.failures, 1);
}
END_TEST

START_TEST(one_that_gave_up_is_started_when_asked_for)
{
    started_at(S);
    supervisor_exited(&sup, 2 * S, 2);
    ck_assert(!supervisor_restart(&sup, 3 * S)); /* nothing to end */
    ck_assert_int_eq(supervisor_tick(&sup, 3 * S), SUPERVISOR_START);
}
END_TEST

START_TEST(a_bad_config_is_not_tried_again)
{
    enum supervisor_action a;
    started_at(S);
    supervisor_exited(&sup, 2 * S, 2);
    ck_assert_int_eq(sup.state, SUPERVISOR_GAVE_UP);
    tick_until(2 * S, 60 * S, &a);
    ck_assert_int_eq(a, SUPERVISOR_NOTHING);
    ck_assert(supervisor_settled(&sup, 2 * S));
}
END_TEST

START_TEST(an_end_of_its_own_with_0_is_done)
{
    started_at(S);
    supervisor_exited(&sup, 2 * S, 0);
    ck_assert_int_eq(sup.state, SUPERVISOR_DONE);
    ck_assert_int_eq(supervisor_tick(&sup, 60 * S), SUPERVISOR_NOTHING);
}
END_TEST

START_TEST(a_drain_that_somebody_else_asked_for_is_restarted)
{
    started_at(S);
    supervisor_heard(&sup, 2 * S, true, true);
    supervisor_exited(&sup, 2 * S, 0);
    ck_assert_int_eq(sup.state, SUPERVISOR_BACKOFF);
}
END_TEST

START_TEST(five_seconds_of_silence_after_ready_are_a_hang)
{
    enum supervisor_action a;
    started_at(S);
    supervisor_heard(&sup, 2 * S, true, false);
    ck_assert_int_eq(sup.state, SUPERVISOR_READY);
    int64_t at = tick_until(2 * S, 20 * S, &a);
    ck_assert_int_eq(a, SUPERVISOR_KILL);
    ck_assert_int_eq(at, 7 * S);
    ck_assert_int_eq(supervisor_tick(&sup, at + 50 * MS), SUPERVISOR_NOTHING); /* once */
    supervisor_exited(&sup, 8 * S, 137);
    ck_assert_int_eq(sup.state, SUPERVISOR_BACKOFF);
}
END_TEST

START_TEST(silence_before_the_first_report_is_no_hang_but_after_it_is)
{
    enum supervisor_action a;
    started_at(S);
    ck_assert_int_eq(tick_until(S, 900 * S, &a), 301 * S); /* not for ever */
    ck_assert_int_eq(a, SUPERVISOR_KILL);
    started_at(S);
    tick_until(2 * S, 60 * S, &a);
    ck_assert_int_eq(a, SUPERVISOR_NOTHING);
    supervisor_heard(&sup, 60 * S, false, false);
    ck_assert_int_eq(tick_until(60 * S, 90 * S, &a), 65 * S);
    ck_assert_int_eq(a, SUPERVISOR_KILL);
}
END_TEST

START_TEST(a_monitor_that_slept_does_not_blame_the_others)
{
    enum supervisor_action a;
    started_at(S);
    supervisor_heard(&sup, 2 * S, true, false);
    ck_assert_int_eq(supervisor_tick(&sup, 2 * S), SUPERVISOR_NOTHING);
    ck_assert_int_eq(supervisor_tick(&sup, 30 * S), SUPERVISOR_NOTHING);
    ck_assert_int_eq(tick_until(30 * S, 60 * S, &a), 35 * S);
    ck_assert_int_eq(a, SUPERVISOR_KILL);
}
END_TEST

START_TEST(the_next_group_waits_for_ready_but_not_longer_than_3_s)
{
    supervisor_init(&sup, 1);
    ck_assert(!supervisor_settled(&sup, S));
    started_at(S);
    ck_assert(!supervisor_settled(&sup, 3 * S));
    ck_assert(supervisor_settled(&sup, 4 * S));
    started_at(S);
    supervisor_heard(&sup, S + MS, true, false);
    ck_assert(supervisor_settled(&sup, S + MS));
}
END_TEST

START_TEST(an_adopted_process_counts_as_ready_at_once_and_is_so_with_its_report)
{
    supervisor_init(&sup, 1);
    supervisor_adopted(&sup, S);
    ck_assert(supervisor_running(&sup));
    ck_assert(supervisor_settled(&sup, S));
    ck_assert_int_eq(sup.state, SUPERVISOR_STARTING);
    supervisor_heard(&sup, 2 * S, true, false);
    ck_assert_int_eq(sup.state, SUPERVISOR_READY);
    ck_assert_uint_eq(sup.restarts, 0);
    supervisor_exited(&sup, 3 * S, 1);
    ck_assert_int_eq(sup.state, SUPERVISOR_BACKOFF);
}
END_TEST

START_TEST(an_adopted_process_that_never_reports_hangs)
{
    enum supervisor_action a;
    supervisor_init(&sup, 1);
    supervisor_adopted(&sup, S);
    ck_assert_int_eq(tick_until(S, 60 * S, &a), 11 * S);
    ck_assert_int_eq(a, SUPERVISOR_KILL);
    ck_assert_int_eq(sup.state, SUPERVISOR_HUNG);
    supervisor_init(&sup, 1); /* nor one that reported once */
    supervisor_adopted(&sup, S);
    supervisor_heard(&sup, 2 * S, true, false);
    ck_assert_int_eq(tick_until(2 * S, 60 * S, &a), 7 * S);
    ck_assert_int_eq(a, SUPERVISOR_KILL);
}
END_TEST

START_TEST(after_stop_nothing_is_started)
{
    enum supervisor_action a;
    started_at(S);
    supervisor_stop(&sup);
    ck_assert(supervisor_running(&sup));
    supervisor_exited(&sup, 2 * S, 1);
    ck_assert_int_eq(sup.state, SUPERVISOR_STOPPED);
    tick_until(2 * S, 30 * S, &a);
    ck_assert_int_eq(a, SUPERVISOR_NOTHING);
    started_at(S);
    supervisor_exited(&sup, S, 1); /* waits for its restart */
    supervisor_stop(&sup);
    ck_assert_int_eq(sup.state, SUPERVISOR_STOPPED);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("supervisor");
    TCase *t = tcase_create("supervisor");
    tcase_add_test(
        t, the_first_restart_comes_at_once_then_backoff_doubles_from_100_ms_to_10_s_with_jitter);
    tcase_add_loop_test(t, five_failures_are_a_crash_loop_however_long_it_ran_each_time, 1, 8);
    tcase_add_test(t, four_failures_or_a_minute_up_are_none);
    tcase_add_test(t, a_restart_that_is_asked_for_comes_at_once_and_counts_as_no_failure);
    tcase_add_test(t, one_that_does_not_end_when_asked_is_killed);
    tcase_add_test(t, one_that_is_ended_for_a_fault_of_its_own_counts_as_failed);
    tcase_add_test(t, one_that_gave_up_is_started_when_asked_for);
    tcase_add_test(t, five_seconds_up_reset_the_backoff);
    tcase_add_test(t, a_bad_config_is_not_tried_again);
    tcase_add_test(t, an_end_of_its_own_with_0_is_done);
    tcase_add_test(t, a_drain_that_somebody_else_asked_for_is_restarted);
    tcase_add_test(t, five_seconds_of_silence_after_ready_are_a_hang);
    tcase_add_test(t, silence_before_the_first_report_is_no_hang_but_after_it_is);
    tcase_add_test(t, a_monitor_that_slept_does_not_blame_the_others);
    tcase_add_test(t, the_next_group_waits_for_ready_but_not_longer_than_3_s);
    tcase_add_test(t, an_adopted_process_counts_as_ready_at_once_and_is_so_with_its_report);
    tcase_add_test(t, an_adopted_process_that_never_reports_hangs);
    tcase_add_test(t, after_stop_nothing_is_started);
    suite_add_tcase(s, t);
    return suite_run(s);
}
