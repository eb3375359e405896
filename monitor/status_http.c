/* The status server.
 * Relies on libevent's evhttp, with bounds on headers, bodies and idle time.
 * Leaves what is said to its callbacks. */
#include "monitor/status_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "common/conf.h"
#include "common/log.h"
#include "common/mem.h"

#define HEADERS_MAX_BYTES 8192
#define BODY_MAX_BYTES 4096
#define IDLE_S 10

struct status_http {
    struct evhttp *server;
    char *listen;
    const struct status_http_ops *ops;
    void *arg;
};

bool status_http_host_allowed(const char *host_header, const char *listen)
{
    char host[256], own[256];
    unsigned char address[16];
    uint16_t port;
    if (!host_header)
        return false;
    if (conf_host_port(host_header, host, sizeof host, &port) < 0) {
        size_t len = strlen(host_header);
        if (!len || len >= sizeof host)
            return false;
        memcpy(host, host_header, len + 1);
        if (host[0] == '[' && host[len - 1] == ']') {
            memmove(host, host + 1, len);
            host[len - 2] = '\0';
        }
    }
    if (conf_host_port(listen, own, sizeof own, &port) == 0 && strcasecmp(host, own) == 0)
        return true;
    return strcasecmp(host, "localhost") == 0 || inet_pton(AF_INET, host, address) == 1 ||
           inet_pton(AF_INET6, host, address) == 1;
}

static void answer(struct evhttp_request *req, int code, const char *reason, const char *type,
                   const char *text)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    struct evbuffer *body = evbuffer_new();
    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    evbuffer_add(body, text, strlen(text));
    evhttp_send_reply(req, code, reason, body);
    evbuffer_free(body);
}

static void plain(struct evhttp_request *req, int code, const char *reason, const char *text)
{
    answer(req, code, reason, "text/plain; charset=utf-8", text);
}

static bool allowed(struct status_http *h, struct evhttp_request *req, enum evhttp_cmd_type method)
{
    struct evkeyvalq *headers = evhttp_request_get_input_headers(req);
    if (!status_http_host_allowed(evhttp_find_header(headers, "Host"), h->listen)) {
        plain(req, 403, "Forbidden", "this Host is not served here\n");
        return false;
    }
    if (method == EVHTTP_REQ_POST && evhttp_find_header(headers, "Origin")) {
        plain(req, 403, "Forbidden", "not from a web page\n");
        return false;
    }
    enum evhttp_cmd_type got = evhttp_request_get_command(req);
    if (got == method || (method == EVHTTP_REQ_GET && got == EVHTTP_REQ_HEAD))
        return true;
    evhttp_add_header(evhttp_request_get_output_headers(req), "Allow",
                      method == EVHTTP_REQ_POST ? "POST" : "GET, HEAD");
    plain(req, 405, "Method Not Allowed", "method not allowed\n");
    return false;
}

static void on_status(struct evhttp_request *req, void *arg)
{
    struct status_http *h = arg;
    if (!allowed(h, req, EVHTTP_REQ_GET))
        return;
    char *text = h->ops->status(h->arg);
    answer(req, 200, "OK", "application/json", text);
    free(text);
}

static void on_gaps(struct evhttp_request *req, void *arg)
{
    struct status_http *h = arg;
    struct evkeyvalq query;
    const char *q = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
    char *text = NULL;
    if (!allowed(h, req, EVHTTP_REQ_GET))
        return;
    if (evhttp_parse_query_str(q ? q : "", &query) < 0) {
        plain(req, 400, "Bad Request", "expected /gaps?stream=NAME&since_ns=N\n");
        return;
    }
    const char *stream = evhttp_find_header(&query, "stream");
    const char *since = evhttp_find_header(&query, "since_ns");
    int r = h->ops->gaps(h->arg, stream ? stream : "", since ? strtoll(since, NULL, 10) : 0, &text);
    evhttp_clear_headers(&query);
    if (r == 0)
        answer(req, 200, "OK", "application/json", text);
    else if (r == -ENOENT)
        plain(req, 404, "Not Found", "no such stream\n");
    else
        plain(req, 500, "Internal Server Error", "the ledger cannot be read\n");
    free(text);
}

static void on_healthz(struct evhttp_request *req, void *arg)
{
    if (allowed(arg, req, EVHTTP_REQ_GET))
        plain(req, 200, "OK", "ok\n");
}

static void on_readyz(struct evhttp_request *req, void *arg)
{
    struct status_http *h = arg;
    if (!allowed(h, req, EVHTTP_REQ_GET))
        return;
    if (h->ops->ready(h->arg))
        plain(req, 200, "OK", "ready\n");
    else
        plain(req, 503, "Service Unavailable", "not every stage is ready: see /status\n");
}

static void on_keyframe(struct evhttp_request *req, void *arg)
{
    struct status_http *h = arg;
    struct evkeyvalq query;
    const char *q = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
    if (!allowed(h, req, EVHTTP_REQ_POST))
        return;
    if (evhttp_parse_query_str(q ? q : "", &query) < 0) {
        plain(req, 400, "Bad Request", "expected /keyframe?stream=NAME\n");
        return;
    }
    int r = h->ops->keyframe(h->arg, evhttp_find_header(&query, "stream"));
    evhttp_clear_headers(&query);
    if (r == 0)
        plain(req, 200, "OK", "asked\n");
    else if (r == -ENOENT)
        plain(req, 404, "Not Found", "no such stream\n");
    else
        plain(req, 503, "Service Unavailable", "no stage is there to make a key frame\n");
}

static void on_other(struct evhttp_request *req, void *arg)
{
    plain(req, 404, "Not Found",
          "expected /status, /gaps?stream=NAME, /healthz, /readyz or POST /keyframe?stream=NAME\n");
}

int status_http_create(struct event_base *base, const char *listen,
                       const struct status_http_ops *ops, void *arg, struct status_http **out)
{
    char host[256];
    uint16_t port;
    int r = conf_host_port(listen, host, sizeof host, &port);
    *out = NULL;
    if (r < 0)
        return r;
    struct status_http *h = xcalloc(1, sizeof *h);
    h->listen = xstrdup(listen);
    h->ops = ops;
    h->arg = arg;
    h->server = evhttp_new(base);
    evhttp_set_max_headers_size(h->server, HEADERS_MAX_BYTES);
    evhttp_set_max_body_size(h->server, BODY_MAX_BYTES);
    evhttp_set_timeout(h->server, IDLE_S);
    evhttp_set_allowed_methods(h->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST);
    evhttp_set_cb(h->server, "/status", on_status, h);
    evhttp_set_cb(h->server, "/gaps", on_gaps, h);
    evhttp_set_cb(h->server, "/healthz", on_healthz, h);
    evhttp_set_cb(h->server, "/readyz", on_readyz, h);
    evhttp_set_cb(h->server, "/keyframe", on_keyframe, h);
    evhttp_set_gencb(h->server, on_other, h);
    errno = 0;
    if (!evhttp_bind_socket_with_handle(h->server, host, port)) {
        r = errno ? -errno : -EADDRNOTAVAIL;
        log_error("monitor.listen",
                  "address=%s error=\"%s\" (free the port, or set monitor.listen)", listen,
                  strerror(-r));
        status_http_destroy(&h);
        return r;
    }
    *out = h;
    return 0;
}

void status_http_destroy(struct status_http **http)
{
    struct status_http *h = *http;
    *http = NULL;
    if (!h)
        return;
    evhttp_free(h->server);
    free(h->listen);
    free(h);
}
