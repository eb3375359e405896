/* Log files of other processes: bounded while they are written to, and their last lines.
 * Relies on Check.
 * Leaves real stages to tests/monitor. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "monitor/log_file.h"
#include "tests/unit/suite.h"

static off_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : -1;
}

/* Whoever has it open, our child or one that was adopted, goes on at its new beginning. */
START_TEST(a_long_log_is_moved_and_its_writer_goes_on_in_the_old_file)
{
    char path[] = "/tmp/kvpipe-log-file-XXXXXX";
    int fd = mkstemp(path);
    close(fd);
    char *old = xasprintf("%s.1", path);
    fd = open(path, O_WRONLY | O_APPEND);
    ck_assert_int_eq(ftruncate(fd, 10 * 1000 * 1000), 0);
    log_file_bound(path, 10 * 1000 * 1000, 2);
    ck_assert_int_eq(size_of(path), 10 * 1000 * 1000);
    ck_assert_int_eq(write(fd, "x", 1), 1);
    log_file_bound(path, 10 * 1000 * 1000, 2);
    ck_assert_int_eq(size_of(path), 0);
    ck_assert_int_eq(size_of(old), 10 * 1000 * 1000 + 1);
    ck_assert_int_eq(write(fd, "after", 5), 5);
    ck_assert_int_eq(size_of(path), 5);
    ck_assert_int_eq(ftruncate(fd, 10 * 1000 * 1000 + 2), 0);
    log_file_bound(path, 10 * 1000 * 1000, 2);
    char *older = xasprintf("%s.2", path);
    ck_assert_int_eq(size_of(old), 10 * 1000 * 1000 + 2);
    ck_assert_int_eq(size_of(older), 10 * 1000 * 1000 + 1);
    log_file_bound(path, 10 * 1000 * 1000, 2); /* short: nothing moves */
    ck_assert_int_eq(size_of(older), 10 * 1000 * 1000 + 1);
    close(fd);
    unlink(path);
    unlink(old);
    unlink(older);
    free(old);
    free(older);
}
END_TEST

static const struct {
    const char *content, *tail;
} tails[] = {{"", ""},
             {"one", "one"},
             {"one\ntwo\nthree\nfour\n", "two | three | four"},
             {"one\ntwo\nthree", "one | two | three"},
             {"\n\n", ""},
             {"a line that is too long for the place", "a line that is too lo"}};

START_TEST(the_tail_is_the_last_three_lines)
{
    char path[] = "/tmp/kvpipe-log-file-XXXXXX", text[_i == 5 ? 25 : 64];
    int fd = mkstemp(path);
    size_t len = strlen(tails[_i].content);
    ck_assert_int_eq(write(fd, tails[_i].content, len), (ssize_t)len);
    log_file_tail(path, 3, text, sizeof text);
    ck_assert_str_eq(text, tails[_i].tail);
    close(fd);
    unlink(path);
    log_file_tail(path, 3, text, sizeof text);
    ck_assert_str_eq(text, "");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("log_file");
    TCase *t = tcase_create("log_file");
    tcase_add_test(t, a_long_log_is_moved_and_its_writer_goes_on_in_the_old_file);
    tcase_add_loop_test(t, the_tail_is_the_last_three_lines, 0, sizeof tails / sizeof *tails);
    suite_add_tcase(s, t);
    return suite_run(s);
}
