/* The latency histogram: percentiles within its 2 % steps.
 * Relies on Check.
 * Leaves measuring to the bench. */
#include "uploader/latency.h"

#include <check.h>
#include <stdlib.h>

START_TEST(percentiles_are_within_two_percent)
{
    static struct latency l;
    l = (struct latency){0};
    for (int64_t i = 1; i <= 1000; i++)
        latency_add(&l, i * 1000000);
    ck_assert_double_eq_tol(latency_ms(&l, 50), 500, 10.5);
    ck_assert_double_eq_tol(latency_ms(&l, 99), 990, 20.5);
}
END_TEST

START_TEST(extremes_do_not_leave_the_table)
{
    static struct latency l;
    l = (struct latency){0};
    ck_assert_double_eq(latency_ms(&l, 50), 0);
    latency_add(&l, -5);
    ck_assert_double_lt(latency_ms(&l, 50), 0.1);
    latency_add(&l, INT64_MAX);
    ck_assert_double_gt(latency_ms(&l, 99), 500000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("latency");
    TCase *tc = tcase_create("latency");
    tcase_add_test(tc, percentiles_are_within_two_percent);
    tcase_add_test(tc, extremes_do_not_leave_the_table);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
