/* One HTTP/1.1 connection: llhttp over a bufferevent, one exchange at a time, full duplex.
 * Relies on libevent, llhttp and http_private.h; the listener and TLS are in http_listen.c.
 * Leaves routing, authentication and the meaning of bodies to the user of http.h. */
#include "server/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/http_private.h"

#define READ_WATERMARK 65536
#define DIRECT_BYTES 65536
#define DIRECT_TURNS 4 /* then other connections have theirs */
#define WRITE_LOW 65536
#define LINGER_MS 2000
#define LINGER_BYTES (16u << 20)

static const llhttp_settings_t parser_settings;

static struct http_conn *conn_of(const struct http_exchange *ex)
{
    return (struct http_conn *)((char *)ex - offsetof(struct http_conn, ex));
}

struct bufferevent *http_conn_bev(const struct http_exchange *ex)
{
    return conn_of(ex)->bev;
}

static void set_deadline(struct http_conn *c, unsigned ms)
{
    if (!ms) {
        evtimer_del(c->deadline);
        return;
    }
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
    evtimer_add(c->deadline, &tv);
}

/* User callbacks never see their exchange vanish: state changes take effect from the loop. */
static void schedule_step(struct http_conn *c)
{
    event_active(c->step, 0, 0);
}

static void notify_closed(struct http_conn *c)
{
    if (!c->in_exchange)
        return;
    c->in_exchange = false;
    if (c->closed)
        c->closed(&c->ex);
    c->closed = NULL;
}

void http_conn_destroy(struct http_conn *c)
{
    c->ex.cut = !(c->request_done && c->answer_done);
    notify_closed(c);
    http_server_conn_gone(c);
    event_free(c->deadline);
    event_free(c->step);
    bufferevent_free(c->bev);
    buf_fini(&c->head);
    buf_fini(&c->body);
    buf_fini(&c->answer_head);
    free(c);
}

/* ---- parsing ---- */

static int add_head(struct http_conn *c, const char *at, size_t len)
{
    if (buf_append(&c->head, at, len) == 0)
        return 0;
    c->refuse = 431;
    return -1;
}

/* Trailers of a chunked body count for nothing. The head that they would be added to is in use. */
static int skip_trailer(struct http_conn *c, size_t len)
{
    c->trailer_bytes += len;
    if (c->trailer_bytes <= c->limits->head_bytes)
        return 0;
    c->refuse = 431;
    return -1;
}

static int on_message_begin(llhttp_t *p)
{
    struct http_conn *c = p->data;
    buf_clear(&c->head);
    c->nheaders = 0;
    c->trailer_bytes = 0;
    c->in_value = false;
    return 0;
}

static int on_url(llhttp_t *p, const char *at, size_t len)
{
    return add_head(p->data, at, len);
}

static int on_header_field(llhttp_t *p, const char *at, size_t len)
{
    struct http_conn *c = p->data;
    if (c->in_exchange)
        return skip_trailer(c, len);
    if (c->in_value || c->nheaders == 0) {
        if (c->nheaders == c->limits->headers) {
            c->refuse = 431;
            return -1;
        }
        if (add_head(c, "", 1) < 0)
            return -1;
        c->name_at[c->nheaders++] = (uint32_t)c->head.len;
        c->in_value = false;
    }
    return add_head(c, at, len);
}

static int on_header_field_complete(llhttp_t *p)
{
    struct http_conn *c = p->data;
    if (c->in_exchange)
        return skip_trailer(c, 1);
    if (c->nheaders == 0 || c->in_value || add_head(c, "", 1) < 0)
        return -1;
    /* llhttp lets a space and an empty name through; RFC 9112 section 5.1 does not. */
    const char *name = (const char *)c->head.data + c->name_at[c->nheaders - 1];
    if (!*name || strpbrk(name, " \t"))
        return -1;
    c->value_at[c->nheaders - 1] = (uint32_t)c->head.len;
    c->in_value = true;
    return 0;
}

static int on_header_value(llhttp_t *p, const char *at, size_t len)
{
    struct http_conn *c = p->data;
    return c->in_exchange ? skip_trailer(c, len) : add_head(c, at, len);
}

static void resolve_head(struct http_conn *c)
{
    char *base = (char *)c->head.data;
    for (unsigned i = 0; i < c->nheaders; i++) {
        c->headers[i].name = base + c->name_at[i];
        char *value = base + c->value_at[i];
        size_t n = strlen(value);
        while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
            value[--n] = 0;
        c->headers[i].value = value;
    }
    char *q = strchr(base, '?');
    if (q)
        *q++ = 0;
    c->ex.path = base;
    c->ex.query = q ? q : "";
    c->ex.headers = c->headers;
    c->ex.nheaders = c->nheaders;
}

static int on_headers_complete(llhttp_t *p)
{
    struct http_conn *c = p->data;
    if (add_head(c, "", 1) < 0)
        return -1;
    resolve_head(c);
    p->upgrade = 0;
    c->ex.method = llhttp_method_name((llhttp_method_t)p->method);
    c->http10 = p->http_major == 1 && p->http_minor == 0;
    c->head_request = p->method == HTTP_HEAD;
    c->keep_alive = llhttp_should_keep_alive(p) && !c->http10;
    const char *expect = http_header(&c->ex, "expect");
    c->expects = expect && !strcasecmp(expect, "100-continue");
    if (p->http_major != 1) {
        c->refuse = 505;
        return -1;
    }
    c->in_exchange = true;
    c->ex.cut = false;
    c->ex.data = c->ex.call = NULL;
    c->ex.id[0] = '\0';
    set_deadline(c, 0);
    c->ex.begun_ns = clock_mono_ns();
    c->srv_fn(c->srv_arg, &c->ex);
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
    struct http_conn *c = p->data;
    if (c->answer_done || c->cut)
        return 0;
    if (c->stream) {
        c->stream->data(&c->ex, (const uint8_t *)at, len);
    } else if (buf_append(&c->body, at, len) < 0) {
        c->read_done = NULL;
        c->keep_alive = false;
        http_reply(&c->ex, 413, NULL, 0);
    }
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    struct http_conn *c = p->data;
    c->request_done = true;
    set_deadline(c, 0);
    if (!c->answer_done && !c->cut) {
        if (c->stream)
            c->stream->end(&c->ex);
        else if (c->read_done)
            c->read_done(&c->ex, c->body.data, c->body.len);
    }
    return HPE_PAUSED;
}

static const llhttp_settings_t parser_settings = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* The rest of the body will not come. */
static void body_broken(struct http_conn *c)
{
    bool told = c->broken;
    c->keep_alive = false;
    c->broken = true;
    if (!c->stream || !c->stream->broken || !c->answer_started)
        c->cut = true;
    else if (!told && !c->answer_done)
        c->stream->broken(&c->ex);
}

static void refuse(struct http_conn *c, const char *why)
{
    int status = c->refuse ? c->refuse : 400;
    log_debug("http.refused", "peer=%s status=%d reason=\"%s\"", c->peer, status, why ? why : "");
    if (c->answer_started) {
        body_broken(c);
    } else {
        c->keep_alive = false;
        c->broken = true;
        buf_clear(&c->answer_head);
        http_reply(&c->ex, status, NULL, 0);
    }
    schedule_step(c);
}

/* Whether bytes may go to the parser now: not after the end of a request whose answer is not out,
 * nor before the handler has said what to do with the body. */
static bool may_parse(const struct http_conn *c)
{
    if (c->cut || c->broken || c->paused || c->closing)
        return false;
    if (c->request_done)
        return false;
    return !c->in_exchange || c->stream || c->read_done || c->answer_done;
}

/* Gives bytes to the parser. Returns how many it took, or -1 when it gave up. */
static ssize_t feed(struct http_conn *c, const void *data, size_t n)
{
    if (!c->in_exchange && !c->head_started) {
        c->head_started = true;
        set_deadline(c, c->limits->head_timeout_ms);
    }
    llhttp_errno_t e = llhttp_execute(&c->parser, data, n);
    if (e == HPE_PAUSED) {
        n = (size_t)(llhttp_get_error_pos(&c->parser) - (const char *)data);
        llhttp_resume(&c->parser);
    } else if (e != HPE_OK) {
        refuse(c, llhttp_get_error_reason(&c->parser));
        return -1;
    }
    return (ssize_t)n;
}

static void parse(struct http_conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    while (may_parse(c) && evbuffer_get_length(in)) {
        struct evbuffer_iovec v;
        if (evbuffer_peek(in, -1, NULL, &v, 1) < 1)
            return;
        ssize_t n = feed(c, v.iov_base, v.iov_len > 16384 ? 16384 : v.iov_len);
        if (n < 0)
            return;
        evbuffer_drain(in, (size_t)n);
    }
}

/* A bufferevent reads 4 KiB a turn of the loop. A body that streams in clear is read here in big
 * pieces once its buffer is empty; what the parser leaves goes back there. */
static void read_stream(struct http_conn *c)
{
    static char piece[DIRECT_BYTES];
    struct evbuffer *in = bufferevent_get_input(c->bev);
    for (int turn = 0; turn < DIRECT_TURNS; turn++) {
        if (c->ex.tls || !c->stream || !may_parse(c) || evbuffer_get_length(in))
            return;
        ssize_t got = recv(bufferevent_getfd(c->bev), piece, sizeof piece, MSG_DONTWAIT);
        for (ssize_t at = 0, n; at < got; at += n) {
            if (!may_parse(c)) {
                evbuffer_unfreeze(in, 0);
                evbuffer_add(in, piece + at, (size_t)(got - at));
                evbuffer_freeze(in, 0);
                return;
            }
            n = feed(c, piece + at, (size_t)(got - at));
            if (n < 0)
                return;
        }
        if (got < (ssize_t)sizeof piece) /* its end and errors are the bufferevent's to see */
            return;
    }
}

static void drain_linger(struct http_conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    c->lingered += evbuffer_get_length(in);
    evbuffer_drain(in, evbuffer_get_length(in));
    if (c->lingered > LINGER_BYTES)
        c->cut = true, schedule_step(c);
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct http_conn *c = arg;
    if (c->closing || c->broken)
        drain_linger(c);
    else
        parse(c);
    read_stream(c);
}

static void next_request(struct http_conn *c)
{
    notify_closed(c);
    c->served = true;
    c->request_done = c->answer_done = c->answer_started = false;
    c->head_started = c->paused = false;
    c->stream = NULL;
    c->read_done = NULL;
    c->writable = NULL;
    buf_clear(&c->answer_head);
    buf_fini(&c->body);
    buf_init(&c->body, 0);
    set_deadline(c, c->limits->idle_timeout_ms);
    bufferevent_enable(c->bev, EV_READ);
}

/* The answer is complete and the connection ends: send what waits, then half-close and let the
 * client finish. */
static void begin_close(struct http_conn *c)
{
    if (!c->closing) {
        c->closing = true;
        c->ex.cut = !c->request_done;
        bufferevent_setwatermark(c->bev, EV_WRITE, 0, 0);
        bufferevent_enable(c->bev, EV_READ);
        drain_linger(c);
        set_deadline(c, c->limits->send_timeout_ms);
    }
    if (evbuffer_get_length(bufferevent_get_output(c->bev)))
        return;
    notify_closed(c); /* the answer is out: its owner need not wait for the client to close */
    if (c->eof) {
        c->cut = true;
        return;
    }
    if (!c->lingering) {
        c->lingering = true;
        if (!c->ex.tls)
            shutdown(bufferevent_getfd(c->bev), SHUT_WR);
        set_deadline(c, LINGER_MS);
    }
}

static void on_step(evutil_socket_t fd, short what, void *arg)
{
    struct http_conn *c = arg;
    if (!c->cut && !c->closing)
        parse(c);
    if (!c->cut && c->answer_done) {
        if (c->request_done && c->keep_alive && !c->eof) {
            /* A client that asks on without reading waits until it has read. */
            if (http_unsent(&c->ex) > WRITE_LOW)
                return;
            next_request(c);
            schedule_step(c);
        } else {
            begin_close(c);
        }
    } else if (c->eof && !c->request_done && !c->paused && !c->cut) {
        if (c->in_exchange)
            body_broken(c);
        else
            begin_close(c); /* the last answer may still be on its way out */
    }
    if (c->cut)
        http_conn_destroy(c);
}

static void on_write(struct bufferevent *bev, void *arg)
{
    struct http_conn *c = arg;
    if (c->closing || c->answer_done)
        schedule_step(c);
    else if (c->writable && !c->answer_done && !c->cut)
        c->writable(&c->ex);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct http_conn *c = arg;
    if (what & BEV_EVENT_CONNECTED)
        return;
    /* A client may half-close after its request and still read the answer; with TLS libevent writes
     * no more then. */
    if ((what & BEV_EVENT_EOF) && !(what & BEV_EVENT_ERROR) && !c->ex.tls) {
        c->eof = true;
    } else {
        if (what & BEV_EVENT_TIMEOUT)
            log_info("http.slow_reader", "peer=%s unsent_bytes=%zu", c->peer, http_unsent(&c->ex));
        c->cut = true;
    }
    schedule_step(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct http_conn *c = arg;
    if (c->in_exchange && !c->answer_started && !c->closing) {
        c->keep_alive = false;
        http_reply(&c->ex, 408, NULL, 0);
        return;
    }
    log_debug("http.timeout", "peer=%s", c->peer);
    c->cut = true;
    schedule_step(c);
}

void http_conn_init(struct http_conn *c, struct event_base *base)
{
    llhttp_init(&c->parser, HTTP_REQUEST, &parser_settings);
    c->parser.data = c;
    buf_init(&c->head, c->limits->head_bytes);
    buf_init(&c->body, 0);
    buf_init(&c->answer_head, 16384);
    c->ex.peer = c->peer;
    c->deadline = evtimer_new(base, on_deadline, c);
    c->step = event_new(base, -1, 0, on_step, c);
    unsigned ms = c->limits->send_timeout_ms;
    struct timeval send = {ms / 1000, (ms % 1000) * 1000};
    bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
    bufferevent_set_timeouts(c->bev, NULL, &send);
    bufferevent_setwatermark(c->bev, EV_READ, 0, READ_WATERMARK);
    bufferevent_setwatermark(c->bev, EV_WRITE, WRITE_LOW, 0);
    set_deadline(c, c->limits->head_timeout_ms);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

/* ---- what the user of an exchange calls ---- */

const char *http_header(const struct http_exchange *ex, const char *name)
{
    for (size_t i = 0; i < ex->nheaders; i++)
        if (!strcasecmp(ex->headers[i].name, name))
            return ex->headers[i].value;
    return NULL;
}

static void send_continue(struct http_conn *c)
{
    if (!c->expects || c->answer_started)
        return;
    c->expects = false;
    bufferevent_write(c->bev, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

void http_read_body(struct http_exchange *ex, size_t max_bytes,
                    void (*done)(struct http_exchange *ex, const uint8_t *body, size_t len))
{
    struct http_conn *c = conn_of(ex);
    if ((c->parser.flags & F_CONTENT_LENGTH) && c->parser.content_length > max_bytes) {
        c->keep_alive = false;
        http_reply(ex, 413, NULL, 0);
        return;
    }
    send_continue(c);
    buf_init(&c->body, max_bytes);
    c->read_done = done;
    set_deadline(c, c->limits->body_timeout_ms);
    schedule_step(c);
}

void http_stream_body(struct http_exchange *ex, const struct http_body_ops *ops)
{
    struct http_conn *c = conn_of(ex);
    send_continue(c);
    c->stream = ops;
    schedule_step(c);
}

void http_pause_body(struct http_exchange *ex, bool pause)
{
    struct http_conn *c = conn_of(ex);
    if (c->paused == pause || c->closing)
        return;
    c->paused = pause;
    if (pause) {
        bufferevent_disable(c->bev, EV_READ);
    } else {
        bufferevent_enable(c->bev, EV_READ);
        schedule_step(c);
    }
}

void http_on_closed(struct http_exchange *ex, void (*closed)(struct http_exchange *ex))
{
    conn_of(ex)->closed = closed;
}

void http_on_writable(struct http_exchange *ex, void (*writable)(struct http_exchange *ex))
{
    conn_of(ex)->writable = writable;
}

void http_add_header(struct http_exchange *ex, const char *name, const char *value)
{
    struct http_conn *c = conn_of(ex);
    size_t at = c->answer_head.len;
    if (buf_printf(&c->answer_head, "%s: %s\r\n", name, value) < 0) {
        log_warn("http.header_too_long", "name=%s", name);
        return;
    }
    for (size_t i = at; i + 2 < c->answer_head.len; i++)
        if (c->answer_head.data[i] < 0x20 || c->answer_head.data[i] == 0x7f)
            c->answer_head.data[i] = '?';
}

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {{200, "OK"},
                   {204, "No Content"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {411, "Length Required"},
                   {413, "Content Too Large"},
                   {431, "Request Header Fields Too Large"},
                   {500, "Internal Server Error"},
                   {503, "Service Unavailable"},
                   {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Other";
}

static void write_head(struct http_conn *c, int status)
{
    char date[64];
    time_t now = time(NULL);
    struct tm tm;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    struct evbuffer *out = bufferevent_get_output(c->bev);
    evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, reason(status), date);
    evbuffer_add(out, c->answer_head.data, c->answer_head.len);
    bool has_body = (c->parser.flags & F_CHUNKED) ||
                    ((c->parser.flags & F_CONTENT_LENGTH) && c->parser.content_length);
    /* A body that nobody reads, or that the client waits for leave to send, leaves the connection
     * in no known state. */
    if (c->http10 || c->broken || (has_body && !c->request_done && !c->stream && !c->read_done))
        c->keep_alive = false;
    if (!c->keep_alive)
        evbuffer_add_printf(out, "Connection: close\r\n");
}

void http_reply(struct http_exchange *ex, int status, const void *body, size_t len)
{
    struct http_conn *c = conn_of(ex);
    if (c->answer_started || c->cut)
        return;
    c->answer_started = c->answer_done = true;
    write_head(c, status);
    struct evbuffer *out = bufferevent_get_output(c->bev);
    evbuffer_add_printf(out, "Content-Length: %zu\r\n\r\n", len);
    if (len && !c->head_request)
        evbuffer_add(out, body, len);
    schedule_step(c);
}

void http_start(struct http_exchange *ex, int status)
{
    struct http_conn *c = conn_of(ex);
    if (c->answer_started || c->cut)
        return;
    c->answer_started = true;
    write_head(c, status);
    bufferevent_write(c->bev, c->http10 ? "\r\n" : "Transfer-Encoding: chunked\r\n\r\n",
                      c->http10 ? 2 : 30);
}

int http_chunk(struct http_exchange *ex, const void *data, size_t len)
{
    struct http_conn *c = conn_of(ex);
    if (c->cut || c->answer_done || !c->answer_started)
        return -EPIPE;
    struct evbuffer *out = bufferevent_get_output(c->bev);
    if (evbuffer_get_length(out) + len > c->limits->unsent_bytes) {
        log_info("http.slow_reader", "peer=%s unsent_bytes=%zu", c->peer, evbuffer_get_length(out));
        http_cut(ex);
        return -EPIPE;
    }
    if (c->head_request || !len)
        return 0;
    if (!c->http10)
        evbuffer_add_printf(out, "%zx\r\n", len);
    evbuffer_add(out, data, len);
    if (!c->http10)
        evbuffer_add(out, "\r\n", 2);
    return 0;
}

void http_finish(struct http_exchange *ex)
{
    struct http_conn *c = conn_of(ex);
    if (c->cut || c->answer_done || !c->answer_started)
        return;
    if (!c->http10 && !c->head_request)
        bufferevent_write(c->bev, "0\r\n\r\n", 5);
    c->answer_done = true;
    if (c->paused)
        http_pause_body(ex, false);
    schedule_step(c);
}

void http_cut(struct http_exchange *ex)
{
    struct http_conn *c = conn_of(ex);
    c->cut = true;
    schedule_step(c);
}

size_t http_unsent(const struct http_exchange *ex)
{
    return evbuffer_get_length(bufferevent_get_output(conn_of(ex)->bev));
}

bool http_half_closed(const struct http_exchange *ex)
{
    return conn_of(ex)->eof;
}
