/* Links with keys over real sockets: who has one gets through, everybody else is refused and named.
 * Relies on link_socket for both ends, and on raw ZeroMQ for those who are not ours.
 * Leaves files to test_curve_keys.c. */
#include "common/curve.h"

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "common/clock.h"
#include "common/curve_keys.h"
#include "common/link_socket.h"
#include "common/log.h"
#include "common/mem.h"
#include "tests/unit/loopback.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#define DEADLINE_NS (20 * NS_PER_S)

static struct event_base *base;
static struct event *poller;
static char dir[64], other[80], address[64], log_path[80];
static struct link_server *server;
static struct link_client *client;
static int saved_stderr;
static unsigned opened;

/* ---- what the log says ---- */

static bool logged(const char *what)
{
    char text[65536] = "";
    FILE *f = fopen(log_path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    return strstr(text, what);
}

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

#define wait_until(condition)                                                                      \
    do {                                                                                           \
        int64_t end_ = clock_mono_ns() + DEADLINE_NS;                                              \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_mono_ns() < end_, "never: " #condition);                           \
            event_base_loop(base, EVLOOP_ONCE);                                                    \
        }                                                                                          \
    } while (0)

/* ---- fixture ---- */

static void setup(void)
{
    struct timeval often = {.tv_usec = 5000};
    scratch_make(dir, sizeof dir, "curve");
    snprintf(other, sizeof other, "%s/other", dir);
    snprintf(log_path, sizeof log_path, "%s/log", dir);
    ck_assert_int_eq(curve_keys_make(dir, "capture"), 1);
    ck_assert_int_eq(curve_keys_make(dir, "encoder"), 1);
    ck_assert_int_eq(curve_keys_make(dir, "muxer"), 1);
    ck_assert_int_eq(curve_keys_make(other, "encoder"), 1);
    saved_stderr = dup(STDERR_FILENO);
    int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, STDERR_FILENO);
    close(fd);
    base = event_base_new();
    poller = event_new(base, -1, EV_PERSIST, on_poll, NULL);
    event_add(poller, &often);
    opened = 0;
    snprintf(address, sizeof address, "tcp://127.0.0.1:%u", loopback_port());
}

static void teardown(void)
{
    link_client_destroy(&client, false);
    link_server_destroy(&server, false);
    event_free(poller);
    event_base_free(base);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    scratch_remove(dir);
}

static void copy(const char *from, const char *to)
{
    char *command = xasprintf("cp '%s' '%s'", from, to);
    ck_assert_int_eq(system(command), 0);
    free(command);
}

static void serve(const char *keys)
{
    static const struct outlet_ops ops = {0};
    static const struct outlet_window window = {.frames = 10, .bytes = 1000, .ns = NS_PER_S};
    struct conf_link conf = {.heartbeat_ms = 50,
                             .silence_ms = 2000,
                             .resolve_ms = 60000,
                             .keys = (char *)keys,
                             .stage = "capture"};
    struct link_format *format = link_format_new();
    format->codec = LINK_CODEC_H264;
    format->video = true;
    strcpy(format->layout, "annexb");
    struct link_track t = {.track = 1, .format = format};
    int r;
    wait_until((r = link_server_create(base, address, &conf, LINK_SOURCE, &ops, NULL, &server)) !=
               -EADDRINUSE);
    ck_assert_int_eq(r, 0);
    outlet_source_add(link_server_outlet(server), "cam", 1, &t, 1, &window, false, clock_mono_ns());
    link_format_unref(&format);
}

static void on_open(void *arg, struct inlet_session *s, const struct link_msg *msg)
{
    (void)arg, (void)s, (void)msg;
    opened++;
}

static void connect_as(const char *stage, const char *keys)
{
    static const struct inlet_ops ops = {.open = on_open};
    struct conf_link conf = {.heartbeat_ms = 50,
                             .silence_ms = 2000,
                             .resolve_ms = 60000,
                             .keys = (char *)keys,
                             .stage = stage};
    ck_assert_int_eq(link_client_create(base, address, &conf, "e-1", &ops, NULL, &client), 0);
}

/* ---- claims ---- */

START_TEST(with_keys_of_one_folder_a_session_opens)
{
    serve(dir);
    connect_as("encoder", dir);
    wait_until(opened);
    ck_assert(logged("link.key_accepted from=127.0.0.1 key=encoder"));
}
END_TEST

START_TEST(an_unknown_key_is_refused_and_named)
{
    char *public = xasprintf("%s/capture.pub", dir);
    copy(public, other);
    free(public);
    serve(dir);
    connect_as("encoder", other);
    wait_until(logged("link.key_refused from=127.0.0.1 public_key="));
    wait_until(logged("the other side does not know this stage's key"));
    ck_assert_uint_eq(opened, 0);
}
END_TEST

START_TEST(a_key_that_is_added_later_gets_through_without_a_restart)
{
    char *path = xasprintf("%s/capture.pub", dir), *new = xasprintf("%s/encoder.new.pub", dir);
    char *public = xasprintf("%s/encoder.pub", other);
    copy(path, other);
    serve(dir);
    connect_as("encoder", other);
    wait_until(logged("link.key_refused"));
    copy(public, new);
    wait_until(opened);
    ck_assert(logged("key=encoder.new"));
    free(path);
    free(new);
    free(public);
}
END_TEST

START_TEST(a_neighbour_with_another_role_is_refused)
{
    char *from = xasprintf("%s/muxer.secret", dir), *to = xasprintf("%s/encoder.secret", other);
    char *public = xasprintf("%s/capture.pub", dir);
    copy(from, to); /* the muxer's key, which the folder knows, but not as an encoder */
    copy(public, other);
    serve(dir);
    connect_as("encoder", other);
    wait_until(logged("link.key_refused"));
    ck_assert_uint_eq(opened, 0);
    free(from);
    free(to);
    free(public);
}
END_TEST

START_TEST(a_peer_without_keys_is_refused)
{
    serve(dir);
    connect_as("encoder", NULL);
    wait_until(logged("it speaks without keys (plaintext)"));
    wait_until(logged("the other side wants keys"));
    ck_assert_uint_eq(opened, 0);
}
END_TEST

START_TEST(a_server_without_keys_is_not_talked_to)
{
    serve(NULL);
    connect_as("encoder", dir);
    wait_until(logged("the other side speaks without keys (plaintext)"));
    ck_assert_uint_eq(opened, 0);
}
END_TEST

START_TEST(a_server_with_another_key_is_not_talked_to)
{
    ck_assert_int_eq(curve_keys_make(other, "capture"), 1);
    serve(dir);
    connect_as("encoder", other); /* whose capture.pub is of another capture */
    wait_until(logged("it does not know this stage's public key"));
    ck_assert_uint_eq(opened, 0);
}
END_TEST

START_TEST(missing_keys_end_the_start)
{
    static const struct outlet_ops ops = {0};
    struct conf_link conf = {
        .heartbeat_ms = 50, .silence_ms = 2000, .keys = other, .stage = "muxer"};
    ck_assert_int_eq(link_server_create(base, address, &conf, LINK_SOURCE, &ops, NULL, &server),
                     -ENOENT);
    ck_assert(logged("kvpipe keys init DIR"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("curve");
    TCase *c = tcase_create("links");
    log_init("test", LOG_INFO);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, with_keys_of_one_folder_a_session_opens);
    tcase_add_test(c, an_unknown_key_is_refused_and_named);
    tcase_add_test(c, a_key_that_is_added_later_gets_through_without_a_restart);
    tcase_add_test(c, a_neighbour_with_another_role_is_refused);
    tcase_add_test(c, a_peer_without_keys_is_refused);
    tcase_add_test(c, a_server_without_keys_is_not_talked_to);
    tcase_add_test(c, a_server_with_another_key_is_not_talked_to);
    tcase_add_test(c, missing_keys_end_the_start);
    suite_add_tcase(s, c);
    return suite_run(s);
}
