/* Which Host headers the status server takes: no web page may reach it by a name of its own.
 * Relies on Check.
 * Leaves requests to the pipeline tests. */
#include <check.h>

#include "monitor/status_http.h"
#include "tests/unit/suite.h"

static const struct {
    const char *header, *listen;
    bool allowed;
} hosts[] = {
    {"127.0.0.1:8481", "127.0.0.1:8481", true},
    {"127.0.0.1", "127.0.0.1:8481", true},
    {"localhost:8481", "127.0.0.1:8481", true},
    {"LOCALHOST", "127.0.0.1:8481", true},
    {"[::1]:8481", "127.0.0.1:8481", true},
    {"[::1]", "127.0.0.1:8481", true},
    {"10.0.0.7:8481", "0.0.0.0:8481", true},
    {"gateway:8481", "gateway:8481", true},
    {"gateway:8481", "127.0.0.1:8481", false},
    {"evil.example", "127.0.0.1:8481", false},
    {"evil.example:8481", "0.0.0.0:8481", false},
    {"127.0.0.1.evil.example", "127.0.0.1:8481", false},
    {"localhost.evil.example:80", "127.0.0.1:8481", false},
    {"monitor:8481", "0.0.0.0:8481", true},
    {"KVPIPE.lan", "0.0.0.0:8481", true},
    {"kvpipe", "0.0.0.0:8481", false},
    {"", "127.0.0.1:8481", false},
    {"[]", "127.0.0.1:8481", false},
    {NULL, "127.0.0.1:8481", false},
};

START_TEST(only_addresses_localhost_and_the_own_name_are_served)
{
    ck_assert_msg(status_http_host_allowed(hosts[_i].header, hosts[_i].listen,
                                           "monitor kvpipe.lan") == hosts[_i].allowed,
                  "'%s' at %s", hosts[_i].header ? hosts[_i].header : "(none)", hosts[_i].listen);
}
END_TEST

static const struct {
    const char *origin, *host;
    bool same;
} origins[] = {
    {NULL, "127.0.0.1:8481", true},
    {"http://127.0.0.1:8481", "127.0.0.1:8481", true},
    {"https://cameras.example", "cameras.example", true}, /* a proxy has the TLS */
    {"http://127.0.0.1:80", "127.0.0.1:8481", false},
    {"http://evil.example", "127.0.0.1:8481", false},
    {"http://127.0.0.1:8481.evil.example", "127.0.0.1:8481", false},
    {"null", "127.0.0.1:8481", false},
    {"", "127.0.0.1:8481", false},
    {"http://x", NULL, false},
};

START_TEST(only_the_own_page_is_of_the_same_origin)
{
    ck_assert_msg(status_http_same_origin(origins[_i].origin, origins[_i].host) == origins[_i].same,
                  "origin %d", _i);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("status_http");
    TCase *t = tcase_create("status_http");
    tcase_add_loop_test(t, only_addresses_localhost_and_the_own_name_are_served, 0,
                        sizeof hosts / sizeof *hosts);
    tcase_add_loop_test(t, only_the_own_page_is_of_the_same_origin, 0,
                        sizeof origins / sizeof *origins);
    suite_add_tcase(s, t);
    return suite_run(s);
}
