/* A child's log file: bounded while it is written to.
 * Relies on Check.
 * Leaves starting and ending processes to the pipeline tests. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "monitor/child.h"

static off_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : -1;
}

/* Whoever has it open, our child or one that was adopted, goes on at its new beginning. */
START_TEST(a_long_log_is_moved_and_its_writer_goes_on_in_the_old_file)
{
    char path[] = "/tmp/kvpipe-child-XXXXXX";
    int fd = mkstemp(path);
    close(fd);
    char *old = xasprintf("%s.1", path);
    fd = open(path, O_WRONLY | O_APPEND);
    ck_assert_int_eq(ftruncate(fd, 10 * 1000 * 1000), 0);
    child_log_bound(path);
    ck_assert_int_eq(size_of(path), 10 * 1000 * 1000);
    ck_assert_int_eq(write(fd, "x", 1), 1);
    child_log_bound(path);
    ck_assert_int_eq(size_of(path), 0);
    ck_assert_int_eq(size_of(old), 10 * 1000 * 1000 + 1);
    ck_assert_int_eq(write(fd, "after", 5), 5);
    ck_assert_int_eq(size_of(path), 5);
    close(fd);
    unlink(path);
    unlink(old);
    free(old);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("child");
    TCase *t = tcase_create("child");
    tcase_add_test(t, a_long_log_is_moved_and_its_writer_goes_on_in_the_old_file);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
