/* Documents in a row made one (media/mkv_merge.h): made by mkv_writer, read back by mkv_reader.
 * Relies on Check.
 * Leaves hostile bytes to fuzz_mkv_merge.c. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "media/mkv_merge.h"
#include "media/mkv_reader.h"
#include "media/mkv_writer.h"
#include "tests/unit/suite.h"

static struct buf in, out;
static struct mkv_merge merge;
static char seen[4096]; /* names of tags, a space behind each */

static int on_out(void *arg, const void *data, size_t len)
{
    ck_assert_int_eq(buf_append(&out, data, len), 0);
    return 0;
}

static int on_tags(void *arg, const struct mkv_tag *tags, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        strcat(seen, tags[i].name);
        strcat(seen, " ");
    }
    return 0;
}

static const struct mkv_merge_ops ops = {on_out, on_tags};

static void setup(void)
{
    buf_init(&in, 64u << 20);
    buf_init(&out, 64u << 20);
    seen[0] = 0;
    mkv_merge_init(&merge, &ops, NULL);
}

static void teardown(void)
{
    mkv_merge_fini(&merge);
    buf_fini(&in);
    buf_fini(&out);
}

static void tag(const char *name)
{
    struct mkv_tag t = {name, "v"};
    ck_assert_int_eq(mkv_write_tags(&in, &t, 1), 0);
}

static void document(uint64_t timecode, uint32_t width, size_t frame)
{
    static uint8_t payload[9 << 20];
    struct mkv_header h = {.ntracks = 1};
    h.tracks[0] =
        (struct mkv_track){.number = 1, .type = MKV_TRACK_VIDEO, .width = width, .height = 16};
    strcpy(h.tracks[0].codec_id, "V_TEST");
    ck_assert_int_eq(mkv_write_header(&in, &h), 0);
    tag("before");
    mkv_write_cluster(&in, timecode);
    mkv_write_block_header(&in, 1, 0, true, false, frame);
    ck_assert_int_eq(buf_append(&in, payload, frame), 0);
    tag("behind");
}

static int feed(size_t piece)
{
    int r = 0;
    for (size_t at = 0; r == 0 && at < in.len; at += piece)
        r = mkv_merge_feed(&merge, in.data + at, in.len - at < piece ? in.len - at : piece);
    return r;
}

static unsigned count(const char *what, size_t len)
{
    unsigned n = 0;
    for (const uint8_t *p = out.data; (p = memmem(p, out.len - (size_t)(p - out.data), what, len));
         p += len)
        n++;
    return n;
}

#define HEADS count("\x1A\x45\xDF\xA3", 4)
#define CLUSTERS count("\x1F\x43\xB6\x75\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 12)

static int blocks;

static int on_block(void *arg, const struct mkv_block *b)
{
    blocks++;
    return 0;
}

/* What was put out is one Matroska document. */
static void expect_document(int nblocks)
{
    static const struct mkv_reader_ops reader_ops = {.block = on_block};
    struct mkv_reader r;
    blocks = 0;
    mkv_reader_init(&r, &reader_ops, NULL, 16u << 20);
    ck_assert_int_eq(mkv_reader_feed(&r, out.data, out.len), 0);
    ck_assert_int_eq(mkv_reader_finish(&r), 0);
    mkv_reader_fini(&r);
    ck_assert_int_eq(blocks, nblocks);
}

START_TEST(equal_heads_are_put_out_once_however_the_bytes_are_cut)
{
    for (int i = 1; i <= 3; i++)
        document((uint64_t)i * 1000, 16, 100);
    ck_assert_int_eq(feed(_i ? (size_t)_i : in.len), 0);
    ck_assert_int_eq(mkv_merge_cut(&merge), 0);
    ck_assert_uint_eq(HEADS, 1);
    ck_assert_uint_eq(CLUSTERS, 3);
    expect_document(3);
    ck_assert_str_eq(seen, "before behind before behind before behind ");
    ck_assert_uint_eq(count("behind", 6), 3);
}
END_TEST

START_TEST(another_head_begins_another_segment)
{
    document(1000, 16, 100);
    document(2000, 32, 100);
    document(3000, 32, 100);
    ck_assert_int_eq(feed(100), 0);
    ck_assert_uint_eq(HEADS, 2);
    ck_assert_uint_eq(CLUSTERS, 3);
}
END_TEST

START_TEST(times_that_go_back_begin_another_segment)
{
    document(2000, 16, 100);
    document(2000, 16, 100);
    document(2001, 16, 100);
    ck_assert_int_eq(feed(100), 0);
    ck_assert_uint_eq(HEADS, 2);
}
END_TEST

START_TEST(a_document_without_cluster_is_told_and_not_put_out)
{
    document(1000, 16, 100);
    ck_assert_int_eq(mkv_write_head(&in, 0), 0);
    tag("error");
    document(2000, 16, 100);
    ck_assert_int_eq(feed(7), 0);
    ck_assert_uint_eq(HEADS, 1);
    expect_document(2);
    ck_assert_ptr_nonnull(strstr(seen, "error"));
    ck_assert_uint_eq(count("error", 5), 0);
}
END_TEST

START_TEST(after_a_cut_the_next_document_stands_by_itself)
{
    document(1000, 16, 100);
    ck_assert_int_eq(mkv_merge_feed(&merge, in.data, in.len - 20), 0);
    ck_assert_int_eq(mkv_merge_cut(&merge), -EBADMSG);
    buf_clear(&in);
    document(2000, 16, 100);
    ck_assert_int_eq(feed(100), 0);
    ck_assert_uint_eq(HEADS, 2);
}
END_TEST

START_TEST(a_frame_of_any_size_goes_through)
{
    document(1000, 16, 9u << 20);
    ck_assert_int_eq(feed(100000), 0);
    ck_assert_int_eq(mkv_merge_cut(&merge), 0);
    expect_document(1);
}
END_TEST

START_TEST(what_is_no_matroska_is_refused)
{
    ck_assert_int_eq(mkv_merge_feed(&merge, "HTTP/1.1 200", 12), -EBADMSG);
    ck_assert_int_eq(mkv_merge_feed(&merge, "x", 1), -EBADMSG);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mkv_merge");
    TCase *t = tcase_create("mkv_merge");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, equal_heads_are_put_out_once_however_the_bytes_are_cut, 0, 40);
    tcase_add_test(t, another_head_begins_another_segment);
    tcase_add_test(t, times_that_go_back_begin_another_segment);
    tcase_add_test(t, a_document_without_cluster_is_told_and_not_put_out);
    tcase_add_test(t, after_a_cut_the_next_document_stands_by_itself);
    tcase_add_test(t, a_frame_of_any_size_goes_through);
    tcase_add_test(t, what_is_no_matroska_is_refused);
    suite_add_tcase(s, t);
    return suite_run(s);
}
