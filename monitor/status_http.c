/* The status server.
 * Relies on libevent's evhttp, with bounds on headers, bodies and idle time.
 * Leaves what is said and done to its callbacks. */
#include "monitor/status_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <openssl/crypto.h>

#include "common/conf.h"
#include "common/log.h"
#include "common/keys.h"
#include "common/mem.h"
#include "monitor/page.h"

#define HEADERS_MAX_BYTES 8192
#define BODY_MAX_BYTES 4096
#define IDLE_S 10
#define ROUTES_MAX 16

struct status_http {
    struct evhttp *server;
    char *listen, *names;
    const char *token;
    const struct status_http_ops *ops;
    void *arg;
    struct bound {
        struct status_http *http;
        const struct route *route;
    } bound[ROUTES_MAX];
};

struct request {
    struct status_http *http;
    struct evhttp_request *req;
    const char *path;
    struct evkeyvalq query;
};

struct route {
    const char *path, *usage; /* usage: for those who ask for something else */
    bool ask;                 /* POST with the token; else GET */
    void (*handle)(struct request *r);
};

static bool is_named(const char *host, const char *names)
{
    size_t len = strlen(host);
    for (const char *at = names; *at; at += strcspn(at, " ")) {
        at += strspn(at, " ");
        if (strcspn(at, " ") == len && len && strncasecmp(at, host, len) == 0)
            return true;
    }
    return false;
}

bool status_http_host_allowed(const char *host_header, const char *listen, const char *names)
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
    if (is_named(host, names))
        return true;
    return strcasecmp(host, "localhost") == 0 || inet_pton(AF_INET, host, address) == 1 ||
           inet_pton(AF_INET6, host, address) == 1;
}

/* "scheme://host[:port]", as browsers send it, against "host[:port]". Behind a proxy with TLS the
 * scheme is another, so it does not count. */
bool status_http_same_origin(const char *origin, const char *host_header)
{
    const char *host = origin ? strstr(origin, "://") : NULL;
    return !origin || (host && host_header && strcasecmp(host + 3, host_header) == 0);
}

/* No page frames this one, no script or style is taken from elsewhere or from the HTML, and nothing
 * is sent elsewhere. */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static void answer(struct evhttp_request *req, int code, const char *type, const void *data,
                   size_t len)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    struct evbuffer *body = evbuffer_new();
    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    evhttp_add_header(headers, "Referrer-Policy", "no-referrer");
    evhttp_add_header(headers, "Content-Security-Policy", policy);
    evbuffer_add(body, data, len);
    evhttp_send_reply(req, code, NULL, body);
    evbuffer_free(body);
}

static void plain(struct evhttp_request *req, int code, const char *text)
{
    answer(req, code, "text/plain; charset=utf-8", text, strlen(text));
}

/* Frees text. */
static void json(struct evhttp_request *req, char *text)
{
    answer(req, 200, "application/json", text, strlen(text));
    free(text);
}

static const char *field(const struct request *r, const char *name)
{
    return evhttp_find_header(&r->query, name);
}

static const char *field_or_empty(const struct request *r, const char *name)
{
    const char *value = field(r, name);
    return value ? value : "";
}

static int64_t field_number(const struct request *r, const char *name)
{
    return strtoll(field_or_empty(r, name), NULL, 10);
}

/* ---- what is read ---- */

static void on_status(struct request *r)
{
    json(r->req, r->http->ops->status(r->http->arg));
}

static void on_metrics(struct request *r)
{
    char *text = r->http->ops->metrics(r->http->arg);
    if (text)
        answer(r->req, 200, "text/plain; version=0.0.4; charset=utf-8", text, strlen(text));
    else
        plain(r->req, 404, "monitor.prometheus.enabled is false\n");
    free(text);
}

static void on_events(struct request *r)
{
    json(r->req, r->http->ops->events(r->http->arg, field_number(r, "since")));
}

static void on_history(struct request *r)
{
    json(r->req, r->http->ops->history(r->http->arg));
}

static void on_live(struct request *r)
{
    r->http->ops->live(r->http->arg, r->req);
}

static void on_gaps(struct request *r)
{
    char *text = NULL;
    int e = r->http->ops->gaps(r->http->arg, field_or_empty(r, "stream"),
                               field_number(r, "since_ns"), &text);
    if (e == 0)
        json(r->req, text);
    else if (e == -ENOENT)
        plain(r->req, 404, "no such stream\n");
    else
        plain(r->req, 500, "the ledger cannot be read\n");
}

static void on_still(struct request *r)
{
    struct still_picture picture;
    struct evkeyvalq *headers = evhttp_request_get_output_headers(r->req);
    char when[24];
    int e = r->http->ops->still(r->http->arg, field_or_empty(r, "stream"), &picture);
    if (e == 0) {
        snprintf(when, sizeof when, "%lld", (long long)picture.frame_ms);
        evhttp_add_header(headers, "X-Frame-Time-Ms", when);
        answer(r->req, 200, "image/jpeg", picture.jpeg, picture.len);
    } else if (e == -EAGAIN) {
        evhttp_add_header(headers, "Retry-After", "1");
        plain(r->req, 503, "being made: ask again\n");
    } else {
        plain(r->req, 404,
              e == -ENXIO ? "no such stream\n" : "the spool here has no picture of it\n");
    }
}

static void on_healthz(struct request *r)
{
    plain(r->req, 200, "ok\n");
}

static void on_readyz(struct request *r)
{
    if (r->http->ops->ready(r->http->arg))
        plain(r->req, 200, "ready\n");
    else
        plain(r->req, 503, "not every stage is ready: see /status\n");
}

/* ---- what is asked for ---- */

static void on_ask(struct request *r)
{
    char text[512] = "";
    int code = r->http->ops->ask(r->http->arg, r->path + 1, &r->query, text, sizeof text);
    plain(r->req, code, text);
}

/* ---- who may ---- */

static const struct route routes[] = {
    {"/status", "/status", false, on_status},
    {"/metrics", "/metrics", false, on_metrics},
    {"/events", "/events?since=ID", false, on_events},
    {"/history", "/history", false, on_history},
    {"/live", "/live", false, on_live},
    {"/gaps", "/gaps?stream=NAME&since_ns=N", false, on_gaps},
    {"/still", "/still?stream=NAME", false, on_still},
    {"/healthz", "/healthz", false, on_healthz},
    {"/readyz", "/readyz", false, on_readyz},
    {"/keyframe", "POST /keyframe?stream=NAME", true, on_ask},
    {"/restart", "POST /restart?stage=NAME", true, on_ask},
    {"/metadata", "POST /metadata?stream=NAME&name=N&value=V[&persistent=1]", true, on_ask},
};
#define ROUTES (sizeof routes / sizeof *routes)
_Static_assert(ROUTES <= ROUTES_MAX, "raise ROUTES_MAX");

static const char *header(struct evhttp_request *req, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(req), name);
}

static bool has_token(const struct status_http *h, struct evhttp_request *req)
{
    static const char scheme[] = "Bearer ";
    const char *given = header(req, "Authorization");
    return given && strncasecmp(given, scheme, sizeof scheme - 1) == 0 &&
           strlen(given) == sizeof scheme - 1 + KEYS_TOKEN_CHARS &&
           CRYPTO_memcmp(given + sizeof scheme - 1, h->token, KEYS_TOKEN_CHARS) == 0;
}

static bool may_ask(const struct status_http *h, struct evhttp_request *req)
{
    const char *site = header(req, "Sec-Fetch-Site");
    if (!status_http_same_origin(header(req, "Origin"), header(req, "Host")) ||
        (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)) {
        plain(req, 403, "only from a page of this address\n");
        return false;
    }
    if (has_token(h, req))
        return true;
    evhttp_add_header(evhttp_request_get_output_headers(req), "WWW-Authenticate", "Bearer");
    plain(req, 401,
          "the monitor's token is missing or wrong: `kvpipe page` tells the address "
          "with it\n");
    return false;
}

static bool allowed(struct status_http *h, struct evhttp_request *req, bool ask)
{
    enum evhttp_cmd_type got = evhttp_request_get_command(req);
    if (!status_http_host_allowed(header(req, "Host"), h->listen, h->names)) {
        plain(req, 403, "this Host is not served here\n");
        return false;
    }
    if (ask ? got == EVHTTP_REQ_POST : got == EVHTTP_REQ_GET || got == EVHTTP_REQ_HEAD)
        return !ask || may_ask(h, req);
    evhttp_add_header(evhttp_request_get_output_headers(req), "Allow", ask ? "POST" : "GET, HEAD");
    plain(req, 405, "method not allowed\n");
    return false;
}

static void on_route(struct evhttp_request *req, void *arg)
{
    const struct bound *b = arg;
    struct request r = {.http = b->http, .req = req, .path = b->route->path};
    const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
    if (!allowed(b->http, req, b->route->ask))
        return;
    if (evhttp_parse_query_str(query ? query : "", &r.query) == 0)
        b->route->handle(&r);
    else
        plain(req, 400, b->route->usage);
    evhttp_clear_headers(&r.query);
}

static void on_other(struct evhttp_request *req, void *arg)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
    const struct page_file *file = page_find(path && *path ? path : "/");
    char text[512] = "expected /";
    if (!allowed(arg, req, false))
        return;
    if (file) {
        answer(req, 200, file->type, file->start, (size_t)(file->end - file->start));
        return;
    }
    for (size_t i = 0, len = strlen(text); i < ROUTES; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, ", %s", routes[i].usage);
    plain(req, 404, text);
}

static void bind_routes(struct status_http *h)
{
    for (size_t i = 0; i < ROUTES; i++) {
        h->bound[i] = (struct bound){.http = h, .route = &routes[i]};
        evhttp_set_cb(h->server, routes[i].path, on_route, &h->bound[i]);
    }
    evhttp_set_gencb(h->server, on_other, h);
}

int status_http_create(struct event_base *base, const char *listen, const char *names,
                       const char *token, const struct status_http_ops *ops, void *arg,
                       struct status_http **out)
{
    char host[256];
    uint16_t port;
    int r = conf_host_port(listen, host, sizeof host, &port);
    *out = NULL;
    if (r < 0)
        return r;
    struct status_http *h = xcalloc(1, sizeof *h);
    h->listen = xstrdup(listen);
    h->names = xstrdup(names);
    h->token = token;
    h->ops = ops;
    h->arg = arg;
    h->server = evhttp_new(base);
    evhttp_set_max_headers_size(h->server, HEADERS_MAX_BYTES);
    evhttp_set_max_body_size(h->server, BODY_MAX_BYTES);
    evhttp_set_timeout(h->server, IDLE_S);
    evhttp_set_allowed_methods(h->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST);
    bind_routes(h);
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
    free(h->names);
    free(h);
}
