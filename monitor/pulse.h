/* The beat behind the page: looks at the pipeline, notes what happened, keeps the last minutes and
 * tells the open pages, once a second and at once when a process changes. Relies on libevent,
 * watch, events, history, sse. Leaves what the status is to its callbacks. */
#ifndef KVPIPE_MONITOR_PULSE_H
#define KVPIPE_MONITOR_PULSE_H

#include <stdint.h>

#include <jansson.h>

#include "monitor/events.h"

struct event_base;
struct evhttp_request;
struct pulse;

struct pulse_ops {
    json_t *(*status)(void *arg); /* a new object, brief (status.h) */
    /* A number that changes whenever a process starts, ends or gets another state. Cheap. */
    uint64_t (*stages_mark)(void *arg);
};

/* Keeps ops and arg. Never NULL. */
struct pulse *pulse_create(struct event_base *base, const struct pulse_ops *ops, void *arg);
/* Ends the pages' connections: before the HTTP server goes. */
void pulse_destroy(struct pulse **p);
/* Compares processes if the mark changed. Call often. */
void pulse_look(struct pulse *p);
/* Takes a request: a page that wants to be told. */
void pulse_open(struct pulse *p, struct evhttp_request *req);
/* Something was asked for. */
void pulse_note(struct pulse *p, const struct event_text *text);
/* malloc'ed JSON: {"last", "events": [...]} of those above `since`; the last minutes. */
char *pulse_events(const struct pulse *p, int64_t since);
char *pulse_history(const struct pulse *p);

#endif
