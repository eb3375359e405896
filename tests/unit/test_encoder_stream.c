/* Claims about encoder/encoder_stream with the real codec: a stream's tracks from raw items to
 * marked, coded ones. Relies on Check, x264 and avenc_aac. Leaves single rules of a track to
 * test_raw_track. */
#include "encoder/encoder_stream.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include <event2/event.h>
#include <gst/gst.h>

#include "common/clock.h"
#include "media/aac.h"
#include "media/h264.h"
#include "tests/unit/suite.h"

#define ITEMS 512
#define START_NS (INT64_C(1700000000) * NS_PER_S)

static struct event_base *base;
static struct probe *probe;
static struct encoder_stream *stream;
static struct link_item out[ITEMS];
static unsigned nout, nbroken, stop_at;
static bool ended;
static char state[32], note[512];
static struct conf_stream conf = {
    .name = (char *)"cam",
    .video = {.encoder = (char *)"x264",
              .bitrate_kbps = 500,
              .keyframe_ms = 1000,
              .profile = (char *)"main",
              .preset = (char *)"ultrafast"},
    .audio = {.bitrate_kbps = 64},
    .fragment = {.by = CONF_FRAGMENT_KEYFRAME, .duration_ms = 2000},
};

static void on_put(void *arg, struct encoder_stream *s, struct link_item *item)
{
    ck_assert_uint_lt(nout, ITEMS);
    out[nout++] = *item;
    memset(item, 0, sizeof *item);
    if (stop_at && nout >= stop_at)
        event_base_loopbreak(base);
}

static void on_ended(void *arg, struct encoder_stream *s)
{
    ended = true;
    event_base_loopbreak(base);
}

static void on_broken(void *arg, struct encoder_stream *s)
{
    nbroken++;
    event_base_loopbreak(base);
}

static void on_state(void *arg, struct encoder_stream *s, const char *st, const char *text)
{
    snprintf(state, sizeof state, "%s", st);
    snprintf(note, sizeof note, "%s", text);
    if (strcmp(st, "failed") == 0)
        event_base_loopbreak(base);
}

static const struct encoder_stream_ops ops = {on_put, on_ended, on_broken, on_state};

static void on_probed(void *arg)
{
    encoder_stream_tick(stream, clock_mono_ns());
}

static void setup(void)
{
    base = event_base_new();
    ck_assert_int_eq(probe_create(base, on_probed, NULL, &probe), 0);
    stream = encoder_stream_create(base, "cam", &conf, probe, &codec_gst, NULL, &ops, NULL);
}

static void teardown(void)
{
    encoder_stream_destroy(&stream);
    probe_destroy(&probe);
    for (unsigned i = 0; i < nout; i++)
        link_item_fini(&out[i]);
    codec_gst_settle(5000);
    event_base_free(base);
}

static struct link_format *format(enum link_codec codec, uint32_t w, uint32_t h)
{
    static uint64_t number;
    struct link_format *f = link_format_new();

    f->number = ++number;
    f->codec = codec;
    f->video = link_codec_is_video(codec);
    if (f->video) {
        f->width = w;
        f->height = h;
        f->rate_num = 30;
        f->rate_den = 1;
    } else {
        f->sample_rate = w;
        f->channels = h;
    }
    strcpy(f->layout, f->video ? "I420" : "S16LE");
    return f;
}

static void begin(struct link_format *a, struct link_format *b)
{
    struct link_track tracks[2] = {{.track = 1, .format = a}, {.track = 2, .format = b}};

    encoder_stream_begin(stream, tracks, b ? 2 : 1);
}

static void frame(uint8_t track, uint64_t seq, int64_t step_ns, struct link_format *f, size_t len)
{
    uint8_t *data;
    struct link_item item = {.track = track,
                             .seq = seq,
                             .last = seq,
                             .pts_ns = START_NS + (int64_t)seq * step_ns,
                             .duration_ns = step_ns,
                             .format = link_format_ref(f)};

    item.payload = blob_new(len, &data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(seq * 3 + i / 640);
    encoder_stream_item(stream, &item, clock_mono_ns());
}

static void video(uint64_t seq, struct link_format *f)
{
    frame(1, seq, NS_PER_S / 30 + 1, f, (size_t)f->width * f->height * 3 / 2);
}

static void audio(uint8_t track, uint64_t seq, struct link_format *f)
{
    frame(track, seq, 1024 * NS_PER_S / f->sample_rate, f, 2048 * f->channels);
}

static void finish(void)
{
    encoder_stream_end(stream, clock_mono_ns());
    if (!ended)
        event_base_dispatch(base);
    ck_assert(ended);
    ck_assert_uint_eq(nbroken, 0);
}

/* The n-th item of the track, which must be contiguous from 0. */
static const struct link_item *nth(uint8_t track, unsigned n)
{
    uint64_t next = 0;

    for (unsigned i = 0; i < nout; i++) {
        if (out[i].track != track)
            continue;
        ck_assert_uint_eq(out[i].seq, next);
        next = out[i].last + 1;
        if (n-- == 0)
            return &out[i];
    }
    return NULL;
}

START_TEST(every_raw_frame_of_both_tracks_comes_out_coded_once)
{
    struct link_format *v = format(LINK_CODEC_RAW_VIDEO, 320, 240);
    struct link_format *a = format(LINK_CODEC_RAW_AUDIO, 48000, 2);
    struct aac_config aac;

    begin(v, a);
    for (unsigned i = 0; i < 60; i++)
        video(i, v);
    for (unsigned i = 0; i < 90; i++)
        audio(2, i, a);
    finish();
    ck_assert_uint_eq(nout, 150);
    ck_assert_ptr_nonnull(nth(1, 59));
    ck_assert_ptr_nonnull(nth(2, 89));
    for (unsigned i = 0; i < 60; i++) {
        const struct link_item *item = nth(1, i);

        ck_assert_int_eq(item->pts_ns, START_NS + (int64_t)i * (NS_PER_S / 30 + 1));
        ck_assert_int_eq(item->dts_ns, item->pts_ns);
        ck_assert_int_eq(item->key, i % 30 == 0);
        ck_assert_int_eq(item->fragment_ns, nth(1, i - i % 30)->pts_ns);
    }
    ck_assert_int_eq(nth(1, 30)->previous_fragment_ns, START_NS);
    ck_assert(nth(2, 0)->key);
    ck_assert_int_eq(nth(2, 0)->fragment_ns, 0);
    ck_assert_str_eq(nth(2, 0)->format->layout, "raw");
    ck_assert_int_eq(
        aac_parse_config(nth(2, 0)->format->config->data, nth(2, 0)->format->config->len, &aac), 0);
    ck_assert_uint_eq(aac.object_type, AAC_LC);
    ck_assert_uint_eq(aac.sample_rate, 48000);
    ck_assert_uint_eq(aac.channels, 2);
    ck_assert_str_eq(state, "live");
    ck_assert_str_eq(note, "x264enc 320x240");
    ck_assert_uint_eq(encoder_stream_stats(stream).frames_in, 150);
    ck_assert_uint_eq(encoder_stream_stats(stream).frames_out, 150);
    link_format_unref(&v);
    link_format_unref(&a);
}
END_TEST

START_TEST(new_resolution_goes_on_with_the_next_number_and_a_key_frame)
{
    struct link_format *v = format(LINK_CODEC_RAW_VIDEO, 320, 240);
    struct link_format *w = format(LINK_CODEC_RAW_VIDEO, 640, 360);

    begin(v, NULL);
    for (unsigned i = 0; i < 20; i++)
        video(i, i < 10 ? v : w);
    finish();
    ck_assert_uint_eq(nout, 20);
    ck_assert_uint_eq(nth(1, 9)->format->width, 320);
    ck_assert_uint_eq(nth(1, 10)->format->width, 640);
    ck_assert_uint_eq(nth(1, 10)->format->height, 360);
    ck_assert(nth(1, 10)->key);
    ck_assert_uint_gt(nth(1, 10)->format->number, nth(1, 9)->format->number);
    ck_assert_ptr_nonnull(nth(1, 19));
    link_format_unref(&v);
    link_format_unref(&w);
}
END_TEST

START_TEST(second_session_starts_with_a_key_frame_from_a_warm_encoder)
{
    struct link_format *v = format(LINK_CODEC_RAW_VIDEO, 320, 240);
    int64_t t;

    begin(v, NULL);
    for (unsigned i = 0; i < 10; i++)
        video(i, v);
    stop_at = 5;
    event_base_dispatch(base);
    encoder_stream_drop(stream, clock_mono_ns());
    for (unsigned i = 0; i < nout; i++)
        link_item_fini(&out[i]);
    nout = stop_at = 0;
    begin(v, NULL);
    t = clock_mono_ns();
    for (unsigned i = 0; i < 5; i++)
        video(i, v);
    stop_at = 1;
    event_base_dispatch(base);
    ck_assert_int_lt(clock_mono_ns() - t, NS_PER_S);
    stop_at = 0;
    finish();
    ck_assert_uint_eq(nout, 5);
    ck_assert(nth(1, 0)->key);
    ck_assert_int_eq(nth(1, 0)->previous_fragment_ns, 0);
    ck_assert_ptr_nonnull(nth(1, 4));
    link_format_unref(&v);
}
END_TEST

START_TEST(audio_alone_is_marked_with_fragments)
{
    struct link_format *a = format(LINK_CODEC_RAW_AUDIO, 16000, 1);

    begin(a, NULL);
    for (unsigned i = 0; i < 70; i++)
        audio(1, i, a);
    finish();
    ck_assert_uint_eq(nout, 70);
    ck_assert_int_eq(nth(1, 0)->fragment_ns, START_NS);
    ck_assert_int_eq(nth(1, 31)->fragment_ns, START_NS);
    ck_assert_int_eq(nth(1, 32)->fragment_ns, nth(1, 32)->pts_ns);
    link_format_unref(&a);
}
END_TEST

START_TEST(coded_tracks_pass_at_once_and_untouched)
{
    static const enum link_codec codecs[] = {LINK_CODEC_H264, LINK_CODEC_H265, LINK_CODEC_AAC,
                                             LINK_CODEC_OTHER};
    struct link_format *f = format(codecs[_i], 320, 240);
    struct blob *payload = blob_copy("any", 3);
    struct link_item item = {.track = 1,
                             .format = link_format_ref(f),
                             .payload = blob_ref(payload),
                             .fragment_ns = 11,
                             .previous_fragment_ns = 10};

    begin(f, NULL);
    encoder_stream_item(stream, &item, 0);
    ck_assert_uint_eq(nout, 1);
    ck_assert_ptr_eq(out[0].payload, payload);
    ck_assert_ptr_eq(out[0].format, f);
    ck_assert_int_eq(out[0].fragment_ns, 11);
    ck_assert_int_eq(out[0].previous_fragment_ns, 10);
    encoder_stream_end(stream, 0);
    ck_assert(ended);
    blob_unref(&payload);
    link_format_unref(&f);
}
END_TEST

START_TEST(named_encoder_that_is_not_there_fails_with_a_note_and_keeps_frames)
{
    struct link_format *v = format(LINK_CODEC_RAW_VIDEO, 320, 240);

    conf.video.encoder = (char *)"nvenc";
    begin(v, NULL);
    video(0, v);
    event_base_dispatch(base);
    ck_assert_str_eq(state, "failed");
    ck_assert_ptr_nonnull(strstr(note, "nvh264enc"));
    ck_assert_ptr_nonnull(strstr(note, "set video.encoder to auto"));
    ck_assert_uint_eq(nout, 0);
    ck_assert_uint_eq(nbroken, 0);
    link_format_unref(&v);
}
END_TEST

START_TEST(key_frame_on_request)
{
    struct link_format *v = format(LINK_CODEC_RAW_VIDEO, 320, 240);

    ck_assert_int_eq(encoder_stream_force_key(stream), -ENOTSUP);
    begin(v, NULL);
    video(0, v);
    stop_at = 1;
    event_base_dispatch(base);
    stop_at = 0;
    ck_assert_int_eq(encoder_stream_force_key(stream), 0);
    video(1, v);
    video(2, v);
    finish();
    ck_assert(nth(1, 1)->key);
    ck_assert(!nth(1, 2)->key);
    link_format_unref(&v);
}
END_TEST

START_TEST(the_bitrate_follows_the_backlog_when_the_config_says_so)
{
    struct link_format *f = format(LINK_CODEC_RAW_VIDEO, 320, 240);
    int64_t now = clock_mono_ns();

    begin(f, NULL);
    video(0, f);
    for (unsigned i = 0; i < 60; i++)
        encoder_stream_backlog(stream, i * 1000, i * 60000, now + i * NS_PER_S);
    ck_assert_uint_eq(encoder_stream_stats(stream).bitrate_kbps, 500);
    encoder_stream_destroy(&stream);
    conf.video.adapt = (struct conf_adapt){.min_bitrate_kbps = 100, .backlog_s = 5, .restore_s = 2};
    stream = encoder_stream_create(base, "cam", &conf, probe, &codec_gst, NULL, &ops, NULL);
    begin(f, NULL);
    video(0, f);
    for (unsigned i = 0; i < 60; i++)
        encoder_stream_backlog(stream, i * 1000, i * 60000, now + i * NS_PER_S);
    ck_assert_uint_eq(encoder_stream_stats(stream).bitrate_kbps, 100);
    for (unsigned i = 60; i < 90; i++)
        encoder_stream_backlog(stream, 0, 0, now + i * NS_PER_S);
    ck_assert_uint_eq(encoder_stream_stats(stream).bitrate_kbps, 500);
    finish();
    link_format_unref(&f);
}
END_TEST

START_TEST(hostile_items_become_gaps_in_order)
{
    struct link_format *v = format(LINK_CODEC_RAW_VIDEO, 320, 240);
    struct link_format *bad = format(LINK_CODEC_RAW_VIDEO, 0, UINT32_MAX);
    struct link_item empty = {.track = 1, .seq = 3, .last = 3, .format = link_format_ref(v)};

    begin(v, NULL);
    video(0, v);
    frame(1, 1, 1, v, 3);
    frame(1, 2, 1, bad, 3);
    encoder_stream_item(stream, &empty, 0);
    video(4, v);
    finish();
    ck_assert_uint_eq(nout, 5);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_int_eq(nth(1, i)->gap, i >= 1 && i <= 3);
    ck_assert_uint_eq(encoder_stream_stats(stream).dropped, 3);
    link_format_unref(&v);
    link_format_unref(&bad);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("encoder_stream");
    TCase *t = tcase_create("encoder_stream");

    gst_init(NULL, NULL);
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, every_raw_frame_of_both_tracks_comes_out_coded_once);
    tcase_add_test(t, new_resolution_goes_on_with_the_next_number_and_a_key_frame);
    tcase_add_test(t, second_session_starts_with_a_key_frame_from_a_warm_encoder);
    tcase_add_test(t, audio_alone_is_marked_with_fragments);
    tcase_add_loop_test(t, coded_tracks_pass_at_once_and_untouched, 0, 4);
    tcase_add_test(t, named_encoder_that_is_not_there_fails_with_a_note_and_keeps_frames);
    tcase_add_test(t, key_frame_on_request);
    tcase_add_test(t, the_bitrate_follows_the_backlog_when_the_config_says_so);
    tcase_add_test(t, hostile_items_become_gaps_in_order);
    suite_add_tcase(s, t);
    return suite_run(s);
}
