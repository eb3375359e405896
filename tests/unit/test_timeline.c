/* Intervals that are missing: between which frames, how long, why. Times are given, none passes.
 * Relies on Check.
 * Leaves keeping them to test_ledger.c. */
#include "tests/unit/suite.h"
#include "uploader/timeline.h"

#include <check.h>
#include <string.h>

#define EPOCH 7
#define STEP_MS 40

static struct timeline t;
static struct ledger_entry told[16];
static unsigned ntold;

static void tell(void *arg, const struct ledger_entry *e)
{
    ck_assert_uint_lt(ntold, 16);
    told[ntold++] = *e;
}

static void setup(void)
{
    ntold = 0;
    timeline_init(&t, tell, NULL);
}

static void frame(uint64_t epoch, uint64_t number, int64_t ms)
{
    timeline_frame(&t, 1, epoch, number, ms * NS_PER_MS, (struct ledger_place){1, number});
}

/* Frames first..last at their usual times. */
static void frames(uint64_t first, uint64_t last)
{
    for (uint64_t n = first; n <= last; n++)
        frame(EPOCH, n, (int64_t)n * STEP_MS);
}

static void gap(uint64_t first, uint64_t last, const char *reason)
{
    struct ledger_entry e = {.track = 1,
                             .epoch = EPOCH,
                             .first = first,
                             .last = last,
                             .count = last - first + 1,
                             .reason = reason,
                             .at = {1, first}};
    timeline_gap(&t, &e, false);
}

#define ck_interval(i, from_ms, to_ms)                                                             \
    do {                                                                                           \
        ck_assert_int_eq(told[i].start_ns / NS_PER_MS, from_ms);                                   \
        ck_assert_int_eq(told[i].end_ns / NS_PER_MS, to_ms);                                       \
    } while (0)

START_TEST(frames_without_a_gap_say_nothing)
{
    frames(0, 100);
    timeline_settle(&t);
    ck_assert_uint_eq(ntold, 0);
}
END_TEST

START_TEST(missing_numbers_are_the_time_between_their_neighbours)
{
    frames(0, 10);
    gap(11, 20, "window_full");
    ck_assert_uint_eq(ntold, 0);
    ck_assert_uint_eq(timeline_waiting(&t), 10);
    frames(21, 22);
    ck_assert_uint_eq(ntold, 1);
    ck_assert_uint_eq(told[0].count, 10);
    ck_interval(0, 440, 840);
}
END_TEST

START_TEST(two_reasons_share_the_time)
{
    frames(0, 10);
    gap(11, 15, "window_full");
    gap(16, 20, "disk_full");
    frames(21, 21);
    ck_assert_uint_eq(ntold, 2);
    ck_interval(0, 440, 640);
    ck_interval(1, 640, 840);
}
END_TEST

START_TEST(silence_without_missing_numbers_is_the_camera_s)
{
    frames(0, 10);
    frame(EPOCH, 11, 5000);
    ck_assert_uint_eq(ntold, 1);
    ck_assert_str_eq(told[0].reason, "silent");
    ck_assert_uint_eq(told[0].count, 0);
    ck_interval(0, 440, 5000);
}
END_TEST

START_TEST(a_late_frame_is_no_silence)
{
    frames(0, 10);
    frame(EPOCH, 11, 11 * STEP_MS + 300);
    ck_assert_uint_eq(ntold, 0);
}
END_TEST

START_TEST(a_slow_source_is_believed)
{
    frame(EPOCH, 0, 0);
    for (uint64_t n = 1; n < 20; n++)
        frame(EPOCH, n, (int64_t)n * 10000);
    ck_assert_uint_eq(ntold, 0);
}
END_TEST

START_TEST(a_new_epoch_tells_what_the_dead_one_left_open)
{
    const uint64_t next[LINK_TRACKS_MAX] = {11};
    frames(0, 10);
    timeline_epoch(&t, EPOCH, next, false);
    frame(EPOCH + 1, 0, 700);
    ck_assert_uint_eq(ntold, 1);
    ck_assert_str_eq(told[0].reason, "capture_restarted");
    ck_assert_uint_eq(told[0].epoch, EPOCH);
    ck_assert_uint_eq(told[0].first, 11);
    ck_interval(0, 440, 700);
}
END_TEST

START_TEST(a_stop_in_good_order_is_called_so)
{
    const uint64_t next[LINK_TRACKS_MAX] = {11};
    frames(0, 10);
    timeline_epoch(&t, EPOCH, next, true);
    frame(EPOCH + 1, 0, 90000);
    ck_assert_str_eq(told[0].reason, "stopped");
}
END_TEST

START_TEST(numbers_that_another_log_has_are_no_gap)
{
    frames(0, 10);
    timeline_jump(&t);
    frame(EPOCH, 500, 500 * STEP_MS);
    ck_assert_uint_eq(ntold, 0);
}
END_TEST

START_TEST(a_gap_that_no_frame_follows_is_told_after_three_seconds)
{
    frames(0, 10);
    gap(11, 20, "disk_full");
    timeline_tick(&t);
    timeline_tick(&t);
    ck_assert_uint_eq(ntold, 0);
    timeline_tick(&t);
    ck_assert_uint_eq(ntold, 1);
    ck_interval(0, 440, 840);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timeline");
    TCase *tc = tcase_create("timeline");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, frames_without_a_gap_say_nothing);
    tcase_add_test(tc, missing_numbers_are_the_time_between_their_neighbours);
    tcase_add_test(tc, two_reasons_share_the_time);
    tcase_add_test(tc, silence_without_missing_numbers_is_the_camera_s);
    tcase_add_test(tc, a_late_frame_is_no_silence);
    tcase_add_test(tc, a_slow_source_is_believed);
    tcase_add_test(tc, a_new_epoch_tells_what_the_dead_one_left_open);
    tcase_add_test(tc, a_stop_in_good_order_is_called_so);
    tcase_add_test(tc, numbers_that_another_log_has_are_no_gap);
    tcase_add_test(tc, a_gap_that_no_frame_follows_is_told_after_three_seconds);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
