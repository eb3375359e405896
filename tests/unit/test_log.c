/* Log lines that a peer can cause: few of them, and how many more there were.
 * Relies on Check.
 * Leaves the looks of a line to the pipeline tests. */
#include "common/log.h"
#include "tests/unit/suite.h"

#include <check.h>

START_TEST(five_lines_of_one_place_in_ten_seconds)
{
    struct log_few few = {0};
    log_init("test_log", LOG_NONE);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(log_few_due(&few, "test"), 1);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(log_few_due(&few, "test"), 0);
    ck_assert_uint_eq(few.left_out, 1000);
}
END_TEST

START_TEST(after_ten_seconds_it_begins_anew)
{
    struct log_few few = {0};
    for (int i = 0; i < 6; i++)
        log_few_due(&few, "test");
    few.began_ns -= 10000000000LL;
    ck_assert_int_eq(log_few_due(&few, "test"), 1);
    ck_assert_uint_eq(few.left_out, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("log");
    TCase *t = tcase_create("few");
    tcase_add_test(t, five_lines_of_one_place_in_ten_seconds);
    tcase_add_test(t, after_ten_seconds_it_begins_anew);
    suite_add_tcase(s, t);
    return suite_run(s);
}
