/* Writes Matroska as KVS producers send it: one Segment of unknown size, Clusters of unknown size,
 * SimpleBlocks, Tags. Relies on ebml and common/buf. Leaves fragment rules, time units and I/O to
 * the muxer, the spool and the server. */
#ifndef KVPIPE_MEDIA_MKV_WRITER_H
#define KVPIPE_MEDIA_MKV_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "media/mkv.h"

/* SimpleBlock id, size and head of a track number below 127: what mkv_write_block_header() appends
 * at most. */
#define MKV_BLOCK_HEADER_MAX_BYTES 13

/* Every function appends one whole element (or element head) and returns 0, -ENOBUFS when the
 * buffer's maximum is reached, or -EINVAL for something Matroska cannot say. After an error the
 * buffer is as it was before the call. None blocks or keeps anything. */

/* EBML head (matroska, version 4, readable from 2), Segment of unknown size, Info, Tracks. RFC 9559
 * section 5.1. */
int mkv_write_header(struct buf *b, const struct mkv_header *header);
/* The same without Tracks, for a document that has no Cluster either. */
int mkv_write_head(struct buf *b, uint64_t timecode_scale_ns);
/* Opens a Cluster of unknown size with its Timecode, in units of the header's timecode scale. The
 * next Cluster or Tags ends it. */
int mkv_write_cluster(struct buf *b, uint64_t timecode);
/* The head of a SimpleBlock without lacing; exactly `payload_len` bytes of payload must follow it
 * on the wire. `relative` is the block's time minus its Cluster's. */
int mkv_write_block_header(struct buf *b, uint32_t track, int16_t relative, bool key,
                           bool discardable, size_t payload_len);
/* One Tags > Tag with a SimpleTag for each of `n` tags, in order. A NULL value writes an empty
 * TagString. `n` must not be 0. */
int mkv_write_tags(struct buf *b, const struct mkv_tag *tags, unsigned n);
/* A Void element with `len` bytes of our own as body. Players skip it; mkv_reader hands it to its
 * void_element op. */
int mkv_write_void(struct buf *b, const void *data, size_t len);

#endif
