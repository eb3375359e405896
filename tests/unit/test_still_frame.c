/* Claims about finding the newest key frame in a spool's files, whole, torn, large or rubbish. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/still_frame.h"
#include "common/mem.h"
#include "media/mkv_writer.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

static char dir[] = "/tmp/kvpipe-still-XXXXXX";
static struct still_frame f;

static void up(void)
{
    scratch_make(dir, sizeof dir, "still");
}

static void down(void)
{
    char *command = xasprintf("rm -r '%s'", dir);
    still_frame_fini(&f);
    ck_assert_int_eq(system(command), 0);
    free(command);
}

static void header(struct buf *b)
{
    struct mkv_header h = {.ntracks = 1};
    static uint8_t private[] = {1, 2, 3};
    h.tracks[0] = (struct mkv_track){.number = 1,
                                     .type = MKV_TRACK_VIDEO,
                                     .width = 320,
                                     .height = 240,
                                     .codec_private = private,
                                     .codec_private_len = sizeof private};
    strcpy(h.tracks[0].codec_id, "V_MPEG4/ISO/AVC");
    ck_assert_int_eq(mkv_write_header(b, &h), 0);
}

static void block(struct buf *b, int16_t relative, bool key, const uint8_t *data, size_t len)
{
    ck_assert_int_eq(mkv_write_block_header(b, 1, relative, key, false, len), 0);
    ck_assert_int_eq(buf_append(b, data, len), 0);
}

/* A Cluster at `ms` with a key frame of `size` bytes of `fill`, and one that is none. */
static void cluster(struct buf *b, uint64_t ms, uint8_t fill, size_t size)
{
    uint8_t *data = xmalloc(size);
    memset(data, fill, size);
    ck_assert_int_eq(mkv_write_cluster(b, ms), 0);
    block(b, 0, true, data, size);
    block(b, 40, false, data, size);
    free(data);
}

static void save(struct buf *b, const char *name, size_t cut)
{
    char *path = xasprintf("%s/%s", dir, name);
    FILE *out = fopen(path, "w");
    ck_assert_uint_eq(fwrite(b->data, 1, b->len - cut, out), b->len - cut);
    fclose(out);
    buf_fini(b);
    free(path);
}

static void make(struct buf *b)
{
    buf_init(b, 64u << 20);
    header(b);
}

START_TEST(the_last_key_frame_of_the_last_file)
{
    struct buf b;
    make(&b);
    cluster(&b, 1000, 7, 100);
    save(&b, "000009.mkv", 0);
    make(&b);
    cluster(&b, 2000, 8, 100);
    cluster(&b, 4000, 9, 200);
    save(&b, "000010.mkv", 0);
    ck_assert_int_eq(still_frame_newest(dir, &f), 0);
    ck_assert_uint_eq(f.len, 200);
    ck_assert_uint_eq(f.data[0], 9);
    ck_assert_int_eq(f.wall_ms, 4000);
    ck_assert_uint_eq(f.codec_private_len, 3);
}
END_TEST

START_TEST(a_torn_key_frame_is_not_it)
{
    struct buf b;
    make(&b);
    cluster(&b, 2000, 8, 100);
    cluster(&b, 4000, 9, 200);
    save(&b, "000001.mkv", 300);
    ck_assert_int_eq(still_frame_newest(dir, &f), 0);
    ck_assert_uint_eq(f.data[0], 8);
}
END_TEST

START_TEST(a_file_without_a_cluster_yet_leaves_it_to_the_one_before)
{
    struct buf b;
    make(&b);
    cluster(&b, 2000, 8, 100);
    save(&b, "000001.mkv", 0);
    make(&b);
    save(&b, "000002.mkv", 0);
    ck_assert_int_eq(still_frame_newest(dir, &f), 0);
    ck_assert_uint_eq(f.data[0], 8);
}
END_TEST

START_TEST(near_the_end_of_a_large_file)
{
    struct buf b;
    make(&b);
    for (unsigned i = 0; i < 20; i++)
        cluster(&b, i * 1000, (uint8_t)i, 300000);
    save(&b, "000001.mkv", 0);
    ck_assert_int_eq(still_frame_newest(dir, &f), 0);
    ck_assert_uint_eq(f.data[0], 19);
}
END_TEST

START_TEST(a_key_frame_larger_than_the_first_look)
{
    struct buf b;
    make(&b);
    cluster(&b, 0, 1, 1000);
    cluster(&b, 1000, 2, 4 << 20);
    save(&b, "000001.mkv", 0);
    ck_assert_int_eq(still_frame_newest(dir, &f), 0);
    ck_assert_uint_eq(f.data[0], 2);
}
END_TEST

START_TEST(the_id_of_a_cluster_within_a_frame_is_none)
{
    static const uint8_t id[] = {0x1f, 0x43, 0xb6, 0x75};
    struct buf b;
    static uint8_t data[3000000];
    memset(data, 5, sizeof data);
    for (size_t i = 1000; i < sizeof data - 4; i += 100000)
        memcpy(data + i, id, sizeof id);
    make(&b);
    ck_assert_int_eq(mkv_write_cluster(&b, 1000), 0);
    block(&b, 0, true, data, sizeof data);
    save(&b, "000001.mkv", 0);
    ck_assert_int_eq(still_frame_newest(dir, &f), 0);
    ck_assert_uint_eq(f.len, sizeof data);
}
END_TEST

START_TEST(rubbish_has_none)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 100000; i++)
        buf_append(&b, &(uint8_t){(uint8_t)(i * 31 % 251)}, 1);
    save(&b, "000001.mkv", 0);
    ck_assert_int_eq(still_frame_newest(dir, &f), -ENOENT);
}
END_TEST

START_TEST(a_directory_that_is_not_there)
{
    ck_assert_int_eq(still_frame_newest("/nowhere", &f), -ENOENT);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("still_frame");
    Suite *s = suite_create("still_frame");
    suite_add_tcase(s, t);
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, up, down);
    tcase_add_test(t, the_last_key_frame_of_the_last_file);
    tcase_add_test(t, a_torn_key_frame_is_not_it);
    tcase_add_test(t, a_file_without_a_cluster_yet_leaves_it_to_the_one_before);
    tcase_add_test(t, near_the_end_of_a_large_file);
    tcase_add_test(t, a_key_frame_larger_than_the_first_look);
    tcase_add_test(t, the_id_of_a_cluster_within_a_frame_is_none);
    tcase_add_test(t, rubbish_has_none);
    tcase_add_test(t, a_directory_that_is_not_there);
    return suite_run(s);
}
