/* Claims about media/mkv_writer: the bytes on the wire and what is refused.
 * Relies on Check.
 * Leaves the round trip through the reader to test_mkv_reader. */
#include "media/mkv_writer.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "media/ebml.h"
#include "tests/unit/suite.h"

static struct buf b;

static void setup(void)
{
    buf_init(&b, 4096);
}

static void teardown(void)
{
    buf_fini(&b);
}

static struct mkv_header header_of(unsigned ntracks)
{
    struct mkv_header h = {.ntracks = ntracks};
    for (unsigned i = 0; i < ntracks && i < MKV_TRACKS_MAX; i++) {
        h.tracks[i].number = i + 1;
        h.tracks[i].type = MKV_TRACK_VIDEO;
        strcpy(h.tracks[i].codec_id, "V_MPEG4/ISO/AVC");
    }
    return h;
}

#define ck_bytes(...)                                                                              \
    do {                                                                                           \
        static const uint8_t want[] = {__VA_ARGS__};                                               \
        ck_assert_uint_eq(b.len, sizeof want);                                                     \
        ck_assert_mem_eq(b.data, want, sizeof want);                                               \
    } while (0)

START_TEST(cluster_has_unknown_size_and_timecode_first)
{
    ck_assert_int_eq(mkv_write_cluster(&b, 0x1234), 0);
    ck_bytes(0x1F, 0x43, 0xB6, 0x75, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xE7, 0x82,
             0x12, 0x34);
}
END_TEST

START_TEST(key_block_header_bytes)
{
    ck_assert_int_eq(mkv_write_block_header(&b, 1, 40, true, false, 2), 0);
    ck_bytes(0xA3, 0x86, 0x81, 0x00, 0x28, 0x80);
}
END_TEST

START_TEST(negative_relative_time_and_discardable)
{
    ck_assert_int_eq(mkv_write_block_header(&b, 2, -2, false, true, 200), 0);
    ck_bytes(0xA3, 0x40, 0xCC, 0x82, 0xFF, 0xFE, 0x01);
}
END_TEST

START_TEST(block_header_never_passes_its_maximum)
{
    ck_assert_int_eq(mkv_write_block_header(&b, 126, 0, true, false, EBML_SIZE_MAX - 4), 0);
    ck_assert_uint_eq(b.len, MKV_BLOCK_HEADER_MAX_BYTES);
}
END_TEST

START_TEST(impossible_blocks_are_refused)
{
    ck_assert_int_eq(mkv_write_block_header(&b, 0, 0, true, false, 1), -EINVAL);
    ck_assert_int_eq(mkv_write_block_header(&b, 127, 0, true, false, 1), -EINVAL);
    ck_assert_int_eq(mkv_write_block_header(&b, 1, 0, true, false, EBML_SIZE_MAX), -EINVAL);
    ck_assert_uint_eq(b.len, 0);
}
END_TEST

START_TEST(tags_are_one_tag_of_simple_tags)
{
    struct mkv_tag tags[] = {{"k", "v"}, {"n", NULL}};
    ck_assert_int_eq(mkv_write_tags(&b, tags, 2), 0);
    ck_bytes(0x12, 0x54, 0xC3, 0x67, 0x10, 0, 0, 36, 0x73, 0x73, 0x10, 0, 0, 30, 0x63, 0xC0, 0x80,
             0x67, 0xC8, 0x10, 0, 0, 8, 0x45, 0xA3, 0x81, 'k', 0x44, 0x87, 0x81, 'v', 0x67, 0xC8,
             0x10, 0, 0, 7, 0x45, 0xA3, 0x81, 'n', 0x44, 0x87, 0x80);
}
END_TEST

START_TEST(no_tags_are_refused)
{
    ck_assert_int_eq(mkv_write_tags(&b, NULL, 0), -EINVAL);
}
END_TEST

START_TEST(void_carries_our_bytes)
{
    ck_assert_int_eq(mkv_write_void(&b, "abc", 3), 0);
    ck_bytes(0xEC, 0x83, 'a', 'b', 'c');
}
END_TEST

START_TEST(header_begins_with_matroska_head)
{
    struct mkv_header h = header_of(1);
    ck_assert_int_eq(mkv_write_header(&b, &h), 0);
    static const uint8_t head[] = {0x1A, 0x45, 0xDF, 0xA3};
    ck_assert_mem_eq(b.data, head, sizeof head);
    ck_assert_ptr_nonnull(
        memmem(b.data, b.len, "\x42\x82\x88matroska\x42\x87\x81\x04\x42\x85\x81\x02", 19));
    ck_assert_ptr_nonnull(
        memmem(b.data, b.len, "\x18\x53\x80\x67\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 12));
    ck_assert_ptr_nonnull(memmem(b.data, b.len, "\x2A\xD7\xB1\x83\x0F\x42\x40", 7));
    ck_assert_ptr_nonnull(memmem(b.data, b.len, "\x57\x41\x86kvpipe", 9));
    ck_assert_ptr_null(memmem(b.data, b.len, "\x73\xA4\x90", 3)); /* no SegmentUID of zeros */
}
END_TEST

static void spoil_none(struct mkv_header *h)
{
    h->ntracks = 0;
}
static void spoil_many(struct mkv_header *h)
{
    h->ntracks = MKV_TRACKS_MAX + 1;
}
static void spoil_zero(struct mkv_header *h)
{
    h->tracks[1].number = 0;
}
static void spoil_big(struct mkv_header *h)
{
    h->tracks[1].number = 127;
}
static void spoil_twice(struct mkv_header *h)
{
    h->tracks[1].number = 1;
}
static void spoil_type(struct mkv_header *h)
{
    h->tracks[1].type = MKV_TRACK_NONE;
}
static void spoil_text(struct mkv_header *h)
{
    memset(h->tracks[1].name, 'x', sizeof h->tracks[1].name);
}
static void (*const spoils[])(struct mkv_header *) = {
    spoil_none, spoil_many, spoil_zero, spoil_big, spoil_twice, spoil_type, spoil_text};

START_TEST(impossible_header_is_refused)
{
    struct mkv_header h = header_of(2);
    spoils[_i](&h);
    ck_assert_int_eq(mkv_write_header(&b, &h), -EINVAL);
    ck_assert_uint_eq(b.len, 0);
}
END_TEST

START_TEST(full_buffer_is_left_as_it_was)
{
    struct mkv_header h = header_of(2);
    struct mkv_tag tag = {"name", "value"};
    ck_assert_int_eq(mkv_write_header(&b, &h), 0);
    ck_assert_int_eq(mkv_write_cluster(&b, 1), 0);
    size_t full = b.len;
    b.max_bytes = full + 5;
    ck_assert_int_eq(mkv_write_header(&b, &h), -ENOBUFS);
    ck_assert_int_eq(mkv_write_cluster(&b, 2), -ENOBUFS);
    ck_assert_int_eq(mkv_write_block_header(&b, 1, 0, true, false, 1), -ENOBUFS);
    ck_assert_int_eq(mkv_write_tags(&b, &tag, 1), -ENOBUFS);
    ck_assert_int_eq(mkv_write_void(&b, "12345", 5), -ENOBUFS);
    ck_assert_uint_eq(b.len, full);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mkv_writer");
    TCase *t = tcase_create("mkv_writer");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, cluster_has_unknown_size_and_timecode_first);
    tcase_add_test(t, key_block_header_bytes);
    tcase_add_test(t, negative_relative_time_and_discardable);
    tcase_add_test(t, block_header_never_passes_its_maximum);
    tcase_add_test(t, impossible_blocks_are_refused);
    tcase_add_test(t, tags_are_one_tag_of_simple_tags);
    tcase_add_test(t, no_tags_are_refused);
    tcase_add_test(t, void_carries_our_bytes);
    tcase_add_test(t, header_begins_with_matroska_head);
    tcase_add_loop_test(t, impossible_header_is_refused, 0, sizeof spoils / sizeof spoils[0]);
    tcase_add_test(t, full_buffer_is_left_as_it_was);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return suite_run(suite());
}
