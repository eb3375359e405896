/* What a stage tells the monitor once a second: its state, and per stream a state, a note and its
 * numbers (metrics.h); and what the monitor asks of it. Relies on ZeroMQ (DEALER to the monitor's
 * ROUTER, proto/report.proto). The data path never waits for it. Leaves presentation to the
 * monitor. */
#ifndef KVPIPE_COMMON_REPORT_H
#define KVPIPE_COMMON_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct metrics;
struct report;
struct stage;

/* r may be NULL in all of these: then nothing is kept. */
/* The numbers of a stream, of the whole process where stream is NULL; valid until report_forget or
 * report_destroy. NULL when r is NULL or has too many streams: metrics.h takes that. */
struct metrics *report_metrics(struct report *r, const char *stream);
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
    const char *keys;          /* conf->link.keys; NULL: none */
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
#endif
