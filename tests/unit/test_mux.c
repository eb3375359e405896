/* Claims about muxer/mux: whole streams of items in, Matroska pieces out. Times in ms.
 * Relies on mux_harness.h and media/mkv_reader.
 * Leaves restarts to test_mux_restart, tags to test_muxer_tags. */
#include <stdlib.h>

#include "tests/unit/mux_harness.h"

/* A fragment of video at 25 frames a second and audio every 20 ms, begun at `start`. */
static void both(int64_t start, int64_t previous, int64_t length)
{
    for (int64_t t = start; t < start + length; t += 20) {
        if ((t - start) % 40 == 0)
            video(t, start, t == start ? previous : -1);
        audio(t);
    }
}

START_TEST(round_trip)
{
    unsigned n = 0;
    harness_begin(3);
    both(0, -1, 2000);
    both(2000, 0, 2000);
    flush();
    parse_log();
    ck_assert_uint_eq(parsed.segments, 1);
    ck_assert_uint_eq(parsed.clusters, 2);
    ck_assert_uint_eq(parsed.nblocks, 300);
    ck_assert_uint_eq(parsed.header[0].ntracks, 2);
    ck_assert_uint_eq(parsed.header[0].scale_ns, 1000000);
    ck_assert_str_eq(parsed.header[0].tracks[0].codec_id, "V_MPEG4/ISO/AVC");
    ck_assert_str_eq(parsed.header[0].tracks[0].name, "video");
    ck_assert_uint_eq(parsed.header[0].tracks[0].width, 1280);
    ck_assert_uint_eq(parsed.header[0].tracks[0].height, 720);
    ck_assert_uint_eq(parsed.header[0].tracks[0].private_len, sizeof avcc_config);
    ck_assert_str_eq(parsed.header[0].tracks[1].codec_id, "A_AAC");
    ck_assert_str_eq(parsed.header[0].tracks[1].name, "audio");
    ck_assert(parsed.header[0].tracks[1].rate == 48000);
    ck_assert_uint_eq(parsed.header[0].tracks[1].channels, 2);
    for (unsigned i = 0; i < parsed.nblocks; i++) {
        const struct parsed_block *b = &parsed.blocks[i];
        ck_assert_int_eq(b->ms / 2000, b->cluster - 1);
        ck_assert_int_eq(b->key, b->track == AUDIO || b->ms % 2000 == 0);
        n += b->track == VIDEO;
    }
    ck_assert_uint_eq(n, 100);
}
END_TEST

START_TEST(one_item_out_for_one_in_with_its_number)
{
    uint64_t next[2] = {0};
    harness_begin(3);
    audio(-1000); /* becomes a gap */
    both(0, -1, 200);
    flush();
    for (unsigned i = 0; i < h.n; i++) {
        ck_assert_uint_eq(h.out[i].seq, next[h.out[i].track - 1]);
        next[h.out[i].track - 1]++;
    }
    ck_assert_uint_eq(next[0], h.next[0]);
    ck_assert_uint_eq(next[1], h.next[1]);
}
END_TEST

START_TEST(gap_from_above_goes_through)
{
    harness_begin(1);
    video(0, 0, -1);
    give((struct link_item){
        .gap = true, .track = 1, .seq = 1, .last = 7, .reason = LINK_GAP_SOURCE});
    ck_assert_uint_eq(h.n, 2);
    ck_assert(h.out[1].gap);
    ck_assert_uint_eq(h.out[1].seq, 1);
    ck_assert_uint_eq(h.out[1].last, 7);
    ck_assert_int_eq(h.out[1].reason, LINK_GAP_SOURCE);
    ck_assert_uint_eq(mux_stats(h.mux)->dropped, 0);
}
END_TEST

START_TEST(a_frame_leaves_at_once_without_other_tracks)
{
    harness_begin(1);
    video(0, 0, -1);
    ck_assert_uint_eq(h.n, 1);
    ck_assert(is_start(&h.out[0]));
    ck_assert_int_eq(h.out[0].previous_fragment_ns, 0);
}
END_TEST

START_TEST(every_item_names_its_fragment)
{
    harness_begin(3);
    both(0, -1, 2000);
    both(2000, 0, 100);
    flush();
    ck_fragment(AUDIO, 1980, 0);
    ck_fragment(AUDIO, 2000, 2000);
    ck_fragment(VIDEO, 2040, 2000);
    ck_assert_int_eq(out_at(VIDEO, 2000)->previous_fragment_ns, T0);
}
END_TEST

START_TEST(audio_in_the_tick_of_a_key_frame_goes_into_its_fragment)
{
    struct link_item i;
    harness_begin(3);
    both(0, -1, 2000);
    i = frame(AUDIO, 2000, true, -1, -1, "a", 1); /* 0.3 ms before the key frame, same tick */
    give(i);
    i = frame(VIDEO, 2000, true, 2000, 0, picture, sizeof picture);
    i.pts_ns += 300000;
    i.dts_ns = i.fragment_ns = i.pts_ns;
    give(i);
    audio(2020);
    flush();
    ck_assert_int_eq(out_at(AUDIO, 2000)->fragment_ns, T0 + 2000 * MS + 300000);
    parse_log();
    ck_assert_uint_eq(parsed.clusters, 2);
    for (unsigned k = 0; k < parsed.nblocks; k++)
        ck_assert_int_ge(parsed.blocks[k].relative, 0);
}
END_TEST

START_TEST(first_tick_of_a_fragment_is_after_the_last_of_the_one_before)
{
    int64_t latest[8] = {0}, first[8];
    harness_begin(3);
    for (int64_t k = 0; k < 5; k++)
        both(k * 1020, k ? (k - 1) * 1020 : -1, 1020);
    flush();
    parse_log();
    memset(first, 0x7f, sizeof first);
    for (unsigned i = 0; i < parsed.nblocks; i++) {
        const struct parsed_block *b = &parsed.blocks[i];
        if (b->ms < first[b->cluster])
            first[b->cluster] = b->ms;
        if (b->ms > latest[b->cluster])
            latest[b->cluster] = b->ms;
    }
    ck_assert_uint_eq(parsed.clusters, 5);
    for (unsigned c = 2; c <= parsed.clusters; c++)
        ck_assert_int_gt(first[c], latest[c - 1]);
}
END_TEST

START_TEST(b_frames_keep_decode_order_and_pts)
{
    static const struct {
        int64_t pts, dts;
    } gop[] = {{80, 80}, {200, 90}, {120, 120}, {160, 160}};
    harness_begin(1);
    for (unsigned i = 0; i < 4; i++) {
        struct link_item f = frame(VIDEO, gop[i].pts, i == 0, 80, -1, picture, sizeof picture);
        f.dts_ns = T0 + gop[i].dts * MS;
        give(f);
    }
    parse_log();
    ck_assert_uint_eq(parsed.nblocks, 4);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(parsed.blocks[i].ms, gop[i].pts);
}
END_TEST

START_TEST(order_of_pieces_is_the_order_of_dts)
{
    harness_begin(3);
    both(0, -1, 2000);
    both(2000, 0, 200);
    flush();
    for (unsigned i = 1; i < h.n; i++)
        ck_assert_int_gt(h.out[i].dts_ns, h.out[i - 1].dts_ns);
}
END_TEST

START_TEST(avcc_payload_bit_for_bit)
{
    static const uint8_t odd[] = {0, 0, 0, 1, 0x09, 0, 0, 0, 2, 0x06, 0x80, 0, 0, 0, 1, 0x0c};
    harness_begin(1);
    give(frame(VIDEO, 0, true, 0, -1, odd, sizeof odd));
    parse_log();
    ck_assert_uint_eq(parsed.blocks[0].len, sizeof odd);
    ck_assert_mem_eq(parsed.blocks[0].payload, odd, sizeof odd);
}
END_TEST

static void use_annexb(void)
{
    link_format_unref(&h.video);
    h.video = make_video(1, "annexb", NULL, 0);
}

/* A key frame with AUD, the sets and a slice. */
static void annexb_key(int64_t ms, int64_t previous, const uint8_t *sets, size_t len)
{
    static const uint8_t aud[] = {0, 0, 0, 1, 0x09, 0xf0}, slice[] = {0, 0, 1, 0x65, 0x88, 0x84};
    uint8_t all[128];
    memcpy(all, aud, sizeof aud);
    memcpy(all + sizeof aud, sets, len);
    memcpy(all + sizeof aud + len, slice, sizeof slice);
    give(frame(VIDEO, ms, true, ms, previous, all, sizeof aud + len + sizeof slice));
}

static void annexb_delta(int64_t ms, int64_t fragment)
{
    static const uint8_t slice[] = {0, 0, 0, 1, 0x41, 0x9a, 0x01};
    give(frame(VIDEO, ms, false, fragment, -1, slice, sizeof slice));
}

START_TEST(annexb_becomes_avcc_without_dropping_a_unit)
{
    static const uint8_t want_aud[] = {0, 0, 0, 2, 0x09, 0xf0},
                         want_end[] = {0, 0, 0, 3, 0x65, 0x88, 0x84};
    use_annexb();
    harness_begin(1);
    annexb_key(0, -1, annexb_sets, sizeof annexb_sets);
    annexb_delta(40, 0);
    parse_log();
    const struct parsed_block *b = &parsed.blocks[0];
    ck_assert_uint_eq(b->len, 6 + 4 + 25 + 4 + 4 + 7);
    ck_assert_mem_eq(b->payload, want_aud, 6);
    ck_assert_mem_eq(b->payload + b->len - 7, want_end, 7);
    ck_assert_uint_eq(parsed.blocks[1].len, 7);
    ck_assert_uint_eq(parsed.header[0].tracks[0].private_len, sizeof avcc_config);
    ck_assert_uint_eq(parsed.header[0].tracks[0].width, 1280);
}
END_TEST

START_TEST(annexb_without_parameter_sets_is_a_gap)
{
    static const uint8_t slice[] = {0, 0, 0, 1, 0x65, 0x88};
    use_annexb();
    harness_begin(1);
    give(frame(VIDEO, 0, true, 0, -1, slice, sizeof slice));
    annexb_delta(40, 0);
    ck_assert_uint_eq(gaps(LINK_GAP_FORMAT), 1);
    ck_assert_uint_eq(gaps(LINK_GAP_NO_KEY_FRAME), 1);
    ck_assert_ptr_nonnull(mux_stats(h.mux)->why);
    annexb_key(2000, -1, annexb_sets, sizeof annexb_sets);
    ck_fragment(VIDEO, 2000, 2000);
}
END_TEST

START_TEST(key_frame_without_sets_goes_on_with_the_known_ones)
{
    static const uint8_t slice[] = {0, 0, 0, 1, 0x65, 0x88};
    use_annexb();
    harness_begin(1);
    annexb_key(0, -1, annexb_sets, sizeof annexb_sets);
    give(frame(VIDEO, 2000, true, 2000, 0, slice, sizeof slice));
    parse_log();
    ck_assert_uint_eq(parsed.segments, 1);
    ck_assert_uint_eq(parsed.clusters, 2);
}
END_TEST

START_TEST(new_parameter_sets_begin_a_new_segment)
{
    use_annexb();
    harness_begin(1);
    annexb_key(0, -1, annexb_sets, sizeof annexb_sets);
    annexb_key(2000, 0, annexb_other_sets, sizeof annexb_other_sets);
    ck_assert_uint_gt(h.out[1].format->number, h.out[0].format->number);
    parse_log();
    ck_assert_uint_eq(parsed.segments, 2);
    ck_assert_uint_ne(parsed.header[1].tracks[0].width, 1280);
    ck_assert_mem_ne(parsed.header[0].uid, parsed.header[1].uid, 16);
}
END_TEST

START_TEST(new_format_begins_a_new_segment_at_its_key_frame)
{
    harness_begin(1);
    video(0, 0, -1);
    link_format_unref(&h.video);
    h.video = make_video(2, "avcc", other_config, sizeof other_config);
    video(40, 0, -1); /* of the new format, before its key frame */
    ck_assert_uint_eq(gaps(LINK_GAP_FORMAT), 1);
    video(2000, 2000, 0);
    parse_log();
    ck_assert_uint_eq(parsed.segments, 2);
    ck_assert_uint_eq(parsed.clusters, 2);
    ck_assert_uint_eq(parsed.nblocks, 2);
}
END_TEST

START_TEST(same_format_again_keeps_the_segment)
{
    harness_begin(1);
    video(0, 0, -1);
    link_format_unref(&h.video);
    h.video = make_video(2, "avcc", avcc_config, sizeof avcc_config);
    video(40, 0, -1);
    video(2000, 2000, 0);
    parse_log();
    ck_assert_uint_eq(parsed.segments, 1);
    ck_assert_uint_eq(h.out[2].format->number, h.out[0].format->number);
}
END_TEST

START_TEST(audio_config_change_begins_a_new_segment)
{
    static const uint8_t mono[] = {0x11, 0x88};
    harness_begin(3);
    both(0, -1, 1000);
    link_format_unref(&h.audio);
    h.audio = make_audio(2);
    blob_unref(&h.audio->config);
    h.audio->config = blob_copy(mono, 2);
    both(1000, 0, 1000);
    flush();
    parse_log();
    ck_assert_uint_eq(parsed.segments, 2);
    ck_assert_uint_eq(parsed.header[1].tracks[1].channels, 1);
    ck_assert_uint_eq(parsed.nblocks, 150);
}
END_TEST

START_TEST(raw_frames_are_gaps_with_a_reason)
{
    harness_begin(1);
    link_format_unref(&h.video);
    h.video = link_format_new();
    h.video->number = 2;
    h.video->codec = LINK_CODEC_RAW_VIDEO;
    h.video->video = true;
    video(0, 0, -1);
    ck_assert_uint_eq(gaps(LINK_GAP_FORMAT), 1);
    ck_assert_ptr_nonnull(strstr(mux_stats(h.mux)->why, "encoder"));
}
END_TEST

START_TEST(other_codec_goes_by_its_layout)
{
    harness_begin(1);
    link_format_unref(&h.video);
    h.video = link_format_new();
    h.video->number = 2;
    h.video->codec = LINK_CODEC_OTHER;
    h.video->video = true;
    strcpy(h.video->layout, "V_MJPEG");
    h.video->width = 640;
    h.video->height = 480;
    video(0, 0, -1);
    parse_log();
    ck_assert_str_eq(parsed.header[0].tracks[0].codec_id, "V_MJPEG");
    ck_assert_uint_eq(parsed.header[0].tracks[0].width, 640);
}
END_TEST

START_TEST(damaged_annexb_is_a_gap)
{
    use_annexb();
    harness_begin(1);
    annexb_key(0, -1, annexb_sets, sizeof annexb_sets);
    give(frame(VIDEO, 40, false, 0, -1, "garbage", 7));
    annexb_delta(80, 0); /* depends on it */
    ck_assert_uint_eq(gaps(LINK_GAP_FORMAT), 2);
}
END_TEST

START_TEST(silent_audio_gives_a_video_only_segment)
{
    harness_begin(3);
    video(0, 0, -1);
    wait_ms(INTERLEAVE_WAIT_ANY_NS / MS);
    ck_assert_uint_eq(h.n, 1);
    video(40, 0, -1); /* no more waiting */
    video(2000, 2000, 0);
    ck_assert_uint_eq(h.n, 3);
    parse_log();
    ck_assert_uint_eq(parsed.segments, 1);
    ck_assert_uint_eq(parsed.header[0].ntracks, 1);
    ck_assert_uint_eq(mux_stats(h.mux)->silent, 2);
}
END_TEST

START_TEST(late_audio_comes_back_with_a_new_segment_at_the_next_fragment)
{
    harness_begin(3);
    video(0, 0, -1);
    wait_ms(INTERLEAVE_WAIT_ANY_NS / MS);
    video(500, 0, -1);
    audio(501);
    audio(520);
    video(1000, 1000, 0);
    audio(1001);
    video(1040, 1000, -1);
    audio(1041);
    flush();
    ck_assert_uint_eq(gaps(LINK_GAP_FORMAT), 2);
    parse_log();
    ck_assert_uint_eq(parsed.segments, 2);
    ck_assert_uint_eq(parsed.header[0].ntracks, 1);
    ck_assert_uint_eq(parsed.header[1].ntracks, 2);
    ck_fragment(AUDIO, 1001, 1000);
}
END_TEST

START_TEST(audio_that_falls_silent_leaves_at_the_next_fragment)
{
    harness_begin(3);
    both(0, -1, 1000);
    video(1000, 1000, 0);
    video(1040, 1000, -1);
    wait_ms(INTERLEAVE_WAIT_ANY_NS / MS);
    parse_log();
    ck_assert_uint_eq(parsed.segments, 2);
    ck_assert_uint_eq(parsed.header[1].ntracks, 1);
}
END_TEST

START_TEST(track_with_a_hole_is_not_declared)
{
    harness_begin(3);
    both(0, -1, 1000);
    video(1000, 1000, 0);
    audio(9000);
    video(2000, 2000, 1000);
    flush();
    parse_log();
    ck_assert_uint_eq(parsed.segments, 2);
    ck_assert_uint_eq(parsed.header[1].ntracks, 1);
}
END_TEST

START_TEST(every_declared_track_is_in_every_fragment)
{
    unsigned seen[3][16] = {{0}};
    harness_begin(3);
    both(0, -1, 1000);
    for (int64_t t = 1000; t < 3000; t += 1000)
        video(t, t, t - 1000);
    wait_ms(2000);
    both(3000, 2000, 1000);
    both(4000, 3000, 1000);
    flush();
    parse_log();
    for (unsigned i = 0; i < parsed.nblocks; i++) {
        const struct parsed_block *b = &parsed.blocks[i];
        seen[b->track][b->segment]++;
    }
    for (unsigned s = 0; s < parsed.segments; s++)
        for (unsigned t = 0; t < parsed.header[s].ntracks; t++)
            ck_assert_uint_gt(seen[parsed.header[s].tracks[t].number][s + 1], 0);
    ck_assert_uint_eq(parsed.segments, 3);
}
END_TEST

START_TEST(audio_before_the_first_key_frame_begins_the_first_fragment)
{
    harness_begin(3);
    audio(-40);
    audio(-20);
    both(0, -1, 1000);
    both(1000, 0, 100);
    flush();
    ck_assert_uint_eq(mux_stats(h.mux)->dropped, 0);
    ck_assert(is_start(&h.out[0]));
    ck_fragment(AUDIO, -20, -40);
    ck_fragment(VIDEO, 0, -40);
    ck_fragment(VIDEO, 960, -40);
    ck_fragment(VIDEO, 1000, 1000);
    parse_log();
    ck_assert_uint_eq(parsed.segments, 1);
    ck_assert_uint_eq(parsed.clusters, 2);
    ck_assert_uint_eq(parsed.header[0].ntracks, 2);
}
END_TEST

START_TEST(after_a_rest_sound_begins_the_next_fragment)
{
    harness_begin(3);
    both(0, -1, 1000);
    flush();
    audio(5000);
    both(5020, 0, 1000);
    flush();
    ck_assert_uint_eq(mux_stats(h.mux)->dropped, 0);
    ck_fragment(VIDEO, 960, 0);
    ck_fragment(AUDIO, 5000, 5000);
    ck_fragment(VIDEO, 5020, 5000);
}
END_TEST

START_TEST(audio_long_before_the_first_key_frame_goes_alone)
{
    harness_begin(3);
    for (int64_t t = -2000; t < 0; t += 20)
        audio(t);
    both(0, -1, 1000);
    flush();
    ck_assert_uint_eq(mux_stats(h.mux)->dropped, 0);
    ck_fragment(AUDIO, -2000, -2000);
    ck_fragment(VIDEO, 0, 0);
}
END_TEST

START_TEST(audio_goes_on_alone_when_video_is_silent_past_the_limit)
{
    harness_begin(3);
    both(0, -1, 1000);
    for (int64_t t = 1000; t < 25000; t += 20) {
        audio(t);
        wait_ms(20);
    }
    wait_ms(5000);
    ck_assert_uint_eq(mux_stats(h.mux)->dropped, 0);
    ck_fragment(AUDIO, 19880, 0);
    ck_fragment(AUDIO, 19900, 19900);
    ck_fragment(AUDIO, 21900, 21900); /* by duration */
    parse_log();
    ck_assert_uint_eq(parsed.segments, 2);
    ck_assert_uint_eq(parsed.header[1].ntracks, 1);
    ck_assert_str_eq(parsed.header[1].tracks[0].codec_id, "A_AAC");
    ck_assert_uint_eq(parsed.header[1].tracks[0].number, AUDIO);
}
END_TEST

START_TEST(video_comes_back_with_a_key_frame_in_a_segment_of_both)
{
    harness_begin(3);
    for (int64_t t = 0; t < 6000; t += 20) {
        audio(t);
        wait_ms(20);
    }
    video(6040, 5000, -1); /* its start never came */
    both(6060, 5000, 1000);
    flush();
    ck_assert_uint_eq(gaps(LINK_GAP_NO_KEY_FRAME), 1);
    ck_assert_uint_eq(mux_stats(h.mux)->dropped, 1);
    ck_fragment(VIDEO, 6060, 6060);
    parse_log();
    ck_assert_uint_eq(parsed.segments, 2);
    ck_assert_uint_eq(parsed.header[0].ntracks, 1);
    ck_assert_uint_eq(parsed.header[1].ntracks, 2);
}
END_TEST

START_TEST(audio_only_stream_goes_by_upstream_marks)
{
    harness_begin(2);
    for (int64_t t = 0; t < 6000; t += 20)
        give(frame(AUDIO, t, true, t / 2000 * 2000, t ? (t - 1) / 2000 * 2000 : -1, "x", 1));
    parse_log();
    ck_assert_uint_eq(parsed.clusters, 3);
    ck_assert_uint_eq(parsed.nblocks, 300);
    ck_assert_uint_eq(parsed.header[0].ntracks, 1);
}
END_TEST

START_TEST(twenty_seconds_without_a_key_frame)
{
    harness_begin(1);
    for (int64_t t = 0; t < 25000; t += 40)
        video(t, 0, -1);
    video(25000, 25000, 0);
    ck_assert_uint_eq(gaps(LINK_GAP_FRAGMENT_LIMIT), (25000 - 19920) / 40);
    ck_fragment(VIDEO, 25000, 25000);
}
END_TEST

START_TEST(fifty_megabytes_bound_a_fragment)
{
    size_t len = 10000000, size = 0;
    uint8_t *big = calloc(1, len);
    harness_begin(1);
    for (int64_t t = 0; t < 280; t += 40)
        give(frame(VIDEO, t, t == 0, 0, -1, big, len));
    free(big);
    for (unsigned i = 0; i < h.n; i++)
        size += h.out[i].gap ? 0 : h.out[i].payload->len;
    ck_assert_uint_le(size, 50000000);
    ck_assert_uint_eq(gaps(LINK_GAP_FRAGMENT_LIMIT), 3);
}
END_TEST

START_TEST(relative_timecodes_count_from_the_epoch)
{
    h.conf.absolute = false;
    harness_begin(1);
    video(300, 300, -1);
    parse_log();
    ck_assert_uint_eq(parsed.timecode, 300);
}
END_TEST

START_TEST(timecode_scale_of_the_config)
{
    h.conf.timecode_scale_us = 100000;
    harness_begin(1);
    video(350, 350, -1);
    video(990, 350, -1);
    parse_log();
    ck_assert_uint_eq(parsed.header[0].scale_ns, 100000000);
    ck_assert_uint_eq(parsed.timecode, 17000000003);
    ck_assert_int_eq(parsed.blocks[1].relative, 6);
}
END_TEST

START_TEST(unknown_track_is_refused)
{
    struct link_item i;
    harness_begin(1);
    i = frame(AUDIO, 0, true, -1, -1, "x", 1);
    ck_assert_int_eq(mux_item(h.mux, &i, 0), -EPROTO);
    ck_assert_uint_eq(h.n, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("mux");
    tcase_add_test(tc, round_trip);
    tcase_add_test(tc, one_item_out_for_one_in_with_its_number);
    tcase_add_test(tc, gap_from_above_goes_through);
    tcase_add_test(tc, a_frame_leaves_at_once_without_other_tracks);
    tcase_add_test(tc, every_item_names_its_fragment);
    tcase_add_test(tc, audio_in_the_tick_of_a_key_frame_goes_into_its_fragment);
    tcase_add_test(tc, first_tick_of_a_fragment_is_after_the_last_of_the_one_before);
    tcase_add_test(tc, b_frames_keep_decode_order_and_pts);
    tcase_add_test(tc, order_of_pieces_is_the_order_of_dts);
    tcase_add_test(tc, avcc_payload_bit_for_bit);
    tcase_add_test(tc, annexb_becomes_avcc_without_dropping_a_unit);
    tcase_add_test(tc, annexb_without_parameter_sets_is_a_gap);
    tcase_add_test(tc, key_frame_without_sets_goes_on_with_the_known_ones);
    tcase_add_test(tc, new_parameter_sets_begin_a_new_segment);
    tcase_add_test(tc, new_format_begins_a_new_segment_at_its_key_frame);
    tcase_add_test(tc, same_format_again_keeps_the_segment);
    tcase_add_test(tc, audio_config_change_begins_a_new_segment);
    tcase_add_test(tc, raw_frames_are_gaps_with_a_reason);
    tcase_add_test(tc, other_codec_goes_by_its_layout);
    tcase_add_test(tc, damaged_annexb_is_a_gap);
    tcase_add_test(tc, silent_audio_gives_a_video_only_segment);
    tcase_add_test(tc, late_audio_comes_back_with_a_new_segment_at_the_next_fragment);
    tcase_add_test(tc, audio_that_falls_silent_leaves_at_the_next_fragment);
    tcase_add_test(tc, track_with_a_hole_is_not_declared);
    tcase_add_test(tc, every_declared_track_is_in_every_fragment);
    tcase_add_test(tc, audio_before_the_first_key_frame_begins_the_first_fragment);
    tcase_add_test(tc, after_a_rest_sound_begins_the_next_fragment);
    tcase_add_test(tc, audio_long_before_the_first_key_frame_goes_alone);
    tcase_add_test(tc, audio_goes_on_alone_when_video_is_silent_past_the_limit);
    tcase_add_test(tc, video_comes_back_with_a_key_frame_in_a_segment_of_both);
    tcase_add_test(tc, audio_only_stream_goes_by_upstream_marks);
    tcase_add_test(tc, twenty_seconds_without_a_key_frame);
    tcase_add_test(tc, fifty_megabytes_bound_a_fragment);
    tcase_add_test(tc, relative_timecodes_count_from_the_epoch);
    tcase_add_test(tc, timecode_scale_of_the_config);
    tcase_add_test(tc, unknown_track_is_refused);
    return harness_run("mux", tc);
}
