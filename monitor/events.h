/* What happened to the pipeline, newest last, for people: the page, `kvpipe events`.
 * Relies on Jansson. Bounded: the oldest go; what repeats itself is one entry with a count.
 * Leaves noticing to watch.c and the looks to its readers. */
#ifndef KVPIPE_MONITOR_EVENTS_H
#define KVPIPE_MONITOR_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct events;

enum event_level { EVENT_NONE, EVENT_INFO, EVENT_WARN, EVENT_ERROR };

struct event_text {
    enum event_level level;
    const char *kind;   /* a stable word: "restarted" */
    const char *about;  /* an instance or a stream, "" for the whole */
    const char *text;   /* what happened */
    const char *advice; /* what to do, "" when there is nothing to do */
};

/* Keeps the last `most` (>= 1). `added` (may be NULL) is called with each new entry, a borrowed
 * object. Never NULL. */
struct events *events_create(size_t most, void (*added)(void *arg, const json_t *entry), void *arg);
void events_destroy(struct events **e);
/* Copies. The same as one of the last few: that one counts on and becomes the newest. */
void events_add(struct events *e, int64_t wall_ms, const struct event_text *text);
/* The id of the newest; 0: none. */
json_int_t events_last(const struct events *e);
/* Entries with an id above `since`, oldest first; a new array. */
json_t *events_json(const struct events *e, json_int_t since);

#endif
