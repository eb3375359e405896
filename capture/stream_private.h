/* What stream.c (for the stage), stream_source.c (the life of its source), stream_settle.c (which
 * tracks it has) and stream_frames.c (from the source to the link) share: the state of one stream.
 * Relies on stream.h. Leaves everything else to the four. */
#ifndef KVPIPE_CAPTURE_STREAM_PRIVATE_H
#define KVPIPE_CAPTURE_STREAM_PRIVATE_H

#include "capture/anchor.h"
#include "capture/connection.h"
#include "capture/source.h"
#include "capture/stream.h"
#include "capture/track.h"
#include "common/clock.h"
#include "common/fragmenter.h"

/* A file that gives nothing, an announced video that does not come. */
#define START_NS (10 * NS_PER_S)
#define NOTE_MAX (SOURCE_WHY_MAX + 2 * PULL_CAUSE_MAX)

enum stream_phase {
    WAITING,    /* for the next attempt */
    CONNECTING, /* pipeline started, tracks not known yet */
    RUNNING,
    ENDED,  /* the source came to its end */
    FAILED, /* it never can work */
    STOPPED /* draining */
};

struct stream {
    struct capture *capture;
    const struct conf *held; /* conf is in it */
    const struct conf_stream *conf;
    int64_t leave_mono_ns; /* when it left the config; 0: it has not */
    const struct source_ops *ops;
    uint64_t epoch, reached_ms, noted;
    enum stream_phase phase;

    struct connection *connection;
    struct pull *pull; /* of the connection */
    struct track candidate[PULL_TRACKS_MAX];
    unsigned ncandidates;
    int map[PULL_TRACKS_MAX]; /* candidate to track, -1: left out */
    bool waits;               /* source can wait: no overflow, outlet_room() is asked */

    struct outlet_stream *out; /* NULL until the tracks are fixed by the first connection */
    struct track track[LINK_TRACKS_MAX];
    unsigned ntracks;
    bool has_video;
    struct anchor anchor;
    struct fragmenter fragmenter;

    bool paced, pace_set;
    int64_t pace_mono_ns, pace_dts_ns;
    struct event *due, *readable;

    unsigned failures, odd; /* tries in a row: failed, with fewer tracks than there should be */
    int64_t began_mono_ns, retry_mono_ns, note_mono_ns, ready_mono_ns, live_mono_ns;
    int64_t lost_mono_ns;
    int64_t video_mono_ns; /* last picture of this connection */
    uint64_t taken;        /* frames in this connection */
    uint64_t frames_in, frames_out, video_frames, bytes_out, reconnects;
    bool ever_connected, lost, rested;
    int64_t first_ns, last_ns; /* times of the source seen in this connection, of all its tracks */
    bool seen_any, said_short;
    char said_note[NOTE_MAX]; /* the same trouble is logged once */
    int64_t said_mono_ns;
    const struct pull_item *current; /* while track_take() runs */
};

/* ---- stream_source.c ---- */

/* Starts the source. */
void stream_source_connect(struct stream *s);
/* Takes what the source has: tracks first, then frames, then its end. */
void stream_source_pump(struct stream *s);
/* Gives up a source that is silent for too long. */
void stream_source_check(struct stream *s, int64_t now_ns);
/* Gives up this connection; the next one is tried after a while. */
void stream_source_lost(struct stream *s, const char *cause, const char *what_to_do);
void stream_source_disconnect(struct stream *s);
/* Stops the source for good and ends the stream at the link. */
void stream_source_finish(struct stream *s, enum stream_phase phase);
/* It never can work: tells why. */
void stream_source_fail(struct stream *s, const char *cause, const char *what_to_do);

/* ---- stream_settle.c ---- */

/* Returns true when the connection's tracks are known and frames may flow. */
bool stream_settle(struct stream *s, const struct pull_state *st);
/* Tracks that join while frames flow. */
void stream_settle_late(struct stream *s, const struct pull_state *st);
/* Leaves candidate i out; `why` is for people. */
void stream_settle_refuse(struct stream *s, unsigned i, const char *why);
void stream_settle_forget(struct stream *s);

/* ---- stream_frames.c ---- */

/* Takes what is there and due. Returns true when nothing is left in the queues. */
bool stream_frames_take(struct stream *s, unsigned limit);
/* Throws away the oldest buffer of candidate i. */
void stream_frames_drop(struct stream *s, unsigned i);
/* The connection ends: puts out what tracks hold, and what they lost. */
void stream_frames_flush(struct stream *s);

#endif
