/* Absolute time of frames, anchored once per connection.
 * Relies on nothing: all times are arguments.
 * Leaves pacing and the filling of missing times to others. */
#include "capture/anchor.h"

#include <string.h>

void anchor_init(struct anchor *a, int64_t floor_ns, int64_t tick_ns, bool wall)
{
    memset(a, 0, sizeof *a);
    a->floor_ns = floor_ns;
    a->tick_ns = tick_ns;
    a->wall = wall;
    for (unsigned i = 0; i < ANCHOR_TRACKS_MAX; i++)
        a->track[i].last_dts_ns = a->track[i].end_ns = INT64_MIN;
}

void anchor_connect(struct anchor *a, bool carry_on)
{
    a->set = false;
    a->carry_on = carry_on;
    for (unsigned i = 0; i < ANCHOR_TRACKS_MAX; i++)
        a->track[i].set = false;
}

int64_t anchor_last(const struct anchor *a)
{
    int64_t last = a->floor_ns;

    for (unsigned i = 0; i < ANCHOR_TRACKS_MAX; i++)
        if (a->track[i].last_dts_ns > last)
            last = a->track[i].last_dts_ns;
    return last;
}

static int64_t end_of_all(const struct anchor *a)
{
    int64_t end = anchor_last(a) + a->tick_ns;

    for (unsigned i = 0; i < ANCHOR_TRACKS_MAX; i++)
        if (a->track[i].end_ns > end)
            end = a->track[i].end_ns;
    return end;
}

/* Whether `dts` follows the track's last one as the next frame of a steady source would. */
static bool steady(const struct anchor_track *t, int64_t dts)
{
    return t->last_dts_ns == INT64_MIN ||
           (dts >= t->last_dts_ns - ANCHOR_BACK_NS && dts <= t->last_dts_ns + ANCHOR_JUMP_NS);
}

static bool began(const struct anchor *a)
{
    for (unsigned i = 0; i < ANCHOR_TRACKS_MAX; i++)
        if (a->track[i].last_dts_ns != INT64_MIN)
            return true;
    return false;
}

static void anchor_at(struct anchor *a, int64_t run_ns, int64_t at_ns, int64_t lead_ns)
{
    int64_t least = anchor_last(a) + a->tick_ns;

    /* The first of a process is not moved ahead of the wall clock for the sake of the lead: the one
     * after its death would begin before its end. */
    if (began(a) || at_ns <= least)
        least += lead_ns;
    a->base_ns = (at_ns > least ? at_ns : least) - run_ns;
    a->set = true;
}

static void jump(struct anchor *a, struct anchor_track *t, int64_t run_ns, int64_t wall_ns)
{
    a->jumps++;
    anchor_at(a, run_ns, a->wall ? wall_ns : t->last_dts_ns + t->last_step_ns, 0);
}

static void choose_base(struct anchor *a, struct anchor_track *t, int64_t run_ns, int64_t wall_ns)
{
    if (!a->set)
        anchor_at(a, run_ns, a->carry_on ? end_of_all(a) : wall_ns,
                  a->carry_on ? 0 : ANCHOR_LEAD_NS);
    if (!t->set) {
        t->base_ns = a->base_ns;
        t->set = true;
        return;
    }
    if (steady(t, t->base_ns + run_ns))
        return;
    /* Another track may have come to the same jump already. */
    if (t->base_ns == a->base_ns || !steady(t, a->base_ns + run_ns))
        jump(a, t, run_ns, wall_ns);
    t->base_ns = a->base_ns;
}

void anchor_map(struct anchor *a, unsigned track, int64_t run_pts_ns, int64_t run_dts_ns,
                int64_t duration_ns, int64_t wall_ns, int64_t *pts_ns, int64_t *dts_ns)
{
    struct anchor_track *t = &a->track[track];
    int64_t pts, dts, least;

    choose_base(a, t, run_dts_ns, wall_ns);
    dts = t->base_ns + run_dts_ns;
    pts = t->base_ns + run_pts_ns;
    least = (t->last_dts_ns == INT64_MIN ? a->floor_ns : t->last_dts_ns) + a->tick_ns;
    if (dts < least) {
        pts += least - dts;
        dts = least;
        a->corrections++;
    }
    if (t->last_dts_ns != INT64_MIN)
        t->last_step_ns = dts - t->last_dts_ns;
    t->last_dts_ns = dts;
    if (dts + duration_ns > t->end_ns)
        t->end_ns = dts + (duration_ns > 0 ? duration_ns : t->last_step_ns);
    *pts_ns = pts;
    *dts_ns = dts;
}

bool anchor_peek(const struct anchor *a, unsigned track, int64_t run_dts_ns, int64_t *dts_ns)
{
    const struct anchor_track *t = &a->track[track];

    if (!a->set)
        return false;
    *dts_ns = (t->set ? t->base_ns : a->base_ns) + run_dts_ns;
    return !t->set || steady(t, *dts_ns);
}
