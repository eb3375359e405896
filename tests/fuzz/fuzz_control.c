/* Fuzzes every control operation with the JSON of its body: the first byte chooses the operation.
 * Each input is one request on a store with two streams, and must be answered. Relies on libevent's
 * pairs in place of sockets, on libFuzzer or replay.c. Leaves signatures to fuzz_sigv4, HTTP to
 * fuzz_http. */
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <jansson.h>

#include "common/conf.h"
#include "common/log.h"
#include "server/http_private.h"
#include "server/route.h"
#include "server/stage.h"
#include "server/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct event_base *base;
static struct server server;
static struct conf_limits limits;

/* ---- an operation behind each path, "/" and its number, without the check of signatures ---- */

static void on_body(struct http_exchange *ex, const uint8_t *body, size_t len)
{
    const struct operation *op = route_at((unsigned)atoi(ex->path + 1));
    json_t *json = json_loadb((const char *)body, len, JSON_REJECT_DUPLICATES, NULL);
    ex->data = NULL;
    if (op->control && json_is_object(json))
        op->handle(&server, ex, json);
    else
        http_reply(ex, 200, NULL, 0);
    json_decref(json);
}

static void on_request(void *arg, struct http_exchange *ex)
{
    http_read_body(ex, 1u << 20, on_body);
}

/* Whether the answer is whole; it must be JSON, or empty with 200. */
static bool answered(struct evbuffer *in)
{
    struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
    if (end.pos < 0)
        return false;
    size_t total = evbuffer_get_length(in), head = (size_t)end.pos + 4;
    const char *text = (const char *)evbuffer_pullup(in, -1);
    const char *length = memmem(text, head, "Content-Length: ", 16);
    if (!length)
        abort();
    size_t len = strtoul(length + 16, NULL, 10);
    if (total < head + len)
        return false;
    int status = atoi(text + 9);
    json_t *o = len ? json_loadb(text + head, len, 0, NULL) : NULL;
    if (status == 500 || (status != 200 && !json_object_get(o, "Message")) || (len && !o))
        abort();
    json_decref(o);
    return true;
}

/* ---- the server ---- */

static void created(void *arg, struct stream *st, int result)
{
}

static char dir[] = "/tmp/kvpipe-fuzz-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return remove(path);
}

static void clean(void)
{
    event_base_loop(base, EVLOOP_NONBLOCK);
    free(server.calls);
    server.calls = NULL;
    store_close(&server.store);
    event_base_free(base);
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void start(void)
{
    struct stream_spec a = {.name = "a", .retention_h = 2}, zero = {.name = "zero"};
    log_set_level(LOG_ERROR);
    base = event_base_new();
    limits = (struct conf_limits){.metadata_points = 1000000};
    server = (struct server){.base = base, .limits = &limits};
    if (!mkdtemp(dir) || store_open(base, dir, "us-west-2", &server.store) < 0)
        abort();
    store_create(server.store, &a, created, NULL);
    store_create(server.store, &zero, created, NULL);
    atexit(clean);
}

/* Streams that the input made go again, so that the next starts as this one did. */
static void forget(void *arg, int result)
{
}

static void settle(void)
{
    struct stream *st, *next;
    for (st = store_first(server.store); st; st = next) {
        next = TAILQ_NEXT(st, link);
        if (st->status == STREAM_ACTIVE && strcmp(st->name, "a") && strcmp(st->name, "zero"))
            store_delete(st, forget, NULL);
    }
    event_base_loop(base, EVLOOP_NONBLOCK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!base)
        start();
    if (size < 1)
        return 0;
    struct bufferevent *pair[2];
    struct http_server *srv = http_server_new(base, NULL, on_request, NULL);
    bufferevent_pair_new(base, BEV_OPT_DEFER_CALLBACKS, pair);
    bufferevent_enable(pair[1], EV_READ | EV_WRITE);
    http_server_adopt(srv, pair[0]);
    evbuffer_add_printf(bufferevent_get_output(pair[1]),
                        "POST /%u HTTP/1.1\r\nHost: 127.0.0.1:8480\r\nContent-Length: %zu\r\n\r\n",
                        data[0] % route_count(), size - 1);
    bufferevent_write(pair[1], data + 1, size - 1);
    bool done = false;
    for (int i = 0; i < 300000 && !done; i++) { /* 30 s: jobs write to the disk */
        event_base_loop(base, EVLOOP_NONBLOCK);
        done = answered(bufferevent_get_input(pair[1]));
        usleep(done ? 0 : 100);
    }
    if (!done)
        abort();
    http_server_free(srv);
    bufferevent_free(pair[1]);
    settle();
    return 0;
}
