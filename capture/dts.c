/* Decode times from presentation times.
 * Relies on nothing.
 * Leaves strictness of increase to anchor.c. */
#include "capture/dts.h"

#include <string.h>

void dts_init(struct dts *d, unsigned depth, int64_t step_ns)
{
    memset(d, 0, sizeof *d);
    d->depth = depth > DTS_DEPTH_MAX ? DTS_DEPTH_MAX : depth;
    d->step_ns = step_ns;
    d->last_ns = INT64_MIN;
}

static void insert(struct dts *d, int64_t pts_ns)
{
    unsigned i = d->n++;

    for (; i > 0 && d->pts[i - 1] > pts_ns; i--)
        d->pts[i] = d->pts[i - 1];
    d->pts[i] = pts_ns;
}

int64_t dts_next(struct dts *d, int64_t pts_ns)
{
    int64_t out;

    if (d->last_ns == INT64_MIN)
        for (unsigned i = 0; i < d->depth; i++)
            insert(d, pts_ns - (int64_t)(d->depth - i) * d->step_ns);
    insert(d, pts_ns);
    out = d->pts[0];
    if (d->last_ns != INT64_MIN && out < d->last_ns && d->depth < DTS_DEPTH_MAX) {
        d->depth++; /* keeps one more from now on */
    } else {
        memmove(d->pts, d->pts + 1, --d->n * sizeof d->pts[0]);
    }
    d->last_ns = out;
    return out;
}
