/* What a stage tells the monitor once a second: its state, and per stream a state, a note and named
 * numbers. Relies on ZeroMQ (DEALER to the monitor's ROUTER, proto/report.proto). The data path
 * never waits for it. Leaves presentation to the monitor. */
#ifndef KVPIPE_COMMON_REPORT_H
#define KVPIPE_COMMON_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct report;
struct stage;

/* Names of numbers that the monitor shows; a stage may add others. Counters only grow, gauges move.
 */
#define REPORT_FRAMES_IN "frames_in"   /* counter */
#define REPORT_FRAMES_OUT "frames_out" /* counter */
#define REPORT_VIDEO_FRAMES                                                                        \
    "video_frames"                   /* counter, capture: video frames alone, for the live line */
#define REPORT_BYTES_OUT "bytes_out" /* counter */
#define REPORT_DROPPED "frames_dropped"      /* counter: frames that became gaps */
#define REPORT_WINDOW_FRAMES "window_frames" /* gauge: held and not acked */
#define REPORT_WINDOW_BYTES "window_bytes"   /* gauge */
#define REPORT_RECONNECTS "reconnects"       /* counter */
#define REPORT_FRAGMENTS "fragments"         /* counter: fragments completed in the spool */
#define REPORT_FRAGMENTS_PERSISTED "fragments_persisted" /* counter */
#define REPORT_BACKLOG_FRAGMENTS                                                                   \
    "backlog_fragments"                      /* gauge: in the spool, not acked by the endpoint */
#define REPORT_BACKLOG_BYTES "backlog_bytes" /* gauge */
#define REPORT_REFUSED "messages_refused"    /* counter, whole process: bad messages on links */

/* r may be NULL in all of these: then nothing is kept. stream may be NULL for numbers of the whole
 * process. Names are literals (kept, not copied). O(1)-ish, no I/O. */
void report_set(struct report *r, const char *stream, const char *name, double value);
void report_add(struct report *r, const char *stream, const char *name, double delta);
/* A stream's state in one word ("live", "connecting", "waiting", "ended", "failed") and a note for
 * people: cause and what to do (empty when all is well). Copied; a change goes out at once. */
void report_state(struct report *r, const char *stream, const char *state, const char *note);
/* Forgets a stream that this process no longer serves. */
void report_forget(struct report *r, const char *stream);

/* What the monitor asks of a stage. The texts are never NULL but stream, and live for the call. */
struct report_command {
    const char *verb;         /* "keyframe", "metadata" */
    const char *stream;       /* NULL: all */
    const char *name, *value; /* of "metadata" */
    bool persistent;
};

/* The rest is for the stage runtime. */
struct report_conf {
    const char *address; /* conf->monitor.socket */
    const char *stage, *instance;
    void (*sample)(void *arg); /* called before each report; may be NULL */
    void (*command)(void *arg, const struct report_command *command); /* may be NULL */
    void *arg;
};
/* Connects (never waits for the monitor) and reports every second. Strings are copied. Returns 0 or
 * a negative errno. */
int report_create(struct event_base *base, const struct report_conf *conf, struct report **out);
/* Reports still on their way are given at most 50 ms. */
void report_destroy(struct report **r);
void report_set_ready(struct report *r, bool ready);
void report_set_draining(struct report *r);
/* Reads a number back, 0 when it was never set: for tests. */
double report_get(const struct report *r, const char *stream, const char *name);

#endif
