/* Raw audio cut into blocks of exactly 1024 samples, one AAC frame each, with exact times.
 * Relies on blob. Pure. Time is counted in samples from the first one; a hole or an overlap longer
 * than a block starts the count anew. Leaves the conversion of samples to GStreamer. */
#ifndef KVPIPE_CAPTURE_BLOCKS_H
#define KVPIPE_CAPTURE_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#include "common/blob.h"

#define BLOCKS_SAMPLES 1024

struct blocks {
    uint32_t rate;
    size_t sample_bytes; /* of all channels */
    int64_t start_ns;    /* time of sample 0 of the count */
    uint64_t samples;    /* put out since then */
    struct blob *open;   /* the block being filled */
    uint8_t *fill;
    size_t filled_bytes;
    int set;
};

/* Takes over the block. */
typedef void blocks_fn(void *arg, struct blob *block, int64_t pts_ns, int64_t duration_ns);

void blocks_init(struct blocks *b, uint32_t rate, size_t sample_bytes);
/* Cuts `len` bytes (whole samples; a torn one at the end is dropped) whose first sample is at
 * pts_ns. Calls fn for each block that became full. */
void blocks_add(struct blocks *b, const uint8_t *data, size_t len, int64_t pts_ns, blocks_fn *fn,
                void *arg);
/* Fills an unfinished block with silence and puts it out; the next samples start the count anew. */
void blocks_flush(struct blocks *b, blocks_fn *fn, void *arg);
void blocks_fini(struct blocks *b);

#endif
