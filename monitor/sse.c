/* The open pages.
 * Relies on evhttp's chunked replies.
 * Leaves what is said to its callers. */
#include "monitor/sse.h"

#include <stdlib.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>

#include "common/mem.h"

#define UNREAD_MAX_BYTES (4u << 20)
#define NO_TIMEOUT_S (365 * 24 * 3600) /* a page that is only read from is never idle */

struct client {
    struct sse *sse;
    struct evhttp_request *req;
};

struct sse {
    struct client *clients[SSE_CLIENTS_MAX];
    size_t count;
};

struct sse *sse_create(void)
{
    return xcalloc(1, sizeof(struct sse));
}

static void forget(struct client *c)
{
    struct sse *s = c->sse;
    for (size_t i = 0; i < s->count; i++)
        if (s->clients[i] == c)
            s->clients[i] = s->clients[--s->count];
    free(c);
}

static void on_close(struct evhttp_connection *connection, void *arg)
{
    forget(arg);
}

static void end(struct client *c)
{
    struct evhttp_request *req = c->req;
    evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
    forget(c);
    evhttp_send_reply_end(req);
}

void sse_destroy(struct sse **s)
{
    if (!*s)
        return;
    while ((*s)->count)
        end((*s)->clients[0]);
    free(*s);
    *s = NULL;
}

void sse_open(struct sse *s, struct evhttp_request *req)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    struct evhttp_connection *connection = evhttp_request_get_connection(req);
    if (s->count == SSE_CLIENTS_MAX) {
        evhttp_add_header(headers, "Retry-After", "10");
        evhttp_send_reply(req, 503, "Service Unavailable", NULL);
        return;
    }
    struct client *c = xcalloc(1, sizeof *c);
    *c = (struct client){.sse = s, .req = req};
    s->clients[s->count++] = c;
    evhttp_add_header(headers, "Content-Type", "text/event-stream");
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_connection_set_timeout(connection, NO_TIMEOUT_S);
    evhttp_connection_set_closecb(connection, on_close, c);
    evhttp_send_reply_start(req, 200, "OK");
}

static size_t unread(const struct client *c)
{
    struct bufferevent *b =
        evhttp_connection_get_bufferevent(evhttp_request_get_connection(c->req));
    return evbuffer_get_length(bufferevent_get_output(b));
}

static void send_one(struct client *c, const char *event, const char *data)
{
    if (unread(c) > UNREAD_MAX_BYTES) {
        end(c);
        return;
    }
    struct evbuffer *out = evbuffer_new();
    evbuffer_add_printf(out, "event: %s\ndata: %s\n\n", event, data);
    evhttp_send_reply_chunk(c->req, out);
    evbuffer_free(out);
}

void sse_send(struct sse *s, struct evhttp_request *req, const char *event, const char *data)
{
    for (size_t i = s->count; i > 0; i--)
        if (!req || s->clients[i - 1]->req == req)
            send_one(s->clients[i - 1], event, data);
}

size_t sse_count(const struct sse *s)
{
    return s->count;
}
