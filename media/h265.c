/* H.265 parameter sets, hvcC and stream formats.
 * Relies on nal and common/buf.
 * Leaves slices and the VUI undecoded. */
#include "media/h265.h"

#include <errno.h>
#include <string.h>

/* Picture sides above any level's limit (level 6.2: 16,888 luma samples). */
#define SIDE_MAX 32768

int h265_nal_type(const struct nal *nal)
{
    return nal->len >= 2 ? nal->data[0] >> 1 & 0x3F : -1;
}

static bool skips(const struct nal *nal, unsigned flags)
{
    switch (h265_nal_type(nal)) {
    case H265_NAL_AUD:
        return (flags & H265_SKIP_AUD) != 0;
    case H265_NAL_VPS:
        return (flags & H265_SKIP_VPS) != 0;
    case H265_NAL_SPS:
        return (flags & H265_SKIP_SPS) != 0;
    case H265_NAL_PPS:
        return (flags & H265_SKIP_PPS) != 0;
    default:
        return false;
    }
}

int h265_annexb_to_hvcc(struct buf *out, const uint8_t *data, size_t len, unsigned skip_flags)
{
    return nal_annexb_to_avcc(out, data, len, skips, skip_flags);
}

bool h265_is_irap(const uint8_t *data, size_t len, bool hvcc, unsigned length_size)
{
    struct nal_iter it;
    struct nal nal;
    nal_iter_annexb(&it, data, len);
    if (hvcc && nal_iter_avcc(&it, data, len, length_size) < 0)
        return false;
    while (nal_next(&it, &nal) > 0) {
        int type = h265_nal_type(&nal);
        if (type >= H265_NAL_BLA_W_LP && type <= H265_NAL_RSV_IRAP_VCL23)
            return true;
        if (type >= 0 && type < H265_NAL_BLA_W_LP)
            return false; /* all slices of a picture are of one kind */
    }
    return false;
}

/* profile_tier_level(1, max_sub_layers - 1), 7.3.3. */
static void parse_profile(struct nal_bits *b, unsigned max_sub_layers, struct h265_profile *profile)
{
    bool sub_profile[8] = {false}, sub_level[8] = {false};
    profile->space = (uint8_t)nal_bits_u(b, 2);
    profile->tier = (uint8_t)nal_bits_u(b, 1);
    profile->idc = (uint8_t)nal_bits_u(b, 5);
    profile->compatibility_flags = nal_bits_u(b, 32);
    profile->constraint_flags = (uint64_t)nal_bits_u(b, 16) << 32;
    profile->constraint_flags |= nal_bits_u(b, 32);
    profile->level_idc = (uint8_t)nal_bits_u(b, 8);
    for (unsigned i = 0; i + 1 < max_sub_layers; i++) {
        sub_profile[i] = nal_bits_u(b, 1);
        sub_level[i] = nal_bits_u(b, 1);
    }
    if (max_sub_layers > 1)
        nal_bits_skip(b, 2 * (9 - max_sub_layers)); /* reserved_zero_2bits up to 8 layers */
    for (unsigned i = 0; i + 1 < max_sub_layers; i++)
        nal_bits_skip(b, (sub_profile[i] ? 88 : 0) + (sub_level[i] ? 8 : 0));
}

/* Picture size in samples after the conformance window (7.4.3.2.1). */
static void parse_size(struct nal_bits *b, struct h265_sps *sps)
{
    bool separate_planes = false;
    uint32_t chroma = nal_bits_ue(b);
    if (chroma > 3)
        b->bad = true;
    sps->chroma_format_idc = (uint8_t)chroma;
    if (chroma == 3)
        separate_planes = nal_bits_u(b, 1);
    uint64_t width = nal_bits_ue(b), height = nal_bits_ue(b);
    if (nal_bits_u(b, 1)) { /* conformance_window_flag */
        uint64_t unit_x = !separate_planes && (chroma == 1 || chroma == 2) ? 2 : 1;
        uint64_t unit_y = !separate_planes && chroma == 1 ? 2 : 1;
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
    if (width == 0 || height == 0 || width > SIDE_MAX || height > SIDE_MAX)
        b->bad = true;
    sps->width = (uint32_t)width;
    sps->height = (uint32_t)height;
}

/* Bit depths and what every sub-layer asks of the picture buffer. */
static void parse_buffering(struct nal_bits *b, struct h265_sps *sps)
{
    uint32_t luma_depth = nal_bits_ue(b), chroma_depth = nal_bits_ue(b);
    if (luma_depth > 8 || chroma_depth > 8)
        b->bad = true;
    sps->bit_depth_luma = (uint8_t)(8 + luma_depth);
    sps->bit_depth_chroma = (uint8_t)(8 + chroma_depth);
    nal_bits_ue(b); /* log2_max_pic_order_cnt_lsb_minus4 */
    unsigned layers = nal_bits_u(b, 1) ? sps->max_sub_layers : 1;
    for (unsigned i = 0; i < layers; i++) {
        uint32_t buffering_minus1 = nal_bits_ue(b);
        if (buffering_minus1 > 15)
            b->bad = true;
        sps->max_dec_pic_buffering = buffering_minus1 + 1;
        sps->num_reorder_pics = nal_bits_ue(b);
        nal_bits_ue(b); /* sps_max_latency_increase_plus1 */
    }
}

int h265_parse_sps(const struct nal *nal, struct h265_sps *sps)
{
    struct nal_bits b;
    memset(sps, 0, sizeof *sps);
    if (nal->len < 3 || (nal->data[0] & 0x80) || h265_nal_type(nal) != H265_NAL_SPS)
        return -EBADMSG;
    nal_bits_init(&b, nal->data + 2, nal->len - 2);
    nal_bits_u(&b, 4); /* sps_video_parameter_set_id */
    sps->max_sub_layers = (uint8_t)(nal_bits_u(&b, 3) + 1);
    sps->temporal_id_nesting = nal_bits_u(&b, 1);
    if (sps->max_sub_layers > 7)
        return -EBADMSG;
    parse_profile(&b, sps->max_sub_layers, &sps->profile);
    sps->id = nal_bits_ue(&b);
    if (sps->id >= H265_SPS_MAX)
        return -EBADMSG;
    parse_size(&b, sps);
    parse_buffering(&b, sps);
    return b.bad ? -EBADMSG : 0;
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

static int add_parameter_set(struct h265_parameter_sets *sets, const struct nal *nal)
{
    switch (h265_nal_type(nal)) {
    case H265_NAL_VPS:
        return add_unit(sets->vps, &sets->nvps, H265_VPS_MAX, nal);
    case H265_NAL_SPS:
        return add_unit(sets->sps, &sets->nsps, H265_SPS_MAX, nal);
    case H265_NAL_PPS:
        return add_unit(sets->pps, &sets->npps, H265_PPS_MAX, nal);
    default:
        return 0;
    }
}

int h265_find_parameter_sets(const uint8_t *data, size_t len, struct h265_parameter_sets *sets)
{
    struct nal_iter it;
    struct nal nal;
    int r;
    sets->nvps = sets->nsps = sets->npps = 0;
    nal_iter_annexb(&it, data, len);
    while ((r = nal_next(&it, &nal)) > 0) {
        r = add_parameter_set(sets, &nal);
        if (r < 0)
            break;
    }
    return r;
}

static bool units_ok(const struct nal *units, unsigned n, unsigned max, int type)
{
    if (n == 0 || n > max)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (units[i].len > UINT16_MAX || h265_nal_type(&units[i]) != type)
            return false;
    return true;
}

/* One array of the record: type, count, units. */
static int append_units(struct buf *out, const struct nal *units, unsigned n, uint8_t type)
{
    uint8_t head[3] = {0x80 | type, (uint8_t)(n >> 8), (uint8_t)n}; /* array_completeness */
    int r = buf_append(out, head, sizeof head);
    for (unsigned i = 0; i < n && r == 0; i++) {
        uint8_t len[2] = {(uint8_t)(units[i].len >> 8), (uint8_t)units[i].len};
        r = buf_append(out, len, sizeof len);
        if (r == 0)
            r = buf_append(out, units[i].data, units[i].len);
    }
    return r;
}

static void fill_head(uint8_t head[23], const struct h265_sps *sps)
{
    const struct h265_profile *p = &sps->profile;
    head[0] = 1;
    head[1] = (uint8_t)(p->space << 6 | p->tier << 5 | p->idc);
    for (int i = 0; i < 4; i++)
        head[2 + i] = (uint8_t)(p->compatibility_flags >> (24 - 8 * i));
    for (int i = 0; i < 6; i++)
        head[6 + i] = (uint8_t)(p->constraint_flags >> (40 - 8 * i));
    head[12] = p->level_idc;
    head[13] = 0xF0; /* min_spatial_segmentation_idc 0: not known */
    head[14] = 0;
    head[15] = 0xFC; /* parallelismType 0: not known */
    head[16] = 0xFC | sps->chroma_format_idc;
    head[17] = (uint8_t)(0xF8 | (sps->bit_depth_luma - 8));
    head[18] = (uint8_t)(0xF8 | (sps->bit_depth_chroma - 8));
    head[19] = head[20] = 0; /* avgFrameRate: not known */
    /* constantFrameRate 0, numTemporalLayers, temporalIdNested, lengthSizeMinusOne 3 */
    head[21] = (uint8_t)(sps->max_sub_layers << 3 | sps->temporal_id_nesting << 2 | 3);
    head[22] = 3; /* numOfArrays */
}

int h265_build_hvcc(struct buf *out, const struct h265_parameter_sets *sets)
{
    struct h265_sps sps;
    uint8_t head[23];
    size_t before = out->len;
    if (!units_ok(sets->vps, sets->nvps, H265_VPS_MAX, H265_NAL_VPS) ||
        !units_ok(sets->sps, sets->nsps, H265_SPS_MAX, H265_NAL_SPS) ||
        !units_ok(sets->pps, sets->npps, H265_PPS_MAX, H265_NAL_PPS))
        return -EINVAL;
    int r = h265_parse_sps(&sets->sps[0], &sps);
    if (r < 0)
        return r;
    fill_head(head, &sps);
    r = buf_append(out, head, sizeof head);
    if (r == 0)
        r = append_units(out, sets->vps, sets->nvps, H265_NAL_VPS);
    if (r == 0)
        r = append_units(out, sets->sps, sets->nsps, H265_NAL_SPS);
    if (r == 0)
        r = append_units(out, sets->pps, sets->npps, H265_NAL_PPS);
    if (r < 0)
        out->len = before;
    return r;
}

/* Reads one array of units at *p. */
static int read_array(const uint8_t **p, const uint8_t *end, struct h265_parameter_sets *sets)
{
    if (end - *p < 3)
        return -EBADMSG;
    unsigned type = (*p)[0] & 0x3F, n = (unsigned)((*p)[1] << 8 | (*p)[2]);
    *p += 3;
    for (unsigned i = 0; i < n; i++) {
        if (end - *p < 2)
            return -EBADMSG;
        size_t len = (size_t)((*p)[0] << 8 | (*p)[1]);
        *p += 2;
        if (len > (size_t)(end - *p))
            return -EBADMSG;
        struct nal nal = {*p, len};
        if (h265_nal_type(&nal) != (int)type || add_parameter_set(sets, &nal) < 0)
            return -EBADMSG;
        *p += len;
    }
    return 0;
}

int h265_parse_hvcc(const uint8_t *data, size_t len, struct h265_hvcc *hvcc)
{
    memset(hvcc, 0, sizeof *hvcc);
    if (len < 23 || data[0] != 1)
        return -EBADMSG;
    struct h265_profile *profile = &hvcc->profile;
    profile->space = data[1] >> 6;
    profile->tier = data[1] >> 5 & 1;
    profile->idc = data[1] & 0x1F;
    for (int i = 0; i < 4; i++)
        profile->compatibility_flags = profile->compatibility_flags << 8 | data[2 + i];
    for (int i = 0; i < 6; i++)
        profile->constraint_flags = profile->constraint_flags << 8 | data[6 + i];
    profile->level_idc = data[12];
    hvcc->chroma_format_idc = data[16] & 3;
    hvcc->bit_depth_luma = 8 + (data[17] & 7);
    hvcc->bit_depth_chroma = 8 + (data[18] & 7);
    hvcc->length_size = (data[21] & 3) + 1;
    if (hvcc->length_size == 3)
        return -EBADMSG;
    const uint8_t *p = data + 23, *end = data + len;
    for (unsigned i = 0; i < data[22]; i++)
        if (read_array(&p, end, &hvcc->sets) < 0)
            return -EBADMSG;
    return 0;
}
