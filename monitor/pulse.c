/* The beat behind the page.
 * Relies on libevent's timer.
 * Leaves noticing to watch.c and sending to sse.c. */
#include "monitor/pulse.h"

#include <stdlib.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/mem.h"
#include "monitor/history.h"
#include "monitor/sse.h"
#include "monitor/watch.h"

#define EVENTS_KEPT 300

struct pulse {
    const struct pulse_ops *ops;
    void *arg;
    struct event *timer;
    struct events *events;
    struct watch *watch;
    struct history *history;
    struct sse *pages;
    uint64_t mark;
};

static int64_t now_ms(void)
{
    return clock_wall_ns() / NS_PER_MS;
}

static void send_object(struct pulse *p, struct evhttp_request *req, const char *event,
                        const json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6));
    if (text)
        sse_send(p->pages, req, event, text);
    free(text);
}

static void on_event(void *arg, const json_t *entry)
{
    struct pulse *p = arg;
    if (sse_count(p->pages))
        send_object(p, NULL, "event", entry);
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
    struct pulse *p = arg;
    json_t *status = p->ops->status(p->arg), *streams = json_object_get(status, "streams");
    watch_stages(p->watch, json_object_get(status, "stages"), now_ms());
    watch_streams(p->watch, streams, now_ms());
    history_sample(p->history, streams, now_ms());
    if (sse_count(p->pages))
        send_object(p, NULL, "status", status);
    json_decref(status);
}

void pulse_look(struct pulse *p)
{
    uint64_t mark = p->ops->stages_mark(p->arg);
    if (mark == p->mark)
        return;
    p->mark = mark;
    json_t *status = p->ops->status(p->arg);
    watch_stages(p->watch, json_object_get(status, "stages"), now_ms());
    if (sse_count(p->pages))
        send_object(p, NULL, "status", status);
    json_decref(status);
}

void pulse_open(struct pulse *p, struct evhttp_request *req)
{
    json_t *status = p->ops->status(p->arg);
    sse_open(p->pages, req);
    send_object(p, req, "status", status);
    json_decref(status);
}

void pulse_note(struct pulse *p, const struct event_text *text)
{
    events_add(p->events, now_ms(), text);
}

static char *dump(json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6));
    json_decref(o);
    return text ? text : xstrdup("{}");
}

char *pulse_events(const struct pulse *p, int64_t since)
{
    json_t *o = json_object(), *list = events_json(p->events, since);
    json_object_set_new(o, "last", json_integer(events_last(p->events)));
    json_object_set_new(o, "events", list);
    return dump(o);
}

char *pulse_history(const struct pulse *p)
{
    return dump(history_json(p->history));
}

struct pulse *pulse_create(struct event_base *base, const struct pulse_ops *ops, void *arg)
{
    static const struct timeval second = {.tv_sec = 1};
    struct pulse *p = xcalloc(1, sizeof *p);
    *p = (struct pulse){.ops = ops, .arg = arg};
    p->events = events_create(EVENTS_KEPT, on_event, p);
    p->watch = watch_create(p->events);
    p->history = history_create();
    p->pages = sse_create();
    p->timer = event_new(base, -1, EV_PERSIST, on_beat, p);
    event_add(p->timer, &second);
    return p;
}

void pulse_destroy(struct pulse **pulse)
{
    struct pulse *p = *pulse;
    *pulse = NULL;
    if (!p)
        return;
    event_free(p->timer);
    sse_destroy(&p->pages);
    watch_destroy(&p->watch);
    history_destroy(&p->history);
    events_destroy(&p->events);
    free(p);
}
