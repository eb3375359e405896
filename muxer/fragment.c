/* Where fragments begin and end, and which frame belongs to which.
 * Relies on link.h; the frames' own timestamps are the only time.
 * Leaves tracks, headers and bytes to mux.c. */
#include "muxer/fragment.h"

#include <string.h>

void fragment_init(struct fragment *f, const struct fragment_conf *conf)
{
    *f = (struct fragment){.conf = *conf, .fresh = true, .latest_tick = INT64_MIN};
}

int64_t fragment_tick(const struct fragment_conf *conf, int64_t ns)
{
    int64_t d;
    if (__builtin_sub_overflow(ns, conf->origin_ns, &d))
        return INT64_MIN;
    return d / conf->scale_ns - (d % conf->scale_ns < 0);
}

static struct fragment_place gap(enum link_gap_reason reason)
{
    return (struct fragment_place){.what = FRAGMENT_GAP, .reason = reason};
}

static bool time_ok(const struct fragment *f, const struct link_item *item)
{
    return item->pts_ns >= 0 && item->pts_ns <= FRAGMENT_TIME_MAX_NS &&
           fragment_tick(&f->conf, item->pts_ns) >= 0;
}

bool fragment_is_start(const struct fragment *f, const struct link_item *item)
{
    if (item->gap || !item->key || item->pts_ns < 0 || item->pts_ns > FRAGMENT_TIME_MAX_NS)
        return false;
    if (item->fragment_ns)
        return item->fragment_ns == item->pts_ns;
    /* Nobody upstream marks fragments (a foreign encoder): every key frame that makes a fragment
     * long enough. */
    return !f->open || item->pts_ns - f->start_ns >= FRAGMENT_SHORTEST_NS;
}

void fragment_adopt(struct fragment *f, int64_t start_ns)
{
    f->fresh = false;
    f->open = true;
    f->start_ns = start_ns;
    f->alias_ns = 0;
    f->latest_tick = INT64_MIN;
    f->bytes = 0;
    f->skipping = false;
}

/* F10: the earliest tick of a fragment is greater than the latest of the one before. */
static struct fragment_place begin(const struct fragment *f, const struct link_item *item)
{
    int64_t tick = fragment_tick(&f->conf, item->pts_ns);
    int64_t previous = f->open ? f->start_ns : item->previous_fragment_ns;
    if (tick <= f->latest_tick || (f->open && tick <= fragment_tick(&f->conf, f->start_ns)))
        return gap(LINK_GAP_TIMESTAMP);
    return (struct fragment_place){.what = FRAGMENT_START,
                                   .start_ns = item->pts_ns,
                                   .previous_ns = previous,
                                   .tick = tick,
                                   .timecode = (uint64_t)tick};
}

static struct fragment_place go_on(const struct fragment *f, const struct link_item *item)
{
    int64_t start = fragment_tick(&f->conf, f->start_ns);
    int64_t tick = fragment_tick(&f->conf, item->pts_ns);
    if (start < 0 || tick < start)
        return gap(LINK_GAP_TIMESTAMP);
    if (tick - start > INT16_MAX || item->pts_ns - f->start_ns >= FRAGMENT_LIMIT_NS ||
        f->bytes + item->payload->len > FRAGMENT_LIMIT_BYTES)
        return gap(LINK_GAP_FRAGMENT_LIMIT);
    return (struct fragment_place){.what = FRAGMENT_CONTINUE,
                                   .start_ns = f->start_ns,
                                   .tick = tick,
                                   .timecode = (uint64_t)start,
                                   .relative = (int16_t)(tick - start)};
}

struct fragment_place fragment_lead(struct fragment *f, const struct link_item *item)
{
    bool alias = f->open && f->alias_ns && item->fragment_ns == f->alias_ns;
    struct fragment_place p;

    if (!time_ok(f, item))
        return gap(LINK_GAP_TIMESTAMP);
    if (!alias && fragment_is_start(f, item)) {
        p = item->payload->len > FRAGMENT_LIMIT_BYTES ? gap(LINK_GAP_FRAGMENT_LIMIT)
                                                      : begin(f, item);
        if (p.what == FRAGMENT_GAP)
            fragment_skip(f, LINK_GAP_NO_KEY_FRAME);
        return p;
    }
    if (f->fresh && item->fragment_ns > 0 && item->fragment_ns <= FRAGMENT_TIME_MAX_NS)
        fragment_adopt(f, item->fragment_ns);
    if (!f->open || (item->fragment_ns && !alias && item->fragment_ns != f->start_ns))
        return gap(LINK_GAP_NO_KEY_FRAME); /* the frame that starts its fragment never came */
    if (f->skipping)
        return gap(f->skip_reason);
    p = go_on(f, item);
    if (p.what == FRAGMENT_GAP && p.reason == LINK_GAP_FRAGMENT_LIMIT)
        fragment_skip(f, LINK_GAP_FRAGMENT_LIMIT);
    return p;
}

struct fragment_place fragment_beside(struct fragment *f, const struct link_item *item)
{
    if (!time_ok(f, item))
        return gap(LINK_GAP_TIMESTAMP);
    return f->open ? go_on(f, item) : gap(LINK_GAP_NO_KEY_FRAME);
}

struct fragment_place fragment_alone(struct fragment *f, const struct link_item *item, bool start)
{
    struct fragment_place p = fragment_beside(f, item);
    if (p.what == FRAGMENT_GAP && p.reason == LINK_GAP_TIMESTAMP)
        return p;
    if (p.what == FRAGMENT_CONTINUE && !start && item->pts_ns - f->start_ns < f->conf.duration_ns)
        return p;
    return begin(f, item);
}

struct fragment_place fragment_early(struct fragment *f, const struct link_item *item,
                                     const struct link_item *start)
{
    struct fragment_place p;
    if (!time_ok(f, item) || item->pts_ns >= start->pts_ns)
        return gap(LINK_GAP_TIMESTAMP);
    if (start->pts_ns - item->pts_ns >= FRAGMENT_SHORTEST_NS)
        return gap(LINK_GAP_NO_KEY_FRAME);
    p = begin(f, item);
    p.alias_ns = start->fragment_ns ? start->fragment_ns : start->pts_ns;
    return p;
}

void fragment_commit(struct fragment *f, const struct fragment_place *place, uint64_t bytes)
{
    f->fresh = false;
    if (place->what == FRAGMENT_START) {
        fragment_adopt(f, place->start_ns);
        f->alias_ns = place->alias_ns;
        f->latest_tick = place->tick;
    }
    if (place->tick > f->latest_tick)
        f->latest_tick = place->tick;
    f->bytes += bytes;
}

void fragment_end(struct fragment *f)
{
    f->fresh = f->open = false;
}

void fragment_skip(struct fragment *f, enum link_gap_reason reason)
{
    f->fresh = false; /* a start that was seen and not put is not in the log either */
    f->skipping = true;
    f->skip_reason = reason;
}
