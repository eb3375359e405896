/* Claims about media/h264, on parameter sets made with x264 and configuration records made with
 * ffmpeg. Relies on Check. Leaves NAL iteration to test_nal. */
#include "media/h264.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* a: 1280x720 25 fps main with B-frames; b: 1920x1080 29.97 baseline; c: 322x182 4:2:2 10 bit; d:
 * 720x576 interlaced, scaling lists, HRD. */
static const uint8_t x264_a_sps[] = {0x67, 0x4d, 0x40, 0x1f, 0xec, 0xa0, 0x28, 0x02, 0xdd,
                                     0x80, 0x88, 0x00, 0x00, 0x03, 0x00, 0x08, 0x00, 0x00,
                                     0x03, 0x01, 0x90, 0x78, 0xc1, 0x8c, 0xb0};
static const uint8_t x264_a_pps[] = {0x68, 0xce, 0x0f, 0xc8};
static const uint8_t x264_b_sps[] = {0x67, 0x42, 0xc0, 0x28, 0xda, 0x01, 0xe0, 0x08,
                                     0x9f, 0x97, 0x01, 0x10, 0x00, 0x00, 0x3e, 0x90,
                                     0x00, 0x0e, 0xa6, 0x08, 0xf1, 0x83, 0x2a};
static const uint8_t x264_b_pps[] = {0x68, 0xce, 0x0f, 0xc8};
static const uint8_t x264_c_sps[] = {0x67, 0x7a, 0x00, 0x0d, 0xb6, 0xcd, 0x94, 0x15, 0x19,
                                     0xe2, 0x22, 0xf0, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01,
                                     0x00, 0x00, 0x03, 0x00, 0x3c, 0x0f, 0x14, 0x29, 0x96};
static const uint8_t x264_c_pps[] = {0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0};
static const uint8_t x264_d_sps[] = {0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xb4, 0x24, 0xdf,
                                     0xf8, 0x02, 0x00, 0x01, 0x68, 0x80, 0x00, 0x00, 0x03, 0x00,
                                     0x80, 0x00, 0x00, 0x19, 0x30, 0x10, 0x00, 0xf4, 0x20, 0x00,
                                     0x3d, 0x09, 0xc9, 0x86, 0x01, 0xf1, 0x42, 0x99, 0x60};
static const uint8_t x264_d_pps[] = {0x68, 0xfb, 0xac, 0xb3, 0x00, 0x2c};
static const uint8_t avcc_a[] = {0x01, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x4d,
                                 0x40, 0x1f, 0xec, 0xa0, 0x28, 0x02, 0xdd, 0x80, 0x88, 0x00,
                                 0x00, 0x03, 0x00, 0x08, 0x00, 0x00, 0x03, 0x01, 0x90, 0x78,
                                 0xc1, 0x8c, 0xb0, 0x01, 0x00, 0x04, 0x68, 0xce, 0x0f, 0xc8};
static const uint8_t avcc_c[] = {
    0x01, 0x7a, 0x00, 0x0d, 0xff, 0xe1, 0x00, 0x1b, 0x67, 0x7a, 0x00, 0x0d, 0xb6, 0xcd, 0x94, 0x15,
    0x19, 0xe2, 0x22, 0xf0, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x0f,
    0x14, 0x29, 0x96, 0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfe, 0xfa, 0xfa, 0x00};

#define NAL(a)                                                                                     \
    {                                                                                              \
        a, sizeof a                                                                                \
    }

static const struct {
    struct nal sps, pps;
    struct h264_sps want;
} vectors[] = {
    {NAL(x264_a_sps),
     NAL(x264_a_pps),
     {.profile_idc = 77,
      .constraint_flags = 0x40,
      .level_idc = 31,
      .chroma_format_idc = 1,
      .bit_depth_luma = 8,
      .bit_depth_chroma = 8,
      .width = 1280,
      .height = 720,
      .fps_num = 25,
      .fps_den = 1,
      .num_reorder_frames = 2,
      .has_bitstream_restriction = true}},
    {NAL(x264_b_sps),
     NAL(x264_b_pps),
     {.profile_idc = 66,
      .constraint_flags = 0xC0,
      .level_idc = 40,
      .chroma_format_idc = 1,
      .bit_depth_luma = 8,
      .bit_depth_chroma = 8,
      .width = 1920,
      .height = 1080,
      .fps_num = 30000,
      .fps_den = 1001,
      .num_reorder_frames = 0,
      .has_bitstream_restriction = true}},
    {NAL(x264_c_sps),
     NAL(x264_c_pps),
     {.profile_idc = 122,
      .constraint_flags = 0,
      .level_idc = 13,
      .chroma_format_idc = 2,
      .bit_depth_luma = 10,
      .bit_depth_chroma = 10,
      .width = 322,
      .height = 182,
      .fps_num = 30,
      .fps_den = 1,
      .num_reorder_frames = 2,
      .has_bitstream_restriction = true}},
    {NAL(x264_d_sps),
     NAL(x264_d_pps),
     {.profile_idc = 100,
      .constraint_flags = 0,
      .level_idc = 30,
      .chroma_format_idc = 1,
      .bit_depth_luma = 8,
      .bit_depth_chroma = 8,
      .width = 720,
      .height = 576,
      .fps_num = 25,
      .fps_den = 1,
      .interlaced = true,
      .num_reorder_frames = 2,
      .has_bitstream_restriction = true}},
};
#define VECTORS (sizeof vectors / sizeof vectors[0])

START_TEST(sps_of_a_real_encoder)
{
    struct h264_sps sps;
    const struct h264_sps *want = &vectors[_i].want;
    ck_assert_int_eq(h264_parse_sps(&vectors[_i].sps, &sps), 0);
    ck_assert_uint_eq(sps.profile_idc, want->profile_idc);
    ck_assert_uint_eq(sps.constraint_flags, want->constraint_flags);
    ck_assert_uint_eq(sps.level_idc, want->level_idc);
    ck_assert_uint_eq(sps.chroma_format_idc, want->chroma_format_idc);
    ck_assert_uint_eq(sps.bit_depth_luma, want->bit_depth_luma);
    ck_assert_uint_eq(sps.bit_depth_chroma, want->bit_depth_chroma);
    ck_assert_uint_eq(sps.width, want->width);
    ck_assert_uint_eq(sps.height, want->height);
    ck_assert_uint_eq(sps.fps_num, want->fps_num * sps.fps_den / want->fps_den);
    ck_assert_int_eq(sps.interlaced, want->interlaced);
    ck_assert_int_eq(sps.has_bitstream_restriction, want->has_bitstream_restriction);
    ck_assert_uint_eq(sps.num_reorder_frames, want->num_reorder_frames);
}
END_TEST

START_TEST(cut_sps_is_refused_or_complete_and_never_overread)
{
    for (size_t n = 0; n < vectors[_i].sps.len; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        struct nal cut = {copy, n};
        struct h264_sps sps;
        memcpy(copy, vectors[_i].sps.data, n);
        int r = h264_parse_sps(&cut, &sps);
        ck_assert(r == -EBADMSG || (r == 0 && sps.width == vectors[_i].want.width));
        if (n < 8)
            ck_assert_int_eq(r, -EBADMSG);
        free(copy);
    }
}
END_TEST

START_TEST(pps_is_no_sps)
{
    struct h264_sps sps;
    ck_assert_int_eq(h264_parse_sps(&vectors[_i].pps, &sps), -EBADMSG);
}
END_TEST

START_TEST(avcc_equals_ffmpegs)
{
    const uint8_t *want = _i ? avcc_c : avcc_a;
    size_t n = _i ? sizeof avcc_c : sizeof avcc_a;
    unsigned v = _i ? 2 : 0;
    struct buf b;
    buf_init(&b, 4096);
    ck_assert_int_eq(h264_build_avcc(&b, &vectors[v].sps, 1, &vectors[v].pps, 1), 0);
    ck_assert_uint_eq(b.len, n);
    ck_assert_mem_eq(b.data, want, n);
    buf_fini(&b);
}
END_TEST

START_TEST(avcc_round_trips)
{
    struct nal sps[2] = {vectors[_i].sps, NAL(x264_a_sps)},
               pps[2] = {vectors[_i].pps, NAL(x264_d_pps)};
    struct h264_avcc avcc;
    struct buf b;
    buf_init(&b, 4096);
    ck_assert_int_eq(h264_build_avcc(&b, sps, 2, pps, 2), 0);
    ck_assert_int_eq(h264_parse_avcc(b.data, b.len, &avcc), 0);
    ck_assert_uint_eq(avcc.length_size, 4);
    ck_assert_uint_eq(avcc.profile_idc, vectors[_i].want.profile_idc);
    ck_assert_uint_eq(avcc.sets.nsps, 2);
    ck_assert_uint_eq(avcc.sets.npps, 2);
    ck_assert_mem_eq(avcc.sets.sps[0].data, sps[0].data, sps[0].len);
    ck_assert_mem_eq(avcc.sets.pps[1].data, pps[1].data, pps[1].len);
    buf_fini(&b);
}
END_TEST

START_TEST(cut_avcc_is_refused)
{
    struct h264_avcc avcc;
    for (size_t n = 0; n < sizeof avcc_a; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, avcc_a, n);
        ck_assert_int_eq(h264_parse_avcc(copy, n, &avcc), -EBADMSG);
        free(copy);
    }
}
END_TEST

START_TEST(avcc_without_sets_or_with_wrong_units_is_refused)
{
    struct nal sps = NAL(x264_a_sps), pps = NAL(x264_a_pps), cut = {x264_a_sps, 6};
    struct buf b;
    buf_init(&b, 4096);
    ck_assert_int_eq(h264_build_avcc(&b, &sps, 0, &pps, 1), -EINVAL);
    ck_assert_int_eq(h264_build_avcc(&b, &sps, 1, &pps, 0), -EINVAL);
    ck_assert_int_eq(h264_build_avcc(&b, &pps, 1, &sps, 1), -EINVAL);
    ck_assert_int_eq(h264_build_avcc(&b, &sps, 32, &pps, 1), -EINVAL);
    ck_assert_int_eq(h264_build_avcc(&b, &cut, 1, &pps, 1), -EBADMSG);
    ck_assert_uint_eq(b.len, 0);
    buf_fini(&b);
}
END_TEST

/* AUD, SPS, PPS, the SPS again, SEI, IDR slice */
static size_t make_au(uint8_t *out)
{
    static const uint8_t code[] = {0, 0, 0, 1}, aud[] = {0x09, 0xF0}, sei[] = {0x06, 0x01, 0x80},
                         idr[] = {0x65, 0x88, 0x84, 0x00, 0x00, 0x03, 0x01};
    struct nal units[] = {NAL(aud),        NAL(x264_a_sps), NAL(x264_a_pps),
                          NAL(x264_a_sps), NAL(sei),        NAL(idr)};
    size_t n = 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        memcpy(out + n, code, 4);
        memcpy(out + n + 4, units[i].data, units[i].len);
        n += 4 + units[i].len;
    }
    return n;
}

START_TEST(parameter_sets_are_found_once_each)
{
    uint8_t au[256];
    struct h264_parameter_sets sets;
    ck_assert_int_eq(h264_find_parameter_sets(au, make_au(au), &sets), 0);
    ck_assert_uint_eq(sets.nsps, 1);
    ck_assert_uint_eq(sets.npps, 1);
    ck_assert_uint_eq(sets.sps[0].len, sizeof x264_a_sps);
    ck_assert_mem_eq(sets.sps[0].data, x264_a_sps, sizeof x264_a_sps);
    ck_assert_uint_eq(sets.pps[0].len, sizeof x264_a_pps);
}
END_TEST

static unsigned types_of(const struct buf *b)
{
    struct nal_iter it;
    struct nal nal;
    unsigned types = 0;
    ck_assert_int_eq(nal_iter_avcc(&it, b->data, b->len, 4), 0);
    while (nal_next(&it, &nal) > 0)
        types |= 1u << h264_nal_type(&nal);
    return types;
}

static const struct {
    unsigned flags, types;
} skips[] = {
    {0, 1u << 9 | 1u << 7 | 1u << 8 | 1u << 6 | 1u << 5},
    {H264_SKIP_AUD, 1u << 7 | 1u << 8 | 1u << 6 | 1u << 5},
    {H264_SKIP_SPS | H264_SKIP_PPS, 1u << 9 | 1u << 6 | 1u << 5},
    {H264_SKIP_AUD | H264_SKIP_SPS | H264_SKIP_PPS, 1u << 6 | 1u << 5},
};

START_TEST(only_what_the_flags_name_is_dropped)
{
    uint8_t au[256];
    struct buf b;
    buf_init(&b, 4096);
    ck_assert_int_eq(h264_annexb_to_avcc(&b, au, make_au(au), skips[_i].flags), 0);
    ck_assert_uint_eq(types_of(&b), skips[_i].types);
    buf_fini(&b);
}
END_TEST

START_TEST(way_there_and_back_gives_the_same_bytes)
{
    uint8_t au[256];
    size_t n = make_au(au);
    struct buf a, c;
    buf_init(&a, 4096);
    buf_init(&c, 4096);
    ck_assert_int_eq(h264_annexb_to_avcc(&a, au, n, 0), 0);
    ck_assert_int_eq(nal_avcc_to_annexb(&c, a.data, a.len, 4), 0);
    ck_assert_uint_eq(c.len, n);
    ck_assert_mem_eq(c.data, au, n);
    ck_assert(h264_is_idr(au, n, false, 0));
    ck_assert(h264_is_idr(a.data, a.len, true, 4));
    buf_fini(&a);
    buf_fini(&c);
}
END_TEST

START_TEST(other_slices_and_damage_are_no_idr)
{
    ck_assert(!h264_is_idr((const uint8_t *)"\0\0\1\x41\x9a\0\0\1\x65", 9, false, 0));
    ck_assert(!h264_is_idr((const uint8_t *)"\0\0\0\x09\x65\x88", 6, true, 4));
    ck_assert(!h264_is_idr((const uint8_t *)"\0\0\0\1\x65", 5, true, 3));
    ck_assert(!h264_is_idr(NULL, 0, false, 0));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("h264");
    TCase *t = tcase_create("h264");
    tcase_add_loop_test(t, sps_of_a_real_encoder, 0, VECTORS);
    tcase_add_loop_test(t, cut_sps_is_refused_or_complete_and_never_overread, 0, VECTORS);
    tcase_add_loop_test(t, pps_is_no_sps, 0, VECTORS);
    tcase_add_loop_test(t, avcc_equals_ffmpegs, 0, 2);
    tcase_add_loop_test(t, avcc_round_trips, 0, VECTORS);
    tcase_add_test(t, cut_avcc_is_refused);
    tcase_add_test(t, avcc_without_sets_or_with_wrong_units_is_refused);
    tcase_add_test(t, parameter_sets_are_found_once_each);
    tcase_add_loop_test(t, only_what_the_flags_name_is_dropped, 0, sizeof skips / sizeof skips[0]);
    tcase_add_test(t, way_there_and_back_gives_the_same_bytes);
    tcase_add_test(t, other_slices_and_damage_are_no_idr);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return suite_run(suite());
}
