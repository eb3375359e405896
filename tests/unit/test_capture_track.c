/* From buffers to payloads: key-frame waiting, losses, formats, ADTS.
 * Relies on Check and GStreamer's buffers and caps; no pipeline.
 * Leaves times over reconnects to test_anchor.c. */
#include "capture/track.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <string.h>

#define MS INT64_C(1000000)

static const uint8_t idr[] = {
    0, 0, 0, 1,    0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xbf, 0xe5, 0xc0, 0x44,
    0, 0, 3, 0,    4,    0,    0,    3,    0,    0xf0, 0x3c, 0x58, 0xba, 0x80, 0,
    0, 0, 1, 0x68, 0xce, 0x3c, 0x80, 0,    0,    0,    1,    0x65, 0x88, 0x84, 0};
static const uint8_t delta[] = {0, 0, 0, 1, 0x41, 0x9a, 0x24, 0x6c};
/* ADTS: AAC LC, 48 kHz, 2 channels, 7 + 4 bytes */
static const uint8_t adts[] = {0xff, 0xf1, 0x4c, 0x80, 0x01, 0x7f, 0xfc, 1, 2, 3, 4};

static unsigned ngot, key;
static int64_t last_dts;
static uint8_t payload[256];
static size_t payload_len;

static void keep(void *arg, struct track *t, const struct track_out *out)
{
    struct blob *b = out->payload;
    ngot++;
    key = out->key;
    last_dts = out->dts_ns;
    ck_assert_int_ge(out->pts_ns, out->dts_ns);
    payload_len = b->len < sizeof payload ? b->len : sizeof payload;
    memcpy(payload, b->data, payload_len);
    blob_unref(&b);
}

static struct pull_item item(const char *caps, const void *data, size_t len, int64_t pts)
{
    GstBuffer *b = gst_buffer_new_memdup(data, len);
    return (struct pull_item){.buffer = b,
                              .caps = gst_caps_from_string(caps),
                              .pts_ns = pts,
                              .dts_ns = PULL_NONE,
                              .duration_ns = 40 * MS};
}

static int give(struct track *t, struct pull_item in)
{
    const char *why = "";
    int rc = track_take(t, &in, keep, NULL, &why);
    gst_buffer_unref(in.buffer);
    gst_caps_unref(in.caps);
    return rc;
}

#define H264 "video/x-h264,stream-format=byte-stream,alignment=au"
#define AAC "audio/mpeg,mpegversion=4,stream-format=adts"

static void begin(struct track *t, enum pull_kind kind, bool live)
{
    gst_init(NULL, NULL);
    ngot = 0;
    track_init(t, kind, "t", false, live);
}

START_TEST(coded_video_begins_with_a_key_frame_and_counts_what_came_before)
{
    struct track t;
    begin(&t, PULL_VIDEO, true);
    give(&t, item(H264, delta, sizeof delta, 0));
    give(&t, item(H264, delta, sizeof delta, 40 * MS));
    ck_assert_uint_eq(ngot, 0);
    ck_assert_uint_eq(t.lead_in, 2);
    give(&t, item(H264, idr, sizeof idr, 80 * MS));
    ck_assert_uint_eq(ngot, 1);
    ck_assert(key);
    ck_assert_uint_eq(payload_len, sizeof idr);
    ck_assert_mem_eq(payload, idr, sizeof idr);
    ck_assert_ptr_nonnull(t.format->config);
    ck_assert_uint_eq(t.format->number, 1);
    give(&t, item(H264, delta, sizeof delta, 120 * MS));
    ck_assert_uint_eq(ngot, 2);
    ck_assert(!key);
    track_fini(&t);
}
END_TEST

START_TEST(loss_makes_coded_video_wait_for_the_next_key_frame)
{
    struct track t;
    struct pull_item in;
    begin(&t, PULL_VIDEO, true);
    give(&t, item(H264, idr, sizeof idr, 0));
    in = item(H264, delta, sizeof delta, 200 * MS);
    in.lost = 3;
    give(&t, in);
    ck_assert_uint_eq(ngot, 1);
    ck_assert_uint_eq(t.lost, 3);
    ck_assert_uint_eq(t.lead_in, 1);
    give(&t, item(H264, idr, sizeof idr, 240 * MS));
    ck_assert_uint_eq(ngot, 2);
    track_fini(&t);
}
END_TEST

START_TEST(hole_that_the_source_tells_of_is_counted_in_frames)
{
    struct track t;
    struct pull_item in;
    begin(&t, PULL_VIDEO, true);
    give(&t, item(H264, idr, sizeof idr, 0));
    in = item(H264, idr, sizeof idr, 200 * MS);
    in.discont = true;
    give(&t, in);
    ck_assert_uint_eq(t.lost, 4);
    track_fini(&t);
}
END_TEST

START_TEST(a_time_that_steps_back_is_no_reordering_where_the_profile_has_none)
{
    struct track t;
    begin(&t, PULL_VIDEO, true);
    give(&t, item(H264, idr, sizeof idr, 0));
    give(&t, item(H264, delta, sizeof delta, 80 * MS));
    give(&t, item(H264, delta, sizeof delta, 40 * MS));
    ck_assert_int_eq(last_dts, 40 * MS);
    give(&t, item(H264, delta, sizeof delta, 120 * MS));
    ck_assert_int_eq(last_dts, 120 * MS);
    track_fini(&t);
}
END_TEST
START_TEST(same_parameter_sets_keep_the_format_and_other_ones_give_a_new_number)
{
    uint8_t other[sizeof idr];
    struct track t;
    begin(&t, PULL_VIDEO, false);
    give(&t, item(H264, idr, sizeof idr, 0));
    give(&t, item(H264, idr, sizeof idr, 40 * MS));
    ck_assert_uint_eq(t.format->number, 1);
    memcpy(other, idr, sizeof idr);
    other[7] = 0x1f; /* level 3.1 */
    give(&t, item(H264, other, sizeof other, 80 * MS));
    ck_assert_uint_eq(t.format->number, 2);
    track_fini(&t);
}
END_TEST

START_TEST(adts_header_is_taken_off_and_told_as_config)
{
    struct track t;
    begin(&t, PULL_AUDIO, false);
    give(&t, item(AAC, adts, sizeof adts, 0));
    ck_assert_uint_eq(ngot, 1);
    ck_assert_uint_eq(payload_len, 4);
    ck_assert_mem_eq(payload, "\1\2\3\4", 4);
    ck_assert_uint_eq(t.format->sample_rate, 48000);
    ck_assert_uint_eq(t.format->channels, 2);
    ck_assert_mem_eq(t.format->config->data, "\x11\x90", 2);
    track_fini(&t);
}
END_TEST

START_TEST(damaged_sound_is_a_counted_loss)
{
    struct track t;
    begin(&t, PULL_AUDIO, false);
    give(&t, item(AAC, "rubbish", 7, 0));
    ck_assert_uint_eq(ngot, 0);
    ck_assert_uint_eq(t.lost, 1);
    track_fini(&t);
}
END_TEST

START_TEST(unsupported_caps_are_refused)
{
    static const char *const caps[] = {"video/x-vp8", "audio/mpeg,mpegversion=1",
                                       "video/x-raw,format=RGB,width=4,height=4",
                                       "video/x-h264,stream-format=avc,alignment=au"};
    struct track t;
    for (size_t i = 0; i < sizeof caps / sizeof *caps; i++) {
        begin(&t, PULL_VIDEO, false);
        ck_assert_int_lt(give(&t, item(caps[i], idr, sizeof idr, 0)), 0);
        track_fini(&t);
    }
}
END_TEST

START_TEST(picture_with_too_few_bytes_is_a_counted_loss)
{
    struct track t;
    begin(&t, PULL_VIDEO, false);
    give(&t, item("video/x-raw,format=I420,width=64,height=64,framerate=25/1", idr, sizeof idr, 0));
    ck_assert_uint_eq(ngot, 0);
    ck_assert_uint_eq(t.lost, 1);
    track_fini(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("capture_track");
    TCase *tc = tcase_create("capture_track");
    tcase_add_test(tc, coded_video_begins_with_a_key_frame_and_counts_what_came_before);
    tcase_add_test(tc, loss_makes_coded_video_wait_for_the_next_key_frame);
    tcase_add_test(tc, hole_that_the_source_tells_of_is_counted_in_frames);
    tcase_add_test(tc, a_time_that_steps_back_is_no_reordering_where_the_profile_has_none);
    tcase_add_test(tc, same_parameter_sets_keep_the_format_and_other_ones_give_a_new_number);
    tcase_add_test(tc, adts_header_is_taken_off_and_told_as_config);
    tcase_add_test(tc, damaged_sound_is_a_counted_loss);
    tcase_add_test(tc, unsupported_caps_are_refused);
    tcase_add_test(tc, picture_with_too_few_bytes_is_a_counted_loss);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
