/* Master keys in a file (server/kms.h): every state a key can be in, and what is wrapped.
 * Relies on Check.
 * Leaves encrypted archives to test_server_store.c and tests/conformance/encryption. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "server/kms.h"
#include "tests/unit/suite.h"

#define MATERIAL "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define OTHER "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static char path[64];
static struct kms *kms;

static void write_file(const char *text, mode_t mode)
{
    char tmp[72];
    snprintf(tmp, sizeof tmp, "%s.new", path);
    FILE *f = fopen(tmp, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
    ck_assert_int_eq(chmod(tmp, mode), 0);
    ck_assert_int_eq(rename(tmp, path), 0);
}

static void setup(void)
{
    log_set_level(LOG_NONE);
    snprintf(path, sizeof path, "/tmp/kvpipe-kms-XXXXXX");
    close(mkstemp(path));
}

static void teardown(void)
{
    kms_free(&kms);
    unlink(path);
}

static void open_with(const char *text)
{
    write_file(text, 0600);
    ck_assert_int_eq(kms_file_open(path, &kms), 0);
}

static const struct {
    const char *key;
    int want;
} states[] = {
    {"\"state\":\"Enabled\"", 0},
    {"\"usage\":\"ENCRYPT_DECRYPT\"", 0},
    {"\"state\":\"Disabled\"", -4501},
    {"\"usage\":\"SIGN_VERIFY\"", -4504},
    {"\"state\":\"PendingDeletion\"", -4505},
};

START_TEST(state_and_usage_of_a_key_decide)
{
    char text[256];
    snprintf(text, sizeof text, "{\"keys\":[{\"id\":\"a\",\"material\":\"" MATERIAL "\",%s}]}",
             states[_i].key);
    open_with(text);
    ck_assert_int_eq(kms_check(kms, "a"), states[_i].want);
    ck_assert_int_eq(kms_check(kms, "b"), -4506);
}
END_TEST

static const char *const spellings[] = {"alias/aws/kinesisvideo",
                                        "aws/kinesisvideo",
                                        "aws/kinesis-video",
                                        "AWS/kinesisvideo",
                                        "arn:aws:kms:us-west-2:1:alias/aws/kinesisvideo",
                                        NULL};

START_TEST(default_key_has_many_spellings_and_encrypts_only_when_there_is_one)
{
    const char *id = spellings[_i];
    ck_assert(!kms_wanted(NULL, id));
    ck_assert_int_eq(kms_check(NULL, id), 0);
    open_with("{\"keys\":[]}");
    ck_assert(!kms_wanted(kms, id));
    write_file("{\"keys\":[{\"id\":\"aws/kinesisvideo\",\"material\":\"" MATERIAL "\"}]}", 0600);
    ck_assert(kms_wanted(kms, id));
    ck_assert_int_eq(kms_check(kms, id), 0);
}
END_TEST

START_TEST(keys_of_ones_own_are_never_left_out)
{
    ck_assert(kms_wanted(NULL, "mine"));
    ck_assert_int_eq(kms_check(NULL, "mine"), -4506);
    open_with("{\"keys\":[{\"id\":\"1234\",\"material\":\"" MATERIAL "\"}]}");
    ck_assert_int_eq(kms_check(kms, "arn:aws:kms:us-west-2:000000000000:key/1234"), 0);
    ck_assert_int_eq(kms_check(kms, "alias/1234"), -4506);
}
END_TEST

static const struct {
    const char *text;
    mode_t mode;
} bad[] = {
    {"", 0600},
    {"[]", 0600},
    {"{\"keys\":{}}", 0600},
    {"{\"keys\":[1]}", 0600},
    {"{\"keys\":[{\"material\":\"" MATERIAL "\"}]}", 0600},
    {"{\"keys\":[{\"id\":\"a\"}]}", 0600},
    {"{\"keys\":[{\"id\":\"a\",\"material\":\"AAECAw==\"}]}", 0600},
    {"{\"keys\":[{\"id\":\"a\",\"material\":\"!AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"}]}",
     0600},
    {"{\"keys\":[{\"id\":\"a\",\"material\":\"" MATERIAL "\",\"state\":1}]}", 0600},
    {"{\"keys\":[{\"id\":\"a\",\"material\":\"" MATERIAL "\",\"sate\":\"Enabled\"}]}", 0600},
    {"{\"keys\":[]}", 0644},
};

START_TEST(bad_file_is_refused_at_start)
{
    write_file(bad[_i].text, bad[_i].mode);
    ck_assert_int_lt(kms_file_open(path, &kms), 0);
    ck_assert_ptr_null(kms);
}
END_TEST

START_TEST(file_that_went_bad_makes_keys_unavailable_and_nothing_goes_in_clear)
{
    open_with("{\"keys\":[{\"id\":\"a\",\"material\":\"" MATERIAL "\"}]}");
    write_file("oops", 0600);
    ck_assert_int_eq(kms_check(kms, "a"), -4503);
    ck_assert_int_eq(kms_check(kms, NULL), -4503);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(kms_check(kms, "a"), -4503);
    write_file("{\"keys\":[{\"id\":\"a\",\"material\":\"" MATERIAL "\"}]}", 0600);
    ck_assert_int_eq(kms_check(kms, "a"), 0);
}
END_TEST

START_TEST(wrapped_keys_open_only_with_their_master_and_context)
{
    uint8_t key[KMS_DATA_KEY_LEN], again[KMS_DATA_KEY_LEN], wrapped[KMS_WRAPPED_MAX];
    size_t len;
    open_with("{\"keys\":[{\"id\":\"a\",\"material\":\"" MATERIAL "\"},"
              "{\"id\":\"b\",\"material\":\"" OTHER "\"}]}");
    ck_assert_int_eq(kms_generate(kms, "a", "stream/1", key, wrapped, &len), 0);
    ck_assert_int_eq(kms_unwrap(kms, "a", "stream/1", wrapped, len, again), 0);
    ck_assert_mem_eq(key, again, sizeof key);
    ck_assert_ptr_null(memmem(wrapped, len, key, sizeof key));
    ck_assert_int_eq(kms_unwrap(kms, "a", "stream/2", wrapped, len, again), -4502);
    ck_assert_int_eq(kms_unwrap(kms, "b", "stream/1", wrapped, len, again), -4502);
    ck_assert_int_eq(kms_unwrap(kms, "a", "stream/1", wrapped, len - 1, again), -4502);
    wrapped[len - 1] ^= 1;
    ck_assert_int_eq(kms_unwrap(kms, "a", "stream/1", wrapped, len, again), -4502);
}
END_TEST

START_TEST(errors_have_the_services_names)
{
    ck_assert_str_eq(kms_error_name(4500), "KMS_KEY_ACCESS_DENIED");
    ck_assert_str_eq(kms_error_name(4506), "KMS_KEY_NOT_FOUND");
    ck_assert_str_eq(kms_error_name(4507), "NONE");
    ck_assert(!kms_is_error(-5) && !kms_is_error(0) && kms_is_error(-4503));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kms");
    TCase *t = tcase_create("kms");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, state_and_usage_of_a_key_decide, 0, sizeof states / sizeof *states);
    tcase_add_loop_test(t, default_key_has_many_spellings_and_encrypts_only_when_there_is_one, 0,
                        sizeof spellings / sizeof *spellings);
    tcase_add_test(t, keys_of_ones_own_are_never_left_out);
    tcase_add_loop_test(t, bad_file_is_refused_at_start, 0, sizeof bad / sizeof *bad);
    tcase_add_test(t, file_that_went_bad_makes_keys_unavailable_and_nothing_goes_in_clear);
    tcase_add_test(t, wrapped_keys_open_only_with_their_master_and_context);
    tcase_add_test(t, errors_have_the_services_names);
    suite_add_tcase(s, t);
    return suite_run(s);
}
