/* Claims about encoder/codec_gst, on the encoders that need no hardware (x264, openh264,
 * avenc_aac). Relies on Check and a loop that ends when the codec is drained. Leaves numbers to
 * test_raw_track. */
#include "encoder/codec.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>

#include "common/clock.h"
#include "encoder/candidate.h"
#include "media/h264.h"
#include "tests/unit/suite.h"

#define OUTPUTS 256

struct run {
    struct event_base *base;
    struct codec *codec;
    struct blob *payload;
    unsigned frames, pushed, got, force_at;
    int64_t step_ns;
    uint64_t tokens[OUTPUTS];
    bool keys[OUTPUTS];
    struct blob *out[OUTPUTS];
    bool drained, failed, destroy_at_first, own_step;
    unsigned
        lower_at; /* from this frame on a quarter of the bitrate; each frame is another noise */
    char why[256];
};

static const struct conf_video video = {.encoder = "x264",
                                        .bitrate_kbps = 500,
                                        .keyframe_ms = 2000,
                                        .profile = "main",
                                        .preset = "veryfast"};

static struct blob *noise(size_t len, uint32_t seed)
{
    uint8_t *data;
    struct blob *b = blob_new(len, &data);
    uint32_t x = seed;

    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 28);
    return b;
}

static void on_output(void *arg, uint64_t token, bool key, struct blob **payload)
{
    struct run *r = arg;

    ck_assert_uint_lt(r->got, OUTPUTS);
    r->tokens[r->got] = token;
    r->keys[r->got] = key;
    r->out[r->got++] = *payload;
    *payload = NULL;
    if (r->destroy_at_first && r->codec) {
        codec_gst.destroy(&r->codec);
        event_base_loopbreak(r->base);
    }
}

static void on_ready(void *arg)
{
    struct run *r = arg;
    uint64_t token;

    while (r->pushed < r->frames && codec_gst.ready(r->codec)) {
        if (r->lower_at) {
            size_t len = r->payload->len;
            blob_unref(&r->payload);
            r->payload = noise(len, r->pushed);
        }
        if (r->lower_at && r->pushed == r->lower_at)
            ck_assert_int_eq(codec_gst.set_bitrate(r->codec, video.bitrate_kbps / 4), 0);
        ck_assert_int_eq(codec_gst.push(r->codec, r->payload, 5 + r->pushed * r->step_ns,
                                        r->step_ns, r->force_at && r->pushed == r->force_at,
                                        &token),
                         0);
        ck_assert_uint_eq(token, r->pushed);
        r->pushed++;
    }
    if (r->pushed == r->frames)
        codec_gst.drain(r->codec);
}

static void on_drained(void *arg)
{
    struct run *r = arg;

    r->drained = true;
    event_base_loopbreak(r->base);
}

static void on_failed(void *arg, const char *why)
{
    struct run *r = arg;

    r->failed = true;
    snprintf(r->why, sizeof r->why, "%s", why);
    event_base_loopbreak(r->base);
}

static const struct codec_events events = {on_output, on_ready, on_drained, on_failed};
static const struct conf_audio audio = {.bitrate_kbps = 64};

static struct link_format *picture(const char *layout, uint32_t w, uint32_t h)
{
    struct link_format *f = link_format_new();

    f->codec = LINK_CODEC_RAW_VIDEO;
    f->video = true;
    snprintf(f->layout, sizeof f->layout, "%s", layout);
    f->width = w;
    f->height = h;
    f->rate_num = 30;
    f->rate_den = 1;
    return f;
}

static struct link_format *sound(const char *layout, uint32_t rate, uint32_t channels)
{
    struct link_format *f = link_format_new();

    f->codec = LINK_CODEC_RAW_AUDIO;
    snprintf(f->layout, sizeof f->layout, "%s", layout);
    f->sample_rate = rate;
    f->channels = channels;
    return f;
}

static void run(struct run *r, struct link_format *f, size_t len, const char *name)
{
    struct codec_conf conf = {
        .input = f, .candidate = candidate_get(name, 0), .video = &video, .audio = &audio};
    char why[256];

    r->base = event_base_new();
    r->payload = noise(len, 1);
    if (!r->own_step)
        r->step_ns = NS_PER_S / 30;
    ck_assert_ptr_null(codec_gst_accepts(f, len));
    ck_assert_int_eq(codec_gst.create(r->base, &conf, &events, r, &r->codec, why), 0);
    event_base_dispatch(r->base);
    if (r->codec)
        codec_gst.destroy(&r->codec);
    blob_unref(&r->payload);
    link_format_unref(&f);
}

static void run_fini(struct run *r)
{
    for (unsigned i = 0; i < r->got; i++)
        blob_unref(&r->out[i]);
    event_base_free(r->base);
    codec_gst_settle(5000);
}

static void check_one_for_one(const struct run *r)
{
    ck_assert_msg(!r->failed, "%s", r->why);
    ck_assert(r->drained);
    ck_assert_uint_eq(r->got, r->frames);
    for (unsigned i = 0; i < r->got; i++)
        ck_assert_uint_eq(r->tokens[i], i);
}

static const char *const software[] = {"x264", "openh264"};

START_TEST(sixty_frames_give_sixty_and_the_first_is_idr_with_parameter_sets)
{
    struct run r = {.frames = 60};
    struct h264_parameter_sets sets;
    struct h264_sps sps;

    run(&r, picture("I420", 320, 240), 320 * 240 * 3 / 2, software[_i]);
    check_one_for_one(&r);
    ck_assert(h264_is_idr(r.out[0]->data, r.out[0]->len, false, 0));
    ck_assert_int_eq(h264_find_parameter_sets(r.out[0]->data, r.out[0]->len, &sets), 0);
    ck_assert_uint_eq(sets.nsps, 1);
    ck_assert_uint_eq(sets.npps, 1);
    ck_assert_int_eq(h264_parse_sps(&sets.sps[0], &sps), 0);
    ck_assert_uint_eq(sps.width, 320);
    ck_assert_uint_eq(sps.height, 240);
    ck_assert_uint_eq(sps.num_reorder_frames, 0);
    for (unsigned i = 1; i < r.got; i++)
        ck_assert(!h264_is_idr(r.out[i]->data, r.out[i]->len, false, 0));
    run_fini(&r);
}
END_TEST

START_TEST(forced_key_frame_is_the_frame_it_was_asked_for)
{
    struct run r = {.frames = 20, .force_at = 7};
    struct h264_parameter_sets sets;

    run(&r, picture("I420", 320, 240), 320 * 240 * 3 / 2, software[_i]);
    check_one_for_one(&r);
    for (unsigned i = 0; i < r.got; i++)
        ck_assert_int_eq(h264_is_idr(r.out[i]->data, r.out[i]->len, false, 0), i == 0 || i == 7);
    ck_assert_int_eq(h264_find_parameter_sets(r.out[7]->data, r.out[7]->len, &sets), 0);
    ck_assert_uint_eq(sets.nsps, 1);
    run_fini(&r);
}
END_TEST

static const struct {
    const char *layout;
    uint32_t width, height;
    size_t len;
} layouts[] = {
    {"NV12", 320, 240, 320 * 240 * 3 / 2},
    {"YUY2", 320, 240, 320 * 240 * 2},
    {"RGB", 320, 240, 320 * 240 * 3},
    {"GRAY8", 64, 48, 64 * 48},
    {"I420", 321, 241, 324 * 242 + 2 * 164 * 121},
};

START_TEST(other_layouts_and_odd_sizes_are_converted)
{
    struct run r = {.frames = 5};

    run(&r, picture(layouts[_i].layout, layouts[_i].width, layouts[_i].height), layouts[_i].len,
        "x264");
    check_one_for_one(&r);
    run_fini(&r);
}
END_TEST

static const struct {
    const char *layout;
    uint32_t rate, channels;
    size_t len;
    unsigned frames;
} sounds[] = {
    {"S16LE", 48000, 2, 1024 * 4, 50}, {"F32LE", 44100, 1, 1024 * 4, 30},
    {"S16LE", 8000, 1, 1024 * 2, 10},  {"S16LE", 48000, 6, 1024 * 12, 10},
    {"S16LE", 48000, 2, 1024 * 4, 1},  {"S16LE", 16000, 1, 700 * 2, 1},
};

START_TEST(as_many_audio_frames_come_out_as_blocks_go_in)
{
    struct run r = {.frames = sounds[_i].frames};

    run(&r, sound(sounds[_i].layout, sounds[_i].rate, sounds[_i].channels), sounds[_i].len, "x264");
    check_one_for_one(&r);
    run_fini(&r);
}
END_TEST

/* Sample (of one channel, S16) at which the decoder's output first gets loud, or -1. */
static int onset(const struct run *r, const struct link_format *f)
{
    GstElement *p = gst_parse_launch("appsrc name=in format=time ! avdec_aac ! audioconvert ! "
                                     "audio/x-raw,format=S16LE ! appsink name=out sync=false",
                                     NULL);
    GstElement *in = gst_bin_get_by_name(GST_BIN(p), "in"),
               *out = gst_bin_get_by_name(GST_BIN(p), "out");
    GstCaps *caps = gst_caps_from_string("audio/mpeg,mpegversion=4,stream-format=raw,rate=48000,"
                                         "channels=1,codec_data=(buffer)1188");
    int at = 0, found = -1;
    GstSample *s;

    g_object_set(in, "caps", caps, NULL);
    gst_caps_unref(caps);
    gst_element_set_state(p, GST_STATE_PLAYING);
    for (unsigned i = 0; i < r->got; i++)
        gst_app_src_push_buffer(GST_APP_SRC(in),
                                gst_buffer_new_memdup(r->out[i]->data, r->out[i]->len));
    gst_app_src_end_of_stream(GST_APP_SRC(in));
    while ((s = gst_app_sink_pull_sample(GST_APP_SINK(out)))) {
        GstMapInfo map;

        gst_buffer_map(gst_sample_get_buffer(s), &map, GST_MAP_READ);
        for (size_t i = 0; i + 1 < map.size && found < 0; i += 2, at++) {
            int16_t v;

            memcpy(&v, map.data + i, 2);
            if (abs(v) > 6000)
                found = at;
        }
        gst_buffer_unmap(gst_sample_get_buffer(s), &map);
        gst_sample_unref(s);
    }
    gst_element_set_state(p, GST_STATE_NULL);
    gst_object_unref(in);
    gst_object_unref(out);
    gst_object_unref(p);
    return found;
}

static void push_click(void *arg)
{
    struct run *r = arg;
    uint64_t token;

    while (r->pushed < r->frames && codec_gst.ready(r->codec)) {
        uint8_t *data;
        struct blob *b = blob_new(2048, &data);
        int16_t loud = 20000, quiet = -20000;

        memset(data, 0, 2048);
        for (unsigned i = 0; r->pushed == 10 && i < 1024; i++)
            memcpy(data + i * 2, i / 24 % 2 ? &loud : &quiet, 2);
        codec_gst.push(r->codec, b, 0, 0, false, &token);
        blob_unref(&b);
        r->pushed++;
    }
    if (r->pushed == r->frames)
        codec_gst.drain(r->codec);
}

START_TEST(sound_of_block_n_is_decoded_from_frame_n)
{
    static const struct codec_events click = {on_output, push_click, on_drained, on_failed};
    struct run r = {.frames = 20};
    struct link_format *f = sound("S16LE", 48000, 1);
    struct codec_conf conf = {.input = f, .video = &video, .audio = &audio};
    char why[256];
    int at;

    r.base = event_base_new();
    ck_assert_int_eq(codec_gst.create(r.base, &conf, &click, &r, &r.codec, why), 0);
    event_base_dispatch(r.base);
    codec_gst.destroy(&r.codec);
    check_one_for_one(&r);
    at = onset(&r, f);
    ck_assert_msg(at > 10 * 1024 - 200 && at < 10 * 1024 + 200, "at %d", at);
    link_format_unref(&f);
    run_fini(&r);
}
END_TEST

static const struct {
    enum link_codec codec;
    const char *layout;
    uint32_t width, height;
    size_t len;
} hostile[] = {
    {LINK_CODEC_RAW_VIDEO, "I420", 0, 0, 0},
    {LINK_CODEC_RAW_VIDEO, "I420", 320, 0, 0},
    {LINK_CODEC_RAW_VIDEO, "I420", 320, 240, 320 * 240 * 3 / 2 - 1},
    {LINK_CODEC_RAW_VIDEO, "I420", 320, 240, 320 * 240 * 3 / 2 + 1},
    {LINK_CODEC_RAW_VIDEO, "I420", 320, 240, 0},
    {LINK_CODEC_RAW_VIDEO, "I420", 8193, 16, 8193 * 16 * 3 / 2},
    {LINK_CODEC_RAW_VIDEO, "I420", UINT32_MAX, UINT32_MAX, 1},
    {LINK_CODEC_RAW_VIDEO, "I420", 8192, 8192, 8192ul * 8192 * 3 / 2},
    {LINK_CODEC_RAW_VIDEO, "ENCODED", 320, 240, 100},
    {LINK_CODEC_RAW_VIDEO, "no such", 320, 240, 100},
    {LINK_CODEC_RAW_VIDEO, "", 320, 240, 100},
    {LINK_CODEC_RAW_AUDIO, "S16LE", 48000, 2, 0},
    {LINK_CODEC_RAW_AUDIO, "S16LE", 48000, 2, 1025 * 4},
    {LINK_CODEC_RAW_AUDIO, "S16LE", 48000, 2, 4095},
    {LINK_CODEC_RAW_AUDIO, "S16LE", 0, 2, 4096},
    {LINK_CODEC_RAW_AUDIO, "S16LE", 47999, 2, 4096},
    {LINK_CODEC_RAW_AUDIO, "S16LE", 48000, 0, 4096},
    {LINK_CODEC_RAW_AUDIO, "S16LE", 48000, 2000000000, 4096},
    {LINK_CODEC_RAW_AUDIO, "I420", 48000, 2, 4096},
    {LINK_CODEC_H264, "annexb", 320, 240, 100},
};

START_TEST(hostile_formats_are_refused)
{
    bool is_video = hostile[_i].codec != LINK_CODEC_RAW_AUDIO;
    struct link_format *f = is_video
                                ? picture(hostile[_i].layout, hostile[_i].width, hostile[_i].height)
                                : sound(hostile[_i].layout, hostile[_i].width, hostile[_i].height);

    f->codec = hostile[_i].codec;
    ck_assert_ptr_nonnull(codec_gst_accepts(f, hostile[_i].len));
    link_format_unref(&f);
}
END_TEST

START_TEST(destroy_from_within_an_output_is_safe)
{
    struct run r = {.frames = 60, .destroy_at_first = true};

    run(&r, picture("I420", 320, 240), 320 * 240 * 3 / 2, "x264");
    ck_assert_uint_eq(r.got, 1);
    run_fini(&r);
}
END_TEST

START_TEST(destroy_at_once_after_create_is_safe)
{
    struct event_base *base = event_base_new();
    struct link_format *f = picture("I420", 320, 240);
    struct codec_conf conf = {.input = f, .candidate = candidate_get("x264", 0), .video = &video};
    char why[256];

    for (unsigned i = 0; i < 20; i++) {
        struct codec *c;

        ck_assert_int_eq(codec_gst.create(base, &conf, &events, NULL, &c, why), 0);
        codec_gst.destroy(&c);
    }
    codec_gst_settle(5000);
    link_format_unref(&f);
    event_base_free(base);
}
END_TEST

START_TEST(missing_element_is_named)
{
    struct event_base *base = event_base_new();
    struct link_format *f = picture("I420", 320, 240);
    struct candidate none = *candidate_get("x264", 0);
    struct codec_conf conf = {.input = f, .candidate = &none, .video = &video};
    struct codec *c;
    char why[256];

    none.element = "nosuchenc";
    ck_assert_int_lt(codec_gst.create(base, &conf, &events, NULL, &c, why), 0);
    ck_assert_ptr_nonnull(strstr(why, "nosuchenc"));
    codec_gst_settle(5000);
    link_format_unref(&f);
    event_base_free(base);
}
END_TEST

/* 3 s, then 4 s of which the first is for the encoder to come to terms. */
START_TEST(the_bitrate_changes_while_it_runs)
{
    struct run r = {.frames = 210, .lower_at = 90};
    size_t before = 0, after = 0;

    run(&r, picture("I420", 320, 240), 320 * 240 * 3 / 2, software[_i]);
    check_one_for_one(&r);
    for (unsigned i = 0; i < 90; i++)
        before += r.out[i]->len;
    for (unsigned i = 120; i < 210; i++)
        after += r.out[i]->len;
    ck_assert_uint_gt(after, 0);
    ck_assert_msg(after < before / 2, "%zu bytes before, %zu after", before, after);
    run_fini(&r);
}
END_TEST

START_TEST(an_encoder_that_takes_its_bitrate_at_the_start_says_so)
{
    ck_assert_int_eq(candidate_set_bitrate(candidate_get("v4l2", 0), NULL, 100), -ENOTSUP);
}
END_TEST

static const int64_t steps_ns[] = {0, -40 * NS_PER_MS, 1, 3600 * NS_PER_S, INT64_MAX / 32};

START_TEST(time_that_stands_jumps_or_goes_back_keeps_one_for_one)
{
    struct run r = {.frames = 30, .step_ns = steps_ns[_i], .own_step = true};

    run(&r, picture("I420", 320, 240), 320 * 240 * 3 / 2, "x264");
    check_one_for_one(&r);
    run_fini(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codec_gst");
    TCase *t = tcase_create("codec_gst");

    gst_init(NULL, NULL);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, sixty_frames_give_sixty_and_the_first_is_idr_with_parameter_sets, 0, 2);
    tcase_add_loop_test(t, forced_key_frame_is_the_frame_it_was_asked_for, 0, 2);
    tcase_add_loop_test(t, other_layouts_and_odd_sizes_are_converted, 0, G_N_ELEMENTS(layouts));
    tcase_add_loop_test(t, as_many_audio_frames_come_out_as_blocks_go_in, 0, G_N_ELEMENTS(sounds));
    tcase_add_loop_test(t, the_bitrate_changes_while_it_runs, 0, 2);
    tcase_add_test(t, an_encoder_that_takes_its_bitrate_at_the_start_says_so);
    tcase_add_test(t, sound_of_block_n_is_decoded_from_frame_n);
    tcase_add_loop_test(t, hostile_formats_are_refused, 0, G_N_ELEMENTS(hostile));
    tcase_add_test(t, destroy_from_within_an_output_is_safe);
    tcase_add_test(t, destroy_at_once_after_create_is_safe);
    tcase_add_test(t, missing_element_is_named);
    tcase_add_loop_test(t, time_that_stands_jumps_or_goes_back_keeps_one_for_one, 0,
                        G_N_ELEMENTS(steps_ns));
    suite_add_tcase(s, t);
    return suite_run(s);
}
