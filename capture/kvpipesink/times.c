/* Times of frames. Relies on GstSegment. */
#include "capture/kvpipesink/times.h"

void times_init(struct times *t, bool by_arrival, int64_t step_ns)
{
    t->by_arrival = by_arrival;
    t->step_ns = step_ns;
    t->next_ns = 0;
    gst_segment_init(&t->segment, GST_FORMAT_UNDEFINED);
}

/* Also outside the segment: nothing is cut off. Decode times lie before its start. */
static int64_t running(const GstSegment *s, GstClockTime time)
{
    guint64 ns;

    if (!GST_CLOCK_TIME_IS_VALID(time))
        return KVPIPE_NO_TIME;
    if (s->format != GST_FORMAT_TIME)
        return (int64_t)time;
    switch (gst_segment_to_running_time_full(s, GST_FORMAT_TIME, time, &ns)) {
    case 1:
        return (int64_t)ns;
    case -1:
        return -(int64_t)ns;
    default:
        return KVPIPE_NO_TIME;
    }
}

void times_of(struct times *t, GstBuffer *buffer, int64_t arrival_ns, struct kvpipe_frame *frame)
{
    int64_t pts = running(&t->segment, GST_BUFFER_PTS(buffer));
    int64_t dts = running(&t->segment, GST_BUFFER_DTS(buffer));

    if (t->by_arrival) {
        pts = dts = arrival_ns;
    } else if (pts == KVPIPE_NO_TIME) {
        pts = dts != KVPIPE_NO_TIME ? dts : t->next_ns;
    }
    frame->pts_ns = pts;
    frame->dts_ns = dts;
    frame->duration_ns =
        GST_BUFFER_DURATION_IS_VALID(buffer) ? (int64_t)GST_BUFFER_DURATION(buffer) : 0;
    t->next_ns = pts + (frame->duration_ns > 0 ? frame->duration_ns : t->step_ns);
}
