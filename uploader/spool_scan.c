/* Scan of a spool file, and the check of a piece before it is appended to one.
 * Relies on media/mkv_reader and media/ebml.
 * Leaves index and positions to spool.c. */
#include "uploader/spool_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"
#include "media/ebml.h"
#include "media/mkv_writer.h"

#define SCAN_READ_BYTES (256u << 10)
#define SCAN_ELEMENT_MAX (LINK_PAYLOAD_MAX + 65536u)

static int on_header(void *arg, const struct mkv_header *header, const uint8_t *raw, size_t raw_len)
{
    struct spool_scan *s = arg;
    uint64_t scale =
        header->timecode_scale_ns ? header->timecode_scale_ns : MKV_TIMECODE_SCALE_DEFAULT_NS;
    if (scale > SPOOL_SCALE_MAX_NS)
        return -EBADMSG;
    return s->ops.header && !s->began ? s->ops.header(s->arg, raw, raw_len, scale) : 0;
}

static int on_cluster(void *arg, uint64_t offset, uint64_t timecode)
{
    struct spool_scan *s = arg;
    if (!s->began)
        return -EBADMSG;
    s->cluster_pending = true;
    s->start_offset = s->tags_pending ? s->tags_offset : offset + s->skew;
    s->cluster_offset = offset + s->skew;
    s->timecode = timecode;
    s->tags_pending = false;
    return 0;
}

static int on_tags(void *arg, uint64_t offset, const uint8_t *raw, size_t raw_len,
                   const struct mkv_tag *tags, unsigned n)
{
    struct spool_scan *s = arg;
    if (!s->tags_pending)
        s->tags_offset = offset + s->skew;
    s->tags_pending = true;
    return 0;
}

static int on_block(void *arg, const struct mkv_block *b)
{
    struct spool_scan *s = arg;
    int r = 0;
    if (b->track < 1 || b->track > LINK_TRACKS_MAX || !b->simple)
        return -EBADMSG;
    if ((s->cluster_pending ? s->start_offset : b->offset + s->skew) != s->whole)
        return -EBADMSG; /* something that nobody wrote lies between */
    if (s->cluster_pending && s->ops.fragment)
        r = s->ops.fragment(s->arg, s->start_offset, s->cluster_offset, s->timecode);
    s->cluster_pending = false;
    if (r == 0 && s->ops.block)
        r = s->ops.block(s->arg, b->track, b->relative, b->offset + s->skew, b->raw_len);
    if (r == 0)
        s->whole = b->offset + s->skew + b->raw_len;
    return r;
}

/* The Void's end: body length is below 2^28, and our writer uses the shortest size. */
static uint64_t void_end(uint64_t offset, size_t len)
{
    unsigned size_bytes = len < 0x7f ? 1 : len < 0x3fff ? 2 : len < 0x1fffff ? 3 : 4;
    return offset + 1 + size_bytes + len;
}

static int on_void(void *arg, uint64_t offset, const uint8_t *body, size_t len)
{
    struct spool_scan *s = arg;
    struct spool_record rec;
    int r = spool_record_decode(body, len, &rec);
    if (r < 0) /* nobody else writes here */
        return -EBADMSG;
    if (s->began == (rec.type == SPOOL_RECORD_BEGIN) || s->cluster_pending || s->tags_pending)
        return -EBADMSG;
    offset += s->skew;
    if (s->began && offset != s->whole)
        return -EBADMSG;
    s->began = true;
    r = s->ops.record ? s->ops.record(s->arg, &rec, offset, void_end(offset, len)) : 0;
    if (r == 0)
        s->whole = void_end(offset, len);
    return r;
}

void spool_scan_init(struct spool_scan *s, const struct spool_scan_ops *ops, void *arg)
{
    static const struct mkv_reader_ops reader_ops = {.header = on_header,
                                                     .cluster = on_cluster,
                                                     .block = on_block,
                                                     .tags = on_tags,
                                                     .void_element = on_void};
    *s = (struct spool_scan){.ops = *ops, .arg = arg};
    mkv_reader_init(&s->reader, &reader_ops, s, SCAN_ELEMENT_MAX);
}

int spool_scan_resume(struct spool_scan *s, const struct blob *segment, uint64_t offset)
{
    s->began = true;
    s->start = s->whole = offset;
    s->skew = offset - segment->len;
    return spool_scan_feed(s, segment->data, segment->len);
}

void spool_scan_fini(struct spool_scan *s)
{
    mkv_reader_fini(&s->reader);
}

int spool_scan_feed(struct spool_scan *s, const void *data, size_t len)
{
    return mkv_reader_feed(&s->reader, data, len);
}

uint64_t spool_scan_whole(const struct spool_scan *s)
{
    return s->whole;
}

int spool_scan_fd(struct spool_scan *s, int fd)
{
    uint8_t *chunk = xmalloc(SCAN_READ_BYTES);
    off_t at = (off_t)s->start;
    int r = 0;
    while (r == 0) {
        ssize_t n = pread(fd, chunk, SCAN_READ_BYTES, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r = -errno;
        if (n <= 0)
            break;
        r = spool_scan_feed(s, chunk, (size_t)n);
        at += n;
    }
    free(chunk);
    return r;
}

struct element {
    uint32_t id;
    uint64_t size;
    const uint8_t *body;
};

/* Reads one element head; a known size must fit. Returns the bytes of the head or -EBADMSG. */
static int element_read(const uint8_t *p, size_t n, struct element *e)
{
    int id_bytes = ebml_read_id(p, n, &e->id);
    if (id_bytes <= 0)
        return -EBADMSG;
    int size_bytes = ebml_read_size(p + id_bytes, n - (size_t)id_bytes, &e->size);
    if (size_bytes <= 0)
        return -EBADMSG;
    size_t head = (size_t)(id_bytes + size_bytes);
    if (e->size != EBML_UNKNOWN_SIZE && e->size > n - head)
        return -EBADMSG;
    e->body = p + head;
    return (int)head;
}

static int parse_cluster(const uint8_t **p, const uint8_t *end, struct element *e,
                         struct spool_piece *piece)
{
    if (e->size != EBML_UNKNOWN_SIZE || element_read(e->body, (size_t)(end - e->body), e) < 0)
        return -EBADMSG;
    if (e->id != MKV_ID_TIMECODE || ebml_read_uint(e->body, (size_t)e->size, &piece->timecode) < 0)
        return -EBADMSG;
    piece->starts = true;
    *p = e->body + e->size;
    return element_read(*p, (size_t)(end - *p), e) < 0 ? -EBADMSG : 0;
}

int spool_piece_parse(const uint8_t *p, size_t len, struct spool_piece *piece)
{
    const uint8_t *start = p, *end = p + len;
    struct element e;
    *piece = (struct spool_piece){0};
    if (element_read(p, len, &e) < 0)
        return -EBADMSG;
    bool tags = e.id == MKV_ID_TAGS;
    if (tags) {
        if (e.size == EBML_UNKNOWN_SIZE)
            return -EBADMSG;
        p = e.body + e.size;
        piece->cluster = (size_t)(p - start);
        if (element_read(p, (size_t)(end - p), &e) < 0 || e.id != MKV_ID_CLUSTER)
            return -EBADMSG;
    }
    if (e.id == MKV_ID_CLUSTER && parse_cluster(&p, end, &e, piece) < 0)
        return -EBADMSG;
    /* One block with a one-byte track number, time and flags, and nothing after it. */
    if (e.id != MKV_ID_SIMPLE_BLOCK || e.size == EBML_UNKNOWN_SIZE || e.size < 4 ||
        e.body + e.size != end)
        return -EBADMSG;
    piece->track = e.body[0] & 0x7f;
    piece->relative = (int16_t)(e.body[1] << 8 | e.body[2]);
    piece->time = (size_t)(e.body + 1 - start);
    bool track_ok = e.body[0] & 0x80 && piece->track >= 1 && piece->track <= LINK_TRACKS_MAX;
    return track_ok ? 0 : -EBADMSG;
}

struct segment_check {
    uint64_t scale_ns;
    size_t raw_len;
    unsigned ntracks;
};

static int check_header(void *arg, const struct mkv_header *header, const uint8_t *raw,
                        size_t raw_len)
{
    struct segment_check *c = arg;
    c->scale_ns =
        header->timecode_scale_ns ? header->timecode_scale_ns : MKV_TIMECODE_SCALE_DEFAULT_NS;
    c->raw_len = raw_len;
    c->ntracks = header->ntracks;
    return 0;
}

int spool_segment_parse(const uint8_t *p, size_t len, uint64_t *scale_ns)
{
    static const struct mkv_reader_ops ops = {.header = check_header};
    struct segment_check c = {0};
    struct mkv_reader r;
    mkv_reader_init(&r, &ops, &c, 1u << 20);
    int error = mkv_reader_feed(&r, p, len);
    mkv_reader_fini(&r);
    if (error < 0 || c.raw_len != len || c.ntracks < 1 || c.ntracks > LINK_TRACKS_MAX ||
        c.scale_ns > SPOOL_SCALE_MAX_NS)
        return -EBADMSG;
    *scale_ns = c.scale_ns;
    return 0;
}

struct reduction {
    uint8_t tracks;
    struct buf out;
    bool less;
};

static int reduce_header(void *arg, const struct mkv_header *header, const uint8_t *raw,
                         size_t raw_len)
{
    struct reduction *r = arg;
    struct mkv_header less = *header;
    less.ntracks = 0;
    for (unsigned i = 0; i < header->ntracks; i++) {
        uint32_t n = header->tracks[i].number;
        if (n >= 1 && n <= LINK_TRACKS_MAX && r->tracks & (1u << (n - 1)))
            less.tracks[less.ntracks++] = header->tracks[i];
    }
    r->less = less.ntracks && less.ntracks < header->ntracks;
    return r->less ? mkv_write_header(&r->out, &less) : 0;
}

struct blob *spool_segment_reduce(const struct blob *segment, uint8_t tracks)
{
    static const struct mkv_reader_ops ops = {.header = reduce_header};
    struct reduction r = {.tracks = tracks};
    struct blob *out = NULL;
    struct mkv_reader reader;
    buf_init(&r.out, 1u << 20);
    mkv_reader_init(&reader, &ops, &r, 1u << 20);
    if (mkv_reader_feed(&reader, segment->data, segment->len) == 0 && r.less)
        out = blob_copy(r.out.data, r.out.len);
    mkv_reader_fini(&reader);
    buf_fini(&r.out);
    return out;
}
