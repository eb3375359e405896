/* The key file: form, mode, races.
 * Relies on Check, and credentials to read it as everybody will.
 * Leaves signing with them to sigv4's tests. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/credentials_source.h"
#include "common/keys.h"
#include "common/mem.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

static char dir[] = "/tmp/kvpipe-keys-XXXXXX";
static char *path;
static char seen[64];
static void read_it(void)
{
    struct credentials_value v;
    char error[CREDENTIALS_ERROR_LEN] = "";
    ck_assert_msg(credentials_profile_load(path, "default", &v, NULL, error) == 0, "%s", error);
    ck_assert_uint_eq(strlen(v.access_key), 20);
    ck_assert_uint_eq(strlen(v.secret_key), 40);
    snprintf(seen, sizeof seen, "%s", v.secret_key);
}

START_TEST(a_new_file_is_a_profile_that_only_we_can_read)
{
    struct stat st;
    ck_assert_int_eq(keys_ensure(path), 0); /* makes the directories above too */
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    read_it();
}
END_TEST

START_TEST(a_file_that_is_there_is_left_as_it_is)
{
    char before[64];
    ck_assert_int_eq(keys_ensure(path), 0);
    read_it();
    memcpy(before, seen, sizeof before);
    ck_assert_int_eq(keys_ensure(path), 0);
    read_it();
    ck_assert_str_eq(before, seen);
}
END_TEST

START_TEST(two_files_have_two_keys)
{
    char before[64];
    ck_assert_int_eq(keys_ensure(path), 0);
    read_it();
    memcpy(before, seen, sizeof before);
    unlink(path);
    ck_assert_int_eq(keys_ensure(path), 0);
    read_it();
    ck_assert_str_ne(before, seen);
}
END_TEST

START_TEST(racing_processes_end_with_one_whole_file)
{
    pid_t pids[8];
    for (int i = 0; i < 8; i++)
        if ((pids[i] = fork()) == 0)
            _exit(keys_ensure(path) == 0 ? 0 : 1);
    for (int i = 0; i < 8; i++) {
        int status;
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_int_eq(status, 0);
    }
    read_it();
}
END_TEST

START_TEST(a_token_stays_and_is_read_back)
{
    struct stat st;
    char made[KEYS_TOKEN_CHARS + 1], again[KEYS_TOKEN_CHARS + 1];
    ck_assert_int_eq(keys_token_ensure(path, made), 0);
    ck_assert_int_eq(keys_token_ensure(path, again), 0);
    ck_assert_str_eq(made, again);
    ck_assert_uint_eq(strlen(made), KEYS_TOKEN_CHARS);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(what_is_no_token_is_not_read)
{
    char token[KEYS_TOKEN_CHARS + 1];
    ck_assert_int_eq(keys_token_read(path, token), -ENOENT);
    ck_assert_int_eq(keys_ensure(path), 0);
    ck_assert_int_eq(keys_token_read(path, token), -EBADMSG);
}
END_TEST

START_TEST(a_place_that_cannot_be_is_an_error)
{
    ck_assert_int_eq(keys_ensure("/proc/none/keys"), -ENOENT);
}
END_TEST

static void up(void)
{
    strcpy(dir + strlen(dir) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    path = xasprintf("%s/run/a/keys", dir);
}

static void down(void)
{
    scratch_remove(dir);
    free(path);
}

int main(void)
{
    Suite *s = suite_create("keys");
    TCase *t = tcase_create("keys");
    tcase_add_checked_fixture(t, up, down);
    tcase_add_test(t, a_new_file_is_a_profile_that_only_we_can_read);
    tcase_add_test(t, a_file_that_is_there_is_left_as_it_is);
    tcase_add_test(t, two_files_have_two_keys);
    tcase_add_test(t, racing_processes_end_with_one_whole_file);
    tcase_add_test(t, a_token_stays_and_is_read_back);
    tcase_add_test(t, what_is_no_token_is_not_read);
    tcase_add_test(t, a_place_that_cannot_be_is_an_error);
    suite_add_tcase(s, t);
    return suite_run(s);
}
