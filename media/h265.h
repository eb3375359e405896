/* H.265 (ISO 23008-2) as pass-through needs it: NAL types, SPS, hvcC (ISO 14496-15), Annex B to
 * length-prefixed and back. Relies on nal and common/buf. Leaves slices and the VUI undecoded;
 * leaves time stamps to the stages. */
#ifndef KVPIPE_MEDIA_H265_H
#define KVPIPE_MEDIA_H265_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "media/nal.h"

enum h265_nal_type {
    H265_NAL_BLA_W_LP = 16,
    H265_NAL_IDR_W_RADL = 19,
    H265_NAL_IDR_N_LP = 20,
    H265_NAL_CRA = 21,
    H265_NAL_RSV_IRAP_VCL23 = 23,
    H265_NAL_VPS = 32,
    H265_NAL_SPS = 33,
    H265_NAL_PPS = 34,
    H265_NAL_AUD = 35,
    H265_NAL_END_OF_SEQUENCE = 36,
    H265_NAL_END_OF_BITSTREAM = 37,
    H265_NAL_FILLER = 38,
    H265_NAL_PREFIX_SEI = 39,
    H265_NAL_SUFFIX_SEI = 40,
};

/* What h265_annexb_to_hvcc() may leave out. */
enum h265_skip {
    H265_SKIP_AUD = 1,
    H265_SKIP_VPS = 2,
    H265_SKIP_SPS = 4,
    H265_SKIP_PPS = 8,
};

#define H265_VPS_MAX 16
#define H265_SPS_MAX 16
#define H265_PPS_MAX 64

/* general_... of profile_tier_level() (7.3.3). */
struct h265_profile {
    uint8_t space, tier, idc;
    uint32_t compatibility_flags;
    uint64_t constraint_flags; /* 48 bits */
    uint8_t level_idc;
};

struct h265_sps {
    struct h265_profile profile;
    uint32_t id;
    uint8_t max_sub_layers; /* 1 to 7 */
    bool temporal_id_nesting;
    uint8_t chroma_format_idc, bit_depth_luma, bit_depth_chroma;
    uint32_t width, height;    /* after the conformance window */
    uint32_t num_reorder_pics; /* of the highest sub-layer */
    uint32_t max_dec_pic_buffering;
};

/* Parameter sets, borrowed from where they were found; in order, identical ones once. */
struct h265_parameter_sets {
    struct nal vps[H265_VPS_MAX], sps[H265_SPS_MAX], pps[H265_PPS_MAX];
    unsigned nvps, nsps, npps;
};

struct h265_hvcc {
    struct h265_profile profile;
    uint8_t chroma_format_idc, bit_depth_luma, bit_depth_chroma;
    unsigned length_size; /* 1, 2 or 4 */
    struct h265_parameter_sets sets;
};

/* The unit's nal_unit_type (0 to 63), or -1 when it has no whole header. */
int h265_nal_type(const struct nal *nal);

/* As the namesakes in h264.h; skip_flags is a set of enum h265_skip. */
int h265_annexb_to_hvcc(struct buf *out, const uint8_t *data, size_t len, unsigned skip_flags);

/* Whether the access unit holds an IRAP picture (BLA, IDR, CRA). length_size is used when `hvcc`.
 * Damaged data is none. */
bool h265_is_irap(const uint8_t *data, size_t len, bool hvcc, unsigned length_size);

/* Parses a sequence parameter set (7.3.2.2) up to the picture buffering. Returns 0 or -EBADMSG. */
int h265_parse_sps(const struct nal *nal, struct h265_sps *sps);

/* Finds the VPS, SPS and PPS units of an Annex B access unit. Returns 0 (also when there are none),
 * -EBADMSG for no Annex B or too many. */
int h265_find_parameter_sets(const uint8_t *data, size_t len, struct h265_parameter_sets *sets);

/* Writes the HEVCDecoderConfigurationRecord (14496-15 section 8.3.3.1) with four-byte lengths.
 * Needs at least one of each kind. Returns 0, -EINVAL for too many, too long or wrong units,
 * -EBADMSG for an SPS that does not parse, -ENOBUFS. */
int h265_build_hvcc(struct buf *out, const struct h265_parameter_sets *sets);
/* Reads one; the sets borrow from `data`. Units that are no VPS, SPS or PPS are passed over.
 * Returns 0 or -EBADMSG. */
int h265_parse_hvcc(const uint8_t *data, size_t len, struct h265_hvcc *hvcc);

#endif
