/* What happens to the connections of a ZeroMQ socket, told on the loop.
 * Relies on zmq_socket_monitor and libevent; ZMQ_FD is edge-triggered: read until empty.
 * Leaves what to do about it to its user. */
#include "common/zmq_watch.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/mem.h"

#define EVENT_BYTES 6 /* 16 bits event, 32 bits value */

struct zmq_watch {
    void *watched, *pair;
    struct event *readable, *first;
    zmq_watch_fn fn;
    void *arg;
};

/* Reads one event of two parts: numbers, and an address that is not needed. */
static bool read_one(struct zmq_watch *w, uint16_t *event, int32_t *value)
{
    uint8_t bytes[EVENT_BYTES] = {0};
    int more = 1;

    for (int part = 0; more; part++) {
        zmq_msg_t msg;
        int got;
        zmq_msg_init(&msg);
        while ((got = zmq_msg_recv(&msg, w->pair, ZMQ_DONTWAIT)) < 0 && errno == EINTR)
            ;
        if (part == 0 && got == EVENT_BYTES)
            memcpy(bytes, zmq_msg_data(&msg), EVENT_BYTES);
        more = got >= 0 && zmq_msg_more(&msg);
        zmq_msg_close(&msg);
        if (got < 0)
            return false;
    }
    memcpy(event, bytes, sizeof *event);
    memcpy(value, bytes + sizeof *event, sizeof *value);
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct zmq_watch *w = arg;
    uint16_t event;
    int32_t value;
    (void)fd, (void)what;

    while (read_one(w, &event, &value))
        w->fn(w->arg, event, value);
}

static int open_pair(struct zmq_watch *w, void *ctx, int events)
{
    static unsigned opened; /* never the same name twice: ZeroMQ gives one back late */
    char where[64];
    int none = 0;

    snprintf(where, sizeof where, "inproc://watch-%u", ++opened);
    w->pair = zmq_socket(ctx, ZMQ_PAIR);
    if (!w->pair || zmq_socket_monitor(w->watched, where, events) < 0)
        return -errno;
    zmq_setsockopt(w->pair, ZMQ_LINGER, &none, sizeof none);
    return zmq_connect(w->pair, where) < 0 ? -errno : 0;
}

int zmq_watch_create(struct event_base *base, void *ctx, void *socket, int events, zmq_watch_fn fn,
                     void *arg, struct zmq_watch **out)
{
    static const struct timeval now;
    struct zmq_watch *w = xcalloc(1, sizeof *w);
    int fd = -1;
    size_t len = sizeof fd;

    w->watched = socket;
    w->fn = fn;
    w->arg = arg;
    int r = open_pair(w, ctx, events);
    if (r == 0 && zmq_getsockopt(w->pair, ZMQ_FD, &fd, &len) < 0)
        r = -errno;
    if (r < 0) {
        zmq_watch_destroy(&w);
        return r;
    }
    w->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, w);
    w->first = event_new(base, -1, 0, on_readable, w); /* what came before the loop looked */
    event_add(w->readable, NULL);
    event_add(w->first, &now);
    *out = w;
    return 0;
}

void zmq_watch_destroy(struct zmq_watch **watch)
{
    struct zmq_watch *w = *watch;
    *watch = NULL;
    if (!w)
        return;
    if (w->readable)
        event_free(w->readable);
    if (w->first)
        event_free(w->first);
    zmq_socket_monitor(w->watched, NULL, 0);
    if (w->pair)
        zmq_close(w->pair);
    free(w);
}
