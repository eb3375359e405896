/* Fuzzes the HTTP server (server/http.h) with what a client may send, cut in pieces: the first byte
 * chooses their size. Relies on libevent's pairs in place of sockets, on libFuzzer or replay.c.
 * Leaves timeouts and TLS to unit/server_http and conformance/hostile. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "common/mem.h"
#include "server/http_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int open_exchanges;

static void on_closed(struct http_exchange *ex)
{
    open_exchanges--;
}

static void on_piece(struct http_exchange *ex, const uint8_t *piece, size_t len)
{
    if (len)
        http_chunk(ex, piece, len < 100 ? len : 100);
}

static void on_end(struct http_exchange *ex)
{
    http_finish(ex);
}

static void echo(struct http_exchange *ex, const uint8_t *body, size_t len)
{
    if (len > 1000)
        abort();
    http_reply(ex, 200, body, len);
}

/* Every way to answer: by the path's second letter. */
static void handle(void *arg, struct http_exchange *ex)
{
    static const struct http_body_ops ops = {.data = on_piece, .end = on_end};
    open_exchanges++;
    http_on_closed(ex, on_closed);
    for (size_t i = 0; i < ex->nheaders; i++)
        if (!*ex->headers[i].name || strpbrk(ex->headers[i].name, " \t:"))
            abort();
    http_add_header(ex, "x-echo", ex->query);
    switch (ex->path[0] ? ex->path[1] : 0) {
    case 's':
        http_stream_body(ex, &ops);
        http_start(ex, 200);
        break;
    case 'd':
        http_reply(ex, 403, "no", 2);
        break;
    case 'c':
        http_cut(ex);
        break;
    default:
        http_read_body(ex, 1000, echo);
    }
}

static void drain(struct bufferevent *client)
{
    struct evbuffer *in = bufferevent_get_input(client);
    evbuffer_drain(in, evbuffer_get_length(in));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event_base *base;
    struct bufferevent *pair[2];
    if (!base)
        base = event_base_new();
    if (size < 1)
        return 0;
    struct http_server *srv = http_server_new(base, NULL, handle, NULL);
    size_t piece = data[0] ? data[0] : 1;
    bufferevent_pair_new(base, BEV_OPT_DEFER_CALLBACKS, pair);
    bufferevent_enable(pair[1], EV_READ | EV_WRITE);
    http_server_adopt(srv, pair[0]);
    for (size_t at = 1; at < size; at += piece) {
        bufferevent_write(pair[1], data + at, size - at < piece ? size - at : piece);
        event_base_loop(base, EVLOOP_NONBLOCK);
        drain(pair[1]);
    }
    event_base_loop(base, EVLOOP_NONBLOCK);
    http_server_free(srv);
    bufferevent_free(pair[1]);
    event_base_loop(base, EVLOOP_NONBLOCK);
    if (open_exchanges)
        abort();
    return 0;
}
