/* Times of the frames that a program puts.
 * Relies on capture/anchor and capture/dts.
 * Leaves reading the clock to its caller. */
#include "capture/libkvpipe/frame_times.h"

#include <stddef.h>

#define TICK_NS INT64_C(1000000)
#define STEP_NS INT64_C(40000000) /* of a decode time before the first one is known */

void frame_times_init(struct frame_times *t, bool wall, int64_t floor_ns)
{
    *t = (struct frame_times){.wall = wall, .floor_ns = floor_ns};
    anchor_init(&t->anchor, floor_ns, TICK_NS, true);
    for (unsigned i = 0; i < FRAME_TIMES_TRACKS; i++) {
        dts_init(&t->dts[i], 0, STEP_NS);
        t->last_ns[i] = floor_ns;
    }
}

void frame_times_reorder(struct frame_times *t, unsigned track, unsigned depth)
{
    if (t->dts[track].last_ns == INT64_MIN)
        dts_init(&t->dts[track], depth, STEP_NS);
}

int64_t frame_times_last(const struct frame_times *t)
{
    int64_t last = t->floor_ns;
    if (!t->wall)
        return anchor_last(&t->anchor);
    for (unsigned i = 0; i < FRAME_TIMES_TRACKS; i++)
        if (t->last_ns[i] > last)
            last = t->last_ns[i];
    return last;
}

static void map_wall(struct frame_times *t, unsigned track, int64_t *pts_ns, int64_t *dts_ns)
{
    int64_t *last = &t->last_ns[track], dts = *dts_ns + t->offset_ns;

    if (dts < *last - ANCHOR_BACK_NS) {
        t->offset_ns = *last + TICK_NS - *dts_ns;
        dts = *last + TICK_NS;
    }
    if (dts <= *last)
        dts = *last + TICK_NS;
    *pts_ns += dts - *dts_ns;
    *dts_ns = *last = dts;
}

/* Reordering is not the cause of a jump. */
static int64_t guess(struct dts *d, int64_t pts_ns)
{
    if (d->last_ns != INT64_MIN &&
        (pts_ns < d->last_ns - ANCHOR_JUMP_NS || pts_ns > d->last_ns + ANCHOR_JUMP_NS))
        dts_init(d, d->depth, STEP_NS);
    return dts_next(d, pts_ns);
}

void frame_times_map(struct frame_times *t, unsigned track, int64_t pts_ns, int64_t dts_ns,
                     int64_t duration_ns, int64_t now_ns, int64_t *out_pts_ns, int64_t *out_dts_ns)
{
    if (dts_ns == INT64_MIN)
        dts_ns = guess(&t->dts[track], pts_ns);
    if (pts_ns < dts_ns)
        pts_ns = dts_ns;
    *out_pts_ns = pts_ns;
    *out_dts_ns = dts_ns;
    if (t->wall)
        map_wall(t, track, out_pts_ns, out_dts_ns);
    else
        anchor_map(&t->anchor, track, pts_ns, dts_ns, duration_ns, now_ns, out_pts_ns, out_dts_ns);
}
