/* The MKV of one PutMedia request cut into fragments, with the service's rules for them. Relies on
 * media/mkv_reader. Pure: no clock, no I/O, no log. Leaves numbers, acks, storing and the
 * connection to op_put_media. */
#ifndef KVPIPE_SERVER_INGEST_H
#define KVPIPE_SERVER_INGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/blob.h"
#include "common/buf.h"
#include "media/mkv_reader.h"

#define INGEST_TAGS_MAX 100 /* that ingest_limits.tags may allow */

enum ingest_error { /* ids of ERROR acks */
                    INGEST_OK = 0,
                    INGEST_STREAM_READ_ERROR = 4000,
                    INGEST_FRAGMENT_SIZE = 4001,
                    INGEST_FRAGMENT_DURATION = 4002,
                    INGEST_CONNECTION_DURATION = 4003,
                    INGEST_TIMECODE_ORDER = 4004,
                    INGEST_TRACKS = 4005,
                    INGEST_BAD_MKV = 4006,
                    INGEST_PRODUCER_TIMESTAMP = 4007,
                    INGEST_STREAM_NOT_ACTIVE = 4008,
                    INGEST_METADATA_LIMIT = 4009,
                    INGEST_TRACK_NUMBER = 4010,
                    INGEST_TRACK_MISSING = 4011,
                    INGEST_METADATA_NAME = 4012,
                    INGEST_FRAGMENT_SHORT = 4013, /* the service has a name for it, but no id */
                    INGEST_INTERNAL = 5000,
                    INGEST_ARCHIVAL = 5001,
};
const char *ingest_error_name(enum ingest_error id);

struct ingest_limits {
    uint32_t tracks; /* at most MKV_TRACKS_MAX */
    uint32_t tags;   /* metadata items of a fragment */
    int64_t max_ms, min_ms;
    size_t max_bytes;
    int64_t ahead_ms; /* how far a fragment may begin in the future; 0: any time */
};

struct ingest_fragment {
    struct blob *header, *data; /* the receiver takes both */
    uint32_t pre_len, cluster_len, frames;
    int64_t length_ms;
};

struct ingest_ops {
    /* A fragment begins. timecode_ms: the Cluster's, as sent, in ms; producer_ms: since 1970. */
    void (*begin)(void *arg, int64_t timecode_ms, int64_t producer_ms);
    /* It is whole and keeps the rules. */
    void (*complete)(void *arg, const struct ingest_fragment *f);
    /* The last thing that is called; the fragment that began, if one did (`began`), is dropped. */
    void (*error)(void *arg, enum ingest_error id, bool began);
};

struct ingest {
    /* private */
    struct mkv_reader reader;
    const struct ingest_ops *ops;
    void *arg;
    struct ingest_limits limits;
    bool absolute;
    int64_t start_ms, now_ms;
    struct blob *header;
    struct buf data;
    uint64_t scale_ns;
    unsigned ntracks;
    uint32_t tracks[MKV_TRACKS_MAX];
    uint64_t default_duration_ns[MKV_TRACKS_MAX];
    bool too_many_tracks, open, cluster_done, failed;
    enum ingest_error early; /* found in Tags before the Cluster they belong to */
    size_t cluster_at, cluster_end;
    int64_t timecode, min, max, prev_max, first_track_min, first_track_max; /* units of scale_ns */
    unsigned frames, first_track_frames, seen, ntags;
};

/* Starts; limits are copied. absolute: the fragment timecode type; start_ms: the producer start,
 * for relative ones. */
void ingest_init(struct ingest *in, const struct ingest_ops *ops, void *arg,
                 const struct ingest_limits *limits, bool absolute, int64_t start_ms);
void ingest_fini(struct ingest *in);
/* Takes the next bytes; now_ms is the server's wall clock, to refuse timestamps far ahead. After an
 * error all is ignored. */
void ingest_feed(struct ingest *in, const uint8_t *data, size_t len, int64_t now_ms);
/* The request ended as it should: completes the last fragment. */
void ingest_finish(struct ingest *in);
/* The connection was cut or went silent: completes the last fragment if its Cluster had ended, else
 * drops it. */
void ingest_abort(struct ingest *in);
/* Whether a fragment is coming whose Cluster has not ended. */
bool ingest_in_fragment(const struct ingest *in);

#endif
