/* Times of one input's frames, on the pipeline's running time. Pure.
 * Leaves the wall clock, and decode times that do not rise, to the library. */
#ifndef KVPIPE_CAPTURE_KVPIPESINK_TIMES_H
#define KVPIPE_CAPTURE_KVPIPESINK_TIMES_H

#include <gst/gst.h>
#include <stdbool.h>

#include "capture/libkvpipe/kvpipe.h"

struct times {
    bool by_arrival; /* time stamps do not count */
    int64_t step_ns; /* from a frame without time or duration to the next */
    int64_t next_ns; /* of such a frame */
    GstSegment segment;
};

/* step_ns: above 0. */
void times_init(struct times *t, bool by_arrival, int64_t step_ns);
/* Sets pts_ns, dts_ns and duration_ns of the frame that the buffer is. arrival_ns: monotonic. */
void times_of(struct times *t, GstBuffer *buffer, int64_t arrival_ns, struct kvpipe_frame *frame);

#endif
