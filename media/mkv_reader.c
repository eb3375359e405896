/* Incremental Matroska parser: finds elements in the stream, checks their order and nesting, hands
 * them out. Relies on ebml, mkv_parse and common/buf. Leaves fragment rules to the caller. */
#include "media/mkv_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "media/ebml.h"
#include "media/mkv_parse.h"

/* The element at the reader's position. `p` is its first byte; the body is there only when it is
 * handled whole. */
struct element {
    const uint8_t *p;
    uint32_t id;
    size_t head_len;
    uint64_t size;
};

/* What kind of parent an element belongs in. */
enum place { ANYWHERE, ROOT, SEGMENT, CLUSTER };

struct rule {
    uint32_t id;
    enum place place;
    bool ends_header; /* the header ends before it */
    bool enter;       /* a master: its children follow, its size may be unknown */
    int (*handle)(struct mkv_reader *r, const struct element *e); /* NULL: skipped unread */
};

static int fail(struct mkv_reader *r, int error, const char *text)
{
    r->error = error;
    r->error_text = text;
    r->error_offset = r->pos;
    return error;
}

/* Passes on what an op or a parser returned. */
static int stopped(struct mkv_reader *r, int error)
{
    return error < 0 ? fail(r, error, "stopped by the receiver") : 0;
}

static const uint8_t *body_of(const struct element *e)
{
    return e->p + e->head_len;
}

static size_t total_of(const struct element *e)
{
    return e->head_len + (size_t)e->size;
}

static void free_header(struct mkv_reader *r)
{
    for (unsigned i = 0; i < r->header.ntracks; i++)
        free(r->header.tracks[i].codec_private);
    memset(&r->header, 0, sizeof r->header);
    buf_fini(&r->raw_header);
}

static int report_header(struct mkv_reader *r)
{
    int error = 0;
    r->header_done = true;
    if (r->ops.header)
        error = r->ops.header(r->arg, &r->header, r->raw_header.data, r->raw_header_len);
    free_header(r);
    return stopped(r, error);
}

static int keep_raw(struct mkv_reader *r, const uint8_t *p, size_t n)
{
    if (r->header_done)
        return 0;
    if (buf_append(&r->raw_header, p, n) < 0)
        return fail(r, -EFBIG, "stream header larger than the limit");
    return 0;
}

static int on_ebml(struct mkv_reader *r, const struct element *e)
{
    const char *reason = NULL;
    r->seen_ebml = true;
    r->raw_header_len = r->raw_header.len;
    int error = mkv_parse_ebml_head(body_of(e), (size_t)e->size, &reason);
    return error < 0 ? fail(r, error, reason) : 0;
}

static uint64_t end_of(const struct mkv_reader *r, const struct element *e)
{
    return e->size == EBML_UNKNOWN_SIZE ? UINT64_MAX : r->pos + e->head_len + e->size;
}

static int on_segment(struct mkv_reader *r, const struct element *e)
{
    r->seen_segment = r->in_segment = true;
    r->segment_end = end_of(r, e);
    r->raw_header_len = r->raw_header.len;
    return 0;
}

static int on_info(struct mkv_reader *r, const struct element *e)
{
    const char *reason = NULL;
    if (r->seen_info)
        return fail(r, -EBADMSG, "second Info");
    if (r->header_done)
        return fail(r, -EBADMSG, "Info after the first Cluster or Tags");
    r->seen_info = true;
    r->raw_header_len = r->raw_header.len;
    int error = mkv_parse_info(body_of(e), (size_t)e->size, &r->header, &reason);
    if (error < 0)
        return fail(r, error, reason);
    return r->seen_tracks ? report_header(r) : 0;
}

static int on_tracks(struct mkv_reader *r, const struct element *e)
{
    const char *reason = NULL;
    if (r->seen_tracks)
        return fail(r, -EBADMSG, "second Tracks");
    if (r->header_done)
        return fail(r, -EBADMSG, "Tracks after the first Cluster or Tags");
    r->seen_tracks = true;
    r->raw_header_len = r->raw_header.len;
    int error = mkv_parse_tracks(body_of(e), (size_t)e->size, &r->header, &reason);
    if (error < 0)
        return fail(r, error, reason);
    return r->seen_info ? report_header(r) : 0;
}

static int on_tags(struct mkv_reader *r, const struct element *e)
{
    struct mkv_tag_list list = {.n = 0};
    const char *reason = NULL;
    int error = mkv_parse_tags(body_of(e), (size_t)e->size, &list, &reason);
    if (error < 0)
        error = fail(r, error, reason);
    else if (r->ops.tags)
        error = stopped(r, r->ops.tags(r->arg, r->pos, e->p, total_of(e), list.tags, list.n));
    mkv_tag_list_fini(&list);
    return error;
}

static int on_cluster(struct mkv_reader *r, const struct element *e)
{
    r->in_cluster = true;
    r->have_timecode = false;
    r->cluster_offset = r->pos;
    r->cluster_end = end_of(r, e);
    return 0;
}

static int on_timecode(struct mkv_reader *r, const struct element *e)
{
    uint64_t timecode;
    if (r->have_timecode)
        return fail(r, -EBADMSG, "second Timecode in a Cluster");
    if (ebml_read_uint(body_of(e), (size_t)e->size, &timecode) < 0)
        return fail(r, -EBADMSG, "Timecode out of range");
    r->have_timecode = true;
    return r->ops.cluster ? stopped(r, r->ops.cluster(r->arg, r->cluster_offset, timecode)) : 0;
}

static int on_block(struct mkv_reader *r, const struct element *e)
{
    struct mkv_block block = {.offset = r->pos, .raw = e->p, .raw_len = total_of(e)};
    const char *reason = NULL;
    int error;
    if (!r->have_timecode)
        return fail(r, -EBADMSG, "block before the Cluster's Timecode");
    if (e->id == MKV_ID_SIMPLE_BLOCK)
        error = mkv_parse_simple_block(body_of(e), (size_t)e->size, &block, &reason);
    else
        error = mkv_parse_block_group(body_of(e), (size_t)e->size, &block, &reason);
    if (error < 0)
        return fail(r, error, reason);
    return r->ops.block ? stopped(r, r->ops.block(r->arg, &block)) : 0;
}

static int on_void(struct mkv_reader *r, const struct element *e)
{
    return stopped(r, r->ops.void_element(r->arg, r->pos, body_of(e), (size_t)e->size));
}

static const struct rule rules[] = {
    {MKV_ID_SIMPLE_BLOCK, CLUSTER, false, false, on_block},
    {MKV_ID_BLOCK_GROUP, CLUSTER, false, false, on_block},
    {MKV_ID_TIMECODE, CLUSTER, false, false, on_timecode},
    {MKV_ID_CLUSTER, SEGMENT, true, true, on_cluster},
    {MKV_ID_TAGS, SEGMENT, true, false, on_tags},
    {MKV_ID_INFO, SEGMENT, false, false, on_info},
    {MKV_ID_TRACKS, SEGMENT, false, false, on_tracks},
    {MKV_ID_SEEK_HEAD, SEGMENT, false, false, NULL},
    {MKV_ID_CUES, SEGMENT, false, false, NULL},
    {MKV_ID_CHAPTERS, SEGMENT, false, false, NULL},
    {MKV_ID_ATTACHMENTS, SEGMENT, false, false, NULL},
    {MKV_ID_EBML, ROOT, false, false, on_ebml},
    {MKV_ID_SEGMENT, ROOT, false, true, on_segment},
    {MKV_ID_VOID, ANYWHERE, false, false, on_void},
};

static struct rule rule_for(const struct mkv_reader *r, const struct element *e)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct rule rule = rules[i];
        if (rule.id != e->id)
            continue;
        /* Void is padding, and may be huge, unless somebody wants it. Before a Cluster's Timecode
         * the Cluster is not reported yet, so nothing in it is. */
        if (rule.id == MKV_ID_VOID &&
            (!r->ops.void_element || !r->header_done || e->size > r->max_element_bytes ||
             (r->in_cluster && !r->have_timecode)))
            rule.handle = NULL;
        return rule;
    }
    return (struct rule){.id = e->id, .place = ANYWHERE};
}

static int end_cluster(struct mkv_reader *r)
{
    if (!r->have_timecode)
        return fail(r, -EBADMSG, "Cluster without a Timecode");
    r->in_cluster = false;
    return r->ops.cluster_end ? stopped(r, r->ops.cluster_end(r->arg, r->pos)) : 0;
}

/* Leaves the masters of known size that end at the position. */
static int leave_ended(struct mkv_reader *r)
{
    int error = 0;
    bool segment_over = r->in_segment && r->pos == r->segment_end;
    if (r->in_cluster && (segment_over || r->pos == r->cluster_end))
        error = end_cluster(r);
    if (segment_over)
        r->in_segment = false;
    return error;
}

/* Moves past bytes that were dealt with; `whole` says that an element ends (or a master begins)
 * there. */
static int advance(struct mkv_reader *r, uint64_t n, bool whole)
{
    r->pos += n;
    if (!whole)
        return 0;
    int error = leave_ended(r);
    if (!r->in_cluster || r->have_timecode)
        r->whole = r->pos;
    return error;
}

/* Checks that the element may stand here; ends the Cluster of unknown size that it ends. */
static int place(struct mkv_reader *r, const struct element *e, const struct rule *rule)
{
    if (!r->seen_ebml && e->id != MKV_ID_EBML)
        return fail(r, -EBADMSG, "stream does not begin with an EBML head");
    if (e->id == MKV_ID_EBML && r->seen_ebml)
        return fail(r, -EBADMSG, "second EBML head");
    if (e->id == MKV_ID_SEGMENT && r->seen_segment)
        return fail(r, -EBADMSG, "second Segment");
    if (rule->place == SEGMENT && !r->in_segment)
        return fail(r, -EBADMSG, "element outside the Segment");
    if (rule->place == CLUSTER && !r->in_cluster)
        return fail(r, -EBADMSG, "block or Timecode outside a Cluster");
    if (e->id == MKV_ID_CLUSTER && !r->seen_tracks)
        return fail(r, -EBADMSG, "Cluster before Tracks");
    if (rule->place == SEGMENT && r->in_cluster) {
        if (r->cluster_end != UINT64_MAX)
            return fail(r, -EBADMSG, "element of the Segment inside a Cluster");
        return end_cluster(r);
    }
    return 0;
}

/* Checks the element's size against its parents and the limit. */
static int check_size(struct mkv_reader *r, const struct element *e, const struct rule *rule)
{
    uint64_t limit = r->in_segment ? r->segment_end : UINT64_MAX;
    if (r->in_cluster && r->cluster_end < limit)
        limit = r->cluster_end;
    if (e->size == EBML_UNKNOWN_SIZE) {
        if (!rule->enter)
            return fail(r, -EBADMSG, "unknown size on other than Segment or Cluster");
        return r->pos + e->head_len > limit ? fail(r, -EBADMSG, "element larger than its parent")
                                            : 0;
    }
    if (e->head_len + e->size > limit - r->pos)
        return fail(r, -EBADMSG, "element larger than its parent");
    if (rule->handle && !rule->enter && e->size > r->max_element_bytes)
        return fail(r, -EFBIG, "element larger than the limit");
    return 0;
}

/* Reads the element's head. Returns 1, 0 when more bytes are needed, or a negative errno. */
static int read_head(struct mkv_reader *r, const uint8_t *p, size_t n, struct element *e)
{
    int a = ebml_read_id(p, n, &e->id);
    int b = a > 0 ? ebml_read_size(p + a, n - (size_t)a, &e->size) : a;
    if (a < 0)
        return fail(r, a, "invalid element id");
    if (b < 0)
        return fail(r, b, "invalid element size");
    e->p = p;
    e->head_len = (size_t)(a + b);
    r->want = n + 1;
    return a > 0 && b > 0;
}

/* Deals with the element at the position, of which `n` bytes are there. Returns how many of them it
 * used, 0 when it needs r->want of them, or a negative errno. */
static ssize_t step(struct mkv_reader *r, const uint8_t *p, size_t n)
{
    struct element e = {.p = p};
    int got = read_head(r, p, n, &e);
    if (got <= 0)
        return got;
    struct rule rule = rule_for(r, &e);
    if (place(r, &e, &rule) < 0 || check_size(r, &e, &rule) < 0)
        return r->error;
    bool in_pieces = rule.enter || !rule.handle;
    size_t used = in_pieces ? e.head_len : total_of(&e);
    if (n < used) {
        r->want = used;
        return 0;
    }
    if (rule.ends_header && !r->header_done && report_header(r) < 0)
        return r->error;
    if (keep_raw(r, p, used) < 0 || (rule.handle && rule.handle(r, &e) < 0))
        return r->error;
    if (!rule.handle)
        r->skip_left = e.size;
    return advance(r, used, r->skip_left == 0) < 0 ? r->error : (ssize_t)used;
}

/* Passes over bytes of an element that nobody reads. Returns how many. */
static ssize_t skip(struct mkv_reader *r, const uint8_t *p, size_t n)
{
    if (n > r->skip_left)
        n = (size_t)r->skip_left;
    if (keep_raw(r, p, n) < 0)
        return r->error;
    r->skip_left -= n;
    return advance(r, n, r->skip_left == 0) < 0 ? r->error : (ssize_t)n;
}

/* Completes the pending element from the new bytes. Returns how many of these it took. */
static ssize_t complete_pending(struct mkv_reader *r, const uint8_t *p, size_t n)
{
    size_t take = r->want - r->pending.len;
    if (take > n)
        take = n;
    if (buf_append(&r->pending, p, take) < 0)
        return fail(r, -EFBIG, "element larger than the limit");
    if (r->pending.len < r->want)
        return (ssize_t)take;
    ssize_t used = step(r, r->pending.data, r->pending.len);
    if (used < 0)
        return used;
    buf_consume(&r->pending, (size_t)used);
    return (ssize_t)take;
}

/* Takes at least one of the new bytes. Returns how many. */
static ssize_t take_some(struct mkv_reader *r, const uint8_t *p, size_t n)
{
    if (r->skip_left > 0)
        return skip(r, p, n);
    if (r->pending.len > 0)
        return complete_pending(r, p, n);
    ssize_t used = step(r, p, n);
    if (used != 0)
        return used;
    if (buf_append(&r->pending, p, n) < 0)
        return fail(r, -EFBIG, "element larger than the limit");
    return (ssize_t)n;
}

void mkv_reader_init(struct mkv_reader *r, const struct mkv_reader_ops *ops, void *arg,
                     size_t max_element_bytes)
{
    memset(r, 0, sizeof *r);
    r->ops = *ops;
    r->arg = arg;
    r->max_element_bytes = max_element_bytes;
    r->header.timecode_scale_ns = MKV_TIMECODE_SCALE_DEFAULT_NS;
    buf_init(&r->pending, max_element_bytes + EBML_HEAD_MAX_BYTES);
    buf_init(&r->raw_header, max_element_bytes);
}

void mkv_reader_fini(struct mkv_reader *r)
{
    free_header(r);
    buf_fini(&r->pending);
}

int mkv_reader_feed(struct mkv_reader *r, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (r->error == 0 && len > 0) {
        ssize_t used = take_some(r, p, len);
        if (used < 0)
            break;
        p += used;
        len -= (size_t)used;
    }
    return r->error;
}

int mkv_reader_finish(struct mkv_reader *r)
{
    if (r->error < 0)
        return r->error;
    if (r->pending.len > 0 || r->skip_left > 0)
        return fail(r, -EBADMSG, "stream ends inside an element");
    if (!r->seen_segment)
        return fail(r, -EBADMSG, "stream ends before a Segment");
    if (r->in_cluster && r->cluster_end != UINT64_MAX)
        return fail(r, -EBADMSG, "stream ends inside a Cluster of known size");
    if (r->in_cluster && end_cluster(r) < 0)
        return r->error;
    if (r->in_segment && r->segment_end != UINT64_MAX)
        return fail(r, -EBADMSG, "stream ends inside a Segment of known size");
    return 0;
}

uint64_t mkv_reader_offset(const struct mkv_reader *r)
{
    return r->whole;
}

const char *mkv_reader_error(const struct mkv_reader *r)
{
    return r->error_text;
}

uint64_t mkv_reader_error_offset(const struct mkv_reader *r)
{
    return r->error_offset;
}
