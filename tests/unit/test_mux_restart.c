/* Claims about muxer/mux and restarts: the log goes on as if nothing had happened. Times in ms.
 * Relies on mux_harness.h.
 * Leaves the links' part of a restart to the link tests. */
#include "tests/unit/mux_harness.h"

#define LENGTH 4000

/* The whole input, in the order of time: video at 25/s in fragments of a second, audio every 20 ms.
 */
static unsigned script(struct link_item *items)
{
    unsigned n = 0;
    for (int64_t t = 0; t < LENGTH; t += 20) {
        int64_t f = t / 1000 * 1000;
        if (t % 40 == 0) {
            items[n] =
                frame(VIDEO, t, t == f, f, t == f && f ? f - 1000 : -1, picture, sizeof picture);
            items[n].seq = items[n].last = (uint64_t)t / 40;
            n++;
        }
        items[n] = frame(AUDIO, t, true, -1, -1, "sound", 5);
        items[n].seq = items[n].last = (uint64_t)t / 20;
        n++;
    }
    return n;
}

static void feed(const struct link_item *items, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (items[i].seq >= h.next[items[i].track - 1]) {
            struct link_item it = link_item_ref(&items[i]);
            ck_assert_int_eq(mux_item(h.mux, &it, h.now), 0);
        }
    flush();
}

static bool same(const struct link_item *a, const struct link_item *b)
{
    return a->gap == b->gap && a->track == b->track && a->seq == b->seq &&
           a->fragment_ns == b->fragment_ns && a->format->number == b->format->number &&
           a->format->segment->len == b->format->segment->len &&
           memcmp(a->format->segment->data, b->format->segment->data, a->format->segment->len) ==
               0 &&
           a->payload->len == b->payload->len &&
           memcmp(a->payload->data, b->payload->data, a->payload->len) == 0;
}

static void cut_and_compare(bool new_process)
{
    static struct link_item items[1024], whole[1024];
    unsigned n = script(items), total;
    harness_begin(3);
    feed(items, n);
    total = h.n;
    memcpy(whole, h.out, total * sizeof *whole);
    /* The last two are audio: with no video frame to name the open fragment they would begin one of
     * their own. */
    for (unsigned cut = 1; cut < total - 2; cut++) {
        h.n = 0;
        memset(h.next, 0, sizeof h.next);
        for (unsigned i = 0; i < cut; i++)
            h.next[whole[i].track - 1] = whole[i].seq + 1;
        if (new_process)
            harness_restart(3);
        else
            harness_begin(3);
        feed(items, n);
        ck_assert_uint_eq(h.n, total - cut);
        for (unsigned i = 0; i < h.n; i++) {
            ck_assert_msg(same(&h.out[i], &whole[cut + i]), "cut %u differs at %u", cut, i);
            link_item_fini(&h.out[i]);
        }
    }
    for (unsigned i = 0; i < total; i++)
        link_item_fini(&whole[i]);
    for (unsigned i = 0; i < n; i++)
        link_item_fini(&items[i]);
    h.n = 0;
}

START_TEST(cut_anywhere_and_restarted_the_same_bytes_follow)
{
    cut_and_compare(true);
}
END_TEST

START_TEST(new_session_in_the_same_process_the_same_bytes_follow)
{
    cut_and_compare(false);
}
END_TEST

START_TEST(middle_continues_without_a_second_cluster)
{
    h.next[0] = 10;
    h.next[1] = 20;
    harness_begin(3);
    video(400, 0, -1);
    audio(401);
    flush();
    ck_assert_uint_eq(h.out[0].payload->data[0], 0xa3); /* just a SimpleBlock */
    ck_fragment(VIDEO, 400, 0);
    ck_fragment(AUDIO, 401, 0);
}
END_TEST

START_TEST(audio_before_a_start_goes_into_the_previous_fragment)
{
    h.next[0] = 10;
    h.next[1] = 20;
    harness_begin(3);
    audio(980);
    video(1000, 1000, 0);
    audio(1000);
    flush();
    ck_fragment(AUDIO, 980, 0);
    ck_fragment(AUDIO, 1000, 1000);
    ck_assert_uint_eq(h.out[0].payload->data[0], 0xa3);
    ck_assert_uint_eq(gaps(LINK_GAP_NO_KEY_FRAME), 0);
}
END_TEST

/* Encoder and muxer died both: nobody knows which fragment the log has open. */
START_TEST(audio_before_a_start_with_unknown_previous_begins_it)
{
    h.next[0] = 10;
    h.next[1] = 20;
    harness_begin(3);
    audio(980);
    video(1000, 1000, -1);
    audio(1000);
    flush();
    ck_assert_uint_eq(gaps(LINK_GAP_NO_KEY_FRAME), 0);
    ck_assert(is_start(&h.out[0]));
    ck_fragment(AUDIO, 980, 980);
    ck_fragment(VIDEO, 1000, 980);
    ck_fragment(AUDIO, 1000, 980);
}
END_TEST

/* An encoder that restarted begins with a key frame and knows of no fragment before; this process
 * does. */
START_TEST(previous_fragment_is_remembered_over_sessions)
{
    harness_begin(3);
    video(0, 0, -1);
    audio(0);
    video(40, 0, -1);
    audio(41);
    harness_begin(
        3); /* log: all that was put; h.next is what was given, and equal but for audio 41 */
    h.next[1] = 1;
    harness_begin(3);
    audio(41);
    video(80, 80, -1);
    audio(100);
    flush();
    ck_fragment(AUDIO, 41, 0);
    ck_fragment(VIDEO, 80, 80);
    ck_assert_int_eq(out_at(VIDEO, 80)->previous_fragment_ns, T0);
    ck_assert_uint_eq(mux_stats(h.mux)->dropped, 0);
    parse_log();
    ck_assert_uint_eq(parsed.segments, 1);
}
END_TEST

START_TEST(new_epoch_forgets_the_fragments_before)
{
    static const struct link_positions none = {.tracks = 3};
    struct link_track tracks[] = {{.track = VIDEO, .format = h.video},
                                  {.track = AUDIO, .format = h.audio}};
    harness_begin(3);
    video(0, 0, -1);
    audio(1);
    video(40, 0, -1);
    memset(h.next, 0, sizeof h.next);
    mux_begin(h.mux, EPOCH + 1, tracks, 2, &none);
    audio(500);
    video(600, 600, -1);
    audio(601);
    flush();
    ck_fragment(AUDIO, 500, 500);
    ck_assert_int_eq(out_at(AUDIO, 500)->previous_fragment_ns, 0);
    parse_log();
    ck_assert_uint_eq(parsed.segments, 2); /* the SegmentUID tells epochs apart */
}
END_TEST

START_TEST(fragment_that_audio_began_is_remembered_over_sessions)
{
    harness_begin(3);
    audio(-20);
    video(0, 0, -1);
    audio(1);
    video(40, 0, -1);
    h.next[1] = 1; /* in the log: audio -20 and video 0 */
    h.next[0] = 1;
    harness_begin(3);
    video(40, 0, -1);
    audio(41);
    flush();
    ck_fragment(VIDEO, 40, -20);
    ck_fragment(AUDIO, 41, -20);
}
END_TEST

START_TEST(annexb_without_known_sets_goes_on_in_the_middle)
{
    static const uint8_t slice[] = {0, 0, 1, 0x41, 0x9a};
    h.next[0] = 10;
    link_format_unref(&h.video);
    h.video = make_video(1, "annexb", NULL, 0);
    harness_begin(1);
    give(frame(VIDEO, 400, false, 0, -1, slice, sizeof slice));
    ck_assert_uint_eq(h.n, 1);
    ck_assert(!h.out[0].gap);
    ck_assert_ptr_null(h.out[0].format->segment);
    ck_assert_int_eq(h.out[0].format->codec, LINK_CODEC_H264);
    ck_assert_uint_eq(h.out[0].payload->len, 2 + 4 + 6);
}
END_TEST

START_TEST(audio_alone_starts_a_fragment_after_a_restart)
{
    h.next[0] = 10;
    h.next[1] = 20;
    harness_begin(3);
    audio(980);
    wait_ms(INTERLEAVE_WAIT_ANY_NS / MS);
    ck_assert_uint_eq(h.n, 1);
    ck_assert(is_start(&h.out[0]));
}
END_TEST

START_TEST(dropped_session_puts_nothing_more)
{
    harness_begin(3);
    video(0, 0, -1);
    mux_drop(h.mux);
    wait_ms(10000);
    flush();
    ck_assert_uint_eq(h.n, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("mux_restart");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, cut_anywhere_and_restarted_the_same_bytes_follow);
    tcase_add_test(tc, new_session_in_the_same_process_the_same_bytes_follow);
    tcase_add_test(tc, middle_continues_without_a_second_cluster);
    tcase_add_test(tc, audio_before_a_start_goes_into_the_previous_fragment);
    tcase_add_test(tc, audio_before_a_start_with_unknown_previous_begins_it);
    tcase_add_test(tc, previous_fragment_is_remembered_over_sessions);
    tcase_add_test(tc, new_epoch_forgets_the_fragments_before);
    tcase_add_test(tc, fragment_that_audio_began_is_remembered_over_sessions);
    tcase_add_test(tc, annexb_without_known_sets_goes_on_in_the_middle);
    tcase_add_test(tc, audio_alone_starts_a_fragment_after_a_restart);
    tcase_add_test(tc, dropped_session_puts_nothing_more);
    return harness_run("mux_restart", tc);
}
