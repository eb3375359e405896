/* H.264 parameter sets, avcC and stream formats.
 * Relies on nal and common/buf.
 * Leaves slices undecoded. */
#include "media/h264.h"

#include <errno.h>
#include <string.h>

/* Picture sides above any level's limit (level 6.2: 16,888 luma samples). */
#define MBS_PER_SIDE_MAX 2048

enum h264_nal_type h264_nal_type(const struct nal *nal)
{
    return nal->len ? (enum h264_nal_type)(nal->data[0] & 0x1F) : (enum h264_nal_type)0;
}

static bool skips(const struct nal *nal, unsigned flags)
{
    switch (h264_nal_type(nal)) {
    case H264_NAL_AUD:
        return (flags & H264_SKIP_AUD) != 0;
    case H264_NAL_SPS:
        return (flags & H264_SKIP_SPS) != 0;
    case H264_NAL_PPS:
        return (flags & H264_SKIP_PPS) != 0;
    default:
        return false;
    }
}

int h264_annexb_to_avcc(struct buf *out, const uint8_t *data, size_t len, unsigned skip_flags)
{
    return nal_annexb_to_avcc(out, data, len, skips, skip_flags);
}

bool h264_is_idr(const uint8_t *data, size_t len, bool avcc, unsigned length_size)
{
    struct nal_iter it;
    struct nal nal;
    nal_iter_annexb(&it, data, len);
    if (avcc && nal_iter_avcc(&it, data, len, length_size) < 0)
        return false;
    while (nal_next(&it, &nal) > 0) {
        enum h264_nal_type type = h264_nal_type(&nal);
        if (type == H264_NAL_IDR)
            return true;
        if (type == H264_NAL_SLICE)
            return false; /* all slices of a primary picture are of one kind */
    }
    return false;
}

/* profile_idc values whose SPS and avcC carry chroma format and bit depths (7.3.2.1.1). */
static bool is_high_profile(uint8_t profile_idc)
{
    static const uint8_t high[] = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135};
    return memchr(high, profile_idc, sizeof high) != NULL;
}

static void skip_scaling_list(struct nal_bits *b, unsigned size)
{
    int32_t last = 8, next = 8;
    for (unsigned i = 0; i < size && !b->bad; i++) {
        if (next != 0)
            next = (last + nal_bits_se(b) % 256 + 256) % 256;
        last = next ? next : last;
    }
}

static void parse_chroma(struct nal_bits *b, struct h264_sps *sps)
{
    uint32_t chroma = nal_bits_ue(b);
    if (chroma > 3)
        b->bad = true;
    sps->chroma_format_idc = (uint8_t)chroma;
    if (chroma == 3)
        sps->separate_planes = nal_bits_u(b, 1);
    uint32_t luma_depth = nal_bits_ue(b), chroma_depth = nal_bits_ue(b);
    if (luma_depth > 6 || chroma_depth > 6)
        b->bad = true;
    sps->bit_depth_luma = (uint8_t)(8 + luma_depth);
    sps->bit_depth_chroma = (uint8_t)(8 + chroma_depth);
    nal_bits_u(b, 1);       /* qpprime_y_zero_transform_bypass_flag */
    if (nal_bits_u(b, 1)) { /* seq_scaling_matrix_present_flag */
        for (unsigned i = 0; i < (chroma == 3 ? 12 : 8) && !b->bad; i++)
            if (nal_bits_u(b, 1))
                skip_scaling_list(b, i < 6 ? 16 : 64);
    }
}

/* log2_max_frame_num_minus4, log2_max_pic_order_cnt_lsb_minus4: 0 to 12 */
static uint8_t read_counter_bits(struct nal_bits *b)
{
    uint32_t v = nal_bits_ue(b);
    if (v > 12)
        b->bad = true;
    return (uint8_t)(v + 4);
}

static void parse_picture_order(struct nal_bits *b, struct h264_sps *sps)
{
    uint32_t type = nal_bits_ue(b);
    sps->poc_type = (uint8_t)type;
    if (type == 0) {
        sps->poc_lsb_bits = read_counter_bits(b);
    } else if (type == 1) {
        nal_bits_u(b, 1);
        nal_bits_se(b);
        nal_bits_se(b);
        uint32_t n = nal_bits_ue(b);
        if (n > 255)
            b->bad = true;
        for (uint32_t i = 0; i < n && !b->bad; i++)
            nal_bits_se(b);
    } else if (type > 2) {
        b->bad = true;
    }
}

/* Picture size in samples after cropping (7.4.2.1.1). */
static void parse_size(struct nal_bits *b, struct h264_sps *sps)
{
    uint64_t mbs_wide = (uint64_t)nal_bits_ue(b) + 1;
    uint64_t units_high = (uint64_t)nal_bits_ue(b) + 1;
    uint32_t frame_mbs_only = nal_bits_u(b, 1);
    sps->interlaced = !frame_mbs_only;
    if (!frame_mbs_only)
        nal_bits_u(b, 1); /* mb_adaptive_frame_field_flag */
    nal_bits_u(b, 1);     /* direct_8x8_inference_flag */
    if (mbs_wide > MBS_PER_SIDE_MAX || units_high > MBS_PER_SIDE_MAX) {
        b->bad = true;
        return;
    }
    uint64_t width = mbs_wide * 16;
    uint64_t height = units_high * 16 * (2 - frame_mbs_only);
    if (nal_bits_u(b, 1)) { /* frame_cropping_flag */
        unsigned chroma = sps->separate_planes ? 0 : sps->chroma_format_idc;
        uint64_t unit_x = chroma == 1 || chroma == 2 ? 2 : 1;
        uint64_t unit_y = (chroma == 1 ? 2 : 1) * (2 - frame_mbs_only);
        uint64_t left = nal_bits_ue(b), right = nal_bits_ue(b);
        uint64_t top = nal_bits_ue(b), bottom = nal_bits_ue(b);
        uint64_t crop_x = (left + right) * unit_x, crop_y = (top + bottom) * unit_y;
        if (crop_x >= width || crop_y >= height) {
            b->bad = true;
            return;
        }
        width -= crop_x;
        height -= crop_y;
    }
    sps->width = (uint32_t)width;
    sps->height = (uint32_t)height;
}

/* Sample aspect ratios by aspect_ratio_idc (table E-1). */
static void parse_aspect_ratio(struct nal_bits *b, struct h264_sps *sps)
{
    static const uint8_t ratios[][2] = {{0, 0},   {1, 1},    {12, 11}, {10, 11}, {16, 11}, {40, 33},
                                        {24, 11}, {20, 11},  {32, 11}, {80, 33}, {18, 11}, {15, 11},
                                        {64, 33}, {160, 99}, {4, 3},   {3, 2},   {2, 1}};
    uint32_t idc = nal_bits_u(b, 8);
    if (idc == 255) {
        sps->sar_num = nal_bits_u(b, 16);
        sps->sar_den = nal_bits_u(b, 16);
    } else if (idc < sizeof ratios / sizeof ratios[0]) {
        sps->sar_num = ratios[idc][0];
        sps->sar_den = ratios[idc][1];
    }
}

/* hrd_parameters() (E.1.2), of which nothing is kept. */
static void skip_hrd(struct nal_bits *b)
{
    uint32_t n = nal_bits_ue(b);
    if (n > 31)
        b->bad = true;
    nal_bits_skip(b, 8);
    for (uint32_t i = 0; i <= n && !b->bad; i++) {
        nal_bits_ue(b);
        nal_bits_ue(b);
        nal_bits_u(b, 1);
    }
    nal_bits_skip(b, 20);
}

/* fps from num_units_in_tick and time_scale: a tick is a field. */
static void parse_timing(struct nal_bits *b, struct h264_sps *sps)
{
    uint64_t tick = nal_bits_u(b, 32);
    uint64_t scale = nal_bits_u(b, 32);
    bool fixed = nal_bits_u(b, 1);
    if (b->bad || tick == 0 || scale == 0)
        return;
    if (scale % 2 == 0)
        scale /= 2;
    else
        tick *= 2;
    if (tick > UINT32_MAX)
        return;
    sps->fps_num = (uint32_t)scale;
    sps->fps_den = (uint32_t)tick;
    sps->fixed_frame_rate = fixed;
}

static void parse_vui(struct nal_bits *b, struct h264_sps *sps)
{
    if (nal_bits_u(b, 1))
        parse_aspect_ratio(b, sps);
    if (nal_bits_u(b, 1)) /* overscan_info_present_flag */
        nal_bits_u(b, 1);
    if (nal_bits_u(b, 1)) { /* video_signal_type_present_flag */
        nal_bits_u(b, 4);
        if (nal_bits_u(b, 1))
            nal_bits_u(b, 24);
    }
    if (nal_bits_u(b, 1)) { /* chroma_loc_info_present_flag */
        nal_bits_ue(b);
        nal_bits_ue(b);
    }
    if (nal_bits_u(b, 1))
        parse_timing(b, sps);
    bool nal_hrd = nal_bits_u(b, 1);
    if (nal_hrd)
        skip_hrd(b);
    bool vcl_hrd = nal_bits_u(b, 1);
    if (vcl_hrd)
        skip_hrd(b);
    if (nal_hrd || vcl_hrd)
        nal_bits_u(b, 1); /* low_delay_hrd_flag */
    nal_bits_u(b, 1);     /* pic_struct_present_flag */
    if (!nal_bits_u(b, 1))
        return;
    nal_bits_u(b, 1);
    for (int i = 0; i < 4; i++)
        nal_bits_ue(b);
    uint32_t reorder = nal_bits_ue(b);
    uint32_t buffering = nal_bits_ue(b);
    if (b->bad || reorder > buffering || buffering > 16)
        return;
    sps->has_bitstream_restriction = true;
    sps->num_reorder_frames = reorder;
    sps->max_dec_frame_buffering = buffering;
}

int h264_parse_sps(const struct nal *nal, struct h264_sps *sps)
{
    struct nal_bits b;
    memset(sps, 0, sizeof *sps);
    if (nal->len < 4 || (nal->data[0] & 0x80) || h264_nal_type(nal) != H264_NAL_SPS)
        return -EBADMSG;
    nal_bits_init(&b, nal->data + 1, nal->len - 1);
    sps->profile_idc = (uint8_t)nal_bits_u(&b, 8);
    sps->constraint_flags = (uint8_t)nal_bits_u(&b, 8);
    sps->level_idc = (uint8_t)nal_bits_u(&b, 8);
    sps->id = nal_bits_ue(&b);
    if (sps->id >= H264_SPS_MAX)
        return -EBADMSG;
    sps->chroma_format_idc = 1;
    sps->bit_depth_luma = sps->bit_depth_chroma = 8;
    if (is_high_profile(sps->profile_idc))
        parse_chroma(&b, sps);
    sps->frame_num_bits = read_counter_bits(&b);
    parse_picture_order(&b, sps);
    sps->max_num_ref_frames = nal_bits_ue(&b);
    nal_bits_u(&b, 1); /* gaps_in_frame_num_value_allowed_flag */
    parse_size(&b, sps);
    bool vui = nal_bits_u(&b, 1);
    if (b.bad)
        return -EBADMSG;
    if (vui)
        parse_vui(&b, sps);
    return 0;
}

/* Adds a unit unless it is there already. */
static int add_unit(struct nal *list, unsigned *n, unsigned max, const struct nal *nal)
{
    for (unsigned i = 0; i < *n; i++)
        if (list[i].len == nal->len && memcmp(list[i].data, nal->data, nal->len) == 0)
            return 0;
    if (*n == max)
        return -EBADMSG;
    list[(*n)++] = *nal;
    return 0;
}

static int add_parameter_set(struct h264_parameter_sets *sets, const struct nal *nal)
{
    switch (h264_nal_type(nal)) {
    case H264_NAL_SPS:
        return add_unit(sets->sps, &sets->nsps, H264_SPS_MAX, nal);
    case H264_NAL_PPS:
        return add_unit(sets->pps, &sets->npps, H264_PPS_MAX, nal);
    default:
        return 0;
    }
}

int h264_find_parameter_sets(const uint8_t *data, size_t len, struct h264_parameter_sets *sets)
{
    struct nal_iter it;
    struct nal nal;
    int r;
    sets->nsps = sets->npps = 0;
    nal_iter_annexb(&it, data, len);
    while ((r = nal_next(&it, &nal)) > 0) {
        r = add_parameter_set(sets, &nal);
        if (r < 0)
            break;
    }
    return r;
}

static bool units_ok(const struct nal *units, unsigned n, enum h264_nal_type type)
{
    for (unsigned i = 0; i < n; i++)
        if (units[i].len > UINT16_MAX || h264_nal_type(&units[i]) != type)
            return false;
    return true;
}

static int append_units(struct buf *out, const struct nal *units, unsigned n)
{
    int r = 0;
    for (unsigned i = 0; i < n && r == 0; i++) {
        uint8_t len[2] = {(uint8_t)(units[i].len >> 8), (uint8_t)units[i].len};
        r = buf_append(out, len, sizeof len);
        if (r == 0)
            r = buf_append(out, units[i].data, units[i].len);
    }
    return r;
}

int h264_build_avcc(struct buf *out, const struct nal *sps, unsigned nsps, const struct nal *pps,
                    unsigned npps)
{
    struct h264_sps first;
    size_t before = out->len;
    if (nsps == 0 || npps == 0 || nsps > 31 || npps > 255 || !units_ok(sps, nsps, H264_NAL_SPS) ||
        !units_ok(pps, npps, H264_NAL_PPS))
        return -EINVAL;
    int r = h264_parse_sps(&sps[0], &first);
    if (r < 0)
        return r;
    uint8_t head[6] = {1,
                       first.profile_idc,
                       first.constraint_flags,
                       first.level_idc,
                       0xFC | 3, /* lengthSizeMinusOne */
                       (uint8_t)(0xE0 | nsps)};
    uint8_t pps_count = (uint8_t)npps;
    uint8_t extension[4] = {(uint8_t)(0xFC | first.chroma_format_idc),
                            (uint8_t)(0xF8 | (first.bit_depth_luma - 8)),
                            (uint8_t)(0xF8 | (first.bit_depth_chroma - 8)), 0};
    r = buf_append(out, head, sizeof head);
    if (r == 0)
        r = append_units(out, sps, nsps);
    if (r == 0)
        r = buf_append(out, &pps_count, 1);
    if (r == 0)
        r = append_units(out, pps, npps);
    /* 14496-15 names four profiles here; the others that carry these fields need them as much */
    if (r == 0 && is_high_profile(first.profile_idc))
        r = buf_append(out, extension, sizeof extension);
    if (r < 0)
        out->len = before;
    return r;
}

/* Reads `n` units of one type with two-byte lengths at *p. */
static int read_units(const uint8_t **p, const uint8_t *end, unsigned n, enum h264_nal_type type,
                      struct nal *units, unsigned *count)
{
    for (unsigned i = 0; i < n; i++) {
        if (end - *p < 2)
            return -EBADMSG;
        size_t len = (size_t)((*p)[0] << 8 | (*p)[1]);
        *p += 2;
        if (len > (size_t)(end - *p))
            return -EBADMSG;
        units[i] = (struct nal){*p, len};
        if (h264_nal_type(&units[i]) != type)
            return -EBADMSG;
        *p += len;
    }
    *count = n;
    return 0;
}

int h264_parse_avcc(const uint8_t *data, size_t len, struct h264_avcc *avcc)
{
    memset(avcc, 0, sizeof *avcc);
    if (len < 7 || data[0] != 1)
        return -EBADMSG;
    avcc->profile_idc = data[1];
    avcc->constraint_flags = data[2];
    avcc->level_idc = data[3];
    avcc->length_size = (data[4] & 3) + 1;
    if (avcc->length_size == 3)
        return -EBADMSG;
    const uint8_t *p = data + 6, *end = data + len;
    int r = read_units(&p, end, data[5] & 0x1F, H264_NAL_SPS, avcc->sets.sps, &avcc->sets.nsps);
    if (r < 0 || p == end)
        return -EBADMSG;
    unsigned npps = *p++;
    return read_units(&p, end, npps, H264_NAL_PPS, avcc->sets.pps, &avcc->sets.npps);
}
