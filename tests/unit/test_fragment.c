/* Claims about muxer/fragment: starts, belonging, limits. Times in ms after T.
 * Relies on Check.
 * Leaves tracks, headers and bytes to test_mux. */
#include "muxer/fragment.h"

#include <check.h>
#include <string.h>

#include "common/clock.h"
#include "tests/unit/suite.h"

#define MS NS_PER_MS
#define T (INT64_C(1700000000000) * MS)

static struct fragment f;
static struct blob *payload;

static void setup(void)
{
    struct fragment_conf conf = {.scale_ns = MS, .duration_ns = 2000 * MS};
    fragment_init(&f, &conf);
    payload = blob_copy("x", 1);
}

static void teardown(void)
{
    blob_unref(&payload);
}

static struct link_item item(int64_t ms, bool key, int64_t fragment_ms)
{
    return (struct link_item){.track = 1,
                              .key = key,
                              .pts_ns = T + ms * MS,
                              .fragment_ns = fragment_ms < 0 ? 0 : T + fragment_ms * MS,
                              .payload = payload};
}

static struct fragment_place put(struct fragment_place p, uint64_t bytes)
{
    if (p.what != FRAGMENT_GAP)
        fragment_commit(&f, &p, bytes);
    return p;
}

static struct fragment_place lead(int64_t ms, bool key, int64_t fragment_ms)
{
    struct link_item i = item(ms, key, fragment_ms);
    return put(fragment_lead(&f, &i), 1);
}

static struct fragment_place beside(int64_t ms)
{
    struct link_item i = item(ms, true, -1);
    return put(fragment_beside(&f, &i), 1);
}

#define ck_gap(p, why)                                                                             \
    do {                                                                                           \
        struct fragment_place p_ = (p);                                                            \
        ck_assert_int_eq(p_.what, FRAGMENT_GAP);                                                   \
        ck_assert_int_eq(p_.reason, why);                                                          \
    } while (0)
#define ck_what(p, w) ck_assert_int_eq((p).what, w)

START_TEST(marked_key_frame_starts)
{
    struct fragment_place p = lead(0, true, 0);
    ck_what(p, FRAGMENT_START);
    ck_assert_uint_eq(p.timecode, 1700000000000);
    ck_assert_int_eq(p.relative, 0);
}
END_TEST

START_TEST(key_frame_inside_a_fragment_does_not_start)
{
    lead(0, true, 0);
    ck_what(lead(500, true, 0), FRAGMENT_CONTINUE);
}
END_TEST

START_TEST(video_before_a_key_frame_is_a_gap)
{
    ck_gap(lead(0, false, -1), LINK_GAP_NO_KEY_FRAME);
    ck_what(lead(40, true, 40), FRAGMENT_START);
}
END_TEST

START_TEST(frame_of_a_fragment_whose_start_never_came_is_a_gap)
{
    lead(0, true, 0);
    ck_gap(lead(2040, false, 2000), LINK_GAP_NO_KEY_FRAME);
    ck_what(lead(4000, true, 4000), FRAGMENT_START);
}
END_TEST

START_TEST(restart_in_the_middle_continues)
{
    struct fragment_place p = lead(700, false, 100);
    ck_what(p, FRAGMENT_CONTINUE);
    ck_assert_int_eq(p.start_ns, T + 100 * MS);
    ck_assert_int_eq(p.relative, 600);
}
END_TEST

START_TEST(start_that_could_not_be_put_is_not_continued)
{
    struct link_item i = item(0, true, 0);
    ck_what(fragment_lead(&f, &i), FRAGMENT_START);
    fragment_skip(&f, LINK_GAP_FORMAT);
    ck_gap(lead(40, false, 0), LINK_GAP_NO_KEY_FRAME);
}
END_TEST

START_TEST(unmarked_key_frames_start_after_a_second)
{
    ck_what(lead(0, true, -1), FRAGMENT_START);
    ck_what(lead(999, true, -1), FRAGMENT_CONTINUE);
    ck_what(lead(1000, true, -1), FRAGMENT_START);
}
END_TEST

START_TEST(audio_belongs_to_the_open_fragment)
{
    lead(0, true, 0);
    struct fragment_place p = beside(21);
    ck_what(p, FRAGMENT_CONTINUE);
    ck_assert_int_eq(p.relative, 21);
}
END_TEST

START_TEST(audio_before_any_fragment_is_a_gap)
{
    ck_gap(beside(0), LINK_GAP_NO_KEY_FRAME);
}
END_TEST

START_TEST(late_audio_is_a_timestamp_gap)
{
    lead(0, true, 0);
    lead(2000, true, 2000);
    ck_gap(beside(1999), LINK_GAP_TIMESTAMP);
    ck_what(beside(2000), FRAGMENT_CONTINUE);
}
END_TEST

START_TEST(start_not_after_the_latest_tick_is_a_timestamp_gap)
{
    lead(0, true, 0);
    beside(2000);
    ck_gap(lead(2000, true, 2000), LINK_GAP_TIMESTAMP);
    ck_gap(lead(2040, false, 2000), LINK_GAP_NO_KEY_FRAME);
    ck_what(lead(4000, true, 4000), FRAGMENT_START);
}
END_TEST

START_TEST(ticks_count_not_nanoseconds)
{
    struct link_item i = item(2000, true, 2000);
    lead(0, true, 0);
    beside(2000);
    i.pts_ns += 900000; /* later by 0.9 ms, in the same tick */
    i.fragment_ns = i.pts_ns;
    ck_gap(fragment_lead(&f, &i), LINK_GAP_TIMESTAMP);
}
END_TEST

START_TEST(frame_before_its_fragment_is_a_timestamp_gap)
{
    lead(1000, true, 1000);
    ck_gap(lead(960, false, 1000), LINK_GAP_TIMESTAMP);
    ck_what(lead(1040, false, 1000), FRAGMENT_CONTINUE);
}
END_TEST

START_TEST(beyond_twenty_seconds_gap_until_the_next_start)
{
    lead(0, true, 0);
    ck_what(lead(19899, false, 0), FRAGMENT_CONTINUE);
    ck_gap(lead(19900, false, 0), LINK_GAP_FRAGMENT_LIMIT);
    ck_gap(lead(19890, false, 0), LINK_GAP_FRAGMENT_LIMIT); /* depends on the one left out */
    ck_gap(beside(19950), LINK_GAP_FRAGMENT_LIMIT);
    ck_what(beside(19890), FRAGMENT_CONTINUE);
    ck_what(lead(25000, true, 25000), FRAGMENT_START);
}
END_TEST

START_TEST(beyond_fifty_megabytes_gap_until_the_next_start)
{
    struct link_item i = item(0, true, 0);
    put(fragment_lead(&f, &i), FRAGMENT_LIMIT_BYTES - 1);
    ck_what(lead(40, false, 0), FRAGMENT_CONTINUE);
    ck_gap(lead(80, false, 0), LINK_GAP_FRAGMENT_LIMIT);
    ck_gap(beside(81), LINK_GAP_FRAGMENT_LIMIT);
    ck_what(lead(2000, true, 2000), FRAGMENT_START);
    ck_what(lead(2040, false, 2000), FRAGMENT_CONTINUE);
}
END_TEST

START_TEST(relative_ticks_fit_fifteen_bits)
{
    f.conf.scale_ns = MS / 10;
    ck_what(lead(0, true, 0), FRAGMENT_START);
    ck_assert_int_eq(lead(3276, false, 0).relative, 32760);
    ck_gap(lead(3277, false, 0), LINK_GAP_FRAGMENT_LIMIT);
}
END_TEST

START_TEST(relative_timecodes_count_from_the_origin)
{
    f.conf.origin_ns = T - 5000 * MS;
    struct fragment_place p = lead(0, true, 0);
    ck_assert_uint_eq(p.timecode, 5000);
    f.conf.origin_ns = T + 10000 * MS; /* before the origin there are no timecodes */
    ck_gap(lead(2000, true, 2000), LINK_GAP_TIMESTAMP);
}
END_TEST

START_TEST(impossible_times_are_gaps)
{
    static const int64_t times[] = {INT64_MIN, -1, INT64_MAX};
    struct link_item i = item(0, true, 0);
    lead(0, true, 0);
    i.pts_ns = i.fragment_ns = times[_i];
    ck_gap(fragment_lead(&f, &i), LINK_GAP_TIMESTAMP);
    ck_gap(fragment_beside(&f, &i), LINK_GAP_TIMESTAMP);
    i.pts_ns = T + MS;
    ck_assert_int_eq(fragment_lead(&f, &i).what, FRAGMENT_GAP);
    ck_what(lead(40, false, 0), FRAGMENT_CONTINUE);
}
END_TEST

START_TEST(alone_starts_by_duration)
{
    struct link_item i = item(0, true, -1);
    ck_what(put(fragment_alone(&f, &i, true), 1), FRAGMENT_START);
    i = item(1999, true, -1);
    ck_what(put(fragment_alone(&f, &i, false), 1), FRAGMENT_CONTINUE);
    i = item(2000, true, -1);
    ck_what(put(fragment_alone(&f, &i, false), 1), FRAGMENT_START);
}
END_TEST

START_TEST(alone_starts_after_a_fragment_that_is_full)
{
    struct link_item i = item(20000, true, -1);
    lead(0, true, 0);
    ck_what(fragment_alone(&f, &i, true), FRAGMENT_START);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fragment");
    TCase *tc = tcase_create("fragment");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, marked_key_frame_starts);
    tcase_add_test(tc, key_frame_inside_a_fragment_does_not_start);
    tcase_add_test(tc, video_before_a_key_frame_is_a_gap);
    tcase_add_test(tc, frame_of_a_fragment_whose_start_never_came_is_a_gap);
    tcase_add_test(tc, restart_in_the_middle_continues);
    tcase_add_test(tc, start_that_could_not_be_put_is_not_continued);
    tcase_add_test(tc, unmarked_key_frames_start_after_a_second);
    tcase_add_test(tc, audio_belongs_to_the_open_fragment);
    tcase_add_test(tc, audio_before_any_fragment_is_a_gap);
    tcase_add_test(tc, late_audio_is_a_timestamp_gap);
    tcase_add_test(tc, start_not_after_the_latest_tick_is_a_timestamp_gap);
    tcase_add_test(tc, ticks_count_not_nanoseconds);
    tcase_add_test(tc, frame_before_its_fragment_is_a_timestamp_gap);
    tcase_add_test(tc, beyond_twenty_seconds_gap_until_the_next_start);
    tcase_add_test(tc, beyond_fifty_megabytes_gap_until_the_next_start);
    tcase_add_test(tc, relative_ticks_fit_fifteen_bits);
    tcase_add_test(tc, relative_timecodes_count_from_the_origin);
    tcase_add_loop_test(tc, impossible_times_are_gaps, 0, 3);
    tcase_add_test(tc, alone_starts_by_duration);
    tcase_add_test(tc, alone_starts_after_a_fragment_that_is_full);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
