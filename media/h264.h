/* H.264 (ISO 14496-10) as pass-through needs it: NAL types, SPS, avcC (ISO 14496-15), Annex B to
 * length-prefixed and back. Relies on nal and common/buf. Leaves slices undecoded; leaves time
 * stamps to the stages. */
#ifndef KVPIPE_MEDIA_H264_H
#define KVPIPE_MEDIA_H264_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "media/nal.h"

enum h264_nal_type {
    H264_NAL_SLICE = 1,
    H264_NAL_IDR = 5,
    H264_NAL_SEI = 6,
    H264_NAL_SPS = 7,
    H264_NAL_PPS = 8,
    H264_NAL_AUD = 9,
    H264_NAL_END_OF_SEQUENCE = 10,
    H264_NAL_END_OF_STREAM = 11,
    H264_NAL_FILLER = 12,
    H264_NAL_SPS_EXTENSION = 13,
};

/* What h264_annexb_to_avcc() may leave out. */
enum h264_skip {
    H264_SKIP_AUD = 1,
    H264_SKIP_SPS = 2,
    H264_SKIP_PPS = 4,
};

#define H264_SPS_MAX 32
#define H264_PPS_MAX 256

struct h264_sps {
    uint8_t profile_idc, constraint_flags,
        level_idc; /* constraint_flags: the whole byte after profile_idc */
    uint32_t id;
    uint8_t chroma_format_idc, bit_depth_luma, bit_depth_chroma;
    uint32_t width, height; /* after cropping */
    bool interlaced;        /* frame_mbs_only_flag is 0 */
    bool separate_planes;
    uint8_t frame_num_bits, poc_type, poc_lsb_bits; /* poc_lsb_bits with poc_type 0 */
    uint32_t max_num_ref_frames;
    uint32_t sar_num, sar_den; /* 0 when not given */
    uint32_t fps_num, fps_den; /* from the VUI; 0 when not given */
    bool fixed_frame_rate;
    bool has_bitstream_restriction; /* the next two are given */
    uint32_t num_reorder_frames, max_dec_frame_buffering;
};

/* Parameter sets, borrowed from where they were found; in order, identical ones once. */
struct h264_parameter_sets {
    struct nal sps[H264_SPS_MAX], pps[H264_PPS_MAX];
    unsigned nsps, npps;
};

struct h264_avcc {
    uint8_t profile_idc, constraint_flags, level_idc;
    unsigned length_size; /* 1, 2 or 4 */
    struct h264_parameter_sets sets;
};

/* The unit's nal_unit_type; 0 for an empty unit. */
enum h264_nal_type h264_nal_type(const struct nal *nal);

/* Copies an access unit to *out with four-byte lengths; skip_flags is a set of enum h264_skip (0
 * drops nothing). Returns 0, -EBADMSG, or -ENOBUFS; after an error *out is as before. */
int h264_annexb_to_avcc(struct buf *out, const uint8_t *data, size_t len, unsigned skip_flags);

/* Whether the access unit holds an IDR slice. length_size is used when `avcc`. Damaged data is no
 * IDR. */
bool h264_is_idr(const uint8_t *data, size_t len, bool avcc, unsigned length_size);

/* Parses a sequence parameter set (7.3.2.1.1, annex E). Returns 0, or -EBADMSG for anything
 * impossible or cut short before the picture size; damage inside the VUI only leaves its fields at
 * "not given". */
int h264_parse_sps(const struct nal *nal, struct h264_sps *sps);

/* Finds the SPS and PPS units of an Annex B access unit. Returns 0 (also when there are none),
 * -EBADMSG for no Annex B or too many. */
int h264_find_parameter_sets(const uint8_t *data, size_t len, struct h264_parameter_sets *sets);

/* Writes the AVCDecoderConfigurationRecord (14496-15 section 5.3.3.1) with four-byte lengths. Needs
 * at least one of each. Returns 0, -EINVAL for too many, too long or wrong units, -EBADMSG for an
 * SPS that does not parse, -ENOBUFS. */
int h264_build_avcc(struct buf *out, const struct nal *sps, unsigned nsps, const struct nal *pps,
                    unsigned npps);
/* Reads one; the sets borrow from `data`. Returns 0 or -EBADMSG. */
int h264_parse_avcc(const uint8_t *data, size_t len, struct h264_avcc *avcc);

#endif
