/* Claims about http_client, against a small scripted server on a loopback socket of the same event
 * loop. Relies on libevent's bufferevents; nothing leaves this machine, nothing sleeps. Leaves TLS
 * to the pipeline tests. */
#include "common/http_client.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "common/blob.h"
#include "tests/unit/suite.h"

/* What the server does, by the number of bytes of body chunks seen so far. */
enum script {
    ANSWER,      /* whole answer after the request's head and Content-Length body */
    ECHO_CHUNKS, /* a chunked answer that begins at once; every "ping" in the body gives a "pong" */
    RESET,       /* connection reset after the first body bytes */
    EARLY_END,   /* whole chunked answer after the first body bytes, connection kept */
    SILENT,      /* nothing at all */
};

struct fixture {
    struct event_base *base;
    struct http_client *client;
    struct evconnlistener *listener;
    struct bufferevent *peer;
    char url[64];
    enum script script;
    const char *answer;
    size_t answer_len;
    bool head_seen, answered;
    char head[8192];
    size_t pongs;
    unsigned connections;

    struct http_call *call;
    int pings_wanted, pings_sent;
    size_t got;
    char text[256];
    int done, status, error;
    char error_text[256];
    uint64_t sent;
    int headers, header_status;
    char last_header[128];
    bool cancel_in_body, cancel_in_upload, cancel_in_header, cancel_in_done, paused, ended;
};

static struct fixture f;

/* ---- server ---- */

static void put(const char *s)
{
    bufferevent_write(f.peer, s, strlen(s));
}

static void reset_peer(void)
{
    struct linger l = {1, 0};
    setsockopt(bufferevent_getfd(f.peer), SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    bufferevent_free(f.peer);
    f.peer = NULL;
}

static bool take_head(struct evbuffer *in)
{
    struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
    if (end.pos < 0)
        return false;
    size_t len = (size_t)end.pos + 4;
    ck_assert_uint_lt(len, sizeof(f.head));
    evbuffer_remove(in, f.head, len);
    f.head[len] = '\0';
    f.head_seen = true;
    if (f.script == ECHO_CHUNKS)
        put("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Test: 1\r\n\r\n");
    return true;
}

static void echo(struct evbuffer *in)
{
    for (;;) {
        struct evbuffer_ptr at = evbuffer_search(in, "ping", 4, NULL);
        struct evbuffer_ptr end = evbuffer_search(in, "\r\n0\r\n\r\n", 7, NULL);
        if (at.pos >= 0) {
            evbuffer_drain(in, (size_t)at.pos + 4);
            put("4\r\npong\r\n");
        } else {
            if (end.pos >= 0 ||
                (evbuffer_get_length(in) == 5 && !memcmp(evbuffer_pullup(in, 5), "0\r\n\r\n", 5)))
                put("0\r\n\r\n");
            return;
        }
    }
}

static void on_peer_read(struct bufferevent *bev, void *arg)
{
    struct evbuffer *in = bufferevent_get_input(bev);
    (void)arg;
    if (!f.head_seen && !take_head(in))
        return;
    switch (f.script) {
    case ANSWER:
        if (!f.answered && (!strstr(f.head, "POST") || evbuffer_get_length(in) >= 5))
            bufferevent_write(bev, f.answer, f.answer_len);
        evbuffer_drain(in, evbuffer_get_length(in));
        f.head_seen = false;
        break;
    case ECHO_CHUNKS:
        echo(in);
        break;
    case RESET:
        if (evbuffer_get_length(in) > 0)
            reset_peer();
        break;
    case EARLY_END:
        if (evbuffer_get_length(in) > 0 && !f.answered) {
            f.answered = true;
            put("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndone\r\n0\r\n\r\n");
        }
        evbuffer_drain(in, evbuffer_get_length(in));
        break;
    case SILENT:
        break;
    }
}

static void on_peer_event(struct bufferevent *bev, short what, void *arg)
{
    (void)arg;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
        bufferevent_free(bev);
        if (f.peer == bev)
            f.peer = NULL;
        if (f.done == 0 && f.call == NULL) /* a cancelled call closed its connection */
            event_base_loopbreak(f.base);
    }
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
                      void *arg)
{
    (void)l;
    (void)sa;
    (void)len;
    (void)arg;
    f.connections++;
    if (f.peer)
        bufferevent_free(f.peer);
    f.head_seen = false;
    f.peer = bufferevent_socket_new(f.base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(f.peer, on_peer_read, NULL, on_peer_event, NULL);
    bufferevent_enable(f.peer, EV_READ | EV_WRITE);
}

static void setup(void)
{
    f = (struct fixture){0};
    unsetenv("http_proxy");
    f.base = event_base_new();
    f.client = http_client_create(f.base);
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    f.listener = evconnlistener_new_bind(f.base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE, 8,
                                         (struct sockaddr *)&sin, sizeof(sin));
    ck_assert_ptr_nonnull(f.listener);
    socklen_t len = sizeof(sin);
    getsockname(evconnlistener_get_fd(f.listener), (struct sockaddr *)&sin, &len);
    snprintf(f.url, sizeof(f.url), "http://127.0.0.1:%u/putMedia", ntohs(sin.sin_port));
}

static void teardown(void)
{
    http_client_destroy(f.client);
    if (f.peer)
        bufferevent_free(f.peer);
    if (f.listener)
        evconnlistener_free(f.listener);
    event_base_free(f.base);
}

/* ---- the user's callbacks ---- */

static void cancel(void)
{
    http_request_cancel(f.call);
    f.call = NULL;
}

static void on_done(void *arg, const struct http_response *res)
{
    (void)arg;
    f.done++;
    f.status = res->status;
    f.error = res->error;
    f.sent = res->sent_bytes;
    snprintf(f.error_text, sizeof(f.error_text), "%s", res->error_text);
    if (res->body && res->body_len < sizeof(f.text))
        memcpy(f.text, res->body, res->body_len + 1);
    if (f.cancel_in_done)
        cancel();
    event_base_loopbreak(f.base);
}

static void on_header(void *arg, int status, const char *name, const char *value)
{
    (void)arg;
    f.headers++;
    f.header_status = status;
    if (*name)
        snprintf(f.last_header, sizeof(f.last_header), "%s=%s", name, value);
    if (f.cancel_in_header)
        cancel();
}

/* Sends one ping at a time: the next only when the answer to the one before came. */
static ssize_t on_upload(void *arg, void *dst, size_t cap)
{
    (void)arg;
    ck_assert_uint_ge(cap, 4);
    if (f.cancel_in_upload) {
        cancel();
        return -EAGAIN;
    }
    if (f.pings_sent == f.pings_wanted)
        return f.ended ? 0 : -EAGAIN;
    if ((size_t)f.pings_sent * 4 > f.got) {
        f.paused = true;
        return -EAGAIN;
    }
    f.pings_sent++;
    memcpy(dst, "ping", 4);
    return 4;
}

static int on_body(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    f.got += len;
    if (f.cancel_in_body) {
        cancel();
        return 0;
    }
    if (f.got == (size_t)f.pings_wanted * 4)
        f.ended = true;
    http_request_resume(f.call);
    return 0;
}

static struct http_request get(void)
{
    return (struct http_request){
        .method = "GET", .url = f.url, .timeout_ms = 5000, .on_done = on_done};
}

static struct http_request upload(void)
{
    return (struct http_request){.method = "POST",
                                 .url = f.url,
                                 .timeout_ms = 5000,
                                 .on_upload = on_upload,
                                 .on_header = on_header,
                                 .on_body = on_body,
                                 .on_done = on_done};
}

static void run(const struct http_request *req)
{
    ck_assert_int_eq(http_request(f.client, req, &f.call), 0);
    ck_assert_int_eq(f.done, 0);
    event_base_dispatch(f.base);
}

static void answer(const char *text)
{
    f.script = ANSWER;
    f.answer = text;
    f.answer_len = strlen(text);
}

/* ---- claims ---- */

START_TEST(plain_call_gets_status_headers_and_body)
{
    answer("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nX-Amzn-ErrorType:  Gone \r\n\r\nhello");
    static const uint8_t body[] = "{\"a\":";
    struct blob *b = blob_copy(body, 5);
    const char *headers[] = {"Content-Type: application/json", "x-amz-date: 20150830T123600Z"};
    struct http_request req = get();
    req.method = "POST";
    req.body = b;
    req.headers = headers;
    req.nheaders = 2;
    req.on_header = on_header;
    ck_assert_int_eq(http_request(f.client, &req, &f.call), 0);
    blob_unref(&b);
    event_base_dispatch(f.base);
    ck_assert_int_eq(f.done, 1);
    ck_assert_int_eq(f.error, 0);
    ck_assert_int_eq(f.status, 404);
    ck_assert_str_eq(f.text, "hello");
    ck_assert_str_eq(f.last_header, "X-Amzn-ErrorType=Gone");
    ck_assert_int_eq(f.headers, 3); /* two and the end */
    ck_assert_ptr_nonnull(strstr(f.head, "POST /putMedia HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(f.head, "\r\nContent-Length: 5\r\n"));
    ck_assert_ptr_nonnull(strstr(f.head, "\r\nx-amz-date: 20150830T123600Z\r\n"));
    ck_assert_ptr_null(strstr(f.head, "Expect"));
}
END_TEST

START_TEST(second_call_uses_the_same_connection)
{
    answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    struct http_request req = get();
    run(&req);
    f.done = 0;
    run(&req);
    ck_assert_int_eq(f.done, 1);
    ck_assert_uint_eq(f.connections, 1);
}
END_TEST

START_TEST(answer_arrives_while_the_body_is_still_sent)
{
    f.script = ECHO_CHUNKS;
    f.pings_wanted = 200;
    struct http_request req = upload();
    run(&req);
    ck_assert_int_eq(f.done, 1);
    ck_assert_msg(f.error == 0, "%d %s", f.error, f.error_text);
    ck_assert_int_eq(f.status, 200);
    ck_assert_int_eq(f.pings_sent, 200); /* each waited for the answer to the one before */
    ck_assert_uint_eq(f.got, 800);
    ck_assert_str_eq(f.last_header, "X-Test=1");
    ck_assert(f.paused);
    ck_assert_ptr_nonnull(strstr(f.head, "Transfer-Encoding: chunked\r\n"));
    ck_assert_ptr_null(strstr(f.head, "Expect"));
}
END_TEST

START_TEST(cancel_in_a_callback_gives_no_further_callback)
{
    f.script = ECHO_CHUNKS;
    f.pings_wanted = 3;
    f.cancel_in_body = _i == 0;
    f.cancel_in_upload = _i == 1;
    f.cancel_in_header = _i == 2;
    struct http_request req = upload();
    run(&req); /* ends when the server sees the connection close */
    ck_assert_int_eq(f.done, 0);
    ck_assert_uint_eq(f.got, _i == 0 ? 4 : 0);
    ck_assert_int_eq(f.headers, _i == 0 ? 3 : _i == 1 ? 0 : 1);
}
END_TEST

START_TEST(cancel_in_on_done_is_harmless)
{
    answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    f.cancel_in_done = true;
    struct http_request req = get();
    run(&req);
    event_base_loop(f.base, EVLOOP_NONBLOCK);
    ck_assert_int_eq(f.done, 1);
}
END_TEST

START_TEST(reset_in_mid_upload_is_reported_once)
{
    f.script = RESET;
    f.pings_wanted = 1;
    struct http_request req = upload();
    run(&req);
    ck_assert_int_eq(f.done, 1);
    ck_assert_int_eq(f.status, 0);
    ck_assert_int_eq(f.error, -ECONNRESET);
    ck_assert_str_ne(f.error_text, "");
}
END_TEST

START_TEST(answer_that_ends_before_a_paused_body_ends_the_call)
{
    f.script = EARLY_END;
    f.pings_wanted = 2;
    f.got = 0;
    struct http_request req = upload();
    req.on_body = NULL;
    run(&req);
    ck_assert_int_eq(f.done, 1);
    ck_assert_int_eq(f.error, 0);
    ck_assert_int_eq(f.status, 200);
    ck_assert_str_eq(f.text, "done");
    ck_assert_int_eq(f.pings_sent, 1);
}
END_TEST

static ssize_t endless(void *arg, void *dst, size_t cap)
{
    (void)arg;
    memset(dst, 'x', cap);
    return (ssize_t)cap;
}

START_TEST(answer_that_ends_before_a_running_body_ends_the_call)
{
    f.script = EARLY_END;
    struct http_request req = upload();
    req.on_upload = endless;
    req.on_body = NULL;
    run(&req);
    ck_assert_int_eq(f.done, 1);
    ck_assert_msg(f.error == 0, "%d %s", f.error, f.error_text);
    ck_assert_int_eq(f.status, 200);
    ck_assert_str_eq(f.text, "done");
}
END_TEST

static const struct {
    const char *answer;
    int error;
} cut[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", -ECONNRESET},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", -ECONNRESET},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n", -ECONNRESET},
    {"\x16\x03\x01 not http at all\r\n\r\n", -EPROTO},
};

static void close_after_write(struct bufferevent *bev, void *arg)
{
    (void)arg;
    bufferevent_free(bev);
    f.peer = NULL;
}

static void cut_read(struct bufferevent *bev, void *arg)
{
    struct evbuffer *in = bufferevent_get_input(bev);
    (void)arg;
    evbuffer_drain(in, evbuffer_get_length(in));
    bufferevent_write(bev, f.answer, f.answer_len);
    bufferevent_setcb(bev, NULL, close_after_write, NULL, NULL);
}

static void accept_to_cut(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa,
                          int len, void *arg)
{
    on_accept(l, fd, sa, len, arg);
    bufferevent_setcb(f.peer, cut_read, NULL, NULL, NULL);
}

START_TEST(cut_or_broken_answer_is_an_error)
{
    answer(cut[_i].answer);
    evconnlistener_set_cb(f.listener, accept_to_cut, NULL);
    struct http_request req = get();
    run(&req);
    ck_assert_int_eq(f.done, 1);
    ck_assert_msg(f.error == cut[_i].error, "%d %s", f.error, f.error_text);
}
END_TEST

START_TEST(cut_answer_to_an_upload_is_an_error)
{
    answer(cut[_i].answer);
    evconnlistener_set_cb(f.listener, accept_to_cut, NULL);
    f.pings_wanted = 1;
    struct http_request req = upload();
    run(&req);
    ck_assert_int_eq(f.done, 1);
    ck_assert_int_eq(f.status, 200);
    ck_assert_msg(f.error == -ECONNRESET, "%d %s", f.error, f.error_text);
}
END_TEST

START_TEST(oversize_body_is_refused)
{
    answer("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world");
    struct http_request req = get();
    req.max_body_bytes = 10;
    run(&req);
    ck_assert_int_eq(f.error, -EMSGSIZE);
    f.done = 0;
    req.max_body_bytes = 11;
    run(&req);
    ck_assert_int_eq(f.error, 0);
    ck_assert_str_eq(f.text, "hello world");
}
END_TEST

START_TEST(oversize_headers_are_refused)
{
    size_t n = 0, size = 3 * HTTP_MAX_HEADER_BYTES;
    char *text = calloc(1, size + 2048);
    n += (size_t)sprintf(text, "HTTP/1.1 200 OK\r\n");
    if (_i == 1) { /* one line without end, else many lines */
        memset(text + n, 'a', size - n);
        n = size;
    }
    while (n < size)
        n += (size_t)sprintf(text + n, "X-A: %01000d\r\n", 0);
    f.script = ANSWER;
    f.answer = text;
    f.answer_len = n;
    struct http_request req = get();
    run(&req);
    ck_assert_int_eq(f.error, -EMSGSIZE);
    free(text);
}
END_TEST

START_TEST(refused_connection_and_timeout_are_told_apart)
{
    struct http_request req = get();
    f.script = SILENT;
    req.timeout_ms = 30;
    run(&req);
    ck_assert_int_eq(f.error, -ETIMEDOUT);
    evconnlistener_free(f.listener);
    f.listener = NULL;
    f.done = 0;
    run(&req);
    ck_assert_int_eq(f.error, -ECONNREFUSED);
    ck_assert_int_eq(f.status, 0);
}
END_TEST

START_TEST(bad_requests_are_refused_at_once)
{
    static const char *const urls[] = {
        "", "kvs", "ftp://127.0.0.1/", "file:///etc/passwd", "http://", "http://a/\r\nX: y"};
    static const char *const lines[] = {"no colon", ": no name", "X: a\r\nY: b", ""};
    for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
        struct http_request req = get();
        req.url = urls[i];
        ck_assert_msg(http_request(f.client, &req, NULL) == -EINVAL, "%s", urls[i]);
    }
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        struct http_request req = get();
        req.headers = &lines[i];
        req.nheaders = 1;
        ck_assert_msg(http_request(f.client, &req, NULL) == -EINVAL, "%s", lines[i]);
    }
}
END_TEST

START_TEST(destroy_with_calls_under_way_calls_nobody)
{
    f.script = ECHO_CHUNKS;
    f.pings_wanted = 3;
    struct http_request req = upload();
    ck_assert_int_eq(http_request(f.client, &req, &f.call), 0);
    for (int i = 0; i < 100 && f.got == 0; i++)
        event_base_loop(f.base, EVLOOP_ONCE);
    ck_assert_uint_gt(f.got, 0);
    http_client_destroy(f.client);
    f.client = NULL;
    ck_assert_int_eq(f.done, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("http_client");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, plain_call_gets_status_headers_and_body);
    tcase_add_test(t, second_call_uses_the_same_connection);
    tcase_add_test(t, answer_arrives_while_the_body_is_still_sent);
    tcase_add_loop_test(t, cancel_in_a_callback_gives_no_further_callback, 0, 3);
    tcase_add_test(t, cancel_in_on_done_is_harmless);
    tcase_add_test(t, reset_in_mid_upload_is_reported_once);
    tcase_add_test(t, answer_that_ends_before_a_paused_body_ends_the_call);
    tcase_add_test(t, answer_that_ends_before_a_running_body_ends_the_call);
    tcase_add_loop_test(t, cut_or_broken_answer_is_an_error, 0, sizeof(cut) / sizeof(*cut));
    tcase_add_loop_test(t, cut_answer_to_an_upload_is_an_error, 0, 3);
    tcase_add_test(t, oversize_body_is_refused);
    tcase_add_loop_test(t, oversize_headers_are_refused, 0, 2);
    tcase_add_test(t, refused_connection_and_timeout_are_told_apart);
    tcase_add_test(t, bad_requests_are_refused_at_once);
    tcase_add_test(t, destroy_with_calls_under_way_calls_nobody);
    suite_add_tcase(s, t);
    return suite_run(s);
}
