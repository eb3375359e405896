/* Fuzzes what the spool reads back from disk: the scan of a file in any split, records, pieces and
 * segment headers. Relies on uploader/spool_scan. Leaves expected results to
 * tests/unit/test_spool.c. */
#include "uploader/spool_scan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t header, fragments, blocks, records, last;
    size_t size;
};

static int on_header(void *arg, const uint8_t *raw, size_t len, uint64_t scale_ns)
{
    struct seen *s = arg;
    if (s->header++ || len > s->size || scale_ns == 0)
        abort();
    return 0;
}

static int on_fragment(void *arg, uint64_t offset, uint64_t cluster, uint64_t timecode)
{
    struct seen *s = arg;
    if (!s->records || cluster < offset || offset < s->last)
        abort();
    s->fragments++;
    return 0;
}

static int on_block(void *arg, unsigned track, int16_t relative, uint64_t offset, size_t len)
{
    struct seen *s = arg;
    if (!s->fragments || track < 1 || track > LINK_TRACKS_MAX || offset < s->last ||
        offset + len > s->size)
        abort();
    s->last = offset + len;
    s->blocks++;
    return 0;
}

static int on_record(void *arg, const struct spool_record *rec, uint64_t offset, uint64_t end)
{
    struct seen *s = arg;
    uint8_t body[SPOOL_RECORD_MAX_BYTES];
    struct spool_record again;
    if (offset < s->last || end <= offset || end > s->size ||
        (s->records == 0) != (rec->type == SPOOL_RECORD_BEGIN))
        abort();
    if (spool_record_decode(body, spool_record_encode(rec, body), &again) < 0 ||
        again.type != rec->type)
        abort();
    s->last = end;
    s->records++;
    return 0;
}

static struct seen run(const uint8_t *data, size_t size, size_t step, uint64_t *whole)
{
    static const struct spool_scan_ops ops = {on_header, on_fragment, on_block, on_record};
    struct seen s = {.size = size};
    struct spool_scan scan;
    int r = 0;
    spool_scan_init(&scan, &ops, &s);
    for (size_t at = 0; at < size && r == 0; at += step)
        r = spool_scan_feed(&scan, data + at, size - at < step ? size - at : step);
    *whole = spool_scan_whole(&scan);
    if (*whole != s.last)
        abort();
    spool_scan_fini(&scan);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t whole, split, scale;
    struct spool_record rec;
    struct spool_piece piece;
    struct seen a = run(data, size, size ? size : 1, &whole), b = run(data, size, 3, &split);
    if (whole != split || a.blocks != b.blocks || a.records != b.records)
        abort();
    spool_record_decode(data, size, &rec);
    if (spool_piece_parse(data, size, &piece) == 0 && (piece.track < 1 || piece.cluster >= size))
        abort();
    spool_segment_parse(data, size, &scale);
    return 0;
}
