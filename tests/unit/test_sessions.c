/* server/sessions.h: what is issued is read again, by this key file only; roles decide who gets
 * one. Relies on Check.
 * Leaves certificates and HTTP to tests/conformance/iot. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf.h"
#include "server/sessions.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

static char dir[64], key_file[128], other_file[128], policy_file[128];
static struct conf_role roles[2];
static struct sessions *s;
static char token[SESSION_TOKEN_MAX];
static struct session issued, seen;

static void setup(void)
{
    scratch_make(dir, sizeof dir, "sessions");
    snprintf(key_file, sizeof key_file, "%s/key", dir);
    snprintf(other_file, sizeof other_file, "%s/other", dir);
    snprintf(policy_file, sizeof policy_file, "%s/policy", dir);
    FILE *f = fopen(policy_file, "w");
    fputs("{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}}", f);
    fclose(f);
    roles[0] = (struct conf_role){"Uploads", policy_file, "cam-*", 900};
    roles[1] = (struct conf_role){"Any", policy_file, "*", 60};
    ck_assert_int_eq(sessions_open(key_file, roles, 2, &s), 0);
}

static void teardown(void)
{
    sessions_free(&s);
    unlink(key_file);
    unlink(other_file);
    unlink(policy_file);
    rmdir(dir);
}

static int issue(const char *role, const char *thing)
{
    return sessions_issue(s, role, thing, "c0ffee", 1000, &issued, token);
}

START_TEST(what_is_issued_is_read_again)
{
    ck_assert_int_eq(issue("Uploads", "cam-1"), 0);
    ck_assert_int_eq(strncmp(issued.access_key, "ASIA", 4), 0);
    ck_assert_ptr_null(strstr(token, issued.secret));
    ck_assert_int_eq(sessions_read(s, token, &seen), 0);
    ck_assert_str_eq(seen.access_key, issued.access_key);
    ck_assert_str_eq(seen.secret, issued.secret);
    ck_assert_str_eq(seen.role, "Uploads");
    ck_assert_str_eq(seen.thing, "cam-1");
    ck_assert_str_eq(seen.certificate, "c0ffee");
    ck_assert_int_eq(seen.expires_s, 1900);
    ck_assert_ptr_nonnull(seen.policy);
}
END_TEST

START_TEST(a_role_is_for_its_things_only)
{
    ck_assert_int_eq(issue("Uploads", "door-1"), -EACCES);
    ck_assert_int_eq(issue("Uploads", ""), -EACCES);
    ck_assert_int_eq(issue("uploads", "cam-1"), -ENOENT);
    ck_assert_int_eq(issue("Any", ""), 0);
}
END_TEST

START_TEST(a_token_survives_a_restart_but_not_the_loss_of_the_key_or_the_role)
{
    ck_assert_int_eq(issue("Uploads", "cam-1"), 0);
    sessions_free(&s);
    ck_assert_int_eq(sessions_open(key_file, roles, 2, &s), 0);
    ck_assert_int_eq(sessions_read(s, token, &seen), 0);
    sessions_free(&s);
    ck_assert_int_eq(sessions_open(key_file, roles + 1, 1, &s), 0);
    ck_assert_int_eq(sessions_read(s, token, &seen), -EINVAL);
    sessions_free(&s);
    ck_assert_int_eq(sessions_open(other_file, roles, 2, &s), 0);
    ck_assert_int_eq(sessions_read(s, token, &seen), -EINVAL);
}
END_TEST

START_TEST(no_changed_or_cut_token_is_taken)
{
    ck_assert_int_eq(issue("Uploads", "cam-1"), 0);
    char copy[SESSION_TOKEN_MAX];
    size_t n = strlen(token);
    for (size_t i = 0; i < n; i++) {
        snprintf(copy, sizeof copy, "%s", token);
        copy[i] = copy[i] == 'A' ? 'B' : 'A';
        if (sessions_read(s, copy, &seen) == 0)
            ck_abort_msg("changed at %zu of %zu", i, n);
        copy[i] = '\0';
        if (sessions_read(s, copy, &seen) == 0)
            ck_abort_msg("cut at %zu of %zu", i, n);
    }
}
END_TEST

START_TEST(the_key_file_is_for_us_alone)
{
    struct stat st;
    ck_assert_int_eq(stat(key_file, &st), 0);
    ck_assert_int_eq(st.st_size, 32);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    sessions_free(&s);
    ck_assert_int_eq(truncate(key_file, 31), 0);
    ck_assert_int_eq(sessions_open(key_file, roles, 2, &s), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sessions");
    TCase *tc = tcase_create("sessions");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_is_issued_is_read_again);
    tcase_add_test(tc, a_role_is_for_its_things_only);
    tcase_add_test(tc, a_token_survives_a_restart_but_not_the_loss_of_the_key_or_the_role);
    tcase_add_test(tc, no_changed_or_cut_token_is_taken);
    tcase_add_test(tc, the_key_file_is_for_us_alone);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
