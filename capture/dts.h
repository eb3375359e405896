/* Decode times for sources that give none: the n-th frame is decoded at the n-th smallest
 * presentation time, moved back by the depth of reordering. Relies on nothing. Pure.
 * Leaves strictness of increase to anchor.h. */
#ifndef KVPIPE_CAPTURE_DTS_H
#define KVPIPE_CAPTURE_DTS_H

#include <stdint.h>

#define DTS_DEPTH_MAX 16

struct dts {
    unsigned depth, n;
    int64_t step_ns, last_ns;
    int64_t pts[DTS_DEPTH_MAX + 1]; /* sorted */
};

/* depth: how many frames may come after a frame that is shown before it (0 to 16, greater ones are
 * cut); step_ns: the duration of a frame, for the times before the first. */
void dts_init(struct dts *d, unsigned depth, int64_t step_ns);
/* Takes the presentation time of the next frame in decode order, returns its decode time, never
 * above pts_ns. A source that reorders deeper than said makes the depth grow. */
int64_t dts_next(struct dts *d, int64_t pts_ns);

#endif
