/* The spool: what is written is found again, whatever the moment it was cut.
 * Relies on Check and a temporary directory.
 * Leaves sockets to the pipeline tests. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "tests/unit/spool_harness.h"
#include "tests/unit/suite.h"
#include "uploader/spool_scan.h"

START_TEST(what_waits_is_told_in_ms_and_bytes_and_leaves_room_in_what_there_is)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool_conf c = conf_default();
    c.max_bytes = 100000;
    struct spool *s = open_spool(&c);
    struct spool_stats st = spool_get_stats(s);
    ck_assert_uint_eq(st.capacity_bytes, 100000);
    ck_assert_uint_eq(st.free_bytes, 100000);
    session(s, 7, 1, next);
    put_fragments(s, 0, 2);
    ck_assert_int_eq(put(s, 1, 8, 90000, 90000, true, 10),
                     0); /* after a pause, which is no media */
    st = spool_get_stats(s);
    ck_assert_int_eq(st.backlog_ms, 1000 + 750);
    ck_assert_uint_eq(st.backlog_fragments, 3);
    ck_assert_uint_eq(st.free_bytes, 100000 - size_of("000001.mkv"));
    spool_done(s, spool_next(s, NULL));
    spool_done(s, spool_next(s, NULL));
    st = spool_get_stats(s);
    ck_assert_int_eq(st.backlog_ms, 0);
    ck_assert_uint_eq(st.backlog_fragments, 1);
    spool_close(&s);
    c.max_bytes = UINT64_C(1) << 62; /* more than any disk has */
    s = open_spool(&c);
    st = spool_get_stats(s);
    ck_assert_uint_lt(st.capacity_bytes, UINT64_C(1) << 60);
    ck_assert_uint_eq(st.free_bytes, st.capacity_bytes - size_of("000001.mkv"));
    spool_close(&s);
}
END_TEST

START_TEST(positions_survive_a_restart)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    put_fragments(s, 0, 3);
    spool_close(&s);
    s = open_spool(NULL);
    ck_assert_uint_eq(spool_next_number(s, 1), 12);
    ck_assert_uint_eq(spool_next_number(s, 2), 3);
    session(s, 7, 2, next);
    ck_assert_uint_eq(next[0], 12);
    /* the open fragment goes on in its middle */
    ck_assert_int_eq(put(s, 1, 12, 2000, 2990, false, 10), 0);
    ck_assert_uint_eq(spool_get_stats(s).dropped, 0);
    spool_close(&s);
}
END_TEST

START_TEST(greatest_vector_survives)
{
    uint64_t next[LINK_TRACKS_MAX], zero[LINK_TRACKS_MAX] = {0};
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next); /* before any file */
    spool_close(&s);
    s = open_spool(NULL);
    struct link_vector v = vec(7, 1);
    ck_assert_int_eq(spool_session(s, &v, zero, next), -EPROTO);
    session(s, 7, 2, next);
    put_fragments(s, 0, 2);
    session(s, 7, 9, next);
    spool_close(&s);
    s = open_spool(NULL);
    v = spool_vector(s);
    ck_assert_uint_eq(v.n, 4);
    ck_assert_uint_eq(v.v[3], 9);
    v = vec(7, 8);
    ck_assert_int_eq(spool_session(s, &v, zero, next), -EPROTO);
    spool_close(&s);
}
END_TEST

START_TEST(greater_epoch_starts_at_zero_and_is_in_the_ledger)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    put_fragments(s, 0, 2);
    session(s, 8, 1, next);
    ck_assert_uint_eq(next[0], 0);
    struct spool_fragment *f = spool_next(s, spool_next(s, NULL));
    ck_assert(f->complete);
    put_fragments(s, 0, 1);
    spool_close(&s);
    FILE *log = fopen(path_of("gaps.log"), "r");
    char line[512] = "";
    ck_assert_ptr_nonnull(fgets(line, sizeof line, log));
    ck_assert_ptr_nonnull(strstr(line, "capture_restarted"));
    fclose(log);
    s = open_spool(NULL);
    ck_assert_uint_eq(spool_next_number(s, 1), 4);
    spool_close(&s);
}
END_TEST

START_TEST(base_of_another_log_raises_positions)
{
    uint64_t next[LINK_TRACKS_MAX], base[LINK_TRACKS_MAX] = {40, 9, 0};
    struct spool *s = open_spool(NULL);
    struct link_vector v = vec(7, 1);
    ck_assert_int_eq(spool_session(s, &v, base, next), 0);
    ck_assert_uint_eq(next[0], 40);
    ck_assert_uint_eq(next[1], 9);
    ck_assert_int_eq(put(s, 1, 40, 0, 0, true, 10), 0);
    spool_close(&s);
    s = open_spool(NULL);
    ck_assert_uint_eq(spool_next_number(s, 1), 41);
    ck_assert_uint_eq(spool_next_number(s, 2), 9);
    spool_close(&s);
}
END_TEST

struct count {
    uint64_t frames, end[64];
    unsigned n;
};

static int count_block(void *arg, unsigned track, int16_t relative, uint64_t offset, size_t len)
{
    struct count *c = arg;
    c->frames++;
    if (c->n < 64)
        c->end[c->n++] = offset + len;
    return 0;
}

static int count_record(void *arg, const struct spool_record *rec, uint64_t offset, uint64_t end)
{
    struct count *c = arg;
    if (c->n < 64)
        c->end[c->n++] = end;
    return 0;
}

START_TEST(torn_tail_at_every_byte_keeps_all_whole_pieces)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    put_fragments(s, 0, 2);
    ck_assert_int_eq(put_gap(s, 1, 8, 10), 0);
    spool_close(&s);

    size_t len = size_of("000001.mkv");
    uint8_t *bytes = malloc(len);
    int fd = open(path_of("000001.mkv"), O_RDWR);
    ck_assert_int_eq(read(fd, bytes, len), (ssize_t)len);
    struct count all = {0};
    struct spool_scan scan;
    spool_scan_init(&scan, &(struct spool_scan_ops){.block = count_block, .record = count_record},
                    &all);
    ck_assert_int_eq(spool_scan_fd(&scan, fd), 0);
    ck_assert_uint_eq(spool_scan_whole(&scan), len);
    spool_scan_fini(&scan);
    close(fd);
    ck_assert_uint_eq(all.frames, 10);

    for (size_t cut = 0; cut <= len; cut++) {
        ck_assert_int_eq(unlink(path_of("gaps.log")), 0);
        fd = open(path_of("000001.mkv"), O_RDWR | O_CREAT | O_TRUNC, 0644);
        ck_assert_int_eq(write(fd, bytes, cut), (ssize_t)cut);
        close(fd);
        uint64_t want = 0;
        for (unsigned i = 0; i < all.n; i++)
            if (all.end[i] <= cut)
                want = all.end[i];
        s = open_spool(NULL);
        ck_assert_msg(size_of("000001.mkv") == want, "cut at %zu: %zu instead of %" PRIu64, cut,
                      size_of("000001.mkv"), want);
        uint64_t frames = 0;
        for (struct spool_fragment *f = spool_next(s, NULL); f; f = spool_next(s, f))
            frames += f->count[0] + f->count[1];
        uint64_t blocks = spool_next_number(s, 1) + spool_next_number(s, 2) - (want == len ? 3 : 0);
        ck_assert_uint_eq(frames, blocks);
        spool_close(&s);
    }
    free(bytes);
}
END_TEST

START_TEST(gap_takes_the_numbers_place_and_is_counted)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    ck_assert_int_eq(put_gap(s, 1, 0, 4), 0); /* before any file */
    ck_assert_int_eq(put(s, 1, 5, 0, 0, true, 10), 0);
    ck_assert_int_eq(put_gap(s, 2, 0, 1), 0);
    ck_assert_int_eq(put(s, 1, 7, 0, 0, false, 10), -EPROTO);
    ck_assert_uint_eq(spool_get_stats(s).dropped, 7);
    spool_close(&s);
    s = open_spool(NULL);
    ck_assert_uint_eq(spool_next_number(s, 1), 6);
    ck_assert_uint_eq(spool_next_number(s, 2), 2);
    ck_assert_uint_eq(spool_get_stats(s).dropped, 7);
    spool_close(&s);
}
END_TEST

START_TEST(gap_missing_in_the_ledger_is_added_once)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    put_fragments(s, 0, 1);
    ck_assert_int_eq(put_gap(s, 1, 4, 9), 0);
    spool_close(&s);
    ck_assert_int_eq(truncate(path_of("gaps.log"), 0),
                     0); /* as if the crash came before the line */
    for (int i = 0; i < 2; i++) {
        s = open_spool(NULL);
        ck_assert_uint_eq(spool_get_stats(s).dropped, 6);
        spool_close(&s);
    }
}
END_TEST

START_TEST(frame_of_a_fragment_that_is_not_in_the_log_becomes_a_gap)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    ck_assert_int_eq(put(s, 1, 0, 0, 40, false, 10), 0); /* no cluster at all */
    ck_assert_int_eq(put(s, 1, 1, 1000, 1000, true, 10), 0);
    ck_assert_int_eq(put(s, 1, 2, 3000, 3040, false, 10), 0); /* another cluster's */
    ck_assert_int_eq(put(s, 1, 3, 1000, 1080, false, 10), 0);
    ck_assert_uint_eq(spool_get_stats(s).dropped, 2);
    struct spool_fragment *f = spool_next(s, NULL);
    ck_assert_uint_eq(f->count[0], 2);
    ck_assert_ptr_null(spool_next(s, f));
    spool_close(&s);
}
END_TEST

/* Sound began the fragment at 1000, its key frame is at 1040; the muxer that restarted knows 1040.
 */
START_TEST(block_that_counts_from_the_key_frame_gets_the_cluster_s_time)
{
    uint64_t next[LINK_TRACKS_MAX];
    uint8_t byte[2];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    ck_assert_int_eq(put(s, 2, 0, 1000, 1000, true, 10), 0);
    ck_assert_int_eq(put(s, 1, 0, 1000, 1040, false, 10), 0);
    session(s, 7, 2, next);
    ck_assert_int_eq(put(s, 1, 1, 1040, 1080, false, 10), 0);
    ck_assert_uint_eq(spool_get_stats(s).dropped, 0);
    struct spool_fragment *f = spool_next(s, NULL);
    ck_assert_uint_eq(f->count[0], 2);
    ck_assert_uint_eq(f->latest, (uint64_t)t0 / NS_PER_MS + 1080);
    int fd = open(path_of("000001.mkv"), O_RDONLY);
    ck_assert_int_eq(pread(fd, byte, 2, (off_t)f->end - 13), 2); /* 80 ms, flags, 10 bytes */
    ck_assert_int_eq(byte[0] << 8 | byte[1], 80);
    close(fd);
    spool_close(&s);
}
END_TEST

START_TEST(bytes_that_are_no_piece_become_a_gap)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    struct link_item item = piece(1, 0, 0, 0, true, 10);
    blob_unref(&item.payload);
    item.payload = blob_copy("garbage", 7);
    ck_assert_int_eq(spool_append(s, &item), 0);
    link_item_fini(&item);
    ck_assert_uint_eq(spool_get_stats(s).dropped, 1);
    ck_assert_ptr_null(spool_next(s, NULL));
    spool_close(&s);
}
END_TEST

START_TEST(records_are_not_read_back_as_media)
{
    uint64_t next[LINK_TRACKS_MAX];
    uint8_t out[4096];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    put_fragments(s, 0, 1);
    ck_assert_int_eq(put_gap(s, 1, 4, 9), 0);
    session(s, 7, 2, next);
    ck_assert_int_eq(put(s, 1, 10, 0, 900, false, 30), 0);
    for (int round = 0; round < 2; round++) {
        struct spool_fragment *f = spool_next(s, NULL);
        uint64_t pos = 0, holes = 0;
        size_t got = 0;
        ssize_t n;
        while ((n = spool_read(s, f, &pos, out + got, 7)) > 0)
            got += (size_t)n;
        for (unsigned i = 0; i < f->nholes; i++)
            holes += f->holes[i].end - f->holes[i].offset;
        ck_assert_uint_gt(holes, 0);
        ck_assert_uint_eq(got, f->end - f->offset - holes);
        ck_assert_ptr_null(memmem(out, got, "kvp1", 4));
        spool_close(&s);
        s = open_spool(NULL);
    }
    spool_close(&s);
}
END_TEST

START_TEST(cursor_moves_over_what_is_done_only)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    put_fragments(s, 0, 4);
    struct spool_fragment *a = spool_next(s, NULL), *b = spool_next(s, a), *c = spool_next(s, b);
    spool_done(s, a);
    spool_done(s, c); /* out of order */
    spool_close(&s);
    s = open_spool(NULL);
    struct spool_fragment *f = spool_next(s, NULL);
    ck_assert_int_eq(f->timecode_ms, t0 / NS_PER_MS + 1000);
    ck_assert(f->doubt); /* may have arrived: is looked up */
    ck_assert_int_eq(spool_next(s, f)->timecode_ms, t0 / NS_PER_MS + 2000);
    spool_close(&s);
}
END_TEST

START_TEST(missing_cursor_means_all_is_in_doubt)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    put_fragments(s, 0, 3);
    spool_done(s, spool_next(s, NULL));
    spool_close(&s);
    ck_assert_int_eq(unlink(path_of("cursor")), 0);
    s = open_spool(NULL);
    ck_assert_int_eq(spool_next(s, NULL)->timecode_ms, t0 / NS_PER_MS);
    ck_assert(spool_next(s, NULL)->doubt);
    spool_close(&s);
}
END_TEST

START_TEST(cursor_past_a_torn_tail_hides_nothing_new)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    put_fragments(s, 0, 3);
    spool_close(&s);
    FILE *f = fopen(path_of("cursor"), "w");
    fprintf(f, "1 999999\n");
    fclose(f);
    s = open_spool(NULL);
    ck_assert_ptr_null(spool_next(s, NULL));
    session(s, 7, 2, next);
    put_fragments(s, 3, 2);
    spool_close(&s);
    s = open_spool(NULL);
    ck_assert_int_eq(spool_next(s, NULL)->timecode_ms, t0 / NS_PER_MS + 3000);
    spool_close(&s);
}
END_TEST

START_TEST(new_file_after_its_time_and_old_one_goes_when_archived)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool_conf c = conf_default();
    c.file_ns = 2 * NS_PER_S;
    struct spool *s = open_spool(&c);
    session(s, 7, 1, next);
    put_fragments(s, 0, 5);
    ck_assert_uint_gt(size_of("000003.mkv"), 0);
    spool_close(&s);
    s = open_spool(&c);
    ck_assert_uint_eq(spool_next_number(s, 1), 20);
    unsigned n = 0;
    for (struct spool_fragment *f = spool_next(s, NULL); f; f = spool_next(s, NULL), n++)
        spool_done(s, f);
    ck_assert_uint_eq(n, 5);
    ck_assert_uint_eq(size_of("000001.mkv"), 0);
    ck_assert_uint_eq(size_of("000002.mkv"), 0);
    ck_assert_uint_gt(size_of("000003.mkv"), 0);
    spool_close(&s);
}
END_TEST

START_TEST(new_segment_begins_a_new_file)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    put_fragments(s, 0, 1);
    blob_unref(&format->segment);
    format->segment = segment_of(128);
    put_fragments(s, 1, 1);
    ck_assert_uint_gt(size_of("000002.mkv"), 0);
    struct spool_fragment *f = spool_next(s, NULL);
    ck_assert(f->complete);
    ck_assert_ptr_ne(f->file, spool_next(s, f)->file);
    spool_close(&s);
}
END_TEST

START_TEST(full_spool_drops_the_oldest_and_counts_it)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool_conf c = conf_default();
    c.file_ns = 2 * NS_PER_S;
    c.max_bytes = 4000;
    struct spool *s = open_spool(&c);
    session(s, 7, 1, next);
    put_fragments(s, 0, 20);
    uint64_t frames = 0;
    for (struct spool_fragment *f = spool_next(s, NULL); f; f = spool_next(s, f))
        frames += f->count[0] + f->count[1];
    ck_assert_uint_gt(spool_get_stats(s).dropped, 0);
    ck_assert_uint_eq(frames + spool_get_stats(s).dropped, 100);
    ck_assert_uint_eq(size_of("000001.mkv"), 0);
    spool_close(&s);
}
END_TEST

struct dropping {
    struct spool *spool;
    struct spool_fragment *held;
    unsigned calls;
};

static void let_go(void *arg, struct spool_fragment *f)
{
    struct dropping *d = arg;
    d->calls++;
    if (f == d->held)
        spool_unpin(d->spool, f->file);
}

START_TEST(full_spool_drops_last_what_the_endpoint_may_have)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool_conf c = conf_default();
    c.file_ns = 2 * NS_PER_S;
    c.max_bytes = 4000;
    struct spool *s = open_spool(&c);
    session(s, 7, 1, next);
    put_fragments(s, 0, 5);
    spool_next(s, NULL)->untold = true;
    put_fragments(s, 5, 15);
    ck_assert_uint_gt(spool_get_stats(s).dropped, 0);
    ck_assert_uint_gt(size_of("000001.mkv"), 0);
    ck_assert_uint_eq(size_of("000002.mkv"), 0);
    uint64_t frames = 0;
    for (struct spool_fragment *f = spool_next(s, NULL); f; f = spool_next(s, f))
        frames += f->count[0] + f->count[1];
    ck_assert_uint_eq(frames + spool_get_stats(s).dropped, 100);
    spool_close(&s);
}
END_TEST
START_TEST(full_spool_drops_a_file_that_is_being_sent)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool_conf c = conf_default();
    c.file_ns = 2 * NS_PER_S;
    c.max_bytes = 4000;
    for (int done = 0; done < 2;
         done++) { /* the held fragment still to be sent, or archived already */
        c.stream = done ? "b" : "a";
        struct spool *s = open_spool(&c);
        session(s, 7, 1, next);
        put_fragments(s, 0, 3);
        struct dropping d = {.spool = s, .held = spool_next(s, NULL)};
        spool_pin(d.held->file);
        spool_on_drop(s, let_go, &d);
        for (struct spool_fragment *f; done && (f = spool_next(s, NULL))->file == d.held->file;)
            spool_done(s, f);
        put_fragments(s, 3, 20);
        ck_assert_uint_gt(d.calls, 0);
        spool_close(&s);
    }
}
END_TEST

START_TEST(full_spool_refuses_the_newest_when_told_so)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool_conf c = conf_default();
    c.when_full = CONF_FULL_DROP_NEWEST;
    c.max_bytes = 3000;
    struct spool *s = open_spool(&c);
    session(s, 7, 1, next);
    put_fragments(s, 0, 20);
    uint64_t frames = 0;
    for (struct spool_fragment *f = spool_next(s, NULL); f; f = spool_next(s, f))
        frames += f->count[0] + f->count[1];
    ck_assert_uint_gt(frames, 0);
    ck_assert_uint_gt(spool_get_stats(s).dropped, 0);
    ck_assert_uint_eq(frames + spool_get_stats(s).dropped, 100);
    ck_assert_uint_eq(spool_next_number(s, 1), 80);
    spool_close(&s);
}
END_TEST

static unsigned tracks_of(struct blob *segment)
{
    unsigned n = 0;
    uint64_t scale_ns;
    ck_assert_int_eq(spool_segment_parse(segment->data, segment->len, &scale_ns), 0);
    for (size_t i = 0; i + 3 <= segment->len; i++) /* by their UIDs */
        n += segment->data[i] == 0x73 && segment->data[i + 1] == 0xc5;
    blob_unref(&segment);
    return n;
}

START_TEST(a_fragment_without_sound_goes_with_a_header_without_sound)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    ck_assert_int_eq(put(s, 1, 0, 0, 0, true, 50), 0);
    ck_assert_int_eq(put(s, 1, 1, 1000, 1000, true, 50), 0);
    ck_assert_int_eq(put(s, 2, 0, 1000, 1010, false, 50), 0);
    ck_assert_int_eq(spool_end(s), 0);
    struct spool_fragment *f = spool_next(s, NULL);
    ck_assert_uint_eq(tracks_of(spool_segment(f)), 1);
    ck_assert_uint_eq(tracks_of(spool_segment(spool_next(s, f))), 2);
    spool_close(&s);
}
END_TEST

START_TEST(second_process_on_a_spool_is_refused)
{
    struct spool *a = open_spool(NULL), *b = NULL;
    struct spool_conf c = conf_default();
    ck_assert_int_eq(spool_open(&c, NULL, &b), -EWOULDBLOCK);
    ck_assert_ptr_null(b);
    spool_close(&a);
}
END_TEST

START_TEST(given_up_fragment_is_in_the_ledger)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    put_fragments(s, 0, 2);
    spool_give_up(s, spool_next(s, NULL), "refused_4006");
    ck_assert_uint_eq(spool_get_stats(s).dropped, 5);
    ck_assert_int_eq(spool_next(s, NULL)->timecode_ms, t0 / NS_PER_MS + 1000);
    spool_close(&s);
}
END_TEST

/* At a scale of 10 ms, 1000 is the first fragment in ms and the second in units. */
START_TEST(second_ack_of_a_fragment_is_not_taken_for_another)
{
    static const unsigned timecodes[] = {100, 1000};
    uint64_t next[LINK_TRACKS_MAX];
    struct spool *s = open_spool(NULL);
    blob_unref(&format->segment);
    format->segment = segment_scaled(64, 10000000);
    session(s, 7, 1, next);
    for (unsigned i = 0; i < 2; i++) {
        struct link_item item = piece(1, i, (int64_t)timecodes[i] * 10, 0, false, 10);
        struct buf b;
        buf_init(&b, 1000);
        mkv_write_cluster(&b, timecodes[i]);
        mkv_write_block_header(&b, 1, 0, true, false, 4);
        buf_append(&b, "data", 4);
        blob_unref(&item.payload);
        item.payload = blob_copy(b.data, b.len);
        buf_fini(&b);
        ck_assert_int_eq(spool_append(s, &item), 0);
        link_item_fini(&item);
    }
    struct spool_fragment *a = spool_next(s, NULL), *b = spool_next(s, a);
    a->sent = b->sent = true;
    ck_assert_ptr_eq(spool_find_sent(s, 100), a);
    ck_assert_ptr_eq(spool_find_sent(s, 10000), b);
    ck_assert_ptr_eq(spool_find_sent(s, 1000), a);
    spool_done(s, a);
    ck_assert_ptr_null(spool_find_sent(s, 1000));
    spool_close(&s);
}
END_TEST

/* Tags in front of any other fragment belong to the one before it. */
START_TEST(only_the_first_fragment_of_a_segment_owns_the_tags_in_front)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool_conf c = conf_default();
    c.file_ns = 2 * NS_PER_S;
    struct spool *s = open_spool(&c);
    session(s, 7, 1, next);
    put_fragments(s, 0, 5);
    struct spool_fragment *f = spool_next(s, NULL);
    for (unsigned i = 0; i < 5; i++, f = spool_next(s, f))
        ck_assert_int_eq(f->own_tags, i == 0);
    for (unsigned i = 0; i < 2; i++)
        spool_done(s, spool_next(s, NULL)); /* the first file goes */
    ck_assert_uint_eq(size_of("000001.mkv"), 0);
    spool_close(&s);
    s = open_spool(&c);
    f = spool_next(s, NULL);
    ck_assert_int_eq(f->timecode_ms, t0 / NS_PER_MS + 2000);
    for (; f; f = spool_next(s, f))
        ck_assert(!f->own_tags);
    spool_close(&s);
}
END_TEST

/* What could not be opened just now is not "nothing to send": its file would be deleted. */
START_TEST(no_descriptors_left_hides_no_fragment)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct rlimit all, none;
    struct spool_conf c = conf_default();
    c.file_ns = 2 * NS_PER_S;
    struct spool *s = open_spool(&c);
    session(s, 7, 1, next);
    put_fragments(s, 0, 6);
    spool_close(&s);
    s = open_spool(&c);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = all;
    none.rlim_cur = 3;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct spool_fragment *f = spool_next(s, NULL);
    spool_tick(s, clock_wall_ns());
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
    ck_assert_ptr_null(f);
    ck_assert_uint_gt(size_of("000001.mkv"), 0);
    unsigned n = 0;
    for (f = spool_next(s, NULL); f; f = spool_next(s, f))
        n++;
    ck_assert_uint_eq(n, 6);
    spool_close(&s);
}
END_TEST

START_TEST(end_of_source_survives_a_restart)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    put_fragments(s, 0, 1);
    ck_assert_int_eq(spool_end(s), 0);
    spool_close(&s);
    s = open_spool(NULL);
    ck_assert(spool_is_ended(s));
    ck_assert(spool_next(s, NULL)->complete);
    spool_close(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spool");
    TCase *tc = tcase_create("spool");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_waits_is_told_in_ms_and_bytes_and_leaves_room_in_what_there_is);
    tcase_add_test(tc, positions_survive_a_restart);
    tcase_add_test(tc, greatest_vector_survives);
    tcase_add_test(tc, greater_epoch_starts_at_zero_and_is_in_the_ledger);
    tcase_add_test(tc, base_of_another_log_raises_positions);
    tcase_add_test(tc, torn_tail_at_every_byte_keeps_all_whole_pieces);
    tcase_add_test(tc, gap_takes_the_numbers_place_and_is_counted);
    tcase_add_test(tc, gap_missing_in_the_ledger_is_added_once);
    tcase_add_test(tc, frame_of_a_fragment_that_is_not_in_the_log_becomes_a_gap);
    tcase_add_test(tc, block_that_counts_from_the_key_frame_gets_the_cluster_s_time);
    tcase_add_test(tc, bytes_that_are_no_piece_become_a_gap);
    tcase_add_test(tc, records_are_not_read_back_as_media);
    tcase_add_test(tc, cursor_moves_over_what_is_done_only);
    tcase_add_test(tc, missing_cursor_means_all_is_in_doubt);
    tcase_add_test(tc, cursor_past_a_torn_tail_hides_nothing_new);
    tcase_add_test(tc, new_file_after_its_time_and_old_one_goes_when_archived);
    tcase_add_test(tc, new_segment_begins_a_new_file);
    tcase_add_test(tc, full_spool_drops_the_oldest_and_counts_it);
    tcase_add_test(tc, full_spool_drops_last_what_the_endpoint_may_have);
    tcase_add_test(tc, full_spool_drops_a_file_that_is_being_sent);
    tcase_add_test(tc, full_spool_refuses_the_newest_when_told_so);
    tcase_add_test(tc, a_fragment_without_sound_goes_with_a_header_without_sound);
    tcase_add_test(tc, second_process_on_a_spool_is_refused);
    tcase_add_test(tc, given_up_fragment_is_in_the_ledger);
    tcase_add_test(tc, end_of_source_survives_a_restart);
    tcase_add_test(tc, second_ack_of_a_fragment_is_not_taken_for_another);
    tcase_add_test(tc, only_the_first_fragment_of_a_segment_owns_the_tags_in_front);
    tcase_add_test(tc, no_descriptors_left_hides_no_fragment);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
