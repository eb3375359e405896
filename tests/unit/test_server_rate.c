/* Rates with a burst (server/rate.h).
 * Relies on Check.
 * Leaves the answers to the clients to tests/conformance/media. */
#include <check.h>

#include "common/clock.h"
#include "server/rate.h"
#include "tests/unit/suite.h"

START_TEST(a_burst_is_admitted_and_the_next_is_not)
{
    struct rate r = {0};
    for (int i = 0; i < 5; i++)
        ck_assert(rate_admit(&r, 5, 5, 1, 1000 * NS_PER_S));
    ck_assert(!rate_admit(&r, 5, 5, 1, 1000 * NS_PER_S));
    ck_assert(!rate_admit(&r, 5, 5, 1, 1000 * NS_PER_S));
}
END_TEST

START_TEST(what_was_used_comes_back_with_time)
{
    struct rate r = {0};
    for (int i = 0; i < 5; i++)
        rate_admit(&r, 5, 5, 1, 0);
    ck_assert(rate_admit(&r, 5, 5, 1, NS_PER_S / 5));
    ck_assert(!rate_admit(&r, 5, 5, 1, NS_PER_S / 5));
    ck_assert(rate_admit(&r, 5, 5, 1, 100 * NS_PER_S));
}
END_TEST

START_TEST(one_large_request_is_lent_to)
{
    struct rate r = {0};
    ck_assert(rate_admit(&r, 500, 500, 1000, 0));
    ck_assert(!rate_admit(&r, 500, 500, 1, NS_PER_S * 99 / 100));
    ck_assert(rate_admit(&r, 500, 500, 1, NS_PER_S * 101 / 100));
}
END_TEST

START_TEST(no_limit_admits_all)
{
    struct rate r = {0};
    for (int i = 0; i < 1000; i++) {
        ck_assert(rate_admit(&r, 0, 0, 1000, 0));
        ck_assert_int_eq(rate_spend(&r, 0, 0, 1000, 0), 0);
    }
}
END_TEST

START_TEST(who_is_too_fast_waits_for_as_long_as_it_takes)
{
    struct rate r = {0};
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(rate_spend(&r, 5, 100, 1, 0), 0);
    ck_assert_int_eq(rate_spend(&r, 5, 100, 1, 0), NS_PER_S / 5);
    ck_assert_int_eq(rate_spend(&r, 5, 100, 1, NS_PER_S / 5), NS_PER_S / 5);
    ck_assert_int_eq(rate_spend(&r, 5, 100, 1, 100 * NS_PER_S), 0);
}
END_TEST

START_TEST(a_clock_that_steps_back_gives_nothing_back)
{
    struct rate r = {0};
    for (int i = 0; i < 5; i++)
        rate_admit(&r, 5, 5, 1, 50 * NS_PER_S);
    ck_assert(!rate_admit(&r, 5, 5, 1, 10 * NS_PER_S));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("server_rate");
    TCase *t = tcase_create("server_rate");
    tcase_add_test(t, a_burst_is_admitted_and_the_next_is_not);
    tcase_add_test(t, what_was_used_comes_back_with_time);
    tcase_add_test(t, one_large_request_is_lent_to);
    tcase_add_test(t, no_limit_admits_all);
    tcase_add_test(t, who_is_too_fast_waits_for_as_long_as_it_takes);
    tcase_add_test(t, a_clock_that_steps_back_gives_nothing_back);
    suite_add_tcase(s, t);
    return suite_run(s);
}
