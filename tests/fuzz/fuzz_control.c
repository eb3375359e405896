/* Fuzzes every control operation with the JSON of its body: the first byte chooses the operation.
 * Each input is one call on a store with two streams, answered in the end or held by a job.
 * Relies on stand-ins for http.h, on libFuzzer or replay.c. Leaves signatures to fuzz_sigv4, HTTP
 * to fuzz_http. */
#include <errno.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <jansson.h>

#include "common/conf.h"
#include "common/log.h"
#include "server/http.h"
#include "server/route.h"
#include "server/stage.h"
#include "server/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct event_base *base;
static struct server server;
static struct conf_limits limits;
static int answers;

/* ---- what an operation sees of a connection ---- */

const char *http_header(const struct http_exchange *ex, const char *name)
{
    return strcmp(name, "host") ? NULL : "127.0.0.1:8480";
}

void http_add_header(struct http_exchange *ex, const char *name, const char *value)
{
}

void http_on_closed(struct http_exchange *ex, void (*closed)(struct http_exchange *ex))
{
}

void http_on_writable(struct http_exchange *ex, void (*writable)(struct http_exchange *ex))
{
}

void http_read_body(struct http_exchange *ex, size_t max_bytes,
                    void (*done)(struct http_exchange *ex, const uint8_t *body, size_t len))
{
}

void http_stream_body(struct http_exchange *ex, const struct http_body_ops *ops)
{
}

void http_pause_body(struct http_exchange *ex, bool pause)
{
}

void http_start(struct http_exchange *ex, int status)
{
}

int http_chunk(struct http_exchange *ex, const void *data, size_t len)
{
    return -EPIPE;
}

void http_finish(struct http_exchange *ex)
{
}

void http_cut(struct http_exchange *ex)
{
}

size_t http_unsent(const struct http_exchange *ex)
{
    return 0;
}

bool http_half_closed(const struct http_exchange *ex)
{
    return false;
}

bool http_started(const struct http_exchange *ex)
{
    return false;
}

int http_client_certificate(const struct http_exchange *ex, struct http_certificate *out)
{
    return -ENOENT;
}

bool http_peer_is_local(const struct http_exchange *ex)
{
    return false;
}

unsigned http_server_connections(const struct http_server *srv)
{
    return 0;
}

/* An answer is JSON, or empty with 200. */
void http_reply(struct http_exchange *ex, int status, const void *body, size_t len)
{
    json_t *o = len ? json_loadb(body, len, 0, NULL) : NULL;
    if (status == 500 || (status != 200 && !json_object_get(o, "Message")) || (len && !o))
        abort();
    json_decref(o);
    answers++;
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
    const struct operation *op = route_at(data[0] % route_count());
    json_t *body = json_loadb((const char *)data + 1, size - 1, JSON_REJECT_DUPLICATES, NULL);
    if (op->control && json_is_object(body)) {
        struct http_exchange ex = {
            .method = op->method, .path = op->path, .query = "", .peer = "-", .local_port = 8480};
        struct http_exchange *kept = malloc(sizeof *kept); /* jobs answer it later */
        *kept = ex;
        answers = 0;
        op->handle(&server, kept, body);
        for (int i = 0; i < 2000 && !answers; i++) {
            event_base_loop(base, EVLOOP_NONBLOCK);
            usleep(answers ? 0 : 100);
        }
        if (answers != 1)
            abort();
        free(kept);
    }
    json_decref(body);
    settle();
    return 0;
}
