/* Claims about the times that kvpipesink gives frames. In ms.
 * Relies on capture/kvpipesink/times. Leaves the wall clock to test_frame_times. */
#include "capture/kvpipesink/times.h"
#include "tests/unit/suite.h"

#include <check.h>

#define MS INT64_C(1000000)
#define STEP 40
#define ARRIVAL 777

static struct times t;
static struct kvpipe_frame frame;

static void segment_from(GstFormat format, int64_t start)
{
    gst_segment_init(&t.segment, format);
    t.segment.start = (guint64)(start * MS);
}

/* Times of a buffer; -1: it has none. */
static void give(int64_t pts, int64_t dts, int64_t duration)
{
    GstBuffer *b = gst_buffer_new();
    if (pts >= 0)
        GST_BUFFER_PTS(b) = (GstClockTime)(pts * MS);
    if (dts >= 0)
        GST_BUFFER_DTS(b) = (GstClockTime)(dts * MS);
    if (duration >= 0)
        GST_BUFFER_DURATION(b) = (GstClockTime)(duration * MS);
    times_of(&t, b, ARRIVAL * MS, &frame);
    gst_buffer_unref(b);
}

static void begin(void)
{
    times_init(&t, false, STEP * MS);
    segment_from(GST_FORMAT_TIME, 0);
}

START_TEST(time_counts_from_the_segments_start)
{
    begin();
    segment_from(GST_FORMAT_TIME, 1000);
    give(1500, 1480, 20);
    ck_assert_int_eq(frame.pts_ns, 500 * MS);
    ck_assert_int_eq(frame.dts_ns, 480 * MS);
    ck_assert_int_eq(frame.duration_ns, 20 * MS);
}
END_TEST

START_TEST(decode_times_before_the_segment_are_negative)
{
    begin();
    segment_from(GST_FORMAT_TIME, 1000);
    give(1000, 900, -1);
    ck_assert_int_eq(frame.pts_ns, 0);
    ck_assert_int_eq(frame.dts_ns, -100 * MS);
}
END_TEST

START_TEST(a_missing_decode_time_stays_missing)
{
    begin();
    give(40, -1, -1);
    ck_assert(frame.dts_ns == KVPIPE_NO_TIME);
}
END_TEST

START_TEST(a_frame_with_a_decode_time_alone_is_shown_then)
{
    begin();
    give(-1, 80, -1);
    ck_assert_int_eq(frame.pts_ns, 80 * MS);
}
END_TEST

START_TEST(a_frame_without_times_follows_the_one_before)
{
    begin();
    give(100, -1, 25);
    give(-1, -1, -1);
    ck_assert_int_eq(frame.pts_ns, 125 * MS);
}
END_TEST

START_TEST(without_durations_frames_are_a_step_apart)
{
    begin();
    for (int i = 0; i < 3; i++)
        give(-1, -1, -1);
    ck_assert_int_eq(frame.pts_ns, 2 * STEP * MS);
}
END_TEST

START_TEST(by_arrival_time_stamps_do_not_count)
{
    times_init(&t, true, STEP * MS);
    segment_from(GST_FORMAT_TIME, 0);
    give(40, 20, -1);
    ck_assert_int_eq(frame.pts_ns, ARRIVAL * MS);
    ck_assert_int_eq(frame.dts_ns, ARRIVAL * MS);
}
END_TEST

START_TEST(a_segment_in_bytes_leaves_times_as_they_are)
{
    begin();
    segment_from(GST_FORMAT_BYTES, 1000);
    give(1500, -1, -1);
    ck_assert_int_eq(frame.pts_ns, 1500 * MS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kvpipesink_times");
    TCase *tc = tcase_create("all");

    gst_init(NULL, NULL);
    tcase_add_test(tc, time_counts_from_the_segments_start);
    tcase_add_test(tc, decode_times_before_the_segment_are_negative);
    tcase_add_test(tc, a_missing_decode_time_stays_missing);
    tcase_add_test(tc, a_frame_with_a_decode_time_alone_is_shown_then);
    tcase_add_test(tc, a_frame_without_times_follows_the_one_before);
    tcase_add_test(tc, without_durations_frames_are_a_step_apart);
    tcase_add_test(tc, by_arrival_time_stamps_do_not_count);
    tcase_add_test(tc, a_segment_in_bytes_leaves_times_as_they_are);
    suite_add_tcase(suite, tc);

    return suite_run(suite);
}
