/* Addresses of a list, names among them, looked up without blocking the loop.
 * Relies on the machine's own `localhost`; no other name server is needed.
 * Leaves connecting to test_link_socket.c. */
#include "common/resolve.h"

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/unit/link_trace.h"

static struct event_base *base;
static struct event *turn;
static struct resolve *r;
static char last[4096]; /* the newest set, with spaces between */
static unsigned calls, turns;

static void on_resolved(void *arg, char *const *addresses, unsigned n)
{
    size_t at_ = 0;
    (void)arg;
    calls++;
    last[0] = '\0';
    for (unsigned i = 0; i < n; i++)
        at_ += (size_t)snprintf(last + at_, sizeof last - at_, "%s%s", i ? " " : "", addresses[i]);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    turns++;
}

static void setup(void)
{
    struct timeval often = {.tv_usec = 1000};
    base = event_base_new();
    turn = event_new(base, -1, EV_PERSIST, on_turn, NULL);
    event_add(turn, &often);
    last[0] = '\0';
    calls = turns = 0;
}

static void teardown(void)
{
    resolve_destroy(&r);
    event_free(turn);
    event_base_free(base);
}

#define wait_until(condition)                                                                      \
    do {                                                                                           \
        int64_t end = clock_mono_ns() + 20 * NS_PER_S;                                             \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_mono_ns() < end, "waited in vain for %s; have: %s", #condition,    \
                          last);                                                                   \
            event_base_loop(base, EVLOOP_ONCE);                                                    \
        }                                                                                          \
    } while (0)

static int create(const char *addresses)
{
    return resolve_create(base, addresses, 20, on_resolved, NULL, &r);
}

START_TEST(addresses_without_a_name_are_told_at_once)
{
    ck_assert_int_eq(create("ipc:///run/a  tcp://127.0.0.1:5 tcp://[::1]:6"), 0);
    ck_assert_str_eq(last, "ipc:///run/a tcp://127.0.0.1:5 tcp://[::1]:6");
    ck_assert_uint_eq(calls, 1);
}
END_TEST

START_TEST(localhost_resolves_to_its_addresses)
{
    ck_assert_int_eq(create("tcp://localhost:5555"), 0);
    ck_assert_uint_eq(calls, 0); /* nothing is known yet */
    wait_until(calls);
    ck_assert_msg(strstr(last, "tcp://127.0.0.1:5555") || strstr(last, "tcp://[::1]:5555"), "%s",
                  last);
}
END_TEST

START_TEST(names_and_addresses_make_one_set)
{
    ck_assert_int_eq(create("ipc:///run/a tcp://localhost:7"), 0);
    ck_assert_str_eq(last, "ipc:///run/a");
    wait_until(strstr(last, ":7"));
    ck_assert(strstr(last, "ipc:///run/a "));
}
END_TEST

START_TEST(names_are_looked_up_again_and_again)
{
    ck_assert_int_eq(create("tcp://localhost:7"), 0);
    wait_until(calls >= 3);
}
END_TEST

START_TEST(words_that_are_no_address_are_refused)
{
    static const char *const bad[] = {"",         " ",       "localhost", "udp://a:1",  "tcp://",
                                      "tcp://:1", "tcp://a", "tcp://a:",  "tcp://a:1 x"};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(create(bad[i]) == -EINVAL, "\"%s\"", bad[i]);
        ck_assert_ptr_null(r);
    }
    ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(more_names_than_the_bound_are_refused)
{
    char many[65 * 12 + 1] = "";
    for (unsigned i = 0; i < 65; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "ipc://a%u ", i);
    ck_assert_int_eq(create(many), -EINVAL);
}
END_TEST

START_TEST(a_name_that_fails_keeps_the_loop_alive_and_others_known)
{
    ck_assert_int_eq(create("tcp://no-such-host.invalid:1 ipc:///run/a"), 0);
    ck_assert_str_eq(last, "ipc:///run/a");
    unsigned before = turns;
    wait_until(turns > before + 20); /* the loop turns while the name server thinks */
    wait_until(calls >= 2);
    ck_assert_str_eq(last, "ipc:///run/a");
}
END_TEST

START_TEST(destroyed_during_a_look_up_nothing_is_told)
{
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(create("tcp://localhost:7"), 0);
        resolve_destroy(&r);
    }
    unsigned before = turns;
    wait_until(turns > before + 20);
    ck_assert_uint_eq(calls, 0);
}
END_TEST

static char dir[64], path[128], pattern[128];

/* A socket that somebody listens on, as a program beside the pipeline has one. */
static int serve(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(dir, sizeof dir, "/tmp/kvpipe-resolve-%d", (int)getpid());
    snprintf(path, sizeof path, "%s/a.sock", dir);
    snprintf(pattern, sizeof pattern, "ipc://%s/*.sock", dir);
    mkdir(dir, 0700);
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    return fd;
}

static void unserve(int fd)
{
    close(fd);
    unlink(path);
    rmdir(dir);
}

START_TEST(a_pattern_finds_the_sockets_that_are_served)
{
    int fd = serve();
    ck_assert_int_eq(create(pattern), 0);
    ck_assert_str_eq(last + 6, path);
    unserve(fd);
}
END_TEST

START_TEST(a_pattern_finds_what_comes_later)
{
    snprintf(pattern, sizeof pattern, "ipc:///tmp/kvpipe-resolve-%d/*.sock", (int)getpid());
    ck_assert_int_eq(create(pattern), 0);
    ck_assert_str_eq(last, "");
    int fd = serve();
    wait_until(last[0]);
    ck_assert_str_eq(last + 6, path);
    unserve(fd);
}
END_TEST

START_TEST(a_pattern_loses_what_is_removed)
{
    int fd = serve();
    ck_assert_int_eq(create(pattern), 0);
    unserve(fd);
    wait_until(!last[0]);
}
END_TEST

START_TEST(a_socket_that_nobody_serves_is_not_found)
{
    int fd = serve();
    close(fd); /* the file stays, as after a kill */
    ck_assert_int_eq(create(pattern), 0);
    ck_assert_str_eq(last, "");
    unserve(-1);
}
END_TEST

START_TEST(a_pattern_tells_of_changes_alone)
{
    int fd = serve();
    ck_assert_int_eq(create(pattern), 0);
    unsigned before = turns;
    wait_until(turns > before + 600); /* two more looks */
    ck_assert_uint_eq(calls, 1);
    unserve(fd);
}
END_TEST

static void fill(TCase *tc)
{
    tcase_add_test(tc, a_pattern_finds_the_sockets_that_are_served);
    tcase_add_test(tc, a_pattern_finds_what_comes_later);
    tcase_add_test(tc, a_pattern_loses_what_is_removed);
    tcase_add_test(tc, a_socket_that_nobody_serves_is_not_found);
    tcase_add_test(tc, a_pattern_tells_of_changes_alone);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, addresses_without_a_name_are_told_at_once);
    tcase_add_test(tc, localhost_resolves_to_its_addresses);
    tcase_add_test(tc, names_and_addresses_make_one_set);
    tcase_add_test(tc, names_are_looked_up_again_and_again);
    tcase_add_test(tc, words_that_are_no_address_are_refused);
    tcase_add_test(tc, more_names_than_the_bound_are_refused);
    tcase_add_test(tc, a_name_that_fails_keeps_the_loop_alive_and_others_known);
    tcase_add_test(tc, destroyed_during_a_look_up_nothing_is_told);
}

int main(void)
{
    log_init("test", LOG_NONE);
    return run_suite("resolve", fill);
}
