/* The HTTP server of server/http.h over real loopback sockets, driven from the same loop.
 * Relies on Check and libevent.
 * Leaves TLS and the KVS operations to tests/conformance/server. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "server/http.h"
#include "tests/unit/suite.h"

static struct event_base *base;
static struct http_server *srv;
static struct http_exchange *held;
static char got[1 << 17];
static size_t got_len;
static int ended, closed, was_cut;

static void on_data(struct http_exchange *ex, const uint8_t *data, size_t len)
{
    memcpy(got + got_len, data, len);
    got_len += len;
}

static void on_end(struct http_exchange *ex)
{
    ended++;
    http_finish(ex);
}

static void on_broken(struct http_exchange *ex)
{
    http_chunk(ex, "broken", 6);
    http_finish(ex);
}

static void on_closed(struct http_exchange *ex)
{
    closed++;
    was_cut = ex->cut;
    held = NULL;
}

static void echo(struct http_exchange *ex, const uint8_t *body, size_t len)
{
    http_reply(ex, 200, body, len);
}

static void tell_header(struct http_exchange *ex, const uint8_t *body, size_t len)
{
    const char *kept = http_header(ex, "x-kept"), *late = http_header(ex, "x-late");
    http_reply(ex, late ? 500 : 200, kept, kept ? strlen(kept) : 0);
}

static void handle(void *arg, struct http_exchange *ex)
{
    static const struct http_body_ops ops = {.data = on_data, .end = on_end};
    static const struct http_body_ops telling = {
        .data = on_data, .end = on_end, .broken = on_broken};
    http_on_closed(ex, on_closed);
    if (!strcmp(ex->path, "/stream") || !strcmp(ex->path, "/telling")) {
        held = ex;
        http_stream_body(ex, ex->path[1] == 't' ? &telling : &ops);
        http_start(ex, 200);
    } else if (!strcmp(ex->path, "/header")) {
        http_read_body(ex, 1000, tell_header);
    } else if (!strcmp(ex->path, "/deny")) {
        http_reply(ex, 403, "no", 2);
    } else if (!strcmp(ex->path, "/big")) {
        static char big[1 << 20];
        http_reply(ex, 200, big, sizeof big);
    } else if (!strcmp(ex->path, "/flood")) {
        http_start(ex, 200);
        static char big[65536];
        while (http_chunk(ex, big, sizeof big) == 0)
            ;
    } else {
        http_read_body(ex, 1000, echo);
    }
}

static void setup(void)
{
    struct http_limits limits = {.head_timeout_ms = 200,
                                 .idle_timeout_ms = 300,
                                 .body_timeout_ms = 200,
                                 .connections = 3,
                                 .unsent_bytes = 1 << 20};
    base = event_base_new();
    srv = http_server_new(base, &limits, handle, NULL);
    ck_assert_int_eq(http_server_listen(srv, "127.0.0.1:0"), 0);
    got_len = 0;
    ended = closed = was_cut = 0;
    held = NULL;
}

static void teardown(void)
{
    http_server_free(srv);
    event_base_free(base);
}

static int connect_one(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(http_server_port(srv)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void turn(void)
{
    struct timeval tv = {0, 2000};
    event_base_loopexit(base, &tv);
    event_base_dispatch(base);
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    turn();
}

/* Reads until the text shows up, the peer closes, or 3 s pass. Returns 1 when it showed up. */
static int expect(int fd, const char *text, char *all, size_t size)
{
    size_t n = 0;
    all[0] = 0;
    for (int i = 0; i < 1500; i++) {
        ssize_t r = read(fd, all + n, size - 1 - n);
        if (r == 0)
            return strstr(all, text) != NULL;
        if (r > 0) {
            n += (size_t)r;
            all[n] = 0;
            if (*text && strstr(all, text))
                return 1;
        }
        turn();
    }
    return 0;
}

#define EXPECT(fd, text)                                                                           \
    do {                                                                                           \
        char all_[65536];                                                                          \
        ck_assert_msg(expect(fd, text, all_, sizeof all_), "no '%s' in: %s", text, all_);          \
    } while (0)

START_TEST(keep_alive_serves_one_after_another)
{
    int fd = connect_one();
    for (int i = 0; i < 3; i++) {
        say(fd, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        EXPECT(fd, "\r\n\r\nabc");
    }
    ck_assert_int_eq(closed, 3);
    close(fd);
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order)
{
    int fd = connect_one();
    say(fd, "POST /x HTTP/1.1\r\nContent-Length: 1\r\n\r\naPOST /x HTTP/1.1\r\nContent-Length: "
            "1\r\n\r\nb");
    EXPECT(fd, "\r\n\r\nb");
    close(fd);
}
END_TEST

START_TEST(head_split_at_every_byte)
{
    const char *req =
        "POST /x?q=1 HTTP/1.1\r\nHost: a\r\nX-Long: value \r\nContent-Length: 2\r\n\r\nok";
    int fd = connect_one();
    for (const char *p = req; *p; p++) {
        ck_assert_int_eq(write(fd, p, 1), 1);
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    EXPECT(fd, "\r\n\r\nok");
    close(fd);
}
END_TEST

START_TEST(answer_runs_while_the_body_comes)
{
    int fd = connect_one();
    say(fd, "POST /stream HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    EXPECT(fd, "Transfer-Encoding: chunked\r\n\r\n");
    ck_assert_ptr_nonnull(held);
    ck_assert_int_eq(http_chunk(held, "one", 3), 0);
    EXPECT(fd, "3\r\none\r\n");
    say(fd, "2\r\nde\r\n");
    ck_assert_int_eq(http_chunk(held, "two", 3), 0);
    EXPECT(fd, "3\r\ntwo\r\n");
    say(fd, "0\r\n\r\n");
    EXPECT(fd, "0\r\n\r\n");
    ck_assert_int_eq(ended, 1);
    ck_assert_int_eq(got_len, 5);
    ck_assert(!memcmp(got, "abcde", 5));
    close(fd);
}
END_TEST

START_TEST(expect_continue_comes_first)
{
    int fd = connect_one();
    say(fd, "POST /x HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    EXPECT(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "hi");
    EXPECT(fd, "\r\n\r\nhi");
    close(fd);
}
END_TEST

START_TEST(refused_request_sends_no_continue_and_closes)
{
    int fd = connect_one();
    char all[4096];
    say(fd, "POST /deny HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    ck_assert(!expect(fd, "100 Continue", all, sizeof all));
    ck_assert(strstr(all, "HTTP/1.1 403") && strstr(all, "Connection: close"));
    close(fd);
}
END_TEST

START_TEST(paused_body_stops_and_resumes)
{
    int fd = connect_one();
    say(fd, "POST /stream HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc");
    http_pause_body(held, true);
    say(fd, "def");
    turn();
    ck_assert_int_eq(got_len, 3);
    http_pause_body(held, false);
    EXPECT(fd, "0\r\n\r\n");
    ck_assert_int_eq(got_len, 6);
    close(fd);
}
END_TEST

START_TEST(cut_inside_a_body_is_told)
{
    int fd = connect_one();
    say(fd, "POST /stream HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc");
    close(fd);
    for (int i = 0; i < 100 && !closed; i++)
        turn();
    ck_assert_int_eq(closed, 1);
    ck_assert_int_eq(was_cut, 1);
    ck_assert_int_eq(ended, 0);
}
END_TEST

/* A chunk's length that is none, or an end of the connection in the middle of a body. */
START_TEST(a_broken_body_can_still_be_answered)
{
    int fd = connect_one();
    say(fd, "POST /telling HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    if (_i)
        shutdown(fd, SHUT_WR);
    else
        say(fd, "xyz\r\n");
    EXPECT(fd, "6\r\nbroken\r\n0\r\n\r\n");
    close(fd);
    for (int i = 0; i < 100 && !closed; i++)
        turn();
    ck_assert_int_eq(closed, 1);
    ck_assert_int_eq(was_cut, 1);
    ck_assert_int_eq(ended, 0);
    ck_assert_int_eq(got_len, 3);
}
END_TEST

START_TEST(half_close_after_the_request_still_gets_the_answer)
{
    int fd = connect_one();
    say(fd, "POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi");
    shutdown(fd, SHUT_WR);
    EXPECT(fd, "\r\n\r\nhi");
    close(fd);
}
END_TEST

START_TEST(slow_head_is_cut)
{
    int fd = connect_one();
    char all[4096];
    say(fd, "POST /x HT");
    ck_assert(!expect(fd, "never", all, sizeof all));
    for (int i = 0; i < 200 && http_server_connections(srv); i++)
        turn();
    ck_assert_int_eq(http_server_connections(srv), 0);
    close(fd);
}
END_TEST

START_TEST(slow_body_gets_408)
{
    int fd = connect_one();
    say(fd, "POST /x HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc");
    EXPECT(fd, "HTTP/1.1 408");
    close(fd);
}
END_TEST

START_TEST(reader_too_slow_is_cut)
{
    int fd = connect_one();
    say(fd, "GET /flood HTTP/1.1\r\n\r\n");
    for (int i = 0; i < 100 && !closed; i++)
        turn();
    ck_assert_int_eq(closed, 1);
    ck_assert_int_eq(was_cut, 1);
    close(fd);
}
END_TEST

START_TEST(asking_on_without_reading_waits)
{
    enum { REQUESTS = 20 };
    int fd = connect_one();
    static char skip[65536];
    for (int i = 0; i < REQUESTS; i++)
        say(fd, "GET /big HTTP/1.1\r\n\r\n");
    for (int i = 0; i < 20; i++)
        turn();
    ck_assert_int_lt(closed, REQUESTS);
    for (int i = 0; i < 100000 && closed < REQUESTS; i++) {
        while (read(fd, skip, sizeof skip) > 0)
            ;
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    ck_assert_int_eq(closed, REQUESTS);
    close(fd);
}
END_TEST

START_TEST(one_that_asks_nothing_makes_room)
{
    int fds[4];
    fds[0] = connect_one();
    say(fds[0], "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
    fds[1] = connect_one();
    say(fds[1], "GET /deny HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT(fds[1], "HTTP/1.1 403");
    fds[2] = connect_one();
    say(fds[2], "GET /deny HTT"); /* never a whole one: goes first */
    for (int i = 3; i-- > 1;) {
        fds[3] = connect_one();
        say(fds[3], "GET /deny HTTP/1.1\r\nHost: x\r\n\r\n");
        EXPECT(fds[3], "HTTP/1.1 403");
        char c;
        ck_assert_int_eq(read(fds[i], &c, 1), 0);
        close(fds[i]);
    }
    ck_assert_int_eq(was_cut, 0);
    say(fds[0], "123456789");
    EXPECT(fds[0], "0\r\n\r\n");
    close(fds[0]);
}
END_TEST

START_TEST(connections_are_limited)
{
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = connect_one();
        turn();
        if (i < 3)
            say(fds[i], "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
    }
    EXPECT(fds[3], "HTTP/1.1 503");
    ck_assert_int_eq(http_server_connections(srv), 3);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}
END_TEST

static const struct {
    const char *request, *status;
} refused[] = {
    {"POST /x HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400"},
    {"POST /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 400"},
    {"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", "HTTP/1.1 400"},
    {"POST /x HTTP/1.1\r\nContent-Length: 1001\r\n\r\n", "HTTP/1.1 413"},
    {"POST /x HTTP/1.1\r\nBad Header: 1\r\n\r\n", "HTTP/1.1 400"},
    {"\x16\x03\x01\x02\x01garbage\r\n\r\n", "HTTP/1.1 400"},
};

START_TEST(bad_requests_are_refused)
{
    int fd = connect_one();
    say(fd, refused[_i].request);
    EXPECT(fd, refused[_i].status);
    close(fd);
}
END_TEST

START_TEST(chunked_body_above_the_maximum_gets_413)
{
    int fd = connect_one();
    char body[1200];
    memset(body, 'a', sizeof body);
    say(fd, "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4b0\r\n");
    ck_assert_int_eq(write(fd, body, sizeof body), 1200);
    EXPECT(fd, "HTTP/1.1 413");
    close(fd);
}
END_TEST

/* They come after the head was handed on: nothing of it may move. */
START_TEST(trailers_are_bounded_and_leave_the_head_alone)
{
    static char all[8192], many[65536];
    int fd = connect_one();
    size_t n = 0;
    say(fd, "POST /header HTTP/1.1\r\nHost: a\r\nX-Kept: kept-value\r\nTransfer-Encoding: "
            "chunked\r\n\r\n"
            "2\r\nab\r\n0\r\n");
    for (unsigned i = 0; i < 60; i++)
        n += (size_t)snprintf(many + n, sizeof many - n, "X-Late: %0200u\r\n", i);
    snprintf(many + n, sizeof many - n, "\r\n");
    say(fd, many);
    ck_assert(expect(fd, "kept-value", all, sizeof all));
    ck_assert_ptr_nonnull(strstr(all, "200 OK"));
    say(fd, "POST /header HTTP/1.1\r\nHost: a\r\nX-Kept: again\r\nContent-Length: 0\r\n\r\n");
    ck_assert(expect(fd, "again", all, sizeof all));
    say(fd, "POST /header HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
    memset(many, 'x', 20000);
    snprintf(many + 20000, 16, ": y\r\n");
    say(fd, many);
    ck_assert(expect(fd, "431", all, sizeof all));
    close(fd);
}
END_TEST

START_TEST(loopback_addresses_are_known)
{
    ck_assert(http_address_is_loopback("127.0.0.1:1"));
    ck_assert(http_address_is_loopback("[::1]:1"));
    ck_assert(!http_address_is_loopback("0.0.0.0:1"));
    ck_assert(!http_address_is_loopback("192.0.2.1:1"));
    ck_assert(!http_address_is_loopback("nonsense"));
}
END_TEST

START_TEST(port_in_use_is_said)
{
    char addr[32];
    struct http_server *other = http_server_new(base, NULL, handle, NULL);
    snprintf(addr, sizeof addr, "127.0.0.1:%u", http_server_port(srv));
    ck_assert_int_eq(http_server_listen(other, addr), -EADDRINUSE);
    http_server_free(other);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("server_http");
    TCase *t = tcase_create("server_http");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 10);
    tcase_add_test(t, keep_alive_serves_one_after_another);
    tcase_add_test(t, pipelined_requests_are_answered_in_order);
    tcase_add_test(t, head_split_at_every_byte);
    tcase_add_test(t, answer_runs_while_the_body_comes);
    tcase_add_test(t, expect_continue_comes_first);
    tcase_add_test(t, refused_request_sends_no_continue_and_closes);
    tcase_add_test(t, paused_body_stops_and_resumes);
    tcase_add_test(t, cut_inside_a_body_is_told);
    tcase_add_loop_test(t, a_broken_body_can_still_be_answered, 0, 2);
    tcase_add_test(t, half_close_after_the_request_still_gets_the_answer);
    tcase_add_test(t, slow_head_is_cut);
    tcase_add_test(t, slow_body_gets_408);
    tcase_add_test(t, reader_too_slow_is_cut);
    tcase_add_test(t, asking_on_without_reading_waits);
    tcase_add_test(t, one_that_asks_nothing_makes_room);
    tcase_add_test(t, connections_are_limited);
    tcase_add_loop_test(t, bad_requests_are_refused, 0, sizeof refused / sizeof *refused);
    tcase_add_test(t, chunked_body_above_the_maximum_gets_413);
    tcase_add_test(t, trailers_are_bounded_and_leave_the_head_alone);
    tcase_add_test(t, loopback_addresses_are_known);
    tcase_add_test(t, port_in_use_is_said);
    suite_add_tcase(s, t);
    return suite_run(s);
}
