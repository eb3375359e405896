/* Fuzzes media/mkv_reader: no split of the bytes may change what it reports, and nothing may be
 * read that is not there. Relies on the reader alone. Leaves expected results to
 * tests/unit/test_mkv_reader. */
#include "media/mkv_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small, so that short inputs reach the limit. */
#define MAX_ELEMENT 2048

struct record {
    uint64_t hash;
    uint64_t last_offset;
    bool header, in_cluster;
};

static void mix(struct record *rec, const void *p, size_t n)
{
    const uint8_t *bytes = p;
    for (size_t i = 0; i < n; i++)
        rec->hash = (rec->hash ^ bytes[i]) * UINT64_C(1099511628211);
}

static void mix_number(struct record *rec, uint64_t v)
{
    mix(rec, &v, sizeof v);
}

/* What holds for every event after the header. */
static void event(struct record *rec, char kind, uint64_t offset)
{
    if (!rec->header || offset < rec->last_offset)
        abort();
    rec->last_offset = offset;
    mix(rec, &kind, 1);
    mix_number(rec, offset);
}

static int on_header(void *arg, const struct mkv_header *h, const uint8_t *raw, size_t raw_len)
{
    struct record *rec = arg;
    if (rec->header || raw_len > MAX_ELEMENT)
        abort();
    rec->header = true;
    mix(rec, raw, raw_len);
    mix_number(rec, h->timecode_scale_ns);
    for (unsigned i = 0; i < h->ntracks; i++) {
        const struct mkv_track *t = &h->tracks[i];
        mix(rec, t->name, strlen(t->name));
        mix(rec, t->codec_id, strlen(t->codec_id));
        mix(rec, t->codec_private, t->codec_private_len);
        mix_number(rec, t->number);
    }
    return 0;
}

static int on_cluster(void *arg, uint64_t offset, uint64_t timecode)
{
    struct record *rec = arg;
    event(rec, 'c', offset);
    if (rec->in_cluster)
        abort();
    rec->in_cluster = true;
    mix_number(rec, timecode);
    return 0;
}

static int on_block(void *arg, const struct mkv_block *b)
{
    struct record *rec = arg;
    event(rec, 'b', b->offset);
    if (!rec->in_cluster || b->payload < b->raw ||
        b->payload + b->payload_len > b->raw + b->raw_len)
        abort();
    mix(rec, b->raw, b->raw_len);
    mix_number(rec, b->track + (uint64_t)(uint16_t)b->relative + b->key + b->payload_len);
    return 0;
}

static int on_tags(void *arg, uint64_t offset, const uint8_t *raw, size_t raw_len,
                   const struct mkv_tag *tags, unsigned n)
{
    struct record *rec = arg;
    event(rec, 't', offset);
    if (rec->in_cluster)
        abort();
    mix(rec, raw, raw_len);
    for (unsigned i = 0; i < n; i++) {
        mix(rec, tags[i].name, strlen(tags[i].name));
        mix(rec, tags[i].value, strlen(tags[i].value));
    }
    return 0;
}

static int on_void(void *arg, uint64_t offset, const uint8_t *body, size_t len)
{
    event(arg, 'v', offset);
    mix(arg, body, len);
    return 0;
}

static int on_cluster_end(void *arg, uint64_t offset)
{
    struct record *rec = arg;
    event(rec, 'e', offset);
    if (!rec->in_cluster)
        abort();
    rec->in_cluster = false;
    return 0;
}

static const struct mkv_reader_ops ops = {on_header, on_cluster, on_block,
                                          on_tags,   on_void,    on_cluster_end};

/* Feeds all in pieces of `piece` bytes; returns a hash of everything that was reported. */
static uint64_t run(const uint8_t *data, size_t size, size_t piece)
{
    struct record rec = {.hash = 1};
    struct mkv_reader r;
    int error = 0;
    mkv_reader_init(&r, &ops, &rec, MAX_ELEMENT);
    for (size_t at = 0; at < size && error == 0; at += piece)
        error = mkv_reader_feed(&r, data + at, size - at < piece ? size - at : piece);
    if (error == 0)
        error = mkv_reader_finish(&r);
    if ((error != 0) != (mkv_reader_error(&r) != NULL) || mkv_reader_offset(&r) > size)
        abort();
    mix_number(&rec, (uint64_t)-error);
    mix_number(&rec, mkv_reader_offset(&r));
    if (error)
        mix(&rec, mkv_reader_error(&r), strlen(mkv_reader_error(&r)));
    mkv_reader_fini(&r);
    return rec.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t whole = run(data, size, size ? size : 1);
    if (run(data, size, 1) != whole || run(data, size, 7) != whole || run(data, size, 61) != whole)
        abort();
    return 0;
}
