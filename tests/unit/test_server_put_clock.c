/* IDLE acks, silence and age of a PutMedia request (server/put_clock.h), hours in no time.
 * Relies on Check.
 * Leaves the acks themselves to tests/conformance. */
#include <check.h>

#include "common/clock.h"
#include "common/conf.h"
#include "server/put_clock.h"
#include "tests/unit/suite.h"

#define T0 (INT64_C(7777) * NS_PER_S)

static const struct conf_limits limits = {.connection_s = 2700, .silence_s = 30, .idle_ack_s = 5};
static struct put_clock c;

static void setup(void)
{
    put_clock_start(&c, T0);
}

static enum put_event at(double s)
{
    return put_clock_tick(&c, &limits, false, T0 + (int64_t)(s * NS_PER_S));
}

START_TEST(a_silent_client_gets_an_idle_ack_each_five_seconds_and_ends_after_thirty)
{
    int idle = 0;
    for (int s = 1; s < 30; s++) {
        enum put_event e = at(s);
        ck_assert(e == PUT_NONE || e == PUT_IDLE);
        ck_assert_int_eq(e == PUT_IDLE, s % 5 == 0);
        idle += e == PUT_IDLE;
    }
    ck_assert_int_eq(idle, 5);
    ck_assert_int_eq(at(30), PUT_SILENT);
}
END_TEST

START_TEST(data_starts_both_anew)
{
    put_clock_data(&c, T0 + 29 * NS_PER_S);
    ck_assert_int_eq(at(33.9), PUT_NONE);
    ck_assert_int_eq(at(34), PUT_IDLE);
    ck_assert_int_eq(at(58.9), PUT_IDLE);
    ck_assert_int_eq(at(59), PUT_SILENT);
}
END_TEST

START_TEST(a_request_ends_after_45_minutes_however_busy)
{
    for (int s = 1; s < 2700; s++) {
        put_clock_data(&c, T0 + s * NS_PER_S);
        ck_assert_int_eq(at(s), PUT_NONE);
    }
    put_clock_data(&c, T0 + 2700 * NS_PER_S);
    ck_assert_int_eq(at(2699.9), PUT_NONE);
    ck_assert_int_eq(at(2700), PUT_TOO_OLD);
}
END_TEST

START_TEST(a_client_that_is_held_back_is_not_silent)
{
    for (int s = 1; s <= 100; s++)
        ck_assert_int_ne(put_clock_tick(&c, &limits, true, T0 + s * NS_PER_S), PUT_SILENT);
    ck_assert_int_ne(at(129), PUT_SILENT);
    ck_assert_int_eq(at(130), PUT_SILENT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("server_put_clock");
    TCase *t = tcase_create("server_put_clock");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, a_silent_client_gets_an_idle_ack_each_five_seconds_and_ends_after_thirty);
    tcase_add_test(t, data_starts_both_anew);
    tcase_add_test(t, a_request_ends_after_45_minutes_however_busy);
    tcase_add_test(t, a_client_that_is_held_back_is_not_silent);
    suite_add_tcase(s, t);
    return suite_run(s);
}
