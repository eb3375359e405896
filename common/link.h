/* The words of a link: vectors, formats, items and messages as plain structs, as outlet, inlet and
 * wire code share them. Relies on blob for payloads. proto/README.md is the contract,
 * proto/link.proto the encoding. Leaves rules to link_outlet.c and link_inlet.c, bytes to
 * link_wire.c, sockets to link_socket.c. */
#ifndef KVPIPE_COMMON_LINK_H
#define KVPIPE_COMMON_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/blob.h"

#define LINK_VERSION 1
#define LINK_TRACKS_MAX 3 /* tracks are numbered 1 to 3 (quota of a KVS fragment) */
#define LINK_VECTOR_MAX 8
#define LINK_NAME_MAX 256 /* KVS stream name */
#define LINK_INSTANCE_MAX 128
#define LINK_PAYLOAD_MAX (64u << 20)

/* 1 to 256 of [a-zA-Z0-9_.-], not dots alone: folders are named so. NULL is none. */
bool link_stream_name_ok(const char *name);

struct link_vector {
    unsigned n;
    uint64_t v[LINK_VECTOR_MAX];
};

/* Compares left to right; a prefix is smaller. */
int link_vector_cmp(const struct link_vector *a, const struct link_vector *b);
/* Returns `a` with one more number at its end. a->n must be below LINK_VECTOR_MAX. */
struct link_vector link_vector_append(const struct link_vector *a, uint64_t number);
/* Prints "epoch.g1.g2.g3" into out and returns out. */
const char *link_vector_str(const struct link_vector *v, char out[LINK_VECTOR_MAX * 21]);

enum link_codec {
    LINK_CODEC_NONE,
    LINK_CODEC_RAW_VIDEO,
    LINK_CODEC_RAW_AUDIO,
    LINK_CODEC_H264,
    LINK_CODEC_H265,
    LINK_CODEC_AAC,
    LINK_CODEC_OTHER, /* layout is the Matroska CodecID, config the CodecPrivate */
};

bool link_codec_is_video(enum link_codec codec);
bool link_codec_is_raw(enum link_codec codec);
const char *link_codec_name(enum link_codec codec);

/* What the payloads of a track are. Immutable once shared; reference-counted (any thread). */
struct link_format {
    _Atomic unsigned refs;
    uint64_t number; /* grows with every change within a stream's track, starts at 1 */
    enum link_codec codec;
    bool video;
    char layout[40]; /* raw: GStreamer sample layout name (I420, NV12, S16LE, F32LE; default
                        strides); H.264/5: "annexb" or "avcc"; AAC: "raw" */
    uint32_t width, height;
    uint32_t rate_num, rate_den; /* frames a second; 0/0 unknown */
    uint32_t sample_rate, channels;
    struct blob
        *config; /* avcC, hvcC, AudioSpecificConfig, CodecPrivate; NULL when inside the stream */
    struct blob *segment; /* towards the uploader: Matroska bytes EBML..Tracks, else NULL */
};

/* Returns a new zeroed format with one reference. */
struct link_format *link_format_new(void);
struct link_format *link_format_ref(struct link_format *f);
void link_format_unref(struct link_format **f);
/* True when both describe the same payloads (number and refs apart). */
bool link_format_equal(const struct link_format *a, const struct link_format *b);

enum link_gap_reason { /* values as in link.proto */
                       LINK_GAP_NONE,
                       LINK_GAP_WINDOW_FULL,
                       LINK_GAP_SOURCE,
                       LINK_GAP_FORMAT,
                       LINK_GAP_NO_KEY_FRAME,
                       LINK_GAP_FRAGMENT_LIMIT,
                       LINK_GAP_ENCODER,
                       LINK_GAP_TIMESTAMP,
                       LINK_GAP_DISK_FULL,
};

const char *link_gap_reason_name(enum link_gap_reason reason);

/* Fragment metadata that travels on a frame that starts a fragment. Immutable once shared;
 * reference-counted (any thread). */
#define LINK_TAGS_MAX 20 /* of two fragments, ten each */
#define LINK_TAG_NAME_MAX 128
#define LINK_TAG_VALUE_MAX 256
struct link_tag {
    const char *name, *value;
    bool previous; /* of the fragment before */
    bool late;     /* of the fragment before, put after its first frame had gone */
};
struct link_tags {
    _Atomic unsigned refs;
    unsigned n;
    struct link_tag tag[LINK_TAGS_MAX];
};

/* Returns a copy of the first n (at most LINK_TAGS_MAX) with one reference; NULL when n is 0. */
struct link_tags *link_tags_new(const struct link_tag *tags, unsigned n);
struct link_tags *link_tags_ref(struct link_tags *t);
void link_tags_unref(struct link_tags **t);

/* A frame, or a gap that takes the place of the numbers seq..last. Passed by value; owns its
 * references. */
struct link_item {
    bool gap;
    bool key; /* can be decoded without frames before it; true for every audio frame */
    uint8_t track;
    enum link_gap_reason reason; /* gap only */
    uint64_t seq;
    uint64_t last; /* == seq for a frame */
    int64_t pts_ns, dts_ns, duration_ns;
    int64_t fragment_ns; /* pts of the frame that started this frame's fragment; 0 not set (audio
                            beside video) */
    int64_t previous_fragment_ns; /* on a frame that starts a fragment (fragment_ns == pts_ns): the
                                     fragment before; 0 none */
    int64_t captured_ns;          /* wall clock when capture had it; 0 unknown */
    struct link_format *format;   /* frame only */
    struct blob *payload;         /* frame only */
    struct link_tags *tags;       /* on a frame that starts a fragment, or NULL */
};

/* Returns a second item with its own references. */
struct link_item link_item_ref(const struct link_item *item);
/* Gives back the references; the item is zeroed. */
void link_item_fini(struct link_item *item);

/* Per track (index = track - 1) the next number wanted, and how many may be sent from there. */
struct link_positions {
    uint8_t tracks; /* bit (track - 1) set: the entry counts */
    uint64_t next[LINK_TRACKS_MAX];
    uint64_t credit[LINK_TRACKS_MAX];
    /* Ack only: media that were taken and wait for the uplink; 0: none, or not told */
    uint64_t backlog_ms, backlog_bytes;
};

struct link_track {
    uint8_t track;
    uint64_t base;              /* the outlet's own acked position */
    struct link_format *format; /* owned by whoever owns the struct */
};

enum link_type {
    LINK_NONE,
    LINK_HELLO,
    LINK_OPEN,
    LINK_RESUME,
    LINK_FRAME,
    LINK_GAP,
    LINK_ACK,
    LINK_HEARTBEAT,
    LINK_CLOSE
};

enum link_close_reason {
    LINK_CLOSE_NONE,
    LINK_CLOSE_FENCED,
    LINK_CLOSE_DRAINING,
    LINK_CLOSE_MOVED,
    LINK_CLOSE_ENDED
};

struct link_heartbeat_session {
    char stream[LINK_NAME_MAX + 1];
    struct link_vector vector;
    struct link_positions
        at; /* down: next number sent; up: next number wanted. No tracks: the answer is awaited */
    struct link_positions acked; /* up only */
};

struct link_msg {
    enum link_type type;
    char stream[LINK_NAME_MAX + 1];
    struct link_vector vector;
    union {
        struct {
            uint32_t version;
            char instance[LINK_INSTANCE_MAX + 1]; /* empty: a Hello is asked for */
            uint64_t incarnation, connection;
        } hello;
        struct {
            unsigned ntracks;
            struct link_track tracks[LINK_TRACKS_MAX];
        } open;
        struct link_positions positions; /* Resume, Ack */
        struct {
            struct link_item item;
            uint64_t format_number;         /* frame */
            struct link_format *new_format; /* frame: NULL when the number stays */
        } item;                             /* Frame, Gap */
        struct {
            uint64_t incarnation;
            unsigned nsessions;
            struct link_heartbeat_session *sessions;
        } heartbeat;
        struct {
            enum link_close_reason reason;
            struct link_vector greatest;
        } close;
    };
};

/* Gives back what a decoded message owns. */
void link_msg_fini(struct link_msg *msg);
const char *link_type_name(enum link_type type);

#endif
