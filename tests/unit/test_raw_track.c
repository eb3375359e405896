/* Claims about encoder/raw_track, with a codec that the test plays by hand: order, gaps, key
 * frames, new formats, failures. Relies on Check; the access units are the smallest that have SPS,
 * PPS and a slice. Leaves GStreamer to test_codec_gst and the real codec behind a stream to
 * test_encoder_stream. */
#include "encoder/raw_track.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "tests/unit/suite.h"

/* 1280x720, made with x264; test_h264 has it too. */
static const uint8_t key_au[] = {0,    0,    0,    1,    0x67, 0x4d, 0x40, 0x1f, 0xec, 0xa0, 0x28,
                                 0x02, 0xdd, 0x80, 0x88, 0x00, 0x00, 0x03, 0x00, 0x08, 0x00, 0x00,
                                 0x03, 0x01, 0x90, 0x78, 0xc1, 0x8c, 0xb0, 0,    0,    0,    1,
                                 0x68, 0xce, 0x0f, 0xc8, 0,    0,    0,    1,    0x65, 0x88, 0x84};
static const uint8_t other_key_au[] = {
    0,    0,    0,    1,    0x67, 0x42, 0xc0, 0x28, 0xda, 0x01, 0xe0, 0x08, 0x9f, 0x97,
    0x01, 0x10, 0x00, 0x00, 0x3e, 0x90, 0x00, 0x0e, 0xa6, 0x08, 0xf1, 0x83, 0x2a, 0,
    0,    0,    1,    0x68, 0xce, 0x0f, 0xc8, 0,    0,    0,    1,    0x65, 0x88, 0x84};
static const uint8_t delta_au[] = {0, 0, 0, 1, 0x41, 0x9a, 0x21};

/* The codec of the test: one at a time. */
static struct fake {
    const struct codec_events *events;
    void *arg;
    bool open, ready, draining, broken, fixed;
    unsigned made, pushed;
    uint32_t kbps; /* as created, or set since */
    bool forced[64];
    uint64_t next;
} fake;

static int fake_create(struct event_base *base, const struct codec_conf *conf,
                       const struct codec_events *events, void *arg, struct codec **out, char *why)
{
    if (fake.broken) {
        snprintf(why, 256, "it is broken");
        return -ENODEV;
    }
    fake.events = events;
    fake.arg = arg;
    fake.open = fake.ready = true;
    fake.draining = false;
    fake.next = 0;
    fake.made++;
    fake.kbps = conf->video->bitrate_kbps;
    *out = (struct codec *)&fake;
    return 0;
}

static bool fake_ready(const struct codec *c)
{
    return fake.ready;
}

static int fake_push(struct codec *c, struct blob *payload, int64_t pts_ns, int64_t duration_ns,
                     bool force_key, uint64_t *token)
{
    ck_assert(fake.ready && fake.open && !fake.draining);
    *token = fake.next++;
    fake.forced[fake.pushed++] = force_key;
    return 0;
}

static int fake_set_bitrate(struct codec *c, uint32_t kbps)
{
    fake.kbps = kbps;
    return fake.fixed ? -ENOTSUP : 0;
}

static void fake_drain(struct codec *c)
{
    fake.draining = true;
}

static void fake_destroy(struct codec **c)
{
    fake.open = false;
    *c = NULL;
}

static const struct codec_ops fake_ops = {.create = fake_create,
                                          .ready = fake_ready,
                                          .push = fake_push,
                                          .set_bitrate = fake_set_bitrate,
                                          .drain = fake_drain,
                                          .destroy = fake_destroy};

static void give(uint64_t token, const uint8_t *data, size_t len)
{
    struct blob *b = blob_copy(data, len);

    fake.events->output(fake.arg, token, false, &b);
    blob_unref(&b);
}
#define GIVE(token, au) give(token, au, sizeof(au))

/* What comes out of the track. */
static struct link_item out[64];
static unsigned nout, nbroken, nended, nrechosen;
static char note[512];
static bool note_failed;
static struct probe_result choice;

static void on_put(void *arg, struct link_item *item)
{
    ck_assert_uint_lt(nout, 64);
    out[nout++] = *item;
    memset(item, 0, sizeof *item);
}

static void on_ended(void *arg)
{
    nended++;
}

static void on_broken(void *arg)
{
    nbroken++;
}

static void on_note(void *arg, bool failed, const char *text)
{
    note_failed = failed;
    snprintf(note, sizeof note, "%s", text);
}

static const struct probe_result *on_choose(void *arg, const struct link_format *format)
{
    return &choice;
}

static void on_rechoose(void *arg, const struct link_format *format)
{
    nrechosen++;
}

static const struct raw_track_ops ops = {on_put,  on_ended,  on_broken,
                                         on_note, on_choose, on_rechoose};
static const struct conf_stream stream = {
    .video = {.encoder = "auto",
              .bitrate_kbps = 500,
              .keyframe_ms = 2000,
              .profile = "main",
              .preset = "veryfast"},
    .audio = {.bitrate_kbps = 64},
};
static struct raw_track *track;
static struct link_format *small, *large;

static struct link_format *picture(uint32_t w, uint32_t h, uint64_t number)
{
    struct link_format *f = link_format_new();

    f->number = number;
    f->codec = LINK_CODEC_RAW_VIDEO;
    f->video = true;
    strcpy(f->layout, "I420");
    f->width = w;
    f->height = h;
    f->rate_num = 10;
    f->rate_den = 1;
    return f;
}

static void setup(void)
{
    struct raw_track_conf conf = {.stream = "cam", .conf = &stream, .codec = &fake_ops};

    choice.state = PROBE_OK;
    choice.candidate = candidate_get("x264", 0);
    small = picture(32, 32, 1);
    large = picture(64, 64, 2);
    track = raw_track_create(&conf, &ops, NULL);
}

static void teardown(void)
{
    raw_track_destroy(&track);
    for (unsigned i = 0; i < nout; i++)
        link_item_fini(&out[i]);
    link_format_unref(&small);
    link_format_unref(&large);
}

/* Frame `seq` of 10 a second. */
static void frame_at(struct link_format *f, uint64_t seq, size_t len)
{
    uint8_t *data;
    struct link_item item = {.track = 1,
                             .seq = seq,
                             .last = seq,
                             .pts_ns = (int64_t)seq * 100 * NS_PER_MS,
                             .duration_ns = 100 * NS_PER_MS,
                             .captured_ns = 7,
                             .format = link_format_ref(f)};

    item.payload = blob_new(len, &data);
    memset(data, 0, len);
    raw_track_take(track, &item, clock_mono_ns());
}

static void frame(struct link_format *f, uint64_t seq)
{
    frame_at(f, seq, (size_t)f->width * f->height * 3 / 2);
}

static void gap(uint64_t first, uint64_t last)
{
    struct link_item item = {
        .track = 1, .gap = true, .reason = LINK_GAP_SOURCE, .seq = first, .last = last};

    raw_track_take(track, &item, clock_mono_ns());
}

START_TEST(numbers_and_times_are_the_inputs)
{
    frame(small, 5);
    GIVE(0, key_au);
    ck_assert_uint_eq(nout, 1);
    ck_assert_uint_eq(out[0].seq, 5);
    ck_assert_int_eq(out[0].pts_ns, 500 * NS_PER_MS);
    ck_assert_int_eq(out[0].dts_ns, 500 * NS_PER_MS);
    ck_assert_int_eq(out[0].duration_ns, 100 * NS_PER_MS);
    ck_assert_int_eq(out[0].captured_ns, 7);
    ck_assert(out[0].key);
    ck_assert_int_eq(out[0].format->codec, LINK_CODEC_H264);
    ck_assert_str_eq(out[0].format->layout, "annexb");
    ck_assert_uint_eq(out[0].format->width, 1280);
    ck_assert_uint_eq(out[0].format->number, 1);
    ck_assert_uint_eq(out[0].format->config->data[0], 1);
}
END_TEST

START_TEST(gap_comes_out_after_the_frames_before_it)
{
    frame(small, 0);
    gap(1, 3);
    frame(small, 4);
    ck_assert_uint_eq(nout, 0);
    GIVE(0, key_au);
    ck_assert_uint_eq(nout, 2);
    ck_assert(out[1].gap);
    ck_assert_uint_eq(out[1].last, 3);
    GIVE(1, delta_au);
    ck_assert_uint_eq(out[2].seq, 4);
    ck_assert(!out[2].key);
}
END_TEST

START_TEST(a_new_bitrate_goes_to_the_encoder_that_runs_and_to_those_after_it)
{
    ck_assert_int_eq(raw_track_set_bitrate(track, 400), 0); /* there is none yet */
    frame(small, 0);
    ck_assert_uint_eq(fake.kbps, 400);
    ck_assert_int_eq(raw_track_set_bitrate(track, 300), 0);
    ck_assert_uint_eq(fake.kbps, 300);
    fake.events->failed(fake.arg, "lost");
    frame(small, 0);
    ck_assert_uint_eq(fake.made, 2);
    ck_assert_uint_eq(fake.kbps, 300);
    fake.fixed = true;
    ck_assert_int_eq(raw_track_set_bitrate(track, 200), -ENOTSUP);
}
END_TEST

START_TEST(gap_alone_passes_at_once)
{
    gap(0, 3);
    ck_assert_uint_eq(nout, 1);
}
END_TEST

START_TEST(swallowed_frame_becomes_a_counted_gap)
{
    frame(small, 0);
    frame(small, 1);
    frame(small, 2);
    GIVE(0, key_au);
    GIVE(2, delta_au);
    ck_assert_uint_eq(nout, 3);
    ck_assert(out[1].gap);
    ck_assert_int_eq(out[1].reason, LINK_GAP_ENCODER);
    ck_assert_uint_eq(out[1].seq, 1);
    ck_assert_uint_eq(out[2].seq, 2);
    ck_assert_uint_eq(raw_track_stats(track).swallowed, 1);
}
END_TEST

START_TEST(output_without_an_input_is_dropped)
{
    frame(small, 0);
    GIVE(0, key_au);
    GIVE(0, delta_au);
    GIVE(9, delta_au);
    ck_assert_uint_eq(nout, 1);
}
END_TEST

START_TEST(hostile_payload_becomes_a_gap_in_its_place)
{
    frame(small, 0);
    frame_at(small, 1, 17);
    frame(small, 2);
    GIVE(0, key_au);
    GIVE(1, delta_au);
    ck_assert_uint_eq(nout, 3);
    ck_assert_int_eq(out[1].reason, LINK_GAP_FORMAT);
    ck_assert_uint_eq(raw_track_stats(track).refused, 1);
}
END_TEST

START_TEST(key_frames_come_first_on_request_and_by_time)
{
    for (unsigned i = 0; i < 45; i++) {
        if (i == 5)
            raw_track_force_key(track);
        frame(small, i);
    }
    for (unsigned i = 0; i < 45; i++) /* 2 s after the one asked for, then 2 s after that */
        ck_assert_int_eq(fake.forced[i], i == 0 || i == 5 || i == 25);
}
END_TEST

START_TEST(key_frame_is_due_after_a_long_gap)
{
    frame(small, 0);
    gap(1, 29);
    frame(small, 30);
    ck_assert(fake.forced[1]);
}
END_TEST

START_TEST(new_parameter_sets_give_a_new_format_number)
{
    frame(small, 0);
    frame(small, 1);
    frame(small, 2);
    GIVE(0, key_au);
    GIVE(1, key_au);
    GIVE(2, other_key_au);
    ck_assert_ptr_eq(out[0].format, out[1].format);
    ck_assert_uint_eq(out[2].format->number, 2);
}
END_TEST

START_TEST(new_picture_size_drains_the_old_encoder_first)
{
    frame(small, 0);
    frame(small, 1);
    frame(large, 2);
    ck_assert(fake.draining);
    ck_assert_uint_eq(fake.pushed, 2);
    GIVE(0, key_au);
    GIVE(1, delta_au);
    fake.events->drained(fake.arg);
    ck_assert_uint_eq(fake.made, 2);
    ck_assert_uint_eq(fake.pushed, 3);
    GIVE(0, other_key_au);
    ck_assert_uint_eq(nout, 3);
    ck_assert_uint_eq(out[2].seq, 2);
    ck_assert_uint_gt(out[2].format->number, out[1].format->number);
}
END_TEST

START_TEST(new_session_keeps_the_encoder_and_ignores_what_it_still_gives)
{
    frame(small, 0);
    GIVE(0, key_au);
    frame(small, 1);
    raw_track_reset(track);
    frame(small, 40);
    ck_assert_uint_eq(fake.made, 1);
    ck_assert(fake.forced[2]);
    GIVE(1, delta_au); /* of the old session */
    ck_assert_uint_eq(nout, 1);
    GIVE(2, key_au);
    ck_assert_uint_eq(nout, 2);
    ck_assert_uint_eq(out[1].seq, 40);
}
END_TEST

START_TEST(session_that_would_begin_with_a_delta_is_broken_off)
{
    frame(small, 0);
    GIVE(0, key_au);
    raw_track_reset(track);
    frame(small, 1);
    GIVE(1, delta_au);
    ck_assert_uint_eq(nout, 1);
    ck_assert_uint_eq(nbroken, 1);
    ck_assert(!fake.open);
}
END_TEST

START_TEST(failure_breaks_the_session_and_a_second_one_waits)
{
    int64_t now = clock_mono_ns();

    frame(small, 0);
    fake.events->failed(fake.arg, "lost");
    ck_assert_uint_eq(nbroken, 1);
    ck_assert(note_failed);
    raw_track_reset(track);
    frame(small, 0);
    ck_assert_uint_eq(fake.made, 2);
    ck_assert(!note_failed);
    fake.events->failed(fake.arg, "lost");
    raw_track_reset(track);
    frame(small, 0);
    ck_assert_uint_eq(fake.made, 2);
    raw_track_tick(track, now + 2 * NS_PER_S);
    ck_assert_uint_eq(fake.made, 3);
    fake.events->failed(fake.arg, "lost");
    ck_assert_uint_eq(nrechosen, 1);
}
END_TEST

START_TEST(encoder_that_cannot_start_breaks_the_session)
{
    fake.broken = true;
    frame(small, 0);
    ck_assert_uint_eq(nbroken, 1);
    ck_assert_ptr_nonnull(strstr(note, "it is broken"));
}
END_TEST

START_TEST(encoder_that_hangs_is_found_out)
{
    frame(small, 0);
    fake.ready = false;
    frame(small, 1);
    raw_track_tick(track, clock_mono_ns() + 4 * NS_PER_S);
    ck_assert_uint_eq(nbroken, 0);
    raw_track_tick(track, clock_mono_ns() + 6 * NS_PER_S);
    ck_assert_uint_eq(nbroken, 1);
}
END_TEST

START_TEST(without_an_encoder_frames_wait_and_the_note_says_why)
{
    choice.state = PROBE_FAILED;
    strcpy(choice.note, "none works");
    frame(small, 0);
    ck_assert(note_failed);
    ck_assert_str_eq(note, "none works");
    ck_assert_uint_eq(nout, 0);
    ck_assert_uint_eq(nbroken, 0);
    choice.state = PROBE_OK;
    raw_track_tick(track, clock_mono_ns() + 31 * NS_PER_S);
    ck_assert_uint_eq(fake.pushed, 1);
}
END_TEST

START_TEST(frames_wait_while_the_choice_is_pending)
{
    choice.state = PROBE_PENDING;
    frame(small, 0);
    frame(small, 1);
    ck_assert_uint_eq(fake.made, 0);
    choice.state = PROBE_OK;
    raw_track_tick(track, clock_mono_ns());
    ck_assert_uint_eq(fake.pushed, 2);
}
END_TEST

START_TEST(end_comes_after_everything_was_put)
{
    frame(small, 0);
    frame(small, 1);
    raw_track_end(track, clock_mono_ns());
    ck_assert(fake.draining);
    GIVE(0, key_au);
    ck_assert_uint_eq(nended, 0);
    fake.events->drained(fake.arg); /* the second was swallowed */
    ck_assert_uint_eq(nout, 2);
    ck_assert(out[1].gap);
    ck_assert_uint_eq(nended, 1);
}
END_TEST

START_TEST(it_goes_on_after_an_end)
{
    frame(small, 0);
    raw_track_end(track, clock_mono_ns());
    GIVE(0, key_au);
    fake.events->drained(fake.arg);
    frame(small, 1);
    GIVE(0, key_au);
    ck_assert_uint_eq(nout, 2);
    ck_assert(!out[1].gap);
    raw_track_end(track, clock_mono_ns());
    ck_assert_uint_eq(nended, 2);
}
END_TEST

START_TEST(end_of_an_empty_track_comes_at_once)
{
    raw_track_end(track, clock_mono_ns());
    ck_assert_uint_eq(nended, 1);
    raw_track_tick(track, clock_mono_ns());
    ck_assert_uint_eq(nended, 1);
}
END_TEST

START_TEST(coded_frame_in_between_keeps_its_place)
{
    struct link_format *h264 = picture(32, 32, 3);
    struct link_item item = {.track = 1, .seq = 1, .last = 1, .format = h264};

    h264->codec = LINK_CODEC_H264;
    item.payload = blob_copy(key_au, sizeof key_au);
    frame(small, 0);
    raw_track_take(track, &item, clock_mono_ns());
    ck_assert_uint_eq(nout, 0);
    GIVE(0, key_au);
    ck_assert_uint_eq(nout, 2);
    ck_assert_uint_eq(out[1].format->number, 3);
}
END_TEST

START_TEST(flood_beyond_any_credit_is_bounded)
{
    choice.state = PROBE_PENDING;
    for (unsigned i = 0; i < 5000 && !nbroken; i++)
        frame(small, i);
    ck_assert_uint_eq(nbroken, 1);
    ck_assert_uint_eq(raw_track_stats(track).held, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("raw_track");
    TCase *t = tcase_create("raw_track");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, numbers_and_times_are_the_inputs);
    tcase_add_test(t, gap_comes_out_after_the_frames_before_it);
    tcase_add_test(t, a_new_bitrate_goes_to_the_encoder_that_runs_and_to_those_after_it);
    tcase_add_test(t, gap_alone_passes_at_once);
    tcase_add_test(t, swallowed_frame_becomes_a_counted_gap);
    tcase_add_test(t, output_without_an_input_is_dropped);
    tcase_add_test(t, hostile_payload_becomes_a_gap_in_its_place);
    tcase_add_test(t, key_frames_come_first_on_request_and_by_time);
    tcase_add_test(t, key_frame_is_due_after_a_long_gap);
    tcase_add_test(t, new_parameter_sets_give_a_new_format_number);
    tcase_add_test(t, new_picture_size_drains_the_old_encoder_first);
    tcase_add_test(t, new_session_keeps_the_encoder_and_ignores_what_it_still_gives);
    tcase_add_test(t, session_that_would_begin_with_a_delta_is_broken_off);
    tcase_add_test(t, failure_breaks_the_session_and_a_second_one_waits);
    tcase_add_test(t, encoder_that_cannot_start_breaks_the_session);
    tcase_add_test(t, encoder_that_hangs_is_found_out);
    tcase_add_test(t, without_an_encoder_frames_wait_and_the_note_says_why);
    tcase_add_test(t, frames_wait_while_the_choice_is_pending);
    tcase_add_test(t, end_comes_after_everything_was_put);
    tcase_add_test(t, it_goes_on_after_an_end);
    tcase_add_test(t, end_of_an_empty_track_comes_at_once);
    tcase_add_test(t, coded_frame_in_between_keeps_its_place);
    tcase_add_test(t, flood_beyond_any_credit_is_bounded);
    suite_add_tcase(s, t);
    return suite_run(s);
}
