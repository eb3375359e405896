/* HTTP/1.1 client: one libcurl multi handle driven by libevent's sockets and timer.
 * Relies on libcurl 7.85 or newer (protocol lists as strings) and libevent.
 * Leaves signing, retries and the meaning of statuses to its users. */
#include "common/http_client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <curl/curl.h>
#include <event2/event.h>

#include "common/blob.h"
#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"

#define DNS_CACHE_S 5L /* an endpoint that moves is found at once; curl's own is a minute */
#define MAX_HEADERS 100
#define CONNECT_TIMEOUT_MS 10000
#define TIMEOUT_MS 30000
#define KEEPALIVE_S 30L
#define IDLE_CONNECTIONS 8L

struct http_call {
    TAILQ_ENTRY(http_call) link;
    struct http_client *client;
    struct http_request req; /* only callbacks, limits and flags are read after the start */
    CURL *easy;
    struct curl_slist *headers;
    struct blob *body;
    struct buf answer;
    char error_text[CURL_ERROR_SIZE];
    size_t header_bytes;
    int64_t received_bytes;
    int status;     /* of the response being read */
    int error;      /* negative errno that made a callback stop the transfer */
    bool answering; /* the final response's headers are complete */
    bool over;      /* no more of the answer comes, although the upload has not ended */
    bool paused;    /* on_upload had nothing */
    bool want_wake; /* listed work for the wake event */
    bool cancelled; /* no callback any more */
};

TAILQ_HEAD(call_list, http_call);

struct http_client {
    struct event_base *base;
    CURLM *multi;
    struct event *timer;
    struct event *wake; /* work that must not be done inside a curl callback */
    struct call_list calls;
    int depth; /* > 0 while libcurl or a user callback is on the stack */
};

/* One watched socket. */
struct watch {
    struct event *event;
};

static void finish_calls(struct http_client *client);

/* ---- libcurl <-> libevent ---- */

static void drive(struct http_client *client, curl_socket_t fd, int what)
{
    int running;
    client->depth++;
    curl_multi_socket_action(client->multi, fd, what, &running);
    client->depth--;
    finish_calls(client);
}

static void on_socket_event(evutil_socket_t fd, short what, void *arg)
{
    int flags = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
    drive(arg, fd, flags);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    drive(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    struct http_client *client = arg;
    if (timeout_ms < 0) {
        event_del(client->timer);
    } else {
        struct timeval tv = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
        event_add(client->timer, &tv);
    }
    return 0;
}

static void wake_later(struct http_call *call)
{
    call->want_wake = true;
    event_active(call->client->wake, EV_TIMEOUT, 0);
}

/* libcurl goes on sending after a complete (or cut) answer, and waits for ever when the upload is
 * paused then. That it no longer wants to read shows here; the upload is ended, and libcurl itself
 * then judges whether the answer was whole. */
static void note_end_of_answer(CURL *easy, int what)
{
    struct http_call *call = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call) != CURLE_OK || !call)
        return;
    if (call->cancelled || !call->req.on_upload || !call->answering || call->over ||
        what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        return;
    call->over = true;
    if (call->paused)
        wake_later(call);
}

static void unwatch(struct watch *w)
{
    if (w->event)
        event_free(w->event);
    w->event = NULL;
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sockp)
{
    struct http_client *client = arg;
    struct watch *w = sockp;
    note_end_of_answer(easy, what);
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            unwatch(w);
            free(w);
            curl_multi_assign(client->multi, fd, NULL);
        }
        return 0;
    }
    if (!w) {
        w = xcalloc(1, sizeof(*w));
        curl_multi_assign(client->multi, fd, w);
    } else {
        unwatch(w);
    }
    short flags = (short)(EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) |
                          (what & CURL_POLL_OUT ? EV_WRITE : 0));
    w->event = event_new(client->base, fd, flags, on_socket_event, client);
    return w->event && event_add(w->event, NULL) == 0 ? 0 : -1;
}

static int set_socket_options(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    (void)arg;
    (void)purpose;
    int timeout_ms =
        60000; /* unacknowledged data: a dead uplink ends the call, not the kernel's 15 minutes */
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
    return CURL_SOCKOPT_OK;
}

/* ---- one call's data ---- */

static size_t stop(struct http_call *call, int error, size_t abort_value)
{
    if (call->error == 0)
        call->error = error;
    return abort_value;
}

static size_t on_read(char *dst, size_t size, size_t n, void *arg)
{
    struct http_call *call = arg;
    if (call->cancelled || call->error)
        return CURL_READFUNC_ABORT;
    if (call->over)
        return 0;
    ssize_t got = call->req.on_upload(call->req.arg, dst, size * n);
    if (call->cancelled)
        return CURL_READFUNC_ABORT;
    if (got == -EAGAIN) {
        call->paused = true;
        return CURL_READFUNC_PAUSE;
    }
    if (got < 0 || (size_t)got > size * n)
        return stop(call, got < 0 ? (int)got : -EINVAL, CURL_READFUNC_ABORT);
    return (size_t)got;
}

static void show_header(struct http_call *call, char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    char *name = xmalloc(len + 2);
    size_t name_len = colon ? (size_t)(colon - line) : 0;
    memcpy(name, line, name_len);
    name[name_len] = '\0';
    char *value = name + name_len + 1;
    size_t from = colon ? name_len + 1 : len;
    while (from < len && (line[from] == ' ' || line[from] == '\t'))
        from++;
    while (len > from && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    memcpy(value, line + from, len - from);
    value[len - from] = '\0';
    if (name_len || len == 0)
        call->req.on_header(call->req.arg, call->status, name, value);
    free(name);
}

static size_t on_header_line(char *line, size_t size, size_t n, void *arg)
{
    struct http_call *call = arg;
    size_t all = size * n, len = all;
    if (call->cancelled || call->error)
        return 0;
    call->header_bytes += all;
    if (call->header_bytes > HTTP_MAX_HEADER_BYTES)
        return stop(call, -EMSGSIZE, 0);
    while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        long status = 0;
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        call->status = (int)status;
        return all;
    }
    if (call->status < 200 || call->answering) /* 1xx, or trailers */
        return all;
    if (len == 0)
        call->answering = true;
    if (call->req.on_header)
        show_header(call, line, len);
    return call->cancelled ? 0 : all;
}

static size_t on_write(char *data, size_t size, size_t n, void *arg)
{
    struct http_call *call = arg;
    size_t len = size * n;
    if (call->cancelled || call->error)
        return 0;
    call->received_bytes += (int64_t)len;
    if (call->req.max_body_bytes && (uint64_t)call->received_bytes > call->req.max_body_bytes)
        return stop(call, -EMSGSIZE, 0);
    if (!call->req.on_body) {
        int r = buf_append(&call->answer, data, len);
        return r ? stop(call, -EMSGSIZE, 0) : len;
    }
    int r = call->req.on_body(call->req.arg, data, len);
    if (call->cancelled)
        return 0;
    return r ? stop(call, r < 0 ? r : -ECANCELED, 0) : len;
}

/* ---- the end ---- */

static void destroy(struct http_call *call)
{
    struct http_client *client = call->client;
    TAILQ_REMOVE(&client->calls, call, link);
    call->cancelled = true; /* libcurl may still call back while it closes */
    client->depth++;
    curl_multi_remove_handle(client->multi, call->easy);
    curl_easy_cleanup(call->easy);
    client->depth--;
    curl_slist_free_all(call->headers);
    blob_unref(&call->body);
    buf_fini(&call->answer);
    free(call);
}

static int errno_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return -EHOSTUNREACH;
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return -ECONNRESET;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return -EACCES;
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        return -ENOENT;
    case CURLE_OUT_OF_MEMORY: /* what libcurl 7.88 makes of a header line past its own limit */
    case CURLE_FILESIZE_EXCEEDED:
        return -EMSGSIZE;
    default:
        return -EPROTO;
    }
}

static const char *text_of(const struct http_call *call, int error, CURLcode code)
{
    if (error == 0)
        return "";
    if (call->error == -EMSGSIZE)
        return "answer larger than allowed";
    if (call->error)
        return "ended by its user";
    return call->error_text[0] ? call->error_text : curl_easy_strerror(code);
}

static void finish(struct http_call *call, CURLcode code)
{
    struct http_client *client = call->client;
    long status = 0;
    curl_off_t sent = 0, length = -1;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    curl_easy_getinfo(call->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (call->over && code == CURLE_SEND_ERROR && length == call->received_bytes)
        code =
            CURLE_OK; /* the answer was whole; the peer just did not wait for the end of the body */
    int error = call->error ? call->error : errno_of(code);
    if (buf_append(&call->answer, "", 1) == 0)
        call->answer.len--;
    struct http_response res = {
        .status = (int)status,
        .error = error,
        .error_text = text_of(call, error, code),
        .body = call->answer.data,
        .body_len = call->answer.len,
        .sent_bytes = (uint64_t)sent,
        .received_bytes = (uint64_t)call->received_bytes,
    };
    client->depth++;
    call->req.on_done(call->req.arg, &res);
    client->depth--;
    destroy(call);
}

static void finish_calls(struct http_client *client)
{
    if (client->depth)
        return;
    CURLMsg *msg;
    int left;
    while ((msg = curl_multi_info_read(client->multi, &left))) {
        struct http_call *call = NULL;
        CURLcode code = msg->data.result;
        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &call);
        if (call->cancelled)
            destroy(call);
        else
            finish(call, code);
    }
}

static struct http_call *next_to_wake(struct http_client *client)
{
    struct http_call *call;
    TAILQ_FOREACH (call, &client->calls, link)
        if (call->want_wake)
            return call;
    return NULL;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct http_client *client = arg;
    struct http_call *call;
    while ((call = next_to_wake(client))) {
        call->want_wake = false;
        if (call->cancelled) {
            destroy(call);
        } else if (call->paused) {
            call->paused = false;
            client->depth++;
            curl_easy_pause(call->easy, CURLPAUSE_CONT);
            client->depth--;
            drive(client, CURL_SOCKET_TIMEOUT, 0); /* send in this turn of the loop */
        }
    }
    finish_calls(client);
}

void http_request_resume(struct http_call *call)
{
    if (call->paused && !call->want_wake && !call->cancelled)
        wake_later(call);
}

void http_request_cancel(struct http_call *call)
{
    if (!call || call->cancelled)
        return;
    call->cancelled = true;
    if (call->client->depth == 0)
        destroy(call);
    else
        wake_later(call);
}

/* ---- the start ---- */

static bool clean_line(const char *s)
{
    return s && *s && !strpbrk(s, "\r\n");
}

static bool has_header(const struct http_request *req, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < req->nheaders; i++)
        if (strncasecmp(req->headers[i], name, len) == 0 && req->headers[i][len] == ':')
            return true;
    return false;
}

static int add_header(struct http_call *call, const char *line)
{
    struct curl_slist *list = curl_slist_append(call->headers, line);
    if (!list)
        return -ENOMEM;
    call->headers = list;
    return 0;
}

static int add_headers(struct http_call *call, const struct http_request *req)
{
    int r = 0;
    for (size_t i = 0; i < req->nheaders && r == 0; i++) {
        const char *colon = clean_line(req->headers[i]) ? strchr(req->headers[i], ':') : NULL;
        if (!colon || colon == req->headers[i])
            return -EINVAL;
        size_t blank = strspn(colon + 1, " \t");
        if (colon[1 + blank]) {
            r = add_header(call, req->headers[i]);
        } else { /* libcurl's spelling of a header without value */
            char *line = xasprintf("%.*s;", (int)(colon - req->headers[i]), req->headers[i]);
            r = add_header(call, line);
            free(line);
        }
    }
    /* A line "Name:" keeps libcurl from adding that header by itself. */
    if (r == 0 && !has_header(req, "Expect"))
        r = add_header(call, req->expect_continue ? "Expect: 100-continue" : "Expect:");
    if (r == 0 && !has_header(req, "Accept"))
        r = add_header(call, "Accept: */*");
    if (r == 0 && !has_header(req, "Content-Type"))
        r = add_header(call, "Content-Type:");
    return r;
}

static bool valid(const struct http_request *req)
{
    return clean_line(req->method) && clean_line(req->url) && req->nheaders <= MAX_HEADERS &&
           req->on_done && !(req->body && req->on_upload) && strpbrk(req->method, " \t") == NULL;
}

static int set_body(struct http_call *call, const struct http_request *req)
{
    CURL *e = call->easy;
    CURLcode c = CURLE_OK;
    if (req->on_upload) {
        c |= curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
        c |= curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)-1);
        c |= curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
        c |= curl_easy_setopt(e, CURLOPT_READDATA, call);
        c |= curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, (long)HTTP_UPLOAD_BUFFER);
    } else if (req->body || strcmp(req->method, "POST") == 0 || strcmp(req->method, "PUT") == 0) {
        call->body = blob_ref(req->body);
        c |= curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE,
                              (curl_off_t)(req->body ? req->body->len : 0));
        c |= curl_easy_setopt(e, CURLOPT_POSTFIELDS,
                              req->body && req->body->len ? (const char *)req->body->data : "");
    } else if (strcmp(req->method, "HEAD") == 0) {
        c |= curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    }
    c |= curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, req->method);
    return c == CURLE_OK ? 0 : -EINVAL;
}

static int set_security(CURL *e, const struct http_request *req)
{
    CURLcode c = CURLE_OK;
    c |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    c |= curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    c |= curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
    c |= curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
    if (req->ca_file) {
        c |= curl_easy_setopt(e, CURLOPT_CAINFO, req->ca_file);
        c |= curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    }
    if (req->cert_file)
        c |= curl_easy_setopt(e, CURLOPT_SSLCERT, req->cert_file);
    if (req->key_file)
        c |= curl_easy_setopt(e, CURLOPT_SSLKEY, req->key_file);
    return c == CURLE_OK ? 0 : -EINVAL;
}

static int set_transfer(struct http_call *call, const struct http_request *req)
{
    CURL *e = call->easy;
    int64_t whole = req->timeout_ms ? req->timeout_ms : req->on_upload ? 0 : TIMEOUT_MS;
    int64_t connect = req->connect_timeout_ms ? req->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    CURLcode c = CURLE_OK;
    c |= curl_easy_setopt(e, CURLOPT_URL, req->url);
    if (req->unix_socket) {
        c |= curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, req->unix_socket);
        c |= curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    }
    c |= curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    c |= curl_easy_setopt(e, CURLOPT_HTTPHEADER, call->headers);
    c |= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header_line);
    c |= curl_easy_setopt(e, CURLOPT_HEADERDATA, call);
    c |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
    c |= curl_easy_setopt(e, CURLOPT_WRITEDATA, call);
    c |= curl_easy_setopt(e, CURLOPT_ERRORBUFFER, call->error_text);
    c |= curl_easy_setopt(e, CURLOPT_PRIVATE, call);
    c |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    c |= curl_easy_setopt(e, CURLOPT_QUICK_EXIT,
                          1L); /* a name that is still being resolved holds up no exit */
    c |= curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    c |= curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    c |= curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
    c |= curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
    c |= curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, set_socket_options);
    c |= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)connect);
    c |= curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)whole);
    /* A streaming request has a connection of its own: its end is unclean more often than not. */
    c |= curl_easy_setopt(e, CURLOPT_DNS_CACHE_TIMEOUT, DNS_CACHE_S);
    c |= curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, req->on_upload ? 1L : 0L);
    c |= curl_easy_setopt(e, CURLOPT_FORBID_REUSE, req->close_after || req->on_upload ? 1L : 0L);
    return c == CURLE_OK ? 0 : -EINVAL;
}

static bool good_url(const char *url)
{
    CURLU *u = curl_url();
    char *host = NULL;
    bool ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && host[0] &&
              (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0);
    curl_free(host);
    curl_url_cleanup(u);
    return ok;
}

int http_request(struct http_client *client, const struct http_request *req, struct http_call **out)
{
    if (!valid(req) || !good_url(req->url))
        return -EINVAL;
    struct http_call *call = xcalloc(1, sizeof(*call));
    call->client = client;
    call->req = *req;
    if (!req->max_body_bytes && !req->on_body)
        call->req.max_body_bytes = HTTP_DEFAULT_MAX_BODY;
    buf_init(&call->answer, call->req.max_body_bytes + 1);
    int r = -ENOMEM;
    call->easy = curl_easy_init();
    if (call->easy)
        r = add_headers(call, req);
    if (r == 0)
        r = set_transfer(call, req);
    if (r == 0)
        r = set_security(call->easy, req);
    if (r == 0)
        r = set_body(call, req);
    if (r == 0) {
        CURLMcode m = curl_multi_add_handle(client->multi, call->easy);
        r = m == CURLM_OK ? 0 : m == CURLM_RECURSIVE_API_CALL ? -EBUSY : -ENOMEM;
    }
    if (r) {
        curl_easy_cleanup(call->easy);
        curl_slist_free_all(call->headers);
        blob_unref(&call->body);
        free(call);
        return r;
    }
    call->req.headers = NULL; /* what was borrowed for this call only */
    call->req.method = call->req.url = call->req.ca_file = call->req.cert_file =
        call->req.key_file = NULL;
    call->req.body = NULL;
    TAILQ_INSERT_TAIL(&client->calls, call, link);
    if (out)
        *out = call;
    return 0;
}

struct http_client *http_client_create(struct event_base *base)
{
    static bool started;
    if (!started && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    started = true;
    struct http_client *client = xcalloc(1, sizeof(*client));
    TAILQ_INIT(&client->calls);
    client->base = base;
    client->multi = curl_multi_init();
    client->timer = event_new(base, -1, 0, on_timer, client);
    client->wake = event_new(base, -1, 0, on_wake, client);
    if (!client->multi || !client->timer || !client->wake) {
        http_client_destroy(client);
        return NULL;
    }
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS);
    return client;
}

void http_client_destroy(struct http_client *client)
{
    if (!client)
        return;
    struct http_call *call;
    while ((call = TAILQ_FIRST(&client->calls)))
        destroy(call);
    if (client->multi)
        curl_multi_cleanup(client->multi);
    if (client->timer)
        event_free(client->timer);
    if (client->wake)
        event_free(client->wake);
    free(client);
}
