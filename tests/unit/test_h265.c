/* Claims about media/h265, on parameter sets made with x265 and a configuration record made with
 * ffmpeg. Relies on Check. Leaves NAL iteration to test_nal. */
#include "media/h265.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* a: 1280x720 main; b: 1922x1082 4:2:2 10 bit; c: 320x240 with two temporal layers. */
static const uint8_t x265_a_vps[] = {0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60,
                                     0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03,
                                     0x00, 0x00, 0x03, 0x00, 0x5d, 0x95, 0x94, 0x09};
static const uint8_t x265_a_sps[] = {
    0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00,
    0x03, 0x00, 0x5d, 0xa0, 0x02, 0x80, 0x80, 0x2d, 0x16, 0x59, 0x59, 0x52, 0x93, 0x0b, 0xc0,
    0x5a, 0x02, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x32, 0x10};
static const uint8_t x265_a_pps[] = {0x44, 0x01, 0xc0, 0x73, 0xc1, 0x89};
static const uint8_t x265_b_vps[] = {0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x04, 0x08,
                                     0x00, 0x00, 0x03, 0x00, 0x9d, 0x08, 0x00, 0x00,
                                     0x03, 0x00, 0x00, 0x78, 0x95, 0x94, 0x09};
static const uint8_t x265_b_sps[] = {
    0x42, 0x01, 0x01, 0x04, 0x08, 0x00, 0x00, 0x03, 0x00, 0x9d, 0x08, 0x00, 0x00, 0x03, 0x00,
    0x00, 0x78, 0xb0, 0x03, 0xc8, 0x80, 0x11, 0x07, 0x11, 0x3b, 0x65, 0x95, 0x95, 0x29, 0x30,
    0xbc, 0x05, 0xa0, 0x20, 0x00, 0x00, 0x03, 0x00, 0x20, 0x00, 0x00, 0x03, 0x03, 0x21};
static const uint8_t x265_b_pps[] = {0x44, 0x01, 0xc0, 0x73, 0xc1, 0x89};
static const uint8_t x265_c_vps[] = {0x40, 0x01, 0x0c, 0x02, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00,
                                     0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00,
                                     0x3c, 0x00, 0x00, 0x95, 0x94, 0xac, 0xa0, 0x48};
static const uint8_t x265_c_sps[] = {
    0x42, 0x01, 0x02, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03,
    0x00, 0x3c, 0x00, 0x00, 0xa0, 0x0a, 0x08, 0x0f, 0x16, 0x59, 0x59, 0x4a, 0xca, 0x94, 0x98, 0x5e,
    0x02, 0xd0, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x01, 0x90, 0x80};
static const uint8_t x265_c_pps[] = {0x44, 0x01, 0xc0, 0x73, 0xc1, 0x89};
static const uint8_t hvcc_a[] = {
    0x01, 0x01, 0x60, 0x00, 0x00, 0x00, 0x90, 0x00, 0x00, 0x00, 0x00, 0x00, 0x5d, 0xf0, 0x00, 0xfc,
    0xfd, 0xf8, 0xf8, 0x00, 0x00, 0x0f, 0x03, 0x20, 0x00, 0x01, 0x00, 0x18, 0x40, 0x01, 0x0c, 0x01,
    0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00,
    0x5d, 0x95, 0x94, 0x09, 0x21, 0x00, 0x01, 0x00, 0x2b, 0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00,
    0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x5d, 0xa0, 0x02, 0x80, 0x80, 0x2d,
    0x16, 0x59, 0x59, 0x52, 0x93, 0x0b, 0xc0, 0x5a, 0x02, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00,
    0x03, 0x00, 0x32, 0x10, 0x22, 0x00, 0x01, 0x00, 0x06, 0x44, 0x01, 0xc0, 0x73, 0xc1, 0x89};

#define NAL(a)                                                                                     \
    {                                                                                              \
        a, sizeof a                                                                                \
    }

static const struct {
    struct nal vps, sps, pps;
    uint8_t idc, level, layers, chroma, depth;
    uint32_t width, height;
} vectors[] = {
    {NAL(x265_a_vps), NAL(x265_a_sps), NAL(x265_a_pps), 1, 93, 1, 1, 8, 1280, 720},
    {NAL(x265_b_vps), NAL(x265_b_sps), NAL(x265_b_pps), 4, 120, 1, 2, 10, 1922, 1082},
    {NAL(x265_c_vps), NAL(x265_c_sps), NAL(x265_c_pps), 1, 60, 2, 1, 8, 320, 240},
};
#define VECTORS (sizeof vectors / sizeof vectors[0])

static struct h265_parameter_sets sets_of(int i)
{
    return (struct h265_parameter_sets){.vps = {vectors[i].vps},
                                        .sps = {vectors[i].sps},
                                        .pps = {vectors[i].pps},
                                        .nvps = 1,
                                        .nsps = 1,
                                        .npps = 1};
}

START_TEST(sps_of_a_real_encoder)
{
    struct h265_sps sps;
    ck_assert_int_eq(h265_parse_sps(&vectors[_i].sps, &sps), 0);
    ck_assert_uint_eq(sps.profile.idc, vectors[_i].idc);
    ck_assert_uint_eq(sps.profile.level_idc, vectors[_i].level);
    ck_assert_uint_eq(sps.max_sub_layers, vectors[_i].layers);
    ck_assert_uint_eq(sps.chroma_format_idc, vectors[_i].chroma);
    ck_assert_uint_eq(sps.bit_depth_luma, vectors[_i].depth);
    ck_assert_uint_eq(sps.width, vectors[_i].width);
    ck_assert_uint_eq(sps.height, vectors[_i].height);
    ck_assert_uint_eq(sps.num_reorder_pics, 2);
}
END_TEST

START_TEST(cut_sps_is_refused_or_complete_and_never_overread)
{
    for (size_t n = 0; n < vectors[_i].sps.len; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        struct nal cut = {copy, n};
        struct h265_sps sps;
        memcpy(copy, vectors[_i].sps.data, n);
        int r = h265_parse_sps(&cut, &sps);
        ck_assert(r == -EBADMSG || (r == 0 && sps.width == vectors[_i].width));
        if (n < 20)
            ck_assert_int_eq(r, -EBADMSG);
        free(copy);
    }
}
END_TEST

START_TEST(hvcc_equals_ffmpegs_but_for_array_completeness)
{
    struct h265_parameter_sets sets = sets_of(0);
    struct buf b;
    buf_init(&b, 4096);
    ck_assert_int_eq(h265_build_hvcc(&b, &sets), 0);
    ck_assert_uint_eq(b.len, sizeof hvcc_a);
    for (size_t i = 0; i < b.len; i++)
        ck_assert(b.data[i] == hvcc_a[i] ||
                  ((b.data[i] ^ hvcc_a[i]) == 0x80 && (hvcc_a[i] & 0x7F) >= 32));
    buf_fini(&b);
}
END_TEST

START_TEST(hvcc_round_trips)
{
    struct h265_parameter_sets sets = sets_of(_i);
    struct h265_hvcc hvcc;
    struct h265_sps sps;
    struct buf b;
    buf_init(&b, 4096);
    ck_assert_int_eq(h265_build_hvcc(&b, &sets), 0);
    ck_assert_int_eq(h265_parse_hvcc(b.data, b.len, &hvcc), 0);
    ck_assert_int_eq(h265_parse_sps(&vectors[_i].sps, &sps), 0);
    ck_assert_uint_eq(hvcc.length_size, 4);
    ck_assert_uint_eq(hvcc.profile.idc, sps.profile.idc);
    ck_assert_uint_eq(hvcc.profile.compatibility_flags, sps.profile.compatibility_flags);
    ck_assert(hvcc.profile.constraint_flags == sps.profile.constraint_flags);
    ck_assert_uint_eq(hvcc.profile.level_idc, sps.profile.level_idc);
    ck_assert_uint_eq(hvcc.bit_depth_luma, vectors[_i].depth);
    ck_assert_uint_eq(hvcc.sets.nvps, 1);
    ck_assert_uint_eq(hvcc.sets.nsps, 1);
    ck_assert_uint_eq(hvcc.sets.npps, 1);
    ck_assert_uint_eq(hvcc.sets.sps[0].len, vectors[_i].sps.len);
    ck_assert_mem_eq(hvcc.sets.sps[0].data, vectors[_i].sps.data, vectors[_i].sps.len);
    buf_fini(&b);
}
END_TEST

START_TEST(cut_hvcc_is_refused)
{
    struct h265_hvcc hvcc;
    for (size_t n = 0; n < sizeof hvcc_a; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, hvcc_a, n);
        ck_assert_int_eq(h265_parse_hvcc(copy, n, &hvcc), -EBADMSG);
        free(copy);
    }
}
END_TEST

START_TEST(hvcc_without_a_set_is_refused)
{
    struct h265_parameter_sets sets = sets_of(0);
    struct buf b;
    buf_init(&b, 4096);
    sets.nvps = 0;
    ck_assert_int_eq(h265_build_hvcc(&b, &sets), -EINVAL);
    sets.nvps = 1;
    sets.pps[0] = sets.sps[0];
    ck_assert_int_eq(h265_build_hvcc(&b, &sets), -EINVAL);
    sets = sets_of(0);
    sets.sps[0].len = 10;
    ck_assert_int_eq(h265_build_hvcc(&b, &sets), -EBADMSG);
    ck_assert_uint_eq(b.len, 0);
    buf_fini(&b);
}
END_TEST

/* AUD, VPS, SPS, PPS, one slice of the given type */
static size_t make_au(uint8_t *out, unsigned slice_type)
{
    static const uint8_t code[] = {0, 0, 0, 1}, aud[] = {0x46, 0x01, 0x10};
    const uint8_t slice[] = {(uint8_t)(slice_type << 1), 0x01, 0xAF};
    struct nal units[] = {NAL(aud), NAL(x265_a_vps), NAL(x265_a_sps), NAL(x265_a_pps), NAL(slice)};
    size_t n = 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        memcpy(out + n, code, 4);
        memcpy(out + n + 4, units[i].data, units[i].len);
        n += 4 + units[i].len;
    }
    return n;
}

START_TEST(parameter_sets_are_found)
{
    uint8_t au[256];
    struct h265_parameter_sets sets;
    ck_assert_int_eq(h265_find_parameter_sets(au, make_au(au, H265_NAL_CRA), &sets), 0);
    ck_assert_uint_eq(sets.nvps, 1);
    ck_assert_uint_eq(sets.nsps, 1);
    ck_assert_uint_eq(sets.npps, 1);
    ck_assert_mem_eq(sets.pps[0].data, x265_a_pps, sizeof x265_a_pps);
}
END_TEST

static const struct {
    unsigned type;
    bool irap;
} slices[] = {{0, false}, {1, false}, {9, false}, {16, true}, {19, true},
              {20, true}, {21, true}, {23, true}, {24, false}};

START_TEST(irap_pictures_by_slice_type)
{
    uint8_t au[256];
    size_t n = make_au(au, slices[_i].type);
    struct buf b;
    buf_init(&b, 4096);
    ck_assert_int_eq(h265_is_irap(au, n, false, 0), slices[_i].irap);
    ck_assert_int_eq(h265_annexb_to_hvcc(&b, au, n, 0), 0);
    ck_assert_int_eq(h265_is_irap(b.data, b.len, true, 4), slices[_i].irap);
    buf_fini(&b);
}
END_TEST

START_TEST(flags_drop_sets_and_the_rest_comes_back)
{
    uint8_t au[256];
    size_t n = make_au(au, 19);
    struct buf a, c;
    buf_init(&a, 4096);
    buf_init(&c, 4096);
    ck_assert_int_eq(h265_annexb_to_hvcc(
                         &a, au, n, H265_SKIP_AUD | H265_SKIP_VPS | H265_SKIP_SPS | H265_SKIP_PPS),
                     0);
    ck_assert_int_eq(nal_avcc_to_annexb(&c, a.data, a.len, 4), 0);
    ck_assert_uint_eq(c.len, 7);
    ck_assert_mem_eq(c.data, au + n - 7, 7);
    buf_clear(&a);
    buf_clear(&c);
    ck_assert_int_eq(h265_annexb_to_hvcc(&a, au, n, 0), 0);
    ck_assert_int_eq(nal_avcc_to_annexb(&c, a.data, a.len, 4), 0);
    ck_assert_uint_eq(c.len, n);
    ck_assert_mem_eq(c.data, au, n);
    buf_fini(&a);
    buf_fini(&c);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("h265");
    TCase *t = tcase_create("h265");
    tcase_add_loop_test(t, sps_of_a_real_encoder, 0, VECTORS);
    tcase_add_loop_test(t, cut_sps_is_refused_or_complete_and_never_overread, 0, VECTORS);
    tcase_add_test(t, hvcc_equals_ffmpegs_but_for_array_completeness);
    tcase_add_loop_test(t, hvcc_round_trips, 0, VECTORS);
    tcase_add_test(t, cut_hvcc_is_refused);
    tcase_add_test(t, hvcc_without_a_set_is_refused);
    tcase_add_test(t, parameter_sets_are_found);
    tcase_add_loop_test(t, irap_pictures_by_slice_type, 0, sizeof slices / sizeof slices[0]);
    tcase_add_test(t, flags_drop_sets_and_the_rest_comes_back);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return suite_run(suite());
}
