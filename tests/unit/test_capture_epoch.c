/* Epochs are greater at every start.
 * Relies on Check and a directory of its own under /tmp.
 * Leaves fencing to the link's tests. */
#include "capture/epoch.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>

static char dir[64];

static void fresh(void)
{
    scratch_make(dir, sizeof dir, "epoch");
}

static void clean(void)
{
    scratch_remove(dir);
}

static void store(const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/cam.epoch", dir);
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
}

START_TEST(first_start_takes_the_clock)
{
    uint64_t e, reached;
    fresh();
    ck_assert_int_eq(epoch_next(dir, "cam", 1700, &e, &reached), 0);
    ck_assert_uint_eq(e, 1700);
    ck_assert_uint_eq(reached, 0);
    clean();
}
END_TEST

START_TEST(clock_that_went_back_gives_a_greater_epoch)
{
    uint64_t e, reached;
    fresh();
    epoch_next(dir, "cam", 1700, &e, &reached);
    ck_assert_int_eq(epoch_next(dir, "cam", 100, &e, &reached), 0);
    ck_assert_uint_eq(e, 1701);
    ck_assert_uint_eq(reached, 1700);
    ck_assert_int_eq(epoch_next(dir, "cam", -5, &e, &reached), 0);
    ck_assert_uint_eq(e, 1702);
    clean();
}
END_TEST

START_TEST(noted_time_counts_at_the_next_start)
{
    uint64_t e, reached;
    fresh();
    epoch_next(dir, "cam", 1700, &e, &reached);
    ck_assert_int_eq(epoch_note(dir, "cam", 9000), 0);
    ck_assert_int_eq(epoch_next(dir, "cam", 1800, &e, &reached), 0);
    ck_assert_uint_eq(e, 9001);
    clean();
}
END_TEST

START_TEST(missing_directories_are_made)
{
    char deep[96];
    uint64_t e, reached;
    fresh();
    snprintf(deep, sizeof deep, "%s/a/b", dir);
    ck_assert_int_eq(epoch_next(deep, "cam", 1, &e, &reached), 0);
    clean();
}
END_TEST

START_TEST(damaged_file_is_refused)
{
    static const char *const bad[] = {
        "", "x\n", "-1\n", "12", "12 3\n", "18446744073709551615\n", "99999999999999999999999\n"};
    uint64_t e, reached;
    fresh();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        store(bad[i]);
        ck_assert_int_eq(epoch_next(dir, "cam", 1700, &e, &reached), -EBADMSG);
    }
    clean();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("capture_epoch");
    TCase *tc = tcase_create("capture_epoch");
    tcase_add_test(tc, first_start_takes_the_clock);
    tcase_add_test(tc, clock_that_went_back_gives_a_greater_epoch);
    tcase_add_test(tc, noted_time_counts_at_the_next_start);
    tcase_add_test(tc, missing_directories_are_made);
    tcase_add_test(tc, damaged_file_is_refused);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
