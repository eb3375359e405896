/* Pid files: who holds one, what it runs, and that a number alone names nobody.
 * Relies on Check and forked processes.
 * Leaves what the monitor makes of it to test_instances.c. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/pidfile.h"
#include "tests/unit/holder.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

static char dir[64];

static void up(void)
{
    scratch_make(dir, sizeof dir, "pidfile");
    ck_assert_int_eq(pidfile_dirs(dir), 0);
}

static void down(void)
{
    scratch_remove(dir);
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(the_holder_and_what_it_runs_can_be_read)
{
    struct pidfile_process p;
    ck_assert_int_eq(pidfile_open_holder(dir, "muxer-1", &p), -ENOENT);
    pid_t pid = holder_start(dir, "muxer-1", "muxer version=1 config=ab stream=-");
    ck_assert_int_eq(pidfile_open_holder(dir, "muxer-1", &p), 0);
    ck_assert_int_eq(p.pid, pid);
    ck_assert_str_eq(p.identity, "muxer version=1 config=ab stream=-");
    end(pid);
    struct pollfd wait = {.fd = p.pidfd, .events = POLLIN};
    ck_assert_int_eq(poll(&wait, 1, 5000), 1);
    close(p.pidfd);
    ck_assert_int_eq(pidfile_open_holder(dir, "muxer-1", &p), -ENOENT);
}
END_TEST

START_TEST(a_shorter_entry_leaves_nothing_of_the_longer_one_before)
{
    struct pidfile_process p;
    end(holder_start(dir, "muxer-1", "a line that is longer than the next"));
    pid_t pid = holder_start(dir, "muxer-1", NULL);
    ck_assert_int_eq(pidfile_open_holder(dir, "muxer-1", &p), 0);
    ck_assert_int_eq(p.pid, pid);
    ck_assert_str_eq(p.identity, "");
    close(p.pidfd);
    end(pid);
}
END_TEST

static void overwrite(const char *text)
{
    char *path = xasprintf("%s/pids/muxer-1.pid", dir);
    FILE *f = fopen(path, "r+");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(ftruncate(fileno(f), 0), 0);
    fputs(text, f);
    fclose(f);
    free(path);
}

/* The file is locked, but the number in it is another's: of before, and given out again. */
START_TEST(a_number_that_was_given_to_another_process_is_not_the_holder)
{
    struct pidfile_process p;
    char text[64];
    pid_t pid = holder_start(dir, "muxer-1", "x"), other = holder_start(dir, "encoder-1", "x");
    snprintf(text, sizeof text, "%d\nx\n", (int)other);
    overwrite(text);
    ck_assert_int_eq(pidfile_open_holder(dir, "muxer-1", &p), -EAGAIN);
    ck_assert_int_eq(pidfile_holder(dir, "muxer-1"), -EAGAIN);
    end(other);
    ck_assert_int_eq(pidfile_open_holder(dir, "muxer-1", &p), -EAGAIN);
    end(pid);
    ck_assert_int_eq(pidfile_open_holder(dir, "muxer-1", &p), -ENOENT);
}
END_TEST

static const char *const bad[] = {"",      "\n", "1\n", "-5\nx\n", "99999999999999999999\nx\n",
                                  "x\ny\n"};

START_TEST(a_file_without_a_good_number_names_nobody)
{
    struct pidfile_process p;
    pid_t pid = holder_start(dir, "muxer-1", "x");
    overwrite(bad[_i]);
    ck_assert_int_eq(pidfile_open_holder(dir, "muxer-1", &p), -EAGAIN);
    end(pid);
}
END_TEST

START_TEST(an_identity_that_is_too_long_is_none)
{
    struct pidfile_process p;
    pid_t pid = holder_start(dir, "muxer-1", "x");
    char *text = xasprintf("%d\n%0*d\n", (int)pid, PIDFILE_IDENTITY_MAX, 7);
    overwrite(text);
    free(text);
    ck_assert_int_eq(pidfile_open_holder(dir, "muxer-1", &p), 0);
    ck_assert_str_eq(p.identity, "");
    close(p.pidfd);
    end(pid);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pidfile");
    TCase *t = tcase_create("pidfile");
    tcase_add_checked_fixture(t, up, down);
    tcase_add_test(t, the_holder_and_what_it_runs_can_be_read);
    tcase_add_test(t, a_shorter_entry_leaves_nothing_of_the_longer_one_before);
    tcase_add_test(t, a_number_that_was_given_to_another_process_is_not_the_holder);
    tcase_add_loop_test(t, a_file_without_a_good_number_names_nobody, 0, sizeof bad / sizeof *bad);
    tcase_add_test(t, an_identity_that_is_too_long_is_none);
    suite_add_tcase(s, t);
    return suite_run(s);
}
