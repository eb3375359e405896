/* From GStreamer's threads to the loop: a bounded queue per track of a connection, and an eventfd
 * that says when to look. Relies on GStreamer pad probes in front of the sinks: nothing is clipped,
 * paced or dropped by them. Leaves formats to track.h, pipelines to source.h and branch.h. */
#ifndef KVPIPE_CAPTURE_PULL_H
#define KVPIPE_CAPTURE_PULL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gst/gst.h>

#include "common/blob.h"

#define PULL_TRACKS_MAX 8 /* looked at; a stream carries 3 of them */
#define PULL_NAME_MAX 64
#define PULL_CAUSE_MAX 256
#define PULL_NONE INT64_MIN /* a time that is not given */

enum pull_kind { PULL_VIDEO, PULL_AUDIO, PULL_DATA };

/* A buffer as it came. Owns its references. */
struct pull_item {
    struct pull_item *next;
    GstBuffer *buffer;
    GstCaps *caps;
    int64_t pts_ns, dts_ns; /* running time, PULL_NONE when not given; may be below 0 */
    int64_t duration_ns;    /* 0 when not given */
    int64_t wall_ns;        /* when it arrived */
    uint64_t lost;          /* buffers before this one that a full queue refused */
    bool discont;           /* the source says that something is missing before it */
};

struct pull; /* reference-counted: GStreamer's threads and the loop hold it */

/* `stream` is for log lines (copied); `quiet`: tracks left out are not logged again. Returns NULL
 * without descriptors. */
struct pull *pull_new(const char *stream, bool quiet);
struct pull *pull_ref(struct pull *p);
void pull_unref(struct pull **p);
/* Readable when something changed; pull_clear_fd() before looking. */
int pull_fd(const struct pull *p);
void pull_clear_fd(struct pull *p);

/* ---- GStreamer's side, any thread ---- */

/* Takes over the data flow in front of a sink's pad. `copy`: buffers belong to a small pool of the
 * device, so keep copies of them. max_frames and 32 MiB bound the queue. Returns 0 or -ENOSPC above
 * PULL_TRACKS_MAX. */
int pull_attach(struct pull *p, GstPad *pad, enum pull_kind kind, const char *name, bool copy,
                unsigned max_frames);
/* A track that is known and left out; `why` is for people. Logs once per call. */
void pull_refuse(struct pull *p, const char *name, const char *why);
/* All tracks are attached or refused, but for those that were announced and did not join yet. */
void pull_complete(struct pull *p);
/* A source that knows its tracks beforehand announces each, and says when one has joined: its pads
 * may come from several threads, and the word that all are there from yet another. */
void pull_announce(struct pull *p, enum pull_kind kind);
void pull_joined(struct pull *p);
/* The connection is broken; the first cause counts. what_to_do may be "". */
void pull_fail(struct pull *p, const char *cause, const char *what_to_do);
/* A full queue drops the newest (live), or makes the source wait (the default). */
void pull_set_live(struct pull *p, bool live);
/* Takes time stamps as they are, without the segments around them. Before any data flows. */
void pull_ignore_segments(struct pull *p);
/* Takes errors off the pipeline's bus. Call before it starts. */
void pull_watch_bus(struct pull *p, GstElement *pipeline, const char *advice);

/* ---- the loop's side ---- */

struct pull_state {
    unsigned ntracks;
    bool complete, live, failed;
    bool ended;           /* complete, every track at its end (items may be left in the queue) */
    bool any;             /* something ever came */
    bool video_missing;   /* announced, not attached yet */
    int64_t last_mono_ns; /* 0: not yet */
    char cause[PULL_CAUSE_MAX], what_to_do[PULL_CAUSE_MAX], refused[PULL_CAUSE_MAX];
};
void pull_state(struct pull *p, struct pull_state *out);
enum pull_kind pull_kind(struct pull *p, unsigned track);
/* The track's name as the source has it; lives as long as the pull. */
const char *pull_name(struct pull *p, unsigned track);
/* The oldest item, left in the queue; NULL when there is none. Only the loop takes items away. */
const struct pull_item *pull_head(struct pull *p, unsigned track);
bool pull_track_ended(struct pull *p, unsigned track);
unsigned pull_count(struct pull *p, unsigned track);
/* What a full queue refused since the last item. Zeroed by the call. */
uint64_t pull_lost(struct pull *p, unsigned track);
/* Takes it out; free with pull_item_free(). */
struct pull_item *pull_take(struct pull *p, unsigned track);
void pull_item_free(struct pull_item *item);
/* No more is taken in, waiting threads go on, the queues are emptied. */
void pull_close(struct pull *p);

/* Wraps `len` bytes at `offset` of the buffer's memory without a copy (the whole rest for len 0).
 * Returns NULL when it cannot be mapped or is shorter. */
struct blob *pull_blob(GstBuffer *buffer, size_t offset, size_t len);

#endif
