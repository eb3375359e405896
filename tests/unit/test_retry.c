/* Backoff: grows, stays below its maximum, is spread, and begins anew after success.
 * Relies on Check.
 * Leaves timers to the pipeline tests. */
#include "common/retry.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdlib.h>

static const struct retry_conf conf = {.first_ns = 1000, .max_ns = 30000, .reset_ns = 50000};

START_TEST(wait_doubles_up_to_the_maximum)
{
    static const int64_t want[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
    struct retry r;
    retry_init(&r, &conf);
    for (unsigned i = 0; i < sizeof want / sizeof *want; i++)
        ck_assert_int_eq(retry_failed(&r, 0, 0), want[i]);
}
END_TEST

START_TEST(jitter_stays_within_half_of_the_wait)
{
    for (uint64_t random = 0; random < 100000; random += 37) {
        struct retry r;
        retry_init(&r, &conf);
        int64_t wait = retry_failed(&r, 0, random * UINT64_C(0x9e3779b97f4a7c15));
        ck_assert_int_ge(wait, 500);
        ck_assert_int_le(wait, 1000);
    }
}
END_TEST

START_TEST(many_failures_do_not_overflow)
{
    struct retry r;
    retry_init(&r, &conf);
    for (unsigned i = 0; i < 100000; i++)
        ck_assert_int_le(retry_failed(&r, 0, i), 30000);
}
END_TEST

START_TEST(long_success_begins_anew)
{
    struct retry r;
    retry_init(&r, &conf);
    retry_failed(&r, 0, 0);
    retry_failed(&r, 0, 0);
    retry_works(&r, 1000);
    retry_works(&r, 40000); /* still the same success */
    ck_assert_int_eq(retry_failed(&r, 51000, 0), 1000);
}
END_TEST

START_TEST(short_success_does_not)
{
    struct retry r;
    retry_init(&r, &conf);
    retry_failed(&r, 0, 0);
    retry_works(&r, 1000);
    ck_assert_int_eq(retry_failed(&r, 2000, 0), 2000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("retry");
    TCase *tc = tcase_create("retry");
    tcase_add_test(tc, wait_doubles_up_to_the_maximum);
    tcase_add_test(tc, jitter_stays_within_half_of_the_wait);
    tcase_add_test(tc, many_failures_do_not_overflow);
    tcase_add_test(tc, long_success_begins_anew);
    tcase_add_test(tc, short_success_does_not);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
