/* What the pull tells of a source's tracks.
 * Relies on Check; GStreamer's elements stand for pads only.
 * Leaves cutting to test_au_splitter.c and data flow to the pipeline tests. */
#include "capture/pull.h"
#include "tests/unit/suite.h"

#include <check.h>

static struct pull_state state(struct pull *p)
{
    struct pull_state st;
    pull_state(p, &st);
    return st;
}

START_TEST(pad_that_is_still_joining_keeps_the_set_open)
{
    struct pull *p = pull_new("s", true);
    pull_announce(p, PULL_VIDEO);
    pull_announce(p, PULL_AUDIO);
    pull_joined(p); /* audio; video's thread is at it */
    pull_complete(p);
    ck_assert(!state(p).complete);
    ck_assert(state(p).video_missing);
    pull_joined(p);
    ck_assert(state(p).complete);
    ck_assert(!state(p).video_missing);
    pull_unref(&p);
}
END_TEST

START_TEST(source_that_announces_nothing_is_complete_when_it_says_so)
{
    struct pull *p = pull_new("s", true);
    ck_assert(!state(p).complete);
    pull_joined(p);
    ck_assert(!state(p).complete);
    pull_complete(p);
    ck_assert(state(p).complete);
    pull_unref(&p);
}
END_TEST

START_TEST(byte_stream_comes_out_in_access_units_and_the_last_one_at_the_end)
{
    static const uint8_t vps[] = {0, 0, 0, 1, 0x40, 1, 0x0c, 0, 0, 1, 0x26, 1, 0xaf, 9, 9, 0, 0, 1},
                         rest[] = {2, 1, 0xd0, 9, 9};
    GstElement *pipe;
    GstPad *pad;
    GstCaps *caps;
    GstSegment segment;
    struct pull *p = pull_new("s", true);
    struct pull_item *item;

    gst_init(NULL, NULL);
    pipe = gst_parse_launch("fakesink name=end sync=false async=false", NULL);
    pad = gst_element_get_static_pad(pipe, "sink");
    ck_assert_int_eq(pull_attach(p, pad, PULL_VIDEO, "v", false, 10), 0);
    gst_element_set_state(pipe, GST_STATE_PLAYING);
    gst_pad_send_event(pad, gst_event_new_stream_start("x"));
    gst_segment_init(&segment, GST_FORMAT_TIME);
    caps = gst_caps_from_string("video/x-h265,stream-format=byte-stream");
    gst_pad_send_event(pad, gst_event_new_caps(caps));
    gst_pad_send_event(pad, gst_event_new_segment(&segment));
    gst_caps_unref(caps);
    gst_pad_chain(pad, gst_buffer_new_memdup(vps, sizeof vps));
    ck_assert_uint_eq(pull_count(p, 0), 0);
    gst_pad_chain(pad, gst_buffer_new_memdup(rest, sizeof rest));
    gst_pad_send_event(pad, gst_event_new_eos());
    ck_assert_uint_eq(pull_count(p, 0), 2);
    item = pull_take(p, 0);
    ck_assert_uint_eq(gst_buffer_get_size(item->buffer), sizeof vps - 3);
    pull_item_free(item);
    item = pull_take(p, 0);
    ck_assert_uint_eq(gst_buffer_get_size(item->buffer), sizeof rest + 3);
    pull_item_free(item);
    ck_assert(pull_track_ended(p, 0));
    gst_element_set_state(pipe, GST_STATE_NULL);
    gst_object_unref(pad);
    gst_object_unref(pipe);
    pull_unref(&p);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("pull");
    Suite *s = suite_create("pull");

    tcase_add_test(c, pad_that_is_still_joining_keeps_the_set_open);
    tcase_add_test(c, source_that_announces_nothing_is_complete_when_it_says_so);
    tcase_add_test(c, byte_stream_comes_out_in_access_units_and_the_last_one_at_the_end);
    suite_add_tcase(s, c);
    return suite_run(s);
}
