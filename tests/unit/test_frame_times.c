/* Claims about the times of frames that a program puts. Times in ms.
 * Relies on capture/libkvpipe/frame_times. Leaves anchoring itself to test_anchor. */
#include "capture/libkvpipe/frame_times.h"
#include "tests/unit/suite.h"

#include <check.h>

#define MS INT64_C(1000000)
#define T0 (INT64_C(1700000000000) * MS)

static struct frame_times t;

/* The decode time given for a frame at pts, minus T0. */
static int64_t dts_of(unsigned track, int64_t pts, int64_t dts)
{
    int64_t p, d;
    frame_times_map(&t, track, pts, dts, 40 * MS, T0, &p, &d);
    ck_assert_int_ge(p, d);
    return (d - T0) / MS;
}

static int64_t wall(unsigned track, int64_t ms)
{
    return dts_of(track, T0 + ms * MS, T0 + ms * MS);
}

START_TEST(wall_times_stay_as_they_are)
{
    frame_times_init(&t, true, 0);
    ck_assert_int_eq(wall(0, 0), 0);
    ck_assert_int_eq(wall(0, 40), 40);
    ck_assert_int_eq(wall(1, 20), 20); /* of another track */
}
END_TEST

START_TEST(equal_times_are_parted)
{
    frame_times_init(&t, true, 0);
    wall(0, 40);
    ck_assert_int_eq(wall(0, 40), 41);
    ck_assert_int_eq(wall(0, 80), 80);
}
END_TEST

START_TEST(a_wall_clock_set_back_goes_on_evenly)
{
    frame_times_init(&t, true, 0);
    wall(0, 3600000);
    ck_assert_int_eq(wall(0, 0), 3600001);
    ck_assert_int_eq(wall(0, 40), 3600041);
    ck_assert_int_eq(wall(1, 20), 3600021);
}
END_TEST

START_TEST(wall_times_lie_above_the_floor)
{
    frame_times_init(&t, true, T0 + 1000 * MS);
    ck_assert_int_eq(wall(0, 0), 1001);
    ck_assert_int_eq(wall(0, 40), 1041);
}
END_TEST

START_TEST(a_clock_of_its_own_is_put_at_the_wall_clock)
{
    frame_times_init(&t, false, 0);
    ck_assert_int_eq(dts_of(0, 5 * MS, 5 * MS), 0);
    ck_assert_int_eq(dts_of(0, 45 * MS, 45 * MS), 40);
}
END_TEST

START_TEST(decode_times_of_reordered_frames_are_made)
{
    static const int64_t pts[] = {0, 120, 40, 80, 240, 160, 200};
    int64_t last = INT64_MIN;
    frame_times_init(&t, false, 0);
    for (unsigned i = 0; i < sizeof pts / sizeof *pts; i++) {
        int64_t dts = dts_of(0, pts[i] * MS, INT64_MIN);
        ck_assert_int_gt(dts, last);
        last = dts;
    }
}
END_TEST

START_TEST(reordered_frames_are_shown_when_they_should)
{
    static const int64_t pts[] = {0, 120, 40, 80, 240, 160, 200};
    int64_t out_pts, out_dts, first = 0;
    frame_times_init(&t, false, 0);
    frame_times_reorder(&t, 0, 2);
    for (unsigned i = 0; i < sizeof pts / sizeof *pts; i++) {
        frame_times_map(&t, 0, pts[i] * MS, INT64_MIN, 40 * MS, T0, &out_pts, &out_dts);
        first = i ? first : out_pts;
        ck_assert_int_eq((out_pts - first) / MS, pts[i]);
    }
}
END_TEST

START_TEST(a_file_that_begins_again_goes_on)
{
    frame_times_init(&t, false, 0);
    for (int64_t ms = 0; ms < 60000; ms += 40)
        dts_of(0, ms * MS, INT64_MIN);
    ck_assert_int_gt(dts_of(0, 0, INT64_MIN), 59960);
}
END_TEST

START_TEST(the_last_time_is_told)
{
    frame_times_init(&t, true, 0);
    wall(0, 40);
    wall(1, 90);
    ck_assert_int_eq((frame_times_last(&t) - T0) / MS, 90);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("frame_times");
    TCase *tc = tcase_create("frame_times");
    tcase_add_test(tc, wall_times_stay_as_they_are);
    tcase_add_test(tc, equal_times_are_parted);
    tcase_add_test(tc, a_wall_clock_set_back_goes_on_evenly);
    tcase_add_test(tc, wall_times_lie_above_the_floor);
    tcase_add_test(tc, a_clock_of_its_own_is_put_at_the_wall_clock);
    tcase_add_test(tc, decode_times_of_reordered_frames_are_made);
    tcase_add_test(tc, reordered_frames_are_shown_when_they_should);
    tcase_add_test(tc, a_file_that_begins_again_goes_on);
    tcase_add_test(tc, the_last_time_is_told);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
