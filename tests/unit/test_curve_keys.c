/* The folder of keys: what is made, what is read, what is refused.
 * Relies on a temporary directory.
 * Leaves connections to test_curve.c. */
#include "common/curve_keys.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "common/log.h"
#include "common/mem.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

static char dir[64];
static struct curve_ring ring;

static void setup(void)
{
    scratch_make(dir, sizeof dir, "keys");
}

static void teardown(void)
{
    curve_ring_fini(&ring);
    scratch_remove(dir);
}

static void put(const char *file, const char *text)
{
    char *path = xasprintf("%s/%s", dir, file);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
    free(path);
}

static mode_t mode_of(const char *file)
{
    struct stat st;
    char *path = xasprintf("%s/%s", dir, file);
    ck_assert_int_eq(stat(path, &st), 0);
    free(path);
    return st.st_mode & 0777;
}

START_TEST(a_pair_is_made_once)
{
    struct curve_pair first, again;
    char public[CURVE_TEXT_SIZE], twin[CURVE_TEXT_SIZE];
    ck_assert_int_eq(curve_keys_make(dir, "encoder"), 1);
    ck_assert_int_eq(curve_keys_pair(dir, "encoder", &first), 0);
    ck_assert_int_eq(curve_keys_make(dir, "encoder"), 0);
    ck_assert_int_eq(curve_keys_pair(dir, "encoder", &again), 0);
    ck_assert_str_eq(first.secret, again.secret);
    ck_assert_int_eq(curve_keys_public(dir, "encoder", public), 0);
    ck_assert_int_eq(zmq_curve_public(twin, first.secret), 0);
    ck_assert_str_eq(public, twin);
}
END_TEST

START_TEST(a_secret_is_for_its_owner_alone)
{
    ck_assert_int_eq(curve_keys_make(dir, "muxer"), 1);
    ck_assert_uint_eq(mode_of("muxer.secret"), 0600);
    ck_assert_uint_eq(mode_of("muxer.pub"), 0644);
}
END_TEST

START_TEST(a_lost_public_key_is_made_again)
{
    char before[CURVE_TEXT_SIZE], after[CURVE_TEXT_SIZE];
    char *path = xasprintf("%s/muxer.pub", dir);
    ck_assert_int_eq(curve_keys_make(dir, "muxer"), 1);
    ck_assert_int_eq(curve_keys_public(dir, "muxer", before), 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(curve_keys_make(dir, "muxer"), 0);
    ck_assert_int_eq(curve_keys_public(dir, "muxer", after), 0);
    ck_assert_str_eq(before, after);
    free(path);
}
END_TEST

START_TEST(a_role_is_its_name_and_its_labels)
{
    struct curve_ring all = {0};
    char public[CURVE_TEXT_SIZE];
    uint8_t key[CURVE_KEY_BYTES];
    ck_assert_int_eq(curve_keys_make(dir, "encoder"), 1);
    ck_assert_int_eq(curve_keys_make(dir, "encoder.roof"), 1);
    ck_assert_int_eq(curve_keys_make(dir, "muxer"), 1);
    put("encoderish.pub", "public-key = \"no\"\n");
    ck_assert_int_eq(curve_keys_ring(dir, "encoder", &ring), 0);
    ck_assert_uint_eq(ring.count, 2);
    ck_assert_int_eq(curve_keys_public(dir, "encoder.roof", public), 0);
    zmq_z85_decode(key, public);
    ck_assert_str_eq(curve_ring_find(&ring, key), "encoder.roof");
    ck_assert_int_eq(curve_keys_public(dir, "muxer", public), 0);
    zmq_z85_decode(key, public);
    ck_assert_ptr_null(curve_ring_find(&ring, key));
    ck_assert_int_eq(curve_keys_ring(dir, NULL, &all), 0);
    ck_assert_str_eq(curve_ring_find(&all, key), "muxer");
    curve_ring_fini(&all);
}
END_TEST

static const char *const bad[] = {
    "",
    "secret-key = \"\"\n",
    "secret-key = \"JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6\n",     /* no end */
    "secret-key = \"JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh67\"\n",  /* too long */
    "secret-key = \"JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{L h6\"\n",  /* no Z85 */
    "public-key = \"JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6\"\n",   /* the other one */
    "# secret-key = \"JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6\"\n", /* a comment */
    "secret-key \"JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6\"\n",     /* no = */
};

START_TEST(what_is_no_key_is_refused)
{
    struct curve_pair pair;
    put("capture.secret", bad[_i]);
    ck_assert_int_eq(curve_keys_pair(dir, "capture", &pair), -EINVAL);
    ck_assert_int_eq(curve_keys_make(dir, "capture"), -EINVAL); /* and never overwritten */
}
END_TEST

START_TEST(a_missing_file_is_an_error)
{
    struct curve_pair pair;
    char public[CURVE_TEXT_SIZE];
    ck_assert_int_eq(curve_keys_pair(dir, "capture", &pair), -ENOENT);
    ck_assert_int_eq(curve_keys_public(dir, "capture", public), -ENOENT);
    ck_assert_int_lt(curve_keys_ring("/nonexistent", NULL, &ring), 0);
}
END_TEST

START_TEST(names_are_stages)
{
    static const struct {
        const char *name;
        bool ok;
    } cases[] = {{"encoder", true},  {"encoder.a-b_1", true}, {"monitor", true},
                 {"decoder", false}, {"encoder.", false},     {"encoder/x", false},
                 {"", false},        {"../x", false},         {"encoder.../x", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(curve_keys_name_ok(cases[i].name) == cases[i].ok, "%s", cases[i].name);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("curve_keys");
    TCase *c = tcase_create("files");
    log_init("test", LOG_NONE);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_pair_is_made_once);
    tcase_add_test(c, a_secret_is_for_its_owner_alone);
    tcase_add_test(c, a_lost_public_key_is_made_again);
    tcase_add_test(c, a_role_is_its_name_and_its_labels);
    tcase_add_loop_test(c, what_is_no_key_is_refused, 0, sizeof bad / sizeof *bad);
    tcase_add_test(c, a_missing_file_is_an_error);
    tcase_add_test(c, names_are_stages);
    suite_add_tcase(s, c);
    return suite_run(s);
}
