/* Raw audio cut into blocks of 1024 samples.
 * Relies on blob.
 * Leaves the conversion of samples to GStreamer. */
#include "capture/blocks.h"

#include <string.h>

#include "common/clock.h"

void blocks_init(struct blocks *b, uint32_t rate, size_t sample_bytes)
{
    memset(b, 0, sizeof *b);
    b->rate = rate;
    b->sample_bytes = sample_bytes;
}

void blocks_fini(struct blocks *b)
{
    blob_unref(&b->open);
    memset(b, 0, sizeof *b);
}

static int64_t time_of(const struct blocks *b, uint64_t sample)
{
    uint64_t s = sample / b->rate, rest = sample % b->rate;

    return b->start_ns + (int64_t)s * NS_PER_S + (int64_t)(rest * NS_PER_S / b->rate);
}

static void put(struct blocks *b, blocks_fn *fn, void *arg)
{
    int64_t pts = time_of(b, b->samples), end = time_of(b, b->samples + BLOCKS_SAMPLES);
    struct blob *block = b->open;

    b->open = NULL;
    b->filled_bytes = 0;
    b->samples += BLOCKS_SAMPLES;
    fn(arg, block, pts, end - pts);
}

void blocks_flush(struct blocks *b, blocks_fn *fn, void *arg)
{
    if (b->open && b->filled_bytes) {
        memset(b->fill + b->filled_bytes, 0, BLOCKS_SAMPLES * b->sample_bytes - b->filled_bytes);
        put(b, fn, arg);
    }
    b->set = 0;
}

static void follow(struct blocks *b, int64_t pts_ns, blocks_fn *fn, void *arg)
{
    int64_t most = BLOCKS_SAMPLES * NS_PER_S / b->rate, off;

    if (b->set) {
        off = pts_ns - time_of(b, b->samples + b->filled_bytes / b->sample_bytes);
        if (off >= -most && off <= most)
            return;
        blocks_flush(b, fn, arg);
    }
    b->set = 1;
    b->start_ns = pts_ns;
    b->samples = 0;
}

void blocks_add(struct blocks *b, const uint8_t *data, size_t len, int64_t pts_ns, blocks_fn *fn,
                void *arg)
{
    const size_t whole = BLOCKS_SAMPLES * b->sample_bytes;

    len -= len % b->sample_bytes;
    if (len)
        follow(b, pts_ns, fn, arg);
    while (len) {
        size_t n = whole - b->filled_bytes < len ? whole - b->filled_bytes : len;
        if (!b->open)
            b->open = blob_new(whole, &b->fill);
        memcpy(b->fill + b->filled_bytes, data, n);
        b->filled_bytes += n;
        data += n;
        len -= n;
        if (b->filled_bytes == whole)
            put(b, fn, arg);
    }
}
