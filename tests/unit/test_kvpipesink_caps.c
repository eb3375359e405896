/* Claims about how kvpipesink reads caps.
 * Relies on capture/kvpipesink/caps. Leaves the insides of codec_data to the library. */
#include "capture/kvpipesink/caps.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <errno.h>
#include <string.h>

static struct caps_track t;
static const char *why;

static int read_caps(const char *text)
{
    GstCaps *caps = gst_caps_from_string(text);
    int r;

    why = NULL;
    r = caps_read(caps, &t, &why);
    gst_caps_unref(caps);
    return r;
}

static void check_private(const void *want, size_t bytes)
{
    ck_assert_uint_eq(t.track.codec_private_bytes, bytes);
    ck_assert_mem_eq(t.track.codec_private, want, bytes);
}

START_TEST(avc_has_its_record_size_and_rate)
{
    ck_assert_int_eq(read_caps("video/x-h264,stream-format=avc,alignment=au,codec_data=(buffer)"
                               "0142c01e,width=320,height=240,framerate=30000/1001"),
                     0);
    ck_assert_int_eq(t.track.codec, KVPIPE_H264);
    ck_assert_str_eq(t.codec_id, "V_MPEG4/ISO/AVC");
    check_private("\x01\x42\xc0\x1e", 4);
    ck_assert_uint_eq(t.track.width, 320);
    ck_assert_uint_eq(t.track.height, 240);
    ck_assert_uint_eq(t.track.rate_num, 30000);
    ck_assert_uint_eq(t.track.rate_den, 1001);
    caps_fini(&t);
}
END_TEST

START_TEST(an_unknown_rate_is_none)
{
    read_caps("video/x-h265,stream-format=hvc1,alignment=au,codec_data=(buffer)01,framerate=0/1");
    ck_assert_int_eq(t.track.codec, KVPIPE_H265);
    ck_assert_uint_eq(t.track.rate_num, 0);
    caps_fini(&t);
}
END_TEST

START_TEST(a_byte_stream_needs_no_record)
{
    ck_assert_int_eq(read_caps("video/x-h264,stream-format=byte-stream,alignment=au"), 0);
    ck_assert_uint_eq(t.track.codec_private_bytes, 0);
    caps_fini(&t);
}
END_TEST

START_TEST(avc_without_record_is_refused)
{
    ck_assert_int_eq(read_caps("video/x-h264,stream-format=avc,alignment=au"), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "h264parse"));
    caps_fini(&t);
}
END_TEST

START_TEST(an_empty_record_is_refused)
{
    GstCaps *caps = gst_caps_from_string("audio/mpeg,mpegversion=4,stream-format=raw");
    GstBuffer *empty = gst_buffer_new();

    gst_caps_set_simple(caps, "codec_data", GST_TYPE_BUFFER, empty, NULL);
    ck_assert_int_eq(caps_read(caps, &t, &why), -EINVAL);
    caps_fini(&t);
    gst_buffer_unref(empty);
    gst_caps_unref(caps);
}
END_TEST

START_TEST(a_record_above_1_mib_is_refused)
{
    GstCaps *caps = gst_caps_from_string("audio/mpeg,mpegversion=4,stream-format=raw");
    GstBuffer *big = gst_buffer_new_allocate(NULL, (1u << 20) + 1, NULL);

    gst_caps_set_simple(caps, "codec_data", GST_TYPE_BUFFER, big, NULL);
    ck_assert_int_eq(caps_read(caps, &t, &why), -EINVAL);
    caps_fini(&t);
    gst_buffer_unref(big);
    gst_caps_unref(caps);
}
END_TEST

START_TEST(aac_has_its_config_rate_and_channels)
{
    ck_assert_int_eq(read_caps("audio/mpeg,mpegversion=4,stream-format=raw,rate=48000,channels=2,"
                               "codec_data=(buffer)1190"),
                     0);
    ck_assert_int_eq(t.track.codec, KVPIPE_AAC);
    check_private("\x11\x90", 2);
    ck_assert_uint_eq(t.track.sample_rate, 48000);
    ck_assert_uint_eq(t.track.channels, 2);
    caps_fini(&t);
}
END_TEST

START_TEST(mulaw_is_acm_with_a_waveformatex)
{
    ck_assert_int_eq(read_caps("audio/x-mulaw,rate=8000,channels=2"), 0);
    ck_assert_str_eq(t.track.codec_id, "A_MS/ACM");
    check_private("\x07\0\x02\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x08\0\0\0", 18);
    caps_fini(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kvpipesink_caps");
    TCase *tc = tcase_create("all");

    gst_init(NULL, NULL);
    tcase_add_test(tc, avc_has_its_record_size_and_rate);
    tcase_add_test(tc, an_unknown_rate_is_none);
    tcase_add_test(tc, a_byte_stream_needs_no_record);
    tcase_add_test(tc, avc_without_record_is_refused);
    tcase_add_test(tc, an_empty_record_is_refused);
    tcase_add_test(tc, a_record_above_1_mib_is_refused);
    tcase_add_test(tc, aac_has_its_config_rate_and_channels);
    tcase_add_test(tc, mulaw_is_acm_with_a_waveformatex);
    suite_add_tcase(suite, tc);

    return suite_run(suite);
}
