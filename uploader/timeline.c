/* Intervals that are missing.
 * Relies on nothing: times are arguments.
 * Leaves keeping them to ledger.c. */
#include "uploader/timeline.h"

#include <string.h>

#define WAIT_TICKS 3

void timeline_init(struct timeline *t, void (*tell)(void *arg, const struct ledger_entry *e),
                   void *arg)
{
    memset(t, 0, sizeof *t);
    t->tell = tell;
    t->arg = arg;
}

static uint64_t numbers(const struct timeline_track *k)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < k->ngaps; i++)
        n += k->gap[i].count;
    return n;
}

/* How long so many frames last; what is damaged or hostile in it stays within a day. */
static int64_t length_of(const struct timeline_track *k, uint64_t frames)
{
    const int64_t most = 86400 * NS_PER_S;
    if (!k->step_ns || frames > (uint64_t)(most / k->step_ns))
        return k->step_ns ? most : 0;
    return (int64_t)frames * k->step_ns;
}

/* The gaps of a track share the time between start and end by their counts. */
static void tell_gaps(struct timeline *t, struct timeline_track *k, int64_t start_ns,
                      int64_t end_ns)
{
    double total = (double)numbers(k), before = 0;
    for (unsigned i = 0; i < k->ngaps; i++) {
        struct ledger_entry *e = &k->gap[i];
        double span = (double)(end_ns - start_ns);
        e->start_ns = start_ns + (int64_t)(span * before / total);
        before += (double)e->count;
        e->end_ns = start_ns + (int64_t)(span * before / total);
        if (!k->told[i])
            t->tell(t->arg, e);
    }
    k->ngaps = 0;
}

static void tell_silence(struct timeline *t, unsigned track, uint64_t epoch, uint64_t number,
                         int64_t end_ns, struct ledger_place at)
{
    const struct timeline_track *k = &t->track[track - 1];
    struct ledger_entry e = {.track = track,
                             .epoch = epoch,
                             .first = number,
                             .last = number,
                             .reason = "silent",
                             .start_ns = k->end_ns,
                             .end_ns = end_ns,
                             .at = at};
    if (k->new_epoch) {
        e.epoch = k->old_epoch;
        e.first = e.last = k->old_next;
        e.reason = k->stopped ? "stopped" : "capture_restarted";
    }
    t->tell(t->arg, &e);
}

static int64_t longest_step(const struct timeline_track *k)
{
    return 3 * k->step_ns > TIMELINE_SILENCE_NS ? 3 * k->step_ns : TIMELINE_SILENCE_NS;
}

static void learn(struct timeline_track *k, int64_t pts_ns, bool silent, bool gaps)
{
    int64_t step = pts_ns - k->last_ns;
    if (silent)
        k->step_ns *= 2; /* a source that has become slow is believed after a while */
    else if (!gaps && step > 0)
        k->step_ns = step;
    if (k->step_ns > 3600 * NS_PER_S)
        k->step_ns = 3600 * NS_PER_S;
}

void timeline_frame(struct timeline *t, unsigned track, uint64_t epoch, uint64_t number,
                    int64_t pts_ns, struct ledger_place at)
{
    struct timeline_track *k = &t->track[track - 1];
    int64_t lost = length_of(k, numbers(k)), from = k->known ? k->end_ns : pts_ns - lost;
    bool silent = false;
    if (k->known) {
        /* one frame alone does not tell what is usual */
        silent = (k->step_ns && pts_ns - lost - k->end_ns > longest_step(k) - k->step_ns) ||
                 k->new_epoch;
        if (silent) {
            from = pts_ns - lost > k->end_ns ? pts_ns - lost : k->end_ns;
            tell_silence(t, track, epoch, number, from, at);
        }
        learn(k, pts_ns, silent && !k->new_epoch, k->ngaps > 0 || k->new_epoch);
    }
    tell_gaps(t, k, from, pts_ns > from ? pts_ns : from);
    k->new_epoch = false;
    k->known = true;
    k->last_ns = pts_ns;
    k->end_ns = pts_ns + k->step_ns > k->end_ns || silent ? pts_ns + k->step_ns : k->end_ns;
}

static void settle(struct timeline *t, struct timeline_track *k)
{
    int64_t end_ns = k->end_ns + length_of(k, numbers(k));
    tell_gaps(t, k, k->end_ns, end_ns);
    if (k->known)
        k->end_ns = end_ns;
}

static bool continues(const struct ledger_entry *a, const struct ledger_entry *b)
{
    return a->epoch == b->epoch && a->last + 1 == b->first && strcmp(a->reason, b->reason) == 0;
}

void timeline_gap(struct timeline *t, const struct ledger_entry *e, bool told)
{
    struct timeline_track *k = &t->track[e->track - 1];
    struct ledger_entry *newest = k->ngaps ? &k->gap[k->ngaps - 1] : NULL;
    if (newest && k->told[k->ngaps - 1] == told && continues(newest, e)) {
        newest->last = e->last;
        newest->count += e->count;
        newest->at = e->at;
        return;
    }
    if (k->ngaps == TIMELINE_GAPS_MAX)
        settle(t, k);
    k->told[k->ngaps] = told;
    k->gap[k->ngaps++] = *e;
}

void timeline_epoch(struct timeline *t, uint64_t old_epoch, const uint64_t next[LINK_TRACKS_MAX],
                    bool stopped)
{
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        struct timeline_track *k = &t->track[i];
        settle(t, k);
        if (!k->known || k->new_epoch) /* a track that said nothing in between: since the first */
            continue;
        k->new_epoch = true;
        k->stopped = stopped;
        k->old_epoch = old_epoch;
        k->old_next = next[i];
    }
}

void timeline_jump(struct timeline *t)
{
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        settle(t, &t->track[i]);
        t->track[i].known = false;
    }
}

uint64_t timeline_waiting(const struct timeline *t)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        for (unsigned g = 0; g < t->track[i].ngaps; g++)
            n += t->track[i].told[g] ? 0 : t->track[i].gap[g].count;
    return n;
}

void timeline_settle(struct timeline *t)
{
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        settle(t, &t->track[i]);
    t->ticks = 0;
}

void timeline_tick(struct timeline *t)
{
    t->ticks = timeline_waiting(t) ? t->ticks + 1 : 0;
    if (t->ticks >= WAIT_TICKS)
        timeline_settle(t);
}
