/* Decode times from presentation times.
 * Relies on Check.
 * Leaves strictness over reconnects to test_anchor.c. */
#include "capture/dts.h"
#include "tests/unit/suite.h"

#include <check.h>

static void check_rules(const int64_t *pts, int n, unsigned depth)
{
    struct dts d;
    int64_t last = INT64_MIN;
    dts_init(&d, depth, 40);
    for (int i = 0; i < n; i++) {
        int64_t t = dts_next(&d, pts[i]);
        ck_assert_int_le(t, pts[i]);
        ck_assert_int_gt(t, last);
        last = t;
    }
}

START_TEST(without_reordering_both_are_equal)
{
    struct dts d;
    dts_init(&d, 0, 40);
    for (int64_t t = 0; t < 400; t += 40)
        ck_assert_int_eq(dts_next(&d, t), t);
}
END_TEST

START_TEST(b_frames_give_increasing_times_not_above_presentation)
{
    static const int64_t one[] = {0, 80, 40, 160, 120, 240, 200};
    static const int64_t pyramid[] = {0, 160, 80, 40, 120, 320, 240, 200, 280};
    check_rules(one, 7, 1);
    check_rules(pyramid, 9, 2);
}
END_TEST

START_TEST(depth_that_was_not_told_is_found)
{
    static const int64_t pts[] = {0, 80, 40, 160, 120, 240, 200, 320, 280};
    struct dts d;
    int64_t t = 0, last;
    dts_init(&d, 0, 40);
    for (int i = 0; i < 4; i++)
        t = dts_next(&d, pts[i]);
    for (int i = 4; i < 9; i++) {
        last = t;
        t = dts_next(&d, pts[i]);
        ck_assert_int_gt(t, last);
        ck_assert_int_le(t, pts[i]);
    }
}
END_TEST

START_TEST(wild_times_stay_within_the_array)
{
    struct dts d;
    dts_init(&d, 99, 1);
    for (int64_t i = 0; i < 1000; i++)
        dts_next(&d, i * 7919 % 1009 - i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("capture_dts");
    TCase *tc = tcase_create("capture_dts");
    tcase_add_test(tc, without_reordering_both_are_equal);
    tcase_add_test(tc, b_frames_give_increasing_times_not_above_presentation);
    tcase_add_test(tc, depth_that_was_not_told_is_found);
    tcase_add_test(tc, wild_times_stay_within_the_array);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
