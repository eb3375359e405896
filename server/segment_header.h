/* The head of a producer's Matroska made fit for a file or chunk of our own.
 * Relies on media/ebml.
 * Leaves the meaning of Info and Tracks alone: they are copied byte for byte. */
#ifndef KVPIPE_SERVER_SEGMENT_HEADER_H
#define KVPIPE_SERVER_SEGMENT_HEADER_H

#include <stddef.h>
#include <stdint.h>

struct buf;

/* Copies the EBML head, a Segment of unknown size, Info and Tracks out of `raw` (the stream up to
 * the end of both); what only made sense in the producer's file (sizes, SeekHead, Cues, Void) is
 * left out. Returns 0, -EBADMSG or -ENOBUFS. */
int segment_header_normalise(const uint8_t *raw, size_t len, struct buf *out);

#endif
