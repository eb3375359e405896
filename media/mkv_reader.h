/* Incremental Matroska parser for bytes that a peer or a disk chose: fed in any pieces, it calls
 * back once per element. Relies on ebml and common/buf. Leaves fragment rules (sizes, durations,
 * track use) to the caller; looks into no codec. */
#ifndef KVPIPE_MEDIA_MKV_READER_H
#define KVPIPE_MEDIA_MKV_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "media/mkv.h"

/* A SimpleBlock, or a BlockGroup with its Block. All pointers are valid only during the call. */
struct mkv_block {
    uint64_t offset;    /* of the element in the stream */
    const uint8_t *raw; /* the whole element: id, size, body */
    size_t raw_len;
    uint32_t track;
    int16_t relative; /* to the Cluster's timecode, in units of the timecode scale */
    bool key, discardable, invisible;
    bool laced;        /* the payload is several frames in Matroska lacing, not split up here */
    bool simple;       /* SimpleBlock; else BlockGroup */
    uint64_t duration; /* BlockDuration in units of the timecode scale; 0 when there is none */
    const uint8_t *payload;
    size_t payload_len;
};

/* Each op may be NULL. Each returns 0, or a negative errno that stops the reader and that the feed
 * returns. What the pointers name is valid only during the call. Offsets are absolute, of the
 * element's first byte. */
struct mkv_reader_ops {
    /* Once, before any other op: as soon as Info and Tracks were read, at the latest at the first
     * Cluster or Tags. raw = the stream's bytes from the EBML head to the end of Tracks (or Info,
     * whichever comes last), exactly as read. header->ntracks is 0 for a stream whose Tags come
     * without Tracks. */
    int (*header)(void *arg, const struct mkv_header *header, const uint8_t *raw, size_t raw_len);
    /* When a Cluster's Timecode was read; offset is the Cluster's. */
    int (*cluster)(void *arg, uint64_t offset, uint64_t timecode);
    int (*block)(void *arg, const struct mkv_block *block);
    /* One Tags element, all its SimpleTags flattened in order; a missing TagName or TagString gives
     * "". */
    int (*tags)(void *arg, uint64_t offset, const uint8_t *raw, size_t raw_len,
                const struct mkv_tag *tags, unsigned n);
    /* A Void directly in the Segment or in a Cluster. One larger than max_element_bytes, or before
     * its Cluster's Timecode, is skipped, not reported. In a Cluster of unknown size everything up
     * to the next Cluster or Tags, also such a Void, comes before cluster_end. */
    int (*void_element)(void *arg, uint64_t offset, const uint8_t *body, size_t len);
    /* A Cluster is over; offset is one past its last byte. */
    int (*cluster_end)(void *arg, uint64_t offset);
};

struct mkv_reader {
    /* private */
    struct mkv_reader_ops ops;
    void *arg;
    size_t max_element_bytes;
    struct buf pending;    /* the start of an element that is not whole yet */
    size_t want;           /* bytes of it that are needed to go on */
    struct buf raw_header; /* EBML head to Tracks, until the header was reported */
    size_t raw_header_len; /* without what follows Tracks and Info */
    struct mkv_header header;
    uint64_t pos;       /* absolute offset of the next byte that is neither parsed nor pending */
    uint64_t whole;     /* see mkv_reader_offset */
    uint64_t skip_left; /* bytes of a skipped element still to come */
    uint64_t segment_end, cluster_end, cluster_offset;
    bool seen_ebml, seen_segment, seen_info, seen_tracks, header_done;
    bool in_segment, in_cluster, have_timecode;
    int error;
    const char *error_text;
    uint64_t error_offset;
};

/* Makes a reader. Copies *ops, borrows arg. It never holds more than about twice max_element_bytes:
 * no block, Tags, Tracks, nor the stream header as a whole may be larger than that. */
void mkv_reader_init(struct mkv_reader *r, const struct mkv_reader_ops *ops, void *arg,
                     size_t max_element_bytes);
void mkv_reader_fini(struct mkv_reader *r);

/* Parses the next `len` bytes of the stream; keeps a copy of an element's beginning, borrows the
 * rest. Returns 0, -EBADMSG (not such Matroska), -EFBIG (an element above the maximum), -ENOMEM, or
 * what an op returned. Any error is final: later calls return it again. */
int mkv_reader_feed(struct mkv_reader *r, const void *data, size_t len);
/* Says that the stream is over: ends an open Cluster. Returns 0, -EBADMSG when it ended inside an
 * element, or an earlier error. */
int mkv_reader_finish(struct mkv_reader *r);

/* How many bytes from the start were consumed as whole elements: where to cut a torn tail. The head
 * of a Cluster counts only once its Timecode was read. (Cutting inside a Cluster or Segment of
 * known size leaves that size too large.) */
uint64_t mkv_reader_offset(const struct mkv_reader *r);
/* The reason of the error that feed or finish returned, as static text, and where in the stream.
 * NULL while there is none. */
const char *mkv_reader_error(const struct mkv_reader *r);
uint64_t mkv_reader_error_offset(const struct mkv_reader *r);

#endif
