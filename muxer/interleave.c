/* Brings the tracks of a stream into one order of time.
 * Relies on link.h and sys/queue.h.
 * Leaves ticks and fragments to fragment.c, the set of active tracks to mux.c. */
#include "muxer/interleave.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct interleave_node {
    TAILQ_ENTRY(interleave_node) entry;
    struct link_item item;
    int64_t tick, arrived_ns;
};

void interleave_init(struct interleave *il, uint8_t declared, uint8_t lead)
{
    memset(il, 0, sizeof *il);
    il->declared = il->active = declared;
    il->lead = lead;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        TAILQ_INIT(&il->tracks[i].items);
}

static void unlink_head(struct interleave *il, struct interleave_track *t, struct link_item *item)
{
    struct interleave_node *n = TAILQ_FIRST(&t->items);
    TAILQ_REMOVE(&t->items, n, entry);
    il->items--;
    if (n->item.payload)
        il->bytes -= n->item.payload->len;
    *item = n->item;
    free(n);
}

void interleave_fini(struct interleave *il)
{
    struct link_item item;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        while (!TAILQ_EMPTY(&il->tracks[i].items)) {
            unlink_head(il, &il->tracks[i], &item);
            link_item_fini(&item);
        }
}

void interleave_push(struct interleave *il, struct link_item *item, int64_t tick, int64_t now_ns)
{
    struct interleave_track *t = &il->tracks[item->track - 1];
    struct interleave_node *n = xcalloc(1, sizeof *n);
    n->item = *item;
    n->tick = tick;
    n->arrived_ns = now_ns;
    memset(item, 0, sizeof *item);
    if (n->item.payload)
        il->bytes += n->item.payload->len;
    il->items++;
    /* A gap is no sign of life: the track gave nothing that could be put into a fragment. */
    if (!n->item.gap) {
        t->heard = true;
        t->heard_ns = now_ns;
        t->newest_ns = n->item.dts_ns;
    }
    TAILQ_INSERT_TAIL(&t->items, n, entry);
}

/* How long the head of another track waits for track i, which has nothing queued. */
static int64_t wait_ns(const struct interleave *il, unsigned i, int64_t now_ns)
{
    const struct interleave_track *t = &il->tracks[i];
    bool lead = il->lead & (1u << i);
    if (il->active & (1u << i))
        return lead || !t->heard ? INTERLEAVE_WAIT_LEAD_NS : INTERLEAVE_WAIT_OTHER_NS;
    /* Not in the segment: waited for only when it has just shown signs of life, so that it can come
     * back in order. */
    if (t->heard && now_ns - t->heard_ns < INTERLEAVE_WAIT_OTHER_NS)
        return INTERLEAVE_WAIT_OTHER_NS;
    return lead ? INTERLEAVE_WAIT_BACK_NS : 0;
}

/* a - b, of times that nobody has checked yet. */
static int64_t ahead_ns(int64_t a, int64_t b)
{
    int64_t d;
    if (__builtin_sub_overflow(a, b, &d))
        d = a > b ? INT64_MAX : INT64_MIN;
    return d;
}

/* True when the head `n` of another track has waited long enough for track i. */
static bool silent(const struct interleave *il, unsigned i, const struct interleave_node *n,
                   int64_t now_ns)
{
    const struct interleave_track *mine = &il->tracks[n->item.track - 1], *t = &il->tracks[i];
    int64_t waited = now_ns - n->arrived_ns, from = t->heard ? t->newest_ns : n->item.dts_ns;
    if (waited < wait_ns(il, i, now_ns))
        return false;
    if (!(il->active & (1u << i)))
        return true;
    /* A slow encoder lags by all the credit of the other track, but goes on: that is not silence.
     */
    if (t->heard && now_ns - t->heard_ns < wait_ns(il, i, now_ns) &&
        ahead_ns(n->item.dts_ns, from) < INTERLEAVE_HOPELESS_NS)
        return false;
    return ahead_ns(mine->newest_ns, from) >= INTERLEAVE_BEHIND_NS ||
           waited >= INTERLEAVE_WAIT_ANY_NS;
}

static bool may_leave(const struct interleave *il, const struct interleave_node *n, int64_t now_ns)
{
    if (il->bytes > INTERLEAVE_MAX_BYTES || il->items > INTERLEAVE_MAX_ITEMS)
        return true;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        if (!(il->declared & (1u << i)) || i == n->item.track - 1u ||
            !TAILQ_EMPTY(&il->tracks[i].items))
            continue;
        if (!silent(il, i, n, now_ns))
            return false;
    }
    return true;
}

/* The head that comes first: gaps, then by tick, then video, then by track number. */
static struct interleave_node *earliest(const struct interleave *il)
{
    struct interleave_node *best = NULL;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        struct interleave_node *n = TAILQ_FIRST(&il->tracks[i].items);
        if (!n)
            continue;
        if (n->item.gap)
            return n;
        if (!best || n->tick < best->tick || (n->tick == best->tick && il->lead & (1u << i)))
            best = n;
    }
    return best;
}

bool interleave_pop(struct interleave *il, int64_t now_ns, bool flush, struct link_item *item)
{
    struct interleave_node *n = earliest(il);
    if (!n || (!flush && !n->item.gap && !may_leave(il, n, now_ns)))
        return false;
    unlink_head(il, &il->tracks[n->item.track - 1], item);
    return true;
}

const struct link_item *interleave_head(const struct interleave *il, unsigned track)
{
    const struct interleave_node *n = TAILQ_FIRST(&il->tracks[track - 1].items);
    return n ? &n->item : NULL;
}
