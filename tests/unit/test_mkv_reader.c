/* Claims about media/mkv_reader: it gives back what mkv_writer wrote, in any pieces, and refuses
 * what is wrong with a reason. Relies on Check, ebml and mkv_writer to make streams; every op
 * writes one line into a log that is compared. Leaves the writer's bytes to test_mkv_writer. */
#include "media/mkv_reader.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/ebml.h"
#include "media/mkv_writer.h"
#include "tests/unit/suite.h"

#define MAX_ELEMENT 4096

static struct buf in, events;
static struct mkv_reader reader;
static int op_result; /* what the ops return */

static void setup(void)
{
    buf_init(&in, 1 << 20);
    buf_init(&events, 1 << 20);
    op_result = 0;
}

static void teardown(void)
{
    buf_fini(&in);
    buf_fini(&events);
}

static unsigned sum(const uint8_t *p, size_t n)
{
    unsigned h = 5381;
    for (size_t i = 0; i < n; i++)
        h = h * 33 + p[i];
    return h;
}

static int on_header(void *arg, const struct mkv_header *h, const uint8_t *raw, size_t raw_len)
{
    buf_printf(&events, "header scale=%llu uid=%02x raw=%zu:%u\n",
               (unsigned long long)h->timecode_scale_ns, h->segment_uid[0], raw_len,
               sum(raw, raw_len));
    for (unsigned i = 0; i < h->ntracks; i++) {
        const struct mkv_track *t = &h->tracks[i];
        buf_printf(
            &events, "track %u uid=%llu type=%d %s '%s' private=%zu:%u %ux%u %llu %g/%u/%u\n",
            t->number, (unsigned long long)t->uid, (int)t->type, t->codec_id, t->name,
            t->codec_private_len, sum(t->codec_private, t->codec_private_len), t->width, t->height,
            (unsigned long long)t->default_duration_ns, t->sample_rate, t->channels, t->bit_depth);
    }
    return op_result;
}

static int on_cluster(void *arg, uint64_t offset, uint64_t timecode)
{
    buf_printf(&events, "cluster at=%llu time=%llu\n", (unsigned long long)offset,
               (unsigned long long)timecode);
    return op_result;
}

static int on_block(void *arg, const struct mkv_block *b)
{
    buf_printf(&events,
               "block at=%llu raw=%zu:%u track=%u time=%d%s%s%s%s%s duration=%llu payload='%.*s'\n",
               (unsigned long long)b->offset, b->raw_len, sum(b->raw, b->raw_len), b->track,
               b->relative, b->key ? " key" : "", b->discardable ? " discardable" : "",
               b->invisible ? " invisible" : "", b->laced ? " laced" : "",
               b->simple ? " simple" : "", (unsigned long long)b->duration,
               (int)(b->payload_len > 40 ? 40 : b->payload_len), b->payload);
    return op_result;
}

static int on_tags(void *arg, uint64_t offset, const uint8_t *raw, size_t raw_len,
                   const struct mkv_tag *tags, unsigned n)
{
    buf_printf(&events, "tags at=%llu raw=%zu:%u", (unsigned long long)offset, raw_len,
               sum(raw, raw_len));
    for (unsigned i = 0; i < n; i++)
        buf_printf(&events, " %s=%s", tags[i].name, tags[i].value);
    buf_printf(&events, "\n");
    return op_result;
}

static int on_void(void *arg, uint64_t offset, const uint8_t *body, size_t len)
{
    buf_printf(&events, "void at=%llu '%.*s'\n", (unsigned long long)offset, (int)len, body);
    return op_result;
}

static int on_cluster_end(void *arg, uint64_t offset)
{
    buf_printf(&events, "end at=%llu\n", (unsigned long long)offset);
    return op_result;
}

static const struct mkv_reader_ops ops = {on_header, on_cluster, on_block,
                                          on_tags,   on_void,    on_cluster_end};
static const struct mkv_reader_ops no_ops;

/* Feeds `in` in pieces of `piece` bytes from exact heap copies. Returns the first error, of finish
 * too. */
static int run(const struct mkv_reader_ops *use, size_t piece)
{
    int r = 0;
    buf_clear(&events);
    mkv_reader_init(&reader, use, NULL, MAX_ELEMENT);
    for (size_t at = 0; at < in.len && r == 0; at += piece) {
        size_t n = in.len - at < piece ? in.len - at : piece;
        uint8_t *copy = malloc(n);
        memcpy(copy, in.data + at, n);
        r = mkv_reader_feed(&reader, copy, n);
        free(copy);
    }
    if (r == 0)
        r = mkv_reader_finish(&reader);
    mkv_reader_fini(&reader);
    buf_append(&events, "", 1);
    return r;
}

static const char *log_text(void)
{
    return (const char *)events.data;
}

static void put_header(void)
{
    struct mkv_header h = {.timecode_scale_ns = 1000000, .segment_uid = {0xAB}, .ntracks = 2};
    h.tracks[0] = (struct mkv_track){.number = 1,
                                     .uid = 77,
                                     .type = MKV_TRACK_VIDEO,
                                     .codec_id = "V_MPEG4/ISO/AVC",
                                     .name = "video",
                                     .codec_private = (uint8_t *)"\1cpd",
                                     .codec_private_len = 4,
                                     .width = 1280,
                                     .height = 720,
                                     .default_duration_ns = 40000000};
    h.tracks[1] = (struct mkv_track){.number = 2,
                                     .type = MKV_TRACK_AUDIO,
                                     .codec_id = "A_AAC",
                                     .name = "audio",
                                     .codec_private = (uint8_t *)"\x11\x90",
                                     .codec_private_len = 2,
                                     .sample_rate = 48000,
                                     .channels = 2,
                                     .bit_depth = 16};
    ck_assert_int_eq(mkv_write_header(&in, &h), 0);
}

static void put_block(uint32_t track, int16_t time, bool key, const char *payload)
{
    ck_assert_int_eq(mkv_write_block_header(&in, track, time, key, false, strlen(payload)), 0);
    ck_assert_int_eq(buf_append(&in, payload, strlen(payload)), 0);
}

static void put_tag(const char *name, const char *value)
{
    struct mkv_tag tag = {name, value};
    ck_assert_int_eq(mkv_write_tags(&in, &tag, 1), 0);
}

/* What uploader and spool write. Returns the length of the header. */
static size_t put_stream(void)
{
    put_header();
    size_t n = in.len;
    mkv_write_void(&in, "rec1", 4);
    mkv_write_cluster(&in, 1000);
    put_block(1, 0, true, "keyframe");
    mkv_write_void(&in, "rec2", 4);
    put_block(2, -3, true, "sound");
    put_block(1, 40, false, "delta");
    put_tag("k", "v");
    mkv_write_void(&in, "rec3", 4);
    mkv_write_cluster(&in, 3000);
    put_block(1, 0, true, "second");
    put_block(1, 32767, false, "");
    return n;
}

START_TEST(void_before_the_timecode_of_its_cluster_is_passed_over)
{
    put_header();
    ebml_begin_unknown(&in, MKV_ID_CLUSTER);
    mkv_write_void(&in, "early", 5);
    ebml_put_uint(&in, MKV_ID_TIMECODE, 7);
    mkv_write_void(&in, "late", 4);
    ck_assert_int_eq(run(&ops, in.len), 0);
    ck_assert_ptr_null(strstr(log_text(), "early"));
    ck_assert_ptr_nonnull(strstr(log_text(), "time=7"));
    ck_assert_ptr_nonnull(strstr(log_text(), "late"));
}
END_TEST

START_TEST(reader_gives_back_what_the_writer_wrote)
{
    size_t header_len = put_stream();
    char *want;
    ck_assert_int_eq(run(&ops, in.len), 0);
    ck_assert_int_gt(
        asprintf(
            &want,
            "header scale=1000000 uid=ab raw=%zu:%u\n"
            "track 1 uid=77 type=1 V_MPEG4/ISO/AVC 'video' private=4:%u 1280x720 40000000 0/0/0\n"
            "track 2 uid=2 type=2 A_AAC 'audio' private=2:%u 0x0 0 48000/2/16\n",
            header_len, sum(in.data, header_len), sum((const uint8_t *)"\1cpd", 4),
            sum((const uint8_t *)"\x11\x90", 2)),
        0);
    ck_assert_msg(strncmp(log_text(), want, strlen(want)) == 0, "got %s want %s", log_text(), want);
    const char *kinds[] = {"\nvoid",
                           "'rec1'",
                           "\ncluster",
                           "time=1000",
                           "\nblock",
                           "track=1 time=0 key simple",
                           "'keyframe'",
                           "'rec2'",
                           "track=2 time=-3 key simple",
                           "'sound'",
                           "track=1 time=40 simple",
                           "'delta'",
                           "\nend",
                           "\ntags",
                           "k=v",
                           "'rec3'",
                           "\ncluster",
                           "time=3000",
                           "'second'",
                           "time=32767 simple",
                           "payload=''",
                           "\nend"};
    const char *p = log_text();
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        p = strstr(p, kinds[i]);
        ck_assert_msg(p != NULL, "%s missing in order in %s", kinds[i], log_text());
    }
    free(want);
}
END_TEST

START_TEST(any_split_gives_the_same_events)
{
    put_stream();
    ck_assert_int_eq(run(&ops, in.len), 0);
    char *whole = strdup(log_text());
    for (size_t piece = 1; piece < in.len; piece++) {
        ck_assert_int_eq(run(&ops, piece), 0);
        ck_assert_str_eq(log_text(), whole);
    }
    free(whole);
}
END_TEST

START_TEST(every_op_may_be_missing)
{
    put_stream();
    ck_assert_int_eq(run(&no_ops, 7), 0);
}
END_TEST

START_TEST(offset_is_where_to_cut_a_torn_tail)
{
    put_stream();
    size_t total = in.len, last = 0;
    for (size_t n = 0; n <= total; n++) {
        struct mkv_reader r, again;
        mkv_reader_init(&r, &no_ops, NULL, MAX_ELEMENT);
        ck_assert_int_eq(mkv_reader_feed(&r, in.data, n), 0);
        size_t cut = (size_t)mkv_reader_offset(&r);
        ck_assert_uint_le(cut, n);
        ck_assert_uint_ge(cut, last);
        last = cut;
        mkv_reader_fini(&r);
        if (cut < 60)
            continue; /* inside the EBML head and Segment nothing can be kept */
        mkv_reader_init(&again, &no_ops, NULL, MAX_ELEMENT);
        ck_assert_int_eq(mkv_reader_feed(&again, in.data, cut), 0);
        ck_assert_int_eq(mkv_reader_finish(&again), 0);
        mkv_reader_fini(&again);
    }
    ck_assert_uint_eq(last, total);
}
END_TEST

static void put_ebml_head(const char *doc_type)
{
    size_t mark;
    ebml_begin(&in, MKV_ID_EBML, &mark);
    ebml_put_string(&in, MKV_ID_DOC_TYPE, doc_type);
    ebml_end(&in, mark);
}

/* A Tracks element with one track of this number, type and codec; 0 and NULL leave a field out. */
static void put_tracks(unsigned n, unsigned number, unsigned type, const char *codec)
{
    size_t tracks, entry;
    ebml_begin(&in, MKV_ID_TRACKS, &tracks);
    for (unsigned i = 0; i < n; i++) {
        ebml_begin(&in, MKV_ID_TRACK_ENTRY, &entry);
        if (number)
            ebml_put_uint(&in, MKV_ID_TRACK_NUMBER, number + i);
        if (type)
            ebml_put_uint(&in, MKV_ID_TRACK_TYPE, type);
        if (codec)
            ebml_put_string(&in, MKV_ID_CODEC_ID, codec);
        ebml_end(&in, entry);
    }
    ebml_end(&in, tracks);
}

START_TEST(known_sizes_and_blockgroups)
{
    size_t segment, cluster, group;
    put_ebml_head("webm");
    ebml_begin(&in, MKV_ID_SEGMENT, &segment);
    ebml_put_binary(&in, MKV_ID_SEEK_HEAD, "xyz", 3);
    put_tracks(1, 5, MKV_TRACK_AUDIO, "A_OPUS");
    for (int i = 0; i < 2; i++) {
        ebml_begin(&in, MKV_ID_CLUSTER, &cluster);
        ebml_put_uint(&in, MKV_ID_TIMECODE, 500u * (unsigned)i);
        ebml_begin(&in, MKV_ID_BLOCK_GROUP, &group);
        ebml_put_binary(&in, MKV_ID_BLOCK, "\x85\0\x14\x08inv", 7);
        ebml_put_uint(&in, MKV_ID_BLOCK_DURATION, 20);
        ebml_end(&in, group);
        ebml_begin(&in, MKV_ID_BLOCK_GROUP, &group);
        ebml_put_binary(&in, MKV_ID_BLOCK, "\x85\0\x28\x02laced", 9);
        ebml_put_uint(&in, MKV_ID_REFERENCE_BLOCK, 0xEC);
        ebml_end(&in, group);
        ebml_end(&in, cluster);
    }
    ebml_put_binary(&in, MKV_ID_CUES, "cues", 4);
    ebml_end(&in, segment);
    for (size_t piece = 1; piece < 40; piece += 13) {
        ck_assert_int_eq(run(&ops, piece), 0);
        const char *kinds[] = {"header scale=1000000",
                               "track 5 ",
                               "cluster",
                               "track=5 time=20 key invisible duration=20 payload='inv'",
                               "track=5 time=40 laced duration=0 payload='laced'",
                               "end at=",
                               "cluster",
                               "time=500",
                               "end at="};
        const char *p = log_text();
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            p = strstr(p, kinds[i]);
            ck_assert_msg(p != NULL, "%s missing in order in %s", kinds[i], log_text());
        }
    }
}
END_TEST

START_TEST(huge_skipped_elements_are_not_buffered)
{
    static const uint32_t skipped[] = {MKV_ID_VOID, MKV_ID_CUES, MKV_ID_ATTACHMENTS, 0x4DBC};
    put_header();
    mkv_write_cluster(&in, 0);
    put_block(1, 0, true, "a");
    size_t n = in.len;
    uint8_t zeros[1000] = {0};
    mkv_reader_init(&reader, &ops, NULL, MAX_ELEMENT);
    ck_assert_int_eq(mkv_reader_feed(&reader, in.data, n), 0);
    buf_clear(&in);
    ebml_put_id(&in, skipped[_i]);
    ebml_put_size(&in, 100000000);
    ck_assert_int_eq(mkv_reader_feed(&reader, in.data, in.len), 0);
    ck_assert_uint_eq(mkv_reader_offset(&reader), n);
    for (int i = 0; i < 100000; i++)
        ck_assert_int_eq(mkv_reader_feed(&reader, zeros, sizeof zeros), 0);
    ck_assert_uint_le(reader.pending.cap, 2 * MAX_ELEMENT);
    ck_assert_uint_eq(mkv_reader_offset(&reader), n + in.len + 100000000);
    ck_assert_int_eq(mkv_reader_finish(&reader), 0);
    mkv_reader_fini(&reader);
}
END_TEST

START_TEST(nested_tags_are_flattened_and_missing_texts_are_empty)
{
    size_t tags, tag, simple, inner;
    put_header();
    ebml_begin(&in, MKV_ID_TAGS, &tags);
    ebml_begin(&in, MKV_ID_TAG, &tag);
    ebml_begin(&in, MKV_ID_SIMPLE_TAG, &simple);
    ebml_begin(&in, MKV_ID_SIMPLE_TAG, &inner);
    ebml_put_binary(&in, MKV_ID_TAG_STRING, "pad\0\0", 5);
    ebml_end(&in, inner);
    ebml_put_string(&in, MKV_ID_TAG_NAME, "outer");
    ebml_end(&in, simple);
    ebml_end(&in, tag);
    ebml_end(&in, tags);
    ck_assert_int_eq(run(&ops, 3), 0);
    ck_assert_ptr_nonnull(strstr(log_text(), " outer= =pad\n"));
}
END_TEST

START_TEST(tags_without_tracks_come_after_an_empty_header)
{
    put_ebml_head("matroska");
    ebml_begin_unknown(&in, MKV_ID_SEGMENT);
    size_t n = in.len;
    put_tag("AWS_KINESISVIDEO_ERROR_ID", "4000");
    char want[64];
    snprintf(want, sizeof want, "header scale=1000000 uid=00 raw=%zu:", n);
    ck_assert_int_eq(run(&ops, 1), 0);
    ck_assert_ptr_eq(strstr(log_text(), want), log_text());
    ck_assert_ptr_null(strstr(log_text(), "track"));
    ck_assert_ptr_nonnull(strstr(log_text(), "AWS_KINESISVIDEO_ERROR_ID=4000"));
}
END_TEST

START_TEST(long_names_are_cut_at_a_whole_character)
{
    size_t tracks, entry;
    put_ebml_head("matroska");
    ebml_begin_unknown(&in, MKV_ID_SEGMENT);
    ebml_begin(&in, MKV_ID_TRACKS, &tracks);
    ebml_begin(&in, MKV_ID_TRACK_ENTRY, &entry);
    ebml_put_uint(&in, MKV_ID_TRACK_NUMBER, 1);
    ebml_put_uint(&in, MKV_ID_TRACK_TYPE, 1);
    ebml_put_string(&in, MKV_ID_CODEC_ID, "V_TEST");
    ebml_put_string(&in, MKV_ID_NAME, "0123456789012345678901234567890\xC3\xA9!");
    ebml_end(&in, entry);
    ebml_end(&in, tracks);
    mkv_write_cluster(&in, 0);
    ck_assert_int_eq(run(&ops, in.len), 0);
    ck_assert_ptr_nonnull(strstr(log_text(), "'0123456789012345678901234567890'"));
}
END_TEST

START_TEST(an_op_stops_the_reader_for_good)
{
    put_stream();
    op_result = -ECANCELED;
    mkv_reader_init(&reader, &ops, NULL, MAX_ELEMENT);
    ck_assert_int_eq(mkv_reader_feed(&reader, in.data, in.len), -ECANCELED);
    ck_assert_str_eq(mkv_reader_error(&reader), "stopped by the receiver");
    op_result = 0;
    ck_assert_int_eq(mkv_reader_feed(&reader, in.data, 1), -ECANCELED);
    ck_assert_int_eq(mkv_reader_finish(&reader), -ECANCELED);
    mkv_reader_fini(&reader);
}
END_TEST

/* Hostile streams: each builder writes one that must fail with the given error and reason, however
 * it is split. */
static void start(void)
{
    put_ebml_head("matroska");
    ebml_begin_unknown(&in, MKV_ID_SEGMENT);
}
static void cluster(void)
{
    put_header();
    mkv_write_cluster(&in, 0);
}
static void bad_garbage(void)
{
    buf_append(&in, "GET / HTTP/1.1\r\n", 16);
}
static void bad_zeros(void)
{
    static const uint8_t zeros[64];
    buf_append(&in, zeros, sizeof zeros);
}
static void bad_empty(void)
{
}
static void bad_doc_type(void)
{
    put_ebml_head("mp4");
    put_header();
}
static void bad_second_head(void)
{
    put_stream();
    put_ebml_head("matroska");
}
static void bad_head_in_segment(void)
{
    start();
    put_ebml_head("matroska");
}
static void bad_second_segment(void)
{
    put_stream();
    ebml_begin_unknown(&in, MKV_ID_SEGMENT);
}
static void bad_second_tracks(void)
{
    put_stream();
    put_tracks(1, 1, 1, "V_TEST");
}
static void bad_tracks_after_tags(void)
{
    start();
    put_tag("a", "b");
    put_tracks(1, 1, 1, "V_TEST");
}
static void bad_second_info(void)
{
    put_stream();
    ebml_put_binary(&in, MKV_ID_INFO, "", 0);
}
static void bad_cluster_first(void)
{
    start();
    mkv_write_cluster(&in, 0);
}
static void bad_cluster_after_tags(void)
{
    start();
    put_tag("a", "b");
    mkv_write_cluster(&in, 0);
}
static void bad_no_tracks(void)
{
    start();
    put_tracks(0, 0, 0, NULL);
}
static void bad_many_tracks(void)
{
    start();
    put_tracks(17, 1, 1, "V_TEST");
}
static void bad_track_number(void)
{
    start();
    put_tracks(1, 0, 1, "V_TEST");
}
static void bad_track_type(void)
{
    start();
    put_tracks(1, 1, 0, "V_TEST");
}
static void bad_codec(void)
{
    start();
    put_tracks(1, 1, 1, NULL);
}
static void bad_long_codec(void)
{
    start();
    put_tracks(1, 1, 1, "V_123456789012345678901234567890123");
}
static void bad_same_track(void)
{
    size_t tracks, entry;
    start();
    ebml_begin(&in, MKV_ID_TRACKS, &tracks);
    for (int i = 0; i < 2; i++) {
        ebml_begin(&in, MKV_ID_TRACK_ENTRY, &entry);
        ebml_put_uint(&in, MKV_ID_TRACK_NUMBER, 1);
        ebml_put_uint(&in, MKV_ID_TRACK_TYPE, 1);
        ebml_put_string(&in, MKV_ID_CODEC_ID, "V_TEST");
        ebml_put_binary(&in, MKV_ID_CODEC_PRIVATE, "x", 1);
        ebml_end(&in, entry);
    }
    ebml_end(&in, tracks);
}
static void bad_scale(void)
{
    size_t info;
    start();
    ebml_begin(&in, MKV_ID_INFO, &info);
    ebml_put_uint(&in, MKV_ID_TIMECODE_SCALE, 0);
    ebml_end(&in, info);
}
static void bad_child_size(void)
{
    start();
    ebml_put_binary(&in, MKV_ID_TRACKS, "\xAE\x8Fx", 3);
}
static void bad_huge_block(void)
{
    cluster();
    mkv_write_block_header(&in, 1, 0, true, false, UINT64_C(1) << 40);
}
static void bad_huge_tracks(void)
{
    start();
    ebml_put_id(&in, MKV_ID_TRACKS);
    ebml_put_size(&in, EBML_SIZE_MAX);
}
static void bad_huge_header(void)
{
    static const uint8_t zeros[MAX_ELEMENT];
    start();
    mkv_write_void(&in, zeros, sizeof zeros);
}
static void bad_block_outside(void)
{
    put_header();
    put_block(1, 0, true, "x");
}
static void bad_block_before_timecode(void)
{
    put_header();
    ebml_begin_unknown(&in, MKV_ID_CLUSTER);
    put_block(1, 0, true, "x");
}
static void bad_two_timecodes(void)
{
    cluster();
    ebml_put_uint(&in, MKV_ID_TIMECODE, 1);
}
static void bad_long_timecode(void)
{
    put_header();
    ebml_begin_unknown(&in, MKV_ID_CLUSTER);
    ebml_put_binary(&in, MKV_ID_TIMECODE, "123456789", 9);
}
static void bad_cluster_no_timecode(void)
{
    put_header();
    ebml_begin_unknown(&in, MKV_ID_CLUSTER);
    mkv_write_cluster(&in, 1);
}
static void bad_empty_cluster(void)
{
    put_header();
    ebml_put_binary(&in, MKV_ID_CLUSTER, "", 0);
}
static void bad_track_zero(void)
{
    cluster();
    ebml_put_binary(&in, MKV_ID_SIMPLE_BLOCK, "\x80\0\0\x80", 4);
}
static void bad_short_block(void)
{
    cluster();
    ebml_put_binary(&in, MKV_ID_SIMPLE_BLOCK, "\x81\0\0", 3);
}
static void bad_group(void)
{
    cluster();
    ebml_put_binary(&in, MKV_ID_BLOCK_GROUP, "", 0);
}
static void bad_two_blocks(void)
{
    size_t group;
    cluster();
    ebml_begin(&in, MKV_ID_BLOCK_GROUP, &group);
    ebml_put_binary(&in, MKV_ID_BLOCK, "\x81\0\0\0", 4);
    ebml_put_binary(&in, MKV_ID_BLOCK, "\x81\0\0\0", 4);
    ebml_end(&in, group);
}
static void bad_unknown_size(void)
{
    cluster();
    ebml_begin_unknown(&in, MKV_ID_VOID);
}
static void bad_parent(void)
{
    put_header();
    ebml_put_binary(&in, MKV_ID_CLUSTER, "\xE7\x81\0\xA3\x90xx", 7);
}
static void bad_tags_in_cluster(void)
{
    size_t mark;
    put_header();
    ebml_begin(&in, MKV_ID_CLUSTER, &mark);
    ebml_put_uint(&in, MKV_ID_TIMECODE, 0);
    put_tag("a", "b");
    ebml_end(&in, mark);
}
static void bad_after_segment(void)
{
    put_ebml_head("matroska");
    ebml_put_binary(&in, MKV_ID_SEGMENT, "", 0);
    put_tag("a", "b");
}
static void bad_id(void)
{
    cluster();
    buf_append(&in, "\x00\x81x", 3);
}
static void bad_size(void)
{
    cluster();
    buf_append(&in, "\xEC\x00\x01", 3);
}
static void bad_many_tags(void)
{
    struct mkv_tag tags[257];
    for (unsigned i = 0; i < 257; i++)
        tags[i] = (struct mkv_tag){"", ""};
    put_header();
    mkv_write_tags(&in, tags, 257);
}
static void bad_deep_tags(void)
{
    size_t marks[12];
    put_header();
    ebml_begin(&in, MKV_ID_TAGS, &marks[0]);
    ebml_begin(&in, MKV_ID_TAG, &marks[1]);
    for (int i = 2; i < 12; i++)
        ebml_begin(&in, MKV_ID_SIMPLE_TAG, &marks[i]);
    for (int i = 11; i >= 0; i--)
        ebml_end(&in, marks[i]);
}
static void bad_cut(void)
{
    put_stream();
    in.len -= 2;
}
static void bad_cut_skip(void)
{
    cluster();
    buf_append(&in, "\xEC\x85x", 3);
}
static void bad_cut_cluster(void)
{
    put_header();
    buf_append(&in, "\x1F\x43\xB6\x75\x90\xE7\x81\0", 8);
}

static const struct {
    void (*build)(void);
    int error;
    const char *reason;
} hostile[] = {
    {bad_garbage, -EBADMSG, "stream does not begin with an EBML head"},
    {bad_zeros, -EBADMSG, "invalid element id"},
    {bad_empty, -EBADMSG, "stream ends before a Segment"},
    {bad_doc_type, -EBADMSG, "DocType is neither matroska nor webm"},
    {bad_second_head, -EBADMSG, "second EBML head"},
    {bad_head_in_segment, -EBADMSG, "second EBML head"},
    {bad_second_segment, -EBADMSG, "second Segment"},
    {bad_second_tracks, -EBADMSG, "second Tracks"},
    {bad_tracks_after_tags, -EBADMSG, "Tracks after the first Cluster or Tags"},
    {bad_second_info, -EBADMSG, "second Info"},
    {bad_cluster_first, -EBADMSG, "Cluster before Tracks"},
    {bad_cluster_after_tags, -EBADMSG, "Cluster before Tracks"},
    {bad_no_tracks, -EBADMSG, "Tracks without a track"},
    {bad_many_tracks, -EBADMSG, "more than 16 tracks"},
    {bad_track_number, -EBADMSG, "track without a number"},
    {bad_track_type, -EBADMSG, "track without a type"},
    {bad_codec, -EBADMSG, "track without a CodecID"},
    {bad_long_codec, -EBADMSG, "CodecID longer than 32 bytes"},
    {bad_same_track, -EBADMSG, "two tracks with one number"},
    {bad_scale, -EBADMSG, "TimecodeScale out of range"},
    {bad_child_size, -EBADMSG, "element larger than its parent"},
    {bad_huge_block, -EFBIG, "element larger than the limit"},
    {bad_huge_tracks, -EFBIG, "element larger than the limit"},
    {bad_huge_header, -EFBIG, "stream header larger than the limit"},
    {bad_block_outside, -EBADMSG, "block or Timecode outside a Cluster"},
    {bad_block_before_timecode, -EBADMSG, "block before the Cluster's Timecode"},
    {bad_two_timecodes, -EBADMSG, "second Timecode in a Cluster"},
    {bad_long_timecode, -EBADMSG, "Timecode out of range"},
    {bad_cluster_no_timecode, -EBADMSG, "Cluster without a Timecode"},
    {bad_empty_cluster, -EBADMSG, "Cluster without a Timecode"},
    {bad_track_zero, -EBADMSG, "block with an invalid track number"},
    {bad_short_block, -EBADMSG, "block cut short"},
    {bad_group, -EBADMSG, "BlockGroup without a Block"},
    {bad_two_blocks, -EBADMSG, "BlockGroup with two Blocks"},
    {bad_unknown_size, -EBADMSG, "unknown size on other than Segment or Cluster"},
    {bad_parent, -EBADMSG, "element larger than its parent"},
    {bad_tags_in_cluster, -EBADMSG, "element of the Segment inside a Cluster"},
    {bad_after_segment, -EBADMSG, "element outside the Segment"},
    {bad_id, -EBADMSG, "invalid element id"},
    {bad_size, -EBADMSG, "invalid element size"},
    {bad_many_tags, -EFBIG, "more than 256 tags in one Tags"},
    {bad_deep_tags, -EBADMSG, "SimpleTags nested too deep"},
    {bad_cut, -EBADMSG, "stream ends inside an element"},
    {bad_cut_skip, -EBADMSG, "stream ends inside an element"},
    {bad_cut_cluster, -EBADMSG, "stream ends inside a Cluster of known size"},
};

START_TEST(hostile_stream_is_refused_with_its_reason)
{
    hostile[_i].build();
    for (size_t piece = 1; piece < 50; piece = piece * 3 + 1) {
        ck_assert_int_eq(run(&ops, piece), hostile[_i].error);
        ck_assert_str_eq(mkv_reader_error(&reader), hostile[_i].reason);
        ck_assert_uint_le(mkv_reader_error_offset(&reader), in.len);
    }
    if (in.len) {
        ck_assert_int_eq(run(&ops, in.len), hostile[_i].error);
        ck_assert_str_eq(mkv_reader_error(&reader), hostile[_i].reason);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mkv_reader");
    TCase *t = tcase_create("mkv_reader");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, reader_gives_back_what_the_writer_wrote);
    tcase_add_test(t, void_before_the_timecode_of_its_cluster_is_passed_over);
    tcase_add_test(t, any_split_gives_the_same_events);
    tcase_add_test(t, every_op_may_be_missing);
    tcase_add_test(t, offset_is_where_to_cut_a_torn_tail);
    tcase_add_test(t, known_sizes_and_blockgroups);
    tcase_add_loop_test(t, huge_skipped_elements_are_not_buffered, 0, 4);
    tcase_add_test(t, nested_tags_are_flattened_and_missing_texts_are_empty);
    tcase_add_test(t, tags_without_tracks_come_after_an_empty_header);
    tcase_add_test(t, long_names_are_cut_at_a_whole_character);
    tcase_add_test(t, an_op_stops_the_reader_for_good);
    tcase_add_loop_test(t, hostile_stream_is_refused_with_its_reason, 0,
                        sizeof hostile / sizeof hostile[0]);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return suite_run(suite());
}
