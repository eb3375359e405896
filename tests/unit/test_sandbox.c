/* Claims about what a process can no longer do. Each is tried in a child of its own, since nothing
 * of it can be taken back.
 * Relies on Check, a temporary folder, and the kernel: without Landlock its claims are left out.
 * Leaves what each stage gives up to tests/monitor/sandbox. */
#include "common/sandbox.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static char top[64];

static void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void setup(void)
{
    strcpy(top, "/tmp/kvpipe-sandbox-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    ck_assert_int_eq(chdir(top), 0);
    ck_assert_int_eq(mkdir("in", 0700) | mkdir("out", 0700) | mkdir("in/deep", 0700), 0);
    make_file("in/file");
    make_file("out/file");
    ck_assert_int_eq(symlink("../out/file", "in/link"), 0);
}

static void teardown(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", top);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(system(command), 0);
}

/* ---- what can be tried: 0 or an errno ---- */

static int opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? errno : 0;
}

static int read_in(void)
{
    return opens("in/file", O_RDONLY);
}

static int read_out(void)
{
    return opens("out/file", O_RDONLY);
}

static int write_in(void)
{
    return opens("in/file", O_WRONLY);
}

static int make_in(void)
{
    return opens("in/new", O_WRONLY | O_CREAT);
}

static int make_out(void)
{
    return opens("out/new", O_WRONLY | O_CREAT);
}

static int remove_in(void)
{
    return unlink("in/file") < 0 ? errno : 0;
}

static int move_in(void)
{
    return rename("in/file", "in/deep/file") < 0 ? errno : 0;
}

static int move_out(void)
{
    return rename("in/file", "out/theirs") < 0 ? errno : 0;
}

static int bind_in(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "in/socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = bind(fd, (struct sockaddr *)&a, sizeof a);
    return r < 0 ? errno : unlink(a.sun_path) < 0 ? errno : 0;
}

static int read_linked(void)
{
    return opens("in/link", O_RDONLY);
}

static int signal_parent(void)
{
    return kill(getppid(), 0) < 0 ? errno : 0;
}

static int start_program(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return errno;
}

static int start_process(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        _exit(0);
    return pid < 0 ? errno : 0;
}

static void *look_out(void *arg)
{
    *(int *)arg = read_out();
    return NULL;
}

static int read_out_in_thread(void)
{
    pthread_t t;
    int said = 0;
    int r = pthread_create(&t, NULL, look_out, &said);
    return r ? -r : pthread_join(t, NULL) ? EIO : said;
}

static void *nothing(void *arg)
{
    return arg;
}

static int start_thread(void)
{
    pthread_t t;
    int r = pthread_create(&t, NULL, nothing, NULL);
    return r ? r : pthread_join(t, NULL);
}

static int trace_parent(void)
{
    return ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) < 0 ? errno : 0;
}

static int make_namespace(void)
{
    return unshare(CLONE_NEWUSER) < 0 ? errno : 0;
}

static int clone_namespace(void)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        _exit(0);
    return pid < 0 ? errno : 0;
}

static int mount_something(void)
{
    return syscall(SYS_mount, "none", "/", NULL, 0, NULL) < 0 ? errno : 0;
}

static int ask_for_uring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL) < 0 ? errno : 0;
}

static int make_socket(int family)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? errno : 0;
}

static int make_unix(void)
{
    return make_socket(AF_UNIX);
}

static int make_inet(void)
{
    return make_socket(AF_INET);
}

static int make_netlink(void)
{
    return make_socket(AF_NETLINK);
}

static int make_packet(void)
{
    return make_socket(AF_PACKET);
}

static int make_bluetooth(void)
{
    return make_socket(AF_BLUETOOTH);
}

static int gain_privileges(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? EPERM : 0;
}

/* ---- claims ---- */

struct claim {
    const char *text;
    int (*try)(void);
    int expected;
    unsigned rights; /* for "in" */
    const char *file;
    struct syscall_filter calls;
};

#define READ LANDLOCK_READ
#define WRITE LANDLOCK_WRITE
#define OWN .calls = {.any = false}
#define PLUGINS .calls = {.any = true}
#define PARENT .calls = {.any = true, .exec = true, .network = SYSCALL_ANY}
#define NETWORK .calls = {.network = SYSCALL_INET}

/* clang-format off */
static const struct claim of_files[] = {
    {"what is allowed can be read", read_in, 0, READ, NULL, OWN},
    {"nothing else can be read", read_out, EACCES, READ, NULL, OWN},
    {"nor by a thread that is started later", read_out_in_thread, EACCES, READ, NULL, OWN},
    {"reading is not writing", write_in, EACCES, READ, NULL, OWN},
    {"nor making", make_in, EACCES, READ, NULL, OWN},
    {"nor removing", remove_in, EACCES, READ, NULL, OWN},
    {"what may be written can be made", make_in, 0, WRITE, NULL, OWN},
    {"and removed", remove_in, 0, WRITE, NULL, OWN},
    {"and moved to another folder in it", move_in, 0, WRITE, NULL, OWN},
    {"but not out of it", move_out, EACCES, WRITE, NULL, OWN},
    {"nothing is made outside", make_out, EACCES, WRITE, NULL, OWN},
    {"sockets can be bound and removed where that is allowed", bind_in, 0, LANDLOCK_BIND, NULL, OWN},
    {"but not elsewhere", bind_in, EACCES, READ, NULL, OWN},
    {"where sockets can be made files cannot", make_in, EACCES, LANDLOCK_BIND, NULL, OWN},
    {"a file behind a link can be read", read_linked, 0, 0, "in/link", OWN},
    {"a program is not started where no file may be", start_program, EACCES, READ, NULL, PARENT},
};
static const struct claim of_calls[] = {
    {"no program is started", start_program, EPERM, 0, NULL, OWN},
    {"nor by plugins", start_program, EPERM, 0, NULL, PLUGINS},
    {"threads are", start_thread, 0, 0, NULL, OWN},
    {"by plugins, too", start_thread, 0, 0, NULL, PLUGINS},
    {"there are no namespaces", make_namespace, ENOSYS, 0, NULL, OWN},
    {"nor for plugins", make_namespace, EPERM, 0, NULL, PLUGINS},
    {"nor for programs", make_namespace, EPERM, 0, NULL, PARENT},
    {"nothing is mounted", mount_something, ENOSYS, 0, NULL, OWN},
    {"nor by plugins", mount_something, EPERM, 0, NULL, PLUGINS},
    {"there is no io_uring", ask_for_uring, ENOSYS, 0, NULL, OWN},
    {"nor for plugins", ask_for_uring, EPERM, 0, NULL, PLUGINS},
    {"unix sockets are for all", make_unix, 0, 0, NULL, OWN},
    {"addresses of hosts are not", make_inet, EAFNOSUPPORT, 0, NULL, OWN},
    {"nor for plugins", make_inet, EAFNOSUPPORT, 0, NULL, PLUGINS},
    {"who needs the network has it", make_inet, 0, 0, NULL, NETWORK},
    {"with what looks up names", make_netlink, 0, 0, NULL, NETWORK},
    {"but no other family", make_packet, EAFNOSUPPORT, 0, NULL, NETWORK},
    {"also not one of a high number", make_bluetooth, EAFNOSUPPORT, 0, NULL, NETWORK},
    {"plugins hear of devices", make_netlink, 0, 0, NULL, PLUGINS},
    {"privileges are not gained", gain_privileges, EPERM, 0, NULL, OWN},
    {"nor by programs that the monitor starts", gain_privileges, EPERM, 0, NULL, PARENT},
};
/* Sanitizers clone processes themselves and look into them. */
static const struct claim of_processes[] = {
    {"no process is started", start_process, ENOSYS, 0, NULL, OWN},
    {"nor by plugins", start_process, EPERM, 0, NULL, PLUGINS},
    {"other processes are not looked into", trace_parent, EPERM, 0, NULL, OWN},
    {"nor by plugins", trace_parent, EPERM, 0, NULL, PLUGINS},
    {"nor by programs that the monitor starts", trace_parent, EPERM, 0, NULL, PARENT},
    {"nor in a clone of theirs", clone_namespace, EPERM, 0, NULL, PARENT},
};
/* clang-format on */

/* In the child. Returns what becomes of the try, or 255. */
static int enter_and_try(const struct claim *c, bool limit_files)
{
    struct sandbox s = {.any_file = !limit_files, .calls = c->calls};
    int files, calls;
    sandbox_allow(&s, "in", c->rights);
    sandbox_allow_file(&s, c->file);
    sandbox_enter(&s, &files, &calls);
    sandbox_fini(&s);
    return files || calls ? 255 : c->try();
}

static void check_claim(const struct claim *c, bool limit_files)
{
    int status;
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(enter_and_try(c, limit_files));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == c->expected,
                  "%s: status %#x, expected \"%s\"", c->text, (unsigned)status,
                  strerror(c->expected));
}

START_TEST(a_claim_of_files)
{
    check_claim(&of_files[_i], true);
}
END_TEST

START_TEST(a_claim_of_calls)
{
    check_claim(&of_calls[_i], false);
}
END_TEST

START_TEST(a_claim_of_processes)
{
    check_claim(&of_processes[_i], false);
}
END_TEST

static const struct claim of_signals = {
    "a process outside gets no signal", signal_parent, EPERM, READ, NULL, PARENT};

START_TEST(signals_stay_inside)
{
    check_claim(&of_signals, true);
}
END_TEST

/* Another process, which is not held, gives the name to another file once the sandbox is there. */
static int read_later(const char *name)
{
    struct sandbox s = {.calls.any = true};
    int status, files, calls, ends[2];
    if (pipe(ends) < 0)
        return 255;
    pid_t other = fork();
    if (other == 0) {
        char byte;
        _exit(read(ends[0], &byte, 1) == 1 && mkdir("in/later", 0700) == 0 &&
                      rename("out/file", name) == 0
                  ? 0
                  : 1);
    }
    sandbox_allow_file(&s, name);
    sandbox_enter(&s, &files, &calls);
    sandbox_fini(&s);
    bool moved = write(ends[1], "", 1) == 1 && waitpid(other, &status, 0) == other && status == 0;
    return moved && files == 0 && calls == 0 ? opens(name, O_RDONLY) : 255;
}

/* One that is replaced, one that is not there yet, one whose folder is not. */
START_TEST(a_name_is_meant_not_the_file)
{
    static const char *const names[] = {"in/file", "in/late", "in/later/file"};
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(read_later(names[_i]));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* What is held already keeps it from holding more: as on a kernel that has neither. */
START_TEST(without_the_kernels_help_it_is_told)
{
    struct sandbox s = {.any_file = true};
    int status, files, calls;
    pid_t pid = fork();
    if (pid == 0) {
        sandbox_enter(&s, &files, &calls);
        s.any_file = false;
        sandbox_enter(&s, &files, &calls);
        _exit(files == -ENOSYS && calls < 0 && read_out() == 0 ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

static void expect_covers(bool expected, const struct sandbox *held, const char *path,
                          unsigned rights)
{
    struct sandbox wanted = {0};
    sandbox_allow(&wanted, path, rights);
    ck_assert_uint_eq(wanted.count, 1);
    ck_assert_int_eq(sandbox_covers(held, &wanted), expected);
    sandbox_fini(&wanted);
}

START_TEST(a_folder_covers_what_is_below)
{
    struct sandbox held = {0};
    sandbox_allow(&held, "in", READ);
    expect_covers(true, &held, "in", READ);
    expect_covers(true, &held, "in/deep", READ);
    expect_covers(true, &held, "in/../in/file", READ);
    expect_covers(false, &held, "in/deep", READ | WRITE);
    expect_covers(false, &held, "out", READ);
    ck_assert_int_eq(mkdir("into", 0700), 0);
    expect_covers(false, &held, "into", READ);
    sandbox_fini(&held);
}
END_TEST

START_TEST(calls_that_were_given_up_are_not_covered)
{
    const struct sandbox held = {0}, any = {.any_file = true,
                                            .calls = {.any = true, .exec = true, .network = 2}};
    const struct sandbox wanted[] = {{.any_file = true},
                                     {.calls.any = true},
                                     {.calls.exec = true},
                                     {.calls.network = SYSCALL_INET}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        ck_assert(!sandbox_covers(&held, &wanted[i]));
        ck_assert(sandbox_covers(&any, &wanted[i]));
    }
    ck_assert(sandbox_covers(&held, &held));
}
END_TEST

/* The version, 0 without it. */
static long landlock_version(void)
{
    long v = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
    if (v < 0)
        fprintf(stderr, "the claims about files are left out: this kernel has no Landlock (%s)\n",
                strerror(errno));
    else if (v < 6)
        fprintf(stderr, "the claim about signals is left out: this Landlock is of version %ld\n",
                v);
    return v < 0 ? 0 : v;
}

int main(void)
{
    Suite *suite = suite_create("sandbox");
    TCase *tc = tcase_create("sandbox");
    long version = landlock_version();
    tcase_add_checked_fixture(tc, setup, teardown);
    if (version) {
        tcase_add_loop_test(tc, a_claim_of_files, 0, sizeof of_files / sizeof *of_files);
        tcase_add_loop_test(tc, a_name_is_meant_not_the_file, 0, 3);
    }
    if (version >= 6)
        tcase_add_test(tc, signals_stay_inside);
    tcase_add_loop_test(tc, a_claim_of_calls, 0, sizeof of_calls / sizeof *of_calls);
    if (!SANITIZED)
        tcase_add_loop_test(tc, a_claim_of_processes, 0,
                            sizeof of_processes / sizeof *of_processes);
    tcase_add_test(tc, without_the_kernels_help_it_is_told);
    tcase_add_test(tc, a_folder_covers_what_is_below);
    tcase_add_test(tc, calls_that_were_given_up_are_not_covered);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
