/* One Matroska document out of many in a row.
 * Relies on ebml and mkv_parse.
 * Leaves where the bytes come from and go to its user. */
#include "media/mkv_merge.h"

#include <errno.h>
#include <string.h>

#include "media/ebml.h"
#include "media/mkv_parse.h"

#define WHOLE_MAX_BYTES (8u << 20)
#define PIECE_BYTES 65536u

struct item {
    uint32_t id;
    uint64_t size;
    size_t head_len;
};

void mkv_merge_init(struct mkv_merge *m, const struct mkv_merge_ops *ops, void *arg)
{
    memset(m, 0, sizeof *m);
    m->ops = ops;
    m->arg = arg;
    buf_init(&m->pending, WHOLE_MAX_BYTES + 2 * PIECE_BYTES);
    buf_init(&m->hold, 2 * WHOLE_MAX_BYTES);
    buf_init(&m->head, 2 * WHOLE_MAX_BYTES);
}

void mkv_merge_fini(struct mkv_merge *m)
{
    buf_fini(&m->pending);
    buf_fini(&m->hold);
    buf_fini(&m->head);
}

static int keep(struct buf *b, const void *data, size_t len)
{
    return buf_append(b, data, len) < 0 ? -EFBIG : 0;
}

static int put(struct mkv_merge *m, const void *data, size_t len)
{
    return m->holding ? keep(&m->hold, data, len) : m->ops->out(m->arg, data, len);
}

static void end_head(struct mkv_merge *m)
{
    if (m->holding && !m->head_len)
        m->head_len = m->hold.len;
}

/* The document's first Timecode is in: now it is known whether its head is needed. A Segment's
 * times only go on. */
static int release(struct mkv_merge *m, uint64_t timecode)
{
    bool same = m->written && timecode > m->last_timecode && m->head.len == m->head_len &&
                !memcmp(m->head.data, m->hold.data, m->head_len);
    size_t from = same ? m->head_len : 0;
    if (!same) {
        buf_clear(&m->head);
        if (keep(&m->head, m->hold.data, m->head_len) < 0)
            return -EFBIG;
    }
    m->holding = false;
    m->written = true;
    return m->ops->out(m->arg, m->hold.data + from, m->hold.len - from);
}

static int on_timecode(struct mkv_merge *m, const uint8_t *p, const struct item *it)
{
    uint64_t timecode = 0;
    int r = ebml_read_uint(p + it->head_len, it->size, &timecode);
    if (r == 0)
        r = put(m, p, it->head_len + it->size);
    if (r == 0 && m->holding)
        r = release(m, timecode);
    m->last_timecode = timecode;
    return r;
}

static int on_tags(struct mkv_merge *m, const uint8_t *p, const struct item *it)
{
    struct mkv_tag_list list = {0};
    const char *reason;
    end_head(m);
    int r = mkv_parse_tags(p + it->head_len, it->size, &list, &reason);
    if (r == 0)
        r = m->ops->tags(m->arg, list.tags, list.n);
    mkv_tag_list_fini(&list);
    return r < 0 ? r : put(m, p, it->head_len + it->size);
}

static int on_ebml(struct mkv_merge *m, const uint8_t *p, const struct item *it)
{
    buf_clear(&m->hold);
    m->head_len = 0;
    m->holding = m->seen_ebml = true;
    return put(m, p, it->head_len + it->size);
}

/* Put out with unknown size: more follows in a Segment, and less when a Cluster is cut off. */
static int on_master(struct mkv_merge *m, const struct item *it)
{
    uint8_t unknown[12] = {0, 0, 0, 0, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    for (int i = 0; i < 4; i++)
        unknown[i] = (uint8_t)(it->id >> (24 - 8 * i));
    if (it->id == MKV_ID_SEGMENT && (!m->holding || m->head_len))
        return -EBADMSG;
    if (it->id == MKV_ID_CLUSTER)
        end_head(m);
    return put(m, unknown, sizeof unknown);
}

/* A head is made of what matters to players; where things are in the file they came from does not.
 */
static bool is_dropped(const struct mkv_merge *m, uint32_t id)
{
    return m->holding && !m->head_len && id != MKV_ID_INFO && id != MKV_ID_TRACKS;
}

static bool is_frame(uint32_t id)
{
    return id == MKV_ID_SIMPLE_BLOCK || id == MKV_ID_BLOCK_GROUP;
}

static int on_whole(struct mkv_merge *m, const uint8_t *p, const struct item *it)
{
    switch (it->id) {
    case MKV_ID_EBML:
        return on_ebml(m, p, it);
    case MKV_ID_TAGS:
        return on_tags(m, p, it);
    case MKV_ID_TIMECODE:
        return on_timecode(m, p, it);
    default:
        return is_dropped(m, it->id) ? 0 : put(m, p, it->head_len + it->size);
    }
}

/* Takes one element, or what can be taken of it. Returns how many bytes, 0 for too few, or a
 * negative errno. */
static ssize_t take(struct mkv_merge *m, const uint8_t *p, size_t n)
{
    struct item it;
    int a = ebml_read_id(p, n, &it.id);
    int b = a > 0 ? ebml_read_size(p + a, n - (size_t)a, &it.size) : a;
    if (a <= 0 || b <= 0)
        return a < 0 || b < 0 ? -EBADMSG : 0;
    it.head_len = (size_t)(a + b);
    if (!m->seen_ebml && it.id != MKV_ID_EBML)
        return -EBADMSG;
    int r;
    if (it.id == MKV_ID_SEGMENT || it.id == MKV_ID_CLUSTER) {
        r = on_master(m, &it);
        return r < 0 ? r : (ssize_t)it.head_len;
    }
    if (it.size == EBML_UNKNOWN_SIZE)
        return -EBADMSG;
    if (it.size > WHOLE_MAX_BYTES && is_frame(it.id) && !m->holding) {
        r = put(m, p, it.head_len);
        m->left = it.size;
        return r < 0 ? r : (ssize_t)it.head_len;
    }
    if (it.size > WHOLE_MAX_BYTES)
        return -EFBIG;
    if (n - it.head_len < it.size)
        return 0;
    r = on_whole(m, p, &it);
    return r < 0 ? r : (ssize_t)(it.head_len + it.size);
}

static int pass_through(struct mkv_merge *m, const uint8_t **p, size_t *n)
{
    size_t now = *n < m->left ? *n : (size_t)m->left;
    int r = now ? put(m, *p, now) : 0;
    m->left -= now;
    *p += now;
    *n -= now;
    return r;
}

/* Takes all whole elements of [p, p+n). Returns how many bytes, or a negative errno. */
static ssize_t take_all(struct mkv_merge *m, const uint8_t *p, size_t n)
{
    const uint8_t *from = p;
    while (n) {
        int r = pass_through(m, &p, &n);
        if (r < 0)
            return r;
        ssize_t used = n ? take(m, p, n) : 0;
        if (used < 0)
            return used;
        if (used == 0)
            break;
        p += used;
        n -= (size_t)used;
    }
    return p - from;
}

int mkv_merge_feed(struct mkv_merge *m, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (!m->error && len) {
        /* A piece at a time, so that what waits stays below its maximum. */
        size_t n = len < PIECE_BYTES ? len : PIECE_BYTES;
        if (keep(&m->pending, p, n) < 0) {
            m->error = -EFBIG;
            break;
        }
        ssize_t used = take_all(m, m->pending.data, m->pending.len);
        if (used < 0)
            m->error = (int)used;
        else
            buf_consume(&m->pending, (size_t)used);
        p += n;
        len -= n;
    }
    return m->error;
}

int mkv_merge_cut(struct mkv_merge *m)
{
    bool inside = m->pending.len || m->left;
    buf_clear(&m->pending);
    m->left = 0;
    m->seen_ebml = m->holding = false;
    if (inside)
        m->written = false; /* what was put out ends in the middle of something */
    return m->error ? m->error : inside ? -EBADMSG : 0;
}
