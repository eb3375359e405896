/* The body of a PutMedia request: segment header, then fragment after fragment out of the spool,
 * live as it grows. Relies on spool_read; no buffer of its own: what was just written lies in the
 * page cache. Leaves requests, acks and failures to session.c. */
#include <errno.h>
#include <string.h>
#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "uploader/session_private.h"

#define RATE_BYTES_S 12500000 /* what the service reads of one stream */
#define BURST_BYTES 1000000
#define FRAGMENTS_PER_S 5
#define FRAGMENTS_NS                                                                               \
    (1050 * NS_PER_MS) /* the endpoint counts when they arrive, not when they go                   \
                        */

void session_body_release(struct session *s)
{
    if (s->frag)
        spool_unpin(s->spool, s->frag->file);
    s->frag = NULL;
    s->pos = 0;
}

static void pace(struct session *s, int64_t wait_ns)
{
    struct timeval tv = {.tv_sec = wait_ns / NS_PER_S, .tv_usec = wait_ns % NS_PER_S / 1000 + 1};
    evtimer_add(s->pace, &tv);
}

static bool same_segment(const struct session *s, const struct spool_fragment *f)
{
    const struct blob *a = s->segment;
    struct blob *b = spool_segment(f);
    bool same = a == b || (b && a->len == b->len && memcmp(a->data, b->data, a->len) == 0);
    blob_unref(&b);
    return same;
}

/* The endpoint counts Tags behind a fragment to it; in the spool they are in front of the next one.
 */
static void take_tail(struct session *s, const struct spool_fragment *next)
{
    struct spool_fragment tags = *next;
    uint8_t part[4096];
    uint64_t pos = next->offset;
    ssize_t n;
    tags.end = next->cluster;
    while ((n = spool_read(s->spool, &tags, &pos, part, sizeof part)) > 0)
        if (buf_append(&s->tail, part, (size_t)n) < 0)
            break;
}

static void end_body(struct session *s, const struct spool_fragment *next, const char *why)
{
    s->ending = true;
    s->ending_ns = clock_mono_ns();
    if (s->frag && next && next->cluster > next->offset && same_segment(s, next))
        take_tail(s, next);
    log_debug("uploader.session.end", "stream=%s why=%s", s->stream->name, why);
}

/* Why a new request is needed before this fragment, or NULL. */
static const char *must_end(const struct session *s, const struct spool_fragment *next)
{
    if (s->draining)
        return "drain";
    if (!same_segment(s, next))
        return "new_segment";
    if (s->frag && next->timecode <= s->frag->latest) /* 4004 within one request */
        return "timecode_back";
    if (next->doubt && next->complete)
        return "lookup";
    if (clock_mono_ns() - s->start_ns > (int64_t)s->conf->rotation_s * NS_PER_S)
        return "rotation";
    if (credentials_over(s->api->credentials, &s->key))
        return "credentials";
    return NULL;
}

/* At most 5 fragments begin in any second. */
static bool too_many(struct session *s)
{
    int64_t now = clock_mono_ns(), *slot = &s->starts_ns[s->nstarts % FRAGMENTS_PER_S];
    if (s->nstarts >= FRAGMENTS_PER_S && now - *slot < FRAGMENTS_NS) {
        pace(s, FRAGMENTS_NS - (now - *slot));
        return true;
    }
    *slot = now;
    s->nstarts++;
    return false;
}

/* Goes on to the next fragment. False: not now, or the body ends. */
static bool next_fragment(struct session *s)
{
    struct spool_fragment *next = spool_next(s->spool, s->frag);
    if (!next) {
        if (s->frag && s->frag->complete && (spool_is_ended(s->spool) || s->draining))
            end_body(s, NULL, s->draining ? "drain" : "ended");
        return false;
    }
    const char *why = s->frag || s->draining ? must_end(s, next) : NULL;
    if (why) {
        end_body(s, next, why);
        return false;
    }
    if (too_many(s))
        return false;
    /* In front of a request's first Cluster, Tags would count for the fragment behind them. */
    uint64_t from = s->frag || next->own_tags ? next->offset : next->cluster;
    spool_pin(next->file);
    session_body_release(s);
    s->frag = next;
    s->pos = from;
    next->sent = true;
    next->first_ns = next->last_ns = clock_mono_ns();
    next->counted = false;
    return true;
}

static size_t take(void *dst, size_t cap, const uint8_t *src, size_t len, size_t *done)
{
    size_t n = len - *done < cap ? len - *done : cap;
    if (n)
        memcpy(dst, src + *done, n);
    *done += n;
    return n;
}

static void note_latency(struct session *s)
{
    int64_t now = s->nmarks ? clock_wall_ns() : 0;
    while (s->nmarks) {
        const struct session_mark *m = &s->marks[s->first_mark];
        if (m->file > s->frag->file->number ||
            (m->file == s->frag->file->number && m->end > s->pos))
            break;
        histogram_add(s->metrics.send_latency, now - m->captured_ns);
        s->first_mark = (s->first_mark + 1) % SESSION_MARKS;
        s->nmarks--;
    }
    if (!s->latency_said && s->metrics.send_latency->count >= 100) {
        s->latency_said = true;
        log_debug("uploader.session.latency", "stream=%s frames=%llu p50_ms=%.2f p99_ms=%.2f",
                  s->stream->name, (unsigned long long)s->metrics.send_latency->count,
                  histogram_quantile(s->metrics.send_latency, 0.5) / NS_PER_MS,
                  histogram_quantile(s->metrics.send_latency, 0.99) / NS_PER_MS);
    }
}

static bool too_fast(struct session *s)
{
    int64_t elapsed = clock_mono_ns() - s->start_ns;
    double ahead = (double)s->sent_bytes - BURST_BYTES - (double)elapsed * RATE_BYTES_S / NS_PER_S;
    if (ahead <= 0)
        return false;
    pace(s, (int64_t)(ahead / RATE_BYTES_S * NS_PER_S) + 5 * NS_PER_MS);
    return true;
}

static ssize_t fill(struct session *s, uint8_t *dst, size_t cap)
{
    size_t n = take(dst, cap, s->segment->data, s->segment->len, &s->segment_sent);
    while (n < cap && !s->ending) {
        ssize_t r = s->frag ? spool_read(s->spool, s->frag, &s->pos, dst + n, cap - n) : 0;
        if (r < 0)
            return r;
        n += (size_t)r;
        if (r > 0) {
            s->frag->last_ns = clock_mono_ns();
            note_latency(s);
        }
        bool over = !s->frag || (s->frag->complete && s->pos >= s->frag->end);
        if (over ? !next_fragment(s) : r == 0)
            break;
    }
    if (s->ending && n < cap)
        n += take(dst + n, cap - n, s->tail.data, s->tail.len, &s->tail_sent);
    return (ssize_t)n;
}

ssize_t session_body_read(void *arg, void *dst, size_t cap)
{
    struct session *s = arg;
    bool tail_left = s->tail_sent < s->tail.len;
    if (s->ending && !tail_left)
        return 0;
    if (!s->ending && too_fast(s))
        return -EAGAIN;
    s->in_upload = true;
    ssize_t n = fill(s, dst, cap);
    s->in_upload = false;
    if (n < 0) {
        s->read_error = (int)n;
        return n;
    }
    s->sent_bytes += (uint64_t)n;
    s->stats.bytes_out += (uint64_t)n;
    return n ? n : s->ending ? 0 : -EAGAIN;
}
