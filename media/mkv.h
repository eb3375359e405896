/* Matroska (RFC 9559): element ids and the plain structs that mkv_reader and mkv_writer share.
 * Relies on nothing.
 * Leaves coding and decoding to those two. */
#ifndef KVPIPE_MEDIA_MKV_H
#define KVPIPE_MEDIA_MKV_H

#include <stddef.h>
#include <stdint.h>

enum mkv_id {
    MKV_ID_EBML = 0x1A45DFA3,
    MKV_ID_EBML_VERSION = 0x4286,
    MKV_ID_EBML_READ_VERSION = 0x42F7,
    MKV_ID_EBML_MAX_ID_LENGTH = 0x42F2,
    MKV_ID_EBML_MAX_SIZE_LENGTH = 0x42F3,
    MKV_ID_DOC_TYPE = 0x4282,
    MKV_ID_DOC_TYPE_VERSION = 0x4287,
    MKV_ID_DOC_TYPE_READ_VERSION = 0x4285,
    MKV_ID_VOID = 0xEC,
    MKV_ID_CRC32 = 0xBF,

    MKV_ID_SEGMENT = 0x18538067,
    MKV_ID_SEEK_HEAD = 0x114D9B74,
    MKV_ID_INFO = 0x1549A966,
    MKV_ID_TRACKS = 0x1654AE6B,
    MKV_ID_CLUSTER = 0x1F43B675,
    MKV_ID_CUES = 0x1C53BB6B,
    MKV_ID_CHAPTERS = 0x1043A770,
    MKV_ID_ATTACHMENTS = 0x1941A469,
    MKV_ID_TAGS = 0x1254C367,

    MKV_ID_TIMECODE_SCALE = 0x2AD7B1,
    MKV_ID_SEGMENT_UID = 0x73A4,
    MKV_ID_MUXING_APP = 0x4D80,
    MKV_ID_WRITING_APP = 0x5741,

    MKV_ID_TRACK_ENTRY = 0xAE,
    MKV_ID_TRACK_NUMBER = 0xD7,
    MKV_ID_TRACK_UID = 0x73C5,
    MKV_ID_TRACK_TYPE = 0x83,
    MKV_ID_FLAG_LACING = 0x9C,
    MKV_ID_DEFAULT_DURATION = 0x23E383,
    MKV_ID_NAME = 0x536E,
    MKV_ID_CODEC_ID = 0x86,
    MKV_ID_CODEC_PRIVATE = 0x63A2,
    MKV_ID_VIDEO = 0xE0,
    MKV_ID_PIXEL_WIDTH = 0xB0,
    MKV_ID_PIXEL_HEIGHT = 0xBA,
    MKV_ID_AUDIO = 0xE1,
    MKV_ID_SAMPLING_FREQUENCY = 0xB5,
    MKV_ID_CHANNELS = 0x9F,
    MKV_ID_BIT_DEPTH = 0x6264,

    MKV_ID_TIMECODE = 0xE7,
    MKV_ID_SIMPLE_BLOCK = 0xA3,
    MKV_ID_BLOCK_GROUP = 0xA0,
    MKV_ID_BLOCK = 0xA1,
    MKV_ID_BLOCK_DURATION = 0x9B,
    MKV_ID_REFERENCE_BLOCK = 0xFB,

    MKV_ID_TAG = 0x7373,
    MKV_ID_TARGETS = 0x63C0,
    MKV_ID_SIMPLE_TAG = 0x67C8,
    MKV_ID_TAG_NAME = 0x45A3,
    MKV_ID_TAG_STRING = 0x4487,
};

enum mkv_track_type {
    MKV_TRACK_NONE = 0,
    MKV_TRACK_VIDEO = 1,
    MKV_TRACK_AUDIO = 2,
    MKV_TRACK_SUBTITLE = 17,
    MKV_TRACK_METADATA = 33,
};

/* More than KVS allows (3), so that a reader can say how many there were instead of "bad". */
#define MKV_TRACKS_MAX 16
/* Simple tags in one Tags element; KVS allows 10. */
#define MKV_TAGS_MAX 256
#define MKV_TIMECODE_SCALE_DEFAULT_NS UINT64_C(1000000)

/* One TrackEntry. Zero and "" mean "not given", except that a reader fills in Matroska's defaults
 * for audio. */
struct mkv_track {
    uint32_t number; /* 1 to 126 for the writer */
    uint64_t uid;    /* the writer takes `number` for 0 */
    enum mkv_track_type type;
    char codec_id[33]; /* "V_MPEG4/ISO/AVC", "V_MPEGH/ISO/HEVC", "A_AAC", ... */
    char name[33];     /* UTF-8 */
    uint8_t *codec_private;
    size_t codec_private_len;
    uint32_t width, height; /* pixels, video only */
    uint64_t default_duration_ns;
    double sample_rate; /* Hz; this and the next two audio only */
    uint32_t channels, bit_depth;
};

/* What comes before the first Cluster. */
struct mkv_header {
    uint64_t timecode_scale_ns; /* the writer takes the default for 0 */
    uint8_t segment_uid[16];    /* the writer leaves it out when all zero */
    struct mkv_track tracks[MKV_TRACKS_MAX];
    unsigned ntracks;
};

struct mkv_tag {
    const char *name, *value;
};

#endif
