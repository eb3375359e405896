/* User and password leave the address.
 * Relies on Check.
 * Leaves reading them from files to source_rtsp.c. */
#include "capture/url.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdlib.h>

START_TEST(secrets_are_split_off)
{
    static const struct {
        const char *url, *plain, *user, *password;
    } t[] = {
        {"rtsp://h/p", "rtsp://h/p", NULL, NULL},
        {"rtsp://u:p@h:554/p?x=1", "rtsp://h:554/p?x=1", "u", "p"},
        {"rtsp://u@h/p", "rtsp://h/p", "u", ""},
        {"rtsp://u:p%40%2f@h/p", "rtsp://h/p", "u", "p@/"},
        {"rtsp://u:a@b@h/p", "rtsp://h/p", "u", "a@b"},
        {"rtsp://u:a/b@h/p", "rtsp://h/p", "u", "a/b"},
        {"rtsp://u:p%@h", "rtsp://h", "u", "p%"},
        {"rtsp://h/a@b", "rtsp://h/a@b", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char *plain, *user, *password;
        url_split(t[i].url, &plain, &user, &password);
        ck_assert_str_eq(plain, t[i].plain);
        ck_assert_pstr_eq(user, t[i].user);
        ck_assert_pstr_eq(password, t[i].password);
        free(plain);
        free(user);
        free(password);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("capture_url");
    TCase *tc = tcase_create("capture_url");
    tcase_add_test(tc, secrets_are_split_off);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
