/* Claims about media/nal: iteration over both formats, conversion, bits.
 * Relies on Check.
 * Leaves parameter sets to test_h264 and test_h265. */
#include "media/nal.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Iterates over a heap copy, so that a sanitizer sees every byte past the end. Writes units as hex,
 * e.g. "6742,68". */
static int list(const uint8_t *data, size_t len, unsigned length_size, char *out)
{
    uint8_t *copy = malloc(len ? len : 1);
    struct nal_iter it;
    struct nal nal;
    int r;
    if (len)
        memcpy(copy, data, len);
    *out = 0;
    nal_iter_annexb(&it, copy, len);
    if (length_size)
        ck_assert_int_eq(nal_iter_avcc(&it, copy, len, length_size), 0);
    while ((r = nal_next(&it, &nal)) > 0) {
        if (*out)
            strcat(out, ",");
        for (size_t i = 0; i < nal.len; i++)
            sprintf(out + strlen(out), "%02x", nal.data[i]);
    }
    free(copy);
    return r;
}

static const struct {
    const char *bytes;
    size_t len;
    int result;
    const char *units;
} annexb[] = {
    {"\0\0\1\x67\x42\0\0\0\1\x68", 10, 0, "6742,68"},
    {"\0\0\0\1\x67\x42\0\0\1\x68", 10, 0, "6742,68"},
    {"\0\0\0\0\0\1\x67\0\0\0", 10, 0, "67"},        /* zeros before and after */
    {"\0\0\1\x67\0\0\0\0\0\1\x68", 11, 0, "67,68"}, /* zeros between */
    {"\0\0\1\0\0\1\x68", 7, 0, "68"},               /* an empty unit is no unit */
    {"\0\0\1\x65\x00\x00\x03\x01", 8, 0,
     "65000003"
     "01"}, /* emulation prevention stays */
    {"\0\0\1", 3, 0, ""},
    {"", 0, 0, ""},
    {"\x67\x42", 2, -EBADMSG, ""},
    {"\x01\0\0\1\x67", 5, -EBADMSG, ""},
    {"\0\0\0", 3, -EBADMSG, ""},
    {"\0\0\1\x67\0\0", 6, 0, "67"},
    {"\0\0\1\x01\x01\x01\0\1", 8, 0, "0101010001"},
};

START_TEST(annexb_units)
{
    char out[64];
    ck_assert_int_eq(list((const uint8_t *)annexb[_i].bytes, annexb[_i].len, 0, out),
                     annexb[_i].result);
    ck_assert_str_eq(out, annexb[_i].units);
}
END_TEST

static const struct {
    const char *bytes;
    size_t len;
    unsigned length_size;
    int result;
    const char *units;
} avcc[] = {
    {"\0\0\0\2\x67\x42\0\0\0\1\x68", 11, 4, 0, "6742,68"},
    {"\0\2\x67\x42\0\1\x68", 7, 2, 0, "6742,68"},
    {"\2\x67\x42\1\x68", 5, 1, 0, "6742,68"},
    {"\0\1\x68", 3, 1, 0, "68"},
    {"\0\0\0\2\x67", 5, 4, -EBADMSG, ""},
    {"\1\x67\0\0", 4, 4, -EBADMSG, ""},
    {"\1\x67\2", 3, 1, -EBADMSG, "67"},
    {"\xFF\xFF\xFF\xFF\x67", 5, 4, -EBADMSG, ""},
    {"\0\0\0", 3, 4, -EBADMSG, ""},
};

START_TEST(length_prefixed_units)
{
    char out[64];
    ck_assert_int_eq(list((const uint8_t *)avcc[_i].bytes, avcc[_i].len, avcc[_i].length_size, out),
                     avcc[_i].result);
    ck_assert_str_eq(out, avcc[_i].units);
}
END_TEST

START_TEST(length_size_three_is_refused)
{
    struct nal_iter it;
    struct buf out;
    buf_init(&out, 64);
    ck_assert_int_eq(nal_iter_avcc(&it, NULL, 0, 3), -EINVAL);
    ck_assert_int_eq(nal_avcc_to_annexb(&out, NULL, 0, 3), -EINVAL);
}
END_TEST

START_TEST(conversion_there_and_back)
{
    static const uint8_t in[] = {0, 0, 0, 1, 0x67, 0x42, 0, 0, 0, 1, 0x65, 0, 0, 3, 1};
    static const uint8_t mid[] = {0, 0, 0, 2, 0x67, 0x42, 0, 0, 0, 5, 0x65, 0, 0, 3, 1};
    struct buf a, c;
    buf_init(&a, 64);
    buf_init(&c, 64);
    ck_assert_int_eq(nal_annexb_to_avcc(&a, in, sizeof in, NULL, 0), 0);
    ck_assert_uint_eq(a.len, sizeof mid);
    ck_assert_mem_eq(a.data, mid, sizeof mid);
    ck_assert_int_eq(nal_avcc_to_annexb(&c, a.data, a.len, 4), 0);
    ck_assert_uint_eq(c.len, sizeof in);
    ck_assert_mem_eq(c.data, in, sizeof in);
    buf_fini(&a);
    buf_fini(&c);
}
END_TEST

START_TEST(failed_conversion_leaves_the_buffer)
{
    struct buf out;
    buf_init(&out, 10);
    buf_append(&out, "x", 1);
    ck_assert_int_eq(nal_annexb_to_avcc(&out, (const uint8_t *)"\0\0\1\x67\0\0\1\x68", 8, NULL, 0),
                     -ENOBUFS);
    ck_assert_int_eq(nal_avcc_to_annexb(&out, (const uint8_t *)"\1\x67\2", 3, 1), -EBADMSG);
    ck_assert_uint_eq(out.len, 1);
    buf_fini(&out);
}
END_TEST

START_TEST(bits_leave_out_emulation_prevention)
{
    static const uint8_t in[] = {0, 0, 3, 1, 0, 0, 3, 0, 0, 3};
    static const uint8_t want[] = {0, 0, 1, 0, 0, 0, 0};
    struct nal_bits b;
    nal_bits_init(&b, in, sizeof in);
    for (size_t i = 0; i < sizeof want; i++)
        ck_assert_uint_eq(nal_bits_u(&b, 8), want[i]);
    ck_assert(!b.bad);
    ck_assert_uint_eq(nal_bits_u(&b, 1), 0);
    ck_assert(b.bad);
}
END_TEST

START_TEST(exp_golomb_codes)
{
    /* 1 | 010 | 011 | 00100 | 00101 : ue 0 1 2 3, se -> code 4 = -2 */
    static const uint8_t in[] = {0xA6, 0x42, 0x80};
    struct nal_bits b;
    nal_bits_init(&b, in, sizeof in);
    for (uint32_t i = 0; i < 4; i++)
        ck_assert_uint_eq(nal_bits_ue(&b), i);
    ck_assert_int_eq(nal_bits_se(&b), -2);
    ck_assert(!b.bad);
}
END_TEST

START_TEST(endless_exp_golomb_code_is_bad)
{
    static const uint8_t in[16] = {0, 0, 4, 0, 4};
    struct nal_bits b;
    nal_bits_init(&b, in + 5, 11);
    ck_assert_uint_eq(nal_bits_ue(&b), 0);
    ck_assert(b.bad);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("nal");
    TCase *t = tcase_create("nal");
    tcase_add_loop_test(t, annexb_units, 0, sizeof annexb / sizeof annexb[0]);
    tcase_add_loop_test(t, length_prefixed_units, 0, sizeof avcc / sizeof avcc[0]);
    tcase_add_test(t, length_size_three_is_refused);
    tcase_add_test(t, conversion_there_and_back);
    tcase_add_test(t, failed_conversion_leaves_the_buffer);
    tcase_add_test(t, bits_leave_out_emulation_prevention);
    tcase_add_test(t, exp_golomb_codes);
    tcase_add_test(t, endless_exp_golomb_code_is_bad);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return suite_run(suite());
}
