/* The element's use of libkvpipe: one link, one stream at a time, and what the element's bus is
 * told of them. Relies on kvpipe.h. uplink_put may be called by several threads at once, the rest
 * by one while no other puts. Leaves pads and the order of things to kvpipesink.c. */
#ifndef KVPIPE_CAPTURE_KVPIPESINK_UPLINK_H
#define KVPIPE_CAPTURE_KVPIPESINK_UPLINK_H

#include <gst/gst.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "capture/kvpipesink/caps.h"
#include "capture/kvpipesink/properties.h"

struct uplink {
    GstElement *element;        /* messages are its */
    const struct properties *p; /* borrowed */
    struct kvpipe *kvpipe;
    struct kvpipe_stream *stream; /* NULL: none is open */

    GCond stored; /* more is; with the lock */
    GMutex lock;  /* of what follows: the library's thread tells it */
    bool connected, said_waiting, pressed;
    gint64 waiting_us, said_lost_us; /* monotonic */
    guint64 lost;                    /* frames, not said yet */
};

void uplink_init(struct uplink *u, GstElement *element, const struct properties *p);
void uplink_fini(struct uplink *u);

/* Warns of ignored properties, opens the library's end of the link. Blocks on the disk. False after
 * an error message. */
bool uplink_start(struct uplink *u);
/* Ends the link; a stream that is open waits for the spool as long as someone who leaves does. */
void uplink_stop(struct uplink *u);

/* Begins a stream of 1 to KVPIPE_TRACKS_MAX tracks, which are copied. can_wait: nothing is lost
 * when puts wait. Blocks on the disk. False after an error message. */
bool uplink_open(struct uplink *u, const struct caps_track *const *tracks, unsigned ntracks,
                 bool can_wait);
/* A track is something else from here on. False after an error message. */
bool uplink_describe(struct uplink *u, unsigned track, const struct caps_track *description);
/* Copies the frame's data. Waits while too much is held, if the stream can wait, until *abandon
 * (GST_FLOW_FLUSHING). GST_FLOW_ERROR after an error message. */
GstFlowReturn uplink_put(struct uplink *u, const struct kvpipe_frame *frame,
                         const atomic_bool *abandon);
/* kvssink's event: fields name, value, persist. */
void uplink_metadata(struct uplink *u, const GstStructure *s);
/* Ends the stream and waits until the spool has all of it, or *abandon. What is lost is warned of.
 */
void uplink_finish(struct uplink *u, const atomic_bool *abandon);

/* Sends the library's lines to GStreamer's log. Once a process. */
void uplink_take_log(void);

#endif
