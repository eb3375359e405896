/* Absolute times: anchored once a connection, strictly increasing over all that may happen.
 * Relies on Check.
 * Leaves missing decode times to test_capture_dts.c. */
#include "capture/anchor.h"
#include "tests/unit/suite.h"

#include <check.h>

#define MS INT64_C(1000000)
#define S (1000 * MS)
#define WALL (1700000000 * S)

static int64_t pts, dts;

static void map(struct anchor *a, unsigned track, int64_t run, int64_t wall)
{
    anchor_map(a, track, run, run, 40 * MS, wall, &pts, &dts);
}

START_TEST(first_frame_has_the_wall_clock_and_later_ones_their_distance)
{
    struct anchor a;
    anchor_init(&a, 0, MS, true);
    map(&a, 0, 5 * S, WALL);
    ck_assert_int_eq(pts, WALL);
    map(&a, 0, 5 * S + 40 * MS, WALL + 900 * MS);
    ck_assert_int_eq(pts, WALL + 40 * MS);
    map(&a, 1, 5 * S - 21 * MS, WALL + 900 * MS);
    ck_assert_int_eq(pts, WALL - 21 * MS);
    ck_assert_uint_eq(a.corrections, 0);
}
END_TEST

START_TEST(clock_that_went_back_at_a_reconnect_still_gives_later_times)
{
    struct anchor a;
    anchor_init(&a, 0, MS, true);
    map(&a, 0, 0, WALL);
    map(&a, 1, 300 * MS, WALL);
    anchor_connect(&a, false);
    map(&a, 0, 0, WALL - 3600 * S);
    ck_assert_int_gt(dts, WALL + 300 * MS);
    map(&a, 1, -100 * MS, WALL - 3600 * S);
    ck_assert_int_gt(dts, WALL + 300 * MS);
    ck_assert_uint_eq(a.corrections, 0);
}
END_TEST

START_TEST(clock_step_within_a_connection_changes_nothing)
{
    struct anchor a;
    anchor_init(&a, 0, MS, true);
    map(&a, 0, 0, WALL);
    map(&a, 0, 40 * MS, WALL + 7200 * S);
    ck_assert_int_eq(dts, WALL + 40 * MS);
    map(&a, 0, 80 * MS, WALL - 7200 * S);
    ck_assert_int_eq(dts, WALL + 80 * MS);
}
END_TEST

START_TEST(times_are_above_the_floor)
{
    struct anchor a;
    anchor_init(&a, WALL, MS, true);
    map(&a, 0, 0, WALL - 10 * S);
    ck_assert_int_gt(dts, WALL);
}
END_TEST

START_TEST(start_soon_after_a_death_is_not_ahead_of_the_wall_clock)
{
    struct anchor a;
    anchor_init(&a, WALL - 100 * MS, MS, true);
    map(&a, 0, 0, WALL);
    ck_assert_int_eq(dts, WALL);
}
END_TEST

START_TEST(frame_that_is_not_later_is_moved_by_a_tick_and_counted)
{
    struct anchor a;
    anchor_init(&a, 0, MS, true);
    map(&a, 0, 40 * MS, WALL);
    map(&a, 0, 40 * MS, WALL);
    ck_assert_int_eq(dts, WALL + MS);
    map(&a, 0, 20 * MS, WALL);
    ck_assert_int_eq(dts, WALL + 2 * MS);
    ck_assert_uint_eq(a.corrections, 2);
    ck_assert_uint_eq(a.jumps, 0);
}
END_TEST

START_TEST(correction_moves_presentation_and_decode_time_alike)
{
    struct anchor a;
    anchor_init(&a, 0, MS, true);
    map(&a, 0, 0, WALL);
    anchor_map(&a, 0, 80 * MS, -10 * MS, 40 * MS, WALL, &pts, &dts);
    ck_assert_int_eq(dts, WALL + MS);
    ck_assert_int_eq(pts - dts, 90 * MS);
}
END_TEST

START_TEST(jump_of_a_live_source_returns_to_the_wall_clock)
{
    static const int64_t to[] = {3600 * S, -3600 * S, -600 * MS};
    for (int i = 0; i < 3; i++) {
        struct anchor a;
        anchor_init(&a, 0, MS, true);
        map(&a, 0, 0, WALL);
        map(&a, 0, to[i], WALL + 2 * S);
        ck_assert_int_eq(dts, WALL + 2 * S);
        ck_assert_uint_eq(a.jumps, 1);
    }
}
END_TEST

START_TEST(second_track_follows_the_jump_of_the_first)
{
    struct anchor a;
    anchor_init(&a, 0, MS, true);
    map(&a, 0, 0, WALL);
    map(&a, 1, 0, WALL);
    map(&a, 0, 100 * S, WALL + S);
    map(&a, 1, 20 * MS, WALL + S); /* from before the jump */
    ck_assert_int_eq(dts, WALL + 20 * MS);
    map(&a, 1, 100 * S + 10 * MS, WALL + 2 * S);
    ck_assert_int_eq(dts, WALL + S + 10 * MS);
    ck_assert_uint_eq(a.jumps, 1);
}
END_TEST

START_TEST(hole_of_ten_seconds_stays_a_hole)
{
    struct anchor a;
    anchor_init(&a, 0, MS, true);
    map(&a, 0, 0, WALL);
    map(&a, 0, 10 * S, WALL + S);
    ck_assert_int_eq(dts, WALL + 10 * S);
}
END_TEST

START_TEST(file_that_begins_again_goes_on_where_its_tracks_ended)
{
    struct anchor a;
    anchor_init(&a, 0, MS, false);
    map(&a, 0, 0, WALL);
    map(&a, 0, 40 * MS, WALL);
    map(&a, 1, 60 * MS, WALL); /* ends at 100 ms */
    anchor_connect(&a, true);
    map(&a, 0, 0, WALL + 50 * S);
    ck_assert_int_eq(dts, WALL + 100 * MS);
}
END_TEST

START_TEST(peek_changes_nothing_and_knows_what_it_cannot_know)
{
    struct anchor a;
    int64_t t;
    anchor_init(&a, 0, MS, true);
    ck_assert(!anchor_peek(&a, 0, 0, &t));
    map(&a, 0, 0, WALL);
    ck_assert(anchor_peek(&a, 1, 20 * MS, &t));
    ck_assert_int_eq(t, WALL + 20 * MS);
    ck_assert(!anchor_peek(&a, 0, 60 * S, &t));
    ck_assert_int_eq(anchor_last(&a), WALL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("anchor");
    TCase *tc = tcase_create("anchor");
    tcase_add_test(tc, first_frame_has_the_wall_clock_and_later_ones_their_distance);
    tcase_add_test(tc, clock_that_went_back_at_a_reconnect_still_gives_later_times);
    tcase_add_test(tc, clock_step_within_a_connection_changes_nothing);
    tcase_add_test(tc, times_are_above_the_floor);
    tcase_add_test(tc, frame_that_is_not_later_is_moved_by_a_tick_and_counted);
    tcase_add_test(tc, correction_moves_presentation_and_decode_time_alike);
    tcase_add_test(tc, jump_of_a_live_source_returns_to_the_wall_clock);
    tcase_add_test(tc, second_track_follows_the_jump_of_the_first);
    tcase_add_test(tc, hole_of_ten_seconds_stays_a_hole);
    tcase_add_test(tc, file_that_begins_again_goes_on_where_its_tracks_ended);
    tcase_add_test(tc, start_soon_after_a_death_is_not_ahead_of_the_wall_clock);
    tcase_add_test(tc, peek_changes_nothing_and_knows_what_it_cannot_know);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
