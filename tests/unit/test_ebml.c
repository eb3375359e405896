/* Claims about media/ebml: ids, sizes, scalars, masters.
 * Relies on Check.
 * Leaves Matroska to test_mkv_writer and test_mkv_reader. */
#include "media/ebml.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <errno.h>
#include <string.h>

static const struct {
    uint8_t bytes[8];
    size_t n;
    int used;
    uint32_t id;
} ids[] = {
    {{0xEC}, 1, 1, 0xEC},
    {{0x42, 0x86}, 2, 2, 0x4286},
    {{0x2A, 0xD7, 0xB1}, 3, 3, 0x2AD7B1},
    {{0x1A, 0x45, 0xDF, 0xA3}, 4, 4, 0x1A45DFA3},
    {{0x1A, 0x45, 0xDF}, 3, 0, 0},
    {{0}, 0, 0, 0},
    {{0x08, 0x45, 0xDF, 0xA3, 0x01}, 5, -EBADMSG, 0}, /* five bytes */
    {{0x00}, 1, -EBADMSG, 0},
    {{0xFF}, 1, -EBADMSG, 0}, /* reserved */
    {{0x80}, 1, -EBADMSG, 0}, /* reserved */
};

START_TEST(id_is_read_or_refused)
{
    uint32_t id = 0;
    ck_assert_int_eq(ebml_read_id(ids[_i].bytes, ids[_i].n, &id), ids[_i].used);
    ck_assert_uint_eq(id, ids[_i].id);
}
END_TEST

static const struct {
    uint8_t bytes[8];
    size_t n;
    int used;
    uint64_t size;
} sizes[] = {
    {{0x80}, 1, 1, 0},
    {{0xFE}, 1, 1, 126},
    {{0xFF}, 1, 1, EBML_UNKNOWN_SIZE},
    {{0x40, 0x02}, 2, 2, 2}, /* longer than needed is allowed */
    {{0x40}, 1, 0, 0},
    {{0x7F, 0xFF}, 2, 2, EBML_UNKNOWN_SIZE},
    {{0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, 8, 8, EBML_UNKNOWN_SIZE},
    {{0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE}, 8, 8, EBML_SIZE_MAX},
    {{0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, 7, 0, 0},
    {{0x00, 0x80}, 2, -EBADMSG, 0},
};

START_TEST(size_is_read_or_refused)
{
    uint64_t size = 0;
    ck_assert_int_eq(ebml_read_size(sizes[_i].bytes, sizes[_i].n, &size), sizes[_i].used);
    ck_assert(size == sizes[_i].size);
}
END_TEST

START_TEST(every_size_boundary_round_trips)
{
    for (unsigned width = 1; width <= 8; width++) {
        for (int d = -3; d <= 1; d++) {
            uint64_t size = (UINT64_C(1) << (7 * width)) + (uint64_t)(int64_t)d, back = 1;
            struct buf b;
            buf_init(&b, 64);
            if (size > EBML_SIZE_MAX) {
                ck_assert_int_eq(ebml_put_size(&b, size), -EINVAL);
            } else {
                ck_assert_int_eq(ebml_put_size(&b, size), 0);
                ck_assert_int_eq(ebml_read_size(b.data, b.len, &back), (int)b.len);
                ck_assert(back == size);
            }
            buf_fini(&b);
        }
    }
}
END_TEST

static const uint64_t numbers[] = {
    0, 1, 255, 256, 65535, 65536, 1000000, UINT32_MAX, UINT64_C(1) << 40, UINT64_MAX};

START_TEST(uint_round_trips_in_fewest_bytes)
{
    struct buf b;
    uint64_t v = 1;
    buf_init(&b, 64);
    ck_assert_int_eq(ebml_put_uint(&b, 0x4286, numbers[_i]), 0);
    size_t n = b.data[2] & 0x7F;
    ck_assert_uint_eq(b.len, 3 + n);
    ck_assert_int_eq(ebml_read_uint(b.data + 3, n, &v), 0);
    ck_assert(v == numbers[_i]);
    ck_assert(n == 1 || b.data[3] != 0);
    buf_fini(&b);
}
END_TEST

START_TEST(uint_of_nine_bytes_is_refused)
{
    uint8_t nine[9] = {0};
    uint64_t v = 7;
    ck_assert_int_eq(ebml_read_uint(nine, 9, &v), -EBADMSG);
    ck_assert_int_eq(ebml_read_uint(nine, 0, &v), 0);
    ck_assert_uint_eq(v, 0);
}
END_TEST

START_TEST(float_has_none_four_or_eight_bytes)
{
    static const uint8_t four[] = {0x47, 0x3B, 0x80, 0x00}; /* 48000 */
    double v = 1;
    ck_assert_int_eq(ebml_read_float(four, 4, &v), 0);
    ck_assert_double_eq(v, 48000);
    ck_assert_int_eq(ebml_read_float(four, 0, &v), 0);
    ck_assert_double_eq(v, 0);
    ck_assert_int_eq(ebml_read_float(four, 3, &v), -EBADMSG);
    struct buf b;
    buf_init(&b, 64);
    ck_assert_int_eq(ebml_put_float(&b, 0xB5, 44100.5), 0);
    ck_assert_int_eq(ebml_read_float(b.data + 2, 8, &v), 0);
    ck_assert_double_eq(v, 44100.5);
    buf_fini(&b);
}
END_TEST

START_TEST(master_size_is_filled_in)
{
    static const uint8_t want[] = {0xAE, 0x10, 0, 0, 7, 0xE0, 0x10, 0, 0, 0, 0xEC, 0x80};
    struct buf b;
    size_t outer, inner;
    buf_init(&b, 64);
    ck_assert_int_eq(ebml_begin(&b, 0xAE, &outer), 0);
    ck_assert_int_eq(ebml_begin(&b, 0xE0, &inner), 0);
    ck_assert_int_eq(ebml_end(&b, inner), 0);
    ck_assert_int_eq(ebml_put_binary(&b, 0xEC, NULL, 0), 0);
    ck_assert_int_eq(ebml_end(&b, outer), 0);
    ck_assert_uint_eq(b.len, sizeof want);
    ck_assert_mem_eq(b.data, want, sizeof want);
    buf_fini(&b);
}
END_TEST

START_TEST(unknown_size_master_has_all_ones)
{
    static const uint8_t want[] = {0x1F, 0x43, 0xB6, 0x75, 0x01, 0xFF,
                                   0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    struct buf b;
    buf_init(&b, 64);
    ck_assert_int_eq(ebml_begin_unknown(&b, 0x1F43B675), 0);
    ck_assert_uint_eq(b.len, sizeof want);
    ck_assert_mem_eq(b.data, want, sizeof want);
    buf_fini(&b);
}
END_TEST

START_TEST(full_buffer_is_left_as_it_was)
{
    struct buf b;
    buf_init(&b, 6);
    ck_assert_int_eq(ebml_put_string(&b, 0x86, "ab"), 0);
    ck_assert_int_eq(ebml_put_string(&b, 0x86, "abc"), -ENOBUFS);
    ck_assert_uint_eq(b.len, 4);
    buf_fini(&b);
}
END_TEST

START_TEST(impossible_id_is_refused)
{
    struct buf b;
    buf_init(&b, 64);
    ck_assert_int_eq(ebml_put_id(&b, 0x12), -EINVAL);
    ck_assert_int_eq(ebml_put_uint(&b, 0xFFFFFFFF, 1), -EINVAL);
    ck_assert_uint_eq(b.len, 0);
    buf_fini(&b);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ebml");
    TCase *t = tcase_create("ebml");
    tcase_add_loop_test(t, id_is_read_or_refused, 0, sizeof ids / sizeof ids[0]);
    tcase_add_loop_test(t, size_is_read_or_refused, 0, sizeof sizes / sizeof sizes[0]);
    tcase_add_test(t, every_size_boundary_round_trips);
    tcase_add_loop_test(t, uint_round_trips_in_fewest_bytes, 0, sizeof numbers / sizeof numbers[0]);
    tcase_add_test(t, uint_of_nine_bytes_is_refused);
    tcase_add_test(t, float_has_none_four_or_eight_bytes);
    tcase_add_test(t, master_size_is_filled_in);
    tcase_add_test(t, unknown_size_master_has_all_ones);
    tcase_add_test(t, full_buffer_is_left_as_it_was);
    tcase_add_test(t, impossible_id_is_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return suite_run(suite());
}
