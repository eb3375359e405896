/* Starting a process: what it is given, and what a failure says.
 * Relies on Check and /bin/sh.
 * Leaves real stages to tests/monitor. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/cpus.h"
#include "common/mem.h"
#include "monitor/child.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

static char dir[64];

static void up(void)
{
    scratch_make(dir, sizeof dir, "child");
}

static void down(void)
{
    scratch_remove(dir);
}

/* Runs a script as a child; returns its exit code and what it printed. */
static int run(const char *body, struct child_conf cc, char *said, size_t size)
{
    char *path = xasprintf("%s/script", dir), *log = xasprintf("%s/log", dir);
    pid_t pid;
    int status;
    FILE *f = fopen(path, "w");
    fprintf(f, "#!/bin/sh\n%s\n", body);
    fclose(f);
    chmod(path, 0755);
    cc.program = path;
    cc.file = "c.yaml";
    cc.instance = "muxer-1";
    cc.log_path = log;
    ck_assert_int_eq(child_start(&cc, &pid), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    f = fopen(log, "r");
    said[fread(said, 1, size - 1, f)] = '\0';
    fclose(f);
    free(path);
    free(log);
    return child_code(status);
}

START_TEST(it_gets_arguments_a_group_of_its_own_and_its_log)
{
    char said[256];
    struct child_conf cc = {.stream = "door"};
    int code = run("echo $1 $2 $3 $4 $5 $6; echo error >&2; cut -d' ' -f5 /proc/$$/stat; echo $$; "
                   "exit 5",
                   cc, said, sizeof said);
    int group, pid;
    ck_assert_int_eq(code, 5);
    ck_assert_int_eq(sscanf(said, "-c c.yaml -i muxer-1 -s door error %d %d", &group, &pid), 2);
    ck_assert_int_eq(group, pid);
}
END_TEST

START_TEST(it_runs_within_the_limits_of_its_stage)
{
    char said[256];
    int before = getpriority(PRIO_PROCESS, 0), nice, last = -1;
    cpu_set_t ours;
    char cpu[16];
    ck_assert_int_eq(sched_getaffinity(0, sizeof ours, &ours), 0);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &ours))
            last = i;
    snprintf(cpu, sizeof cpu, "%d", last);
    struct conf_process limits = {.nice = 7, .cpus = cpu};
    struct child_conf cc = {.process = &limits};
    run("cut -d' ' -f19 /proc/$$/stat; grep Cpus_allowed_list /proc/$$/status", cc, said,
        sizeof said);
    char list[32];
    ck_assert_int_eq(sscanf(said, "%d Cpus_allowed_list: %31s", &nice, list), 2);
    ck_assert_int_eq(nice, 7);
    ck_assert_str_eq(list, cpu);
    ck_assert_int_eq(getpriority(PRIO_PROCESS, 0), before); /* not ours */
}
END_TEST

START_TEST(what_systemd_told_us_is_not_told_to_it)
{
    char said[256];
    setenv("NOTIFY_SOCKET", "/nowhere", 1);
    setenv("WATCHDOG_USEC", "1", 1);
    setenv("KVPIPE_TEST_STAYS", "yes", 1);
    run("echo \"${NOTIFY_SOCKET-none} ${WATCHDOG_USEC-none} $KVPIPE_TEST_STAYS\"",
        (struct child_conf){0}, said, sizeof said);
    ck_assert_str_eq(said, "none none yes\n");
}
END_TEST

START_TEST(what_it_is_given_goes_before_what_we_have)
{
    char said[256];
    char *const more[] = {"KVPIPE_LISTEN=ipc://a", "KVPIPE_RUN=theirs", NULL};
    setenv("KVPIPE_RUN", "ours", 1);
    run("echo \"$KVPIPE_LISTEN $KVPIPE_RUN\"", (struct child_conf){.variables = more}, said,
        sizeof said);
    ck_assert_str_eq(said, "ipc://a theirs\n");
}
END_TEST

START_TEST(what_cannot_be_started_says_why_and_leaves_no_process)
{
    pid_t pid = -1;
    struct conf_process limits = {.cpus = "1000"};
    struct child_conf cc = {.program = "/nonexistent/kvpipe", .file = "c", .instance = "i"};
    ck_assert_int_eq(child_start(&cc, &pid), -ENOENT);
    cc.program = "/etc/passwd";
    ck_assert_int_eq(child_start(&cc, &pid), -EACCES);
    cc.program = "/bin/true";
    cc.process = &limits;
    ck_assert_int_eq(child_start(&cc, &pid), -EINVAL);
    cc.process = NULL;
    cc.log_path = "/nonexistent/log";
    ck_assert_int_eq(child_start(&cc, &pid), -ENOENT);
    ck_assert_int_eq(pid, 0);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
}
END_TEST

static const struct {
    const char *text;
    int code, count;
} lists[] = {{"0", 0, 1},         {"0-2,5", 0, 4},    {"7,7", 0, 1},      {"", -EINVAL, 0},
             {"2-1", -EINVAL, 0}, {"1,", -EINVAL, 0}, {"a", -EINVAL, 0},  {"1024", -EINVAL, 0},
             {"-1", -EINVAL, 0},  {"1-", -EINVAL, 0}, {"1 2", -EINVAL, 0}};

START_TEST(a_list_of_cpus_is_numbers_and_ranges)
{
    cpu_set_t set;
    ck_assert_int_eq(cpus_parse(lists[_i].text, &set), lists[_i].code);
    if (lists[_i].code == 0)
        ck_assert_int_eq(CPU_COUNT(&set), lists[_i].count);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("child");
    TCase *t = tcase_create("child");
    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, up, down);
    tcase_add_test(t, it_gets_arguments_a_group_of_its_own_and_its_log);
    tcase_add_test(t, it_runs_within_the_limits_of_its_stage);
    tcase_add_test(t, what_systemd_told_us_is_not_told_to_it);
    tcase_add_test(t, what_it_is_given_goes_before_what_we_have);
    tcase_add_test(t, what_cannot_be_started_says_why_and_leaves_no_process);
    tcase_add_loop_test(t, a_list_of_cpus_is_numbers_and_ranges, 0, sizeof lists / sizeof *lists);
    suite_add_tcase(s, t);
    return suite_run(s);
}
