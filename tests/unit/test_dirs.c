/* Claims about folders made with the ones above them.
 * Relies on Check and a temporary folder.
 * Leaves full and read-only disks to the fault tests. */
#include "common/dirs.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64];

static void setup(void)
{
    scratch_make(top, sizeof top, "dirs");
    ck_assert_int_eq(chdir(top), 0);
}

static void teardown(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", top);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(system(command), 0);
}

static void expect_folder(const char *path, mode_t mode)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert(S_ISDIR(st.st_mode));
    ck_assert_int_eq(st.st_mode & 07777, mode);
}

START_TEST(all_above_are_made_with_the_mode)
{
    char path[96];
    umask(022);
    snprintf(path, sizeof path, "%s/a/b//c/", top);
    ck_assert_int_eq(dirs_make(path, 0750), 0);
    expect_folder("a", 0750);
    expect_folder("a/b/c", 0750);
}
END_TEST

START_TEST(relative_and_existing_ones_are_fine)
{
    ck_assert_int_eq(dirs_make("d/e", 0700), 0);
    ck_assert_int_eq(dirs_make("d/e", 0755), 0);
    expect_folder("d/e", 0700);
    ck_assert_int_eq(dirs_make("/", 0755), 0);
}
END_TEST

START_TEST(a_file_in_the_way_is_an_error)
{
    close(open("file", O_CREAT | O_WRONLY, 0600));
    ck_assert_int_eq(dirs_make("file/x", 0755), -ENOTDIR);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dirs");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, all_above_are_made_with_the_mode);
    tcase_add_test(t, relative_and_existing_ones_are_fine);
    tcase_add_test(t, a_file_in_the_way_is_an_error);
    suite_add_tcase(s, t);
    return suite_run(s);
}
