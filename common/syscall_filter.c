/* Two tables of names and the rules about arguments.
 * Relies on libseccomp.
 * Leaves who gets which to the stages. */
#include "common/syscall_filter.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/socket.h>

#include <seccomp.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define NAMESPACES                                                                                 \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
     CLONE_NEWNET)

/* clang-format off */

/* What our own code, the C library, libevent, ZeroMQ, libcurl, OpenSSL and SQLite may call, with the
 * older and newer forms of each. */
static const char *const allowed[] = {
    /* bytes */
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek",
    "_llseek", "sendfile", "sendfile64", "splice", "tee", "vmsplice", "copy_file_range", "close", "close_range", "dup", "dup2", "dup3",
    "fcntl", "fcntl64", "ioctl", "pipe", "pipe2", "eventfd", "eventfd2", "memfd_create",
    /* files */
    "open", "openat", "openat2", "creat", "access", "faccessat", "faccessat2", "stat", "stat64", "fstat", "fstat64",
    "lstat", "lstat64", "newfstatat", "fstatat64", "statx", "statfs", "statfs64", "fstatfs", "fstatfs64", "getdents",
    "getdents64", "readlink", "readlinkat", "getcwd", "chdir", "fchdir", "umask", "mkdir", "mkdirat", "rmdir", "unlink",
    "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "chmod", "fchmod", "fchmodat", "fchmodat2",
    "fchown", "fchown32", "utimensat", "utimensat_time64", "utimes", "futimesat", "truncate", "truncate64", "ftruncate",
    "ftruncate64", "fallocate", "fsync", "fdatasync", "sync_file_range", "sync_file_range2", "fadvise64", "fadvise64_64",
    "arm_fadvise64_64", "readahead", "flock", "sync", "syncfs", "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr",
    "inotify_init", "inotify_init1",
    "inotify_add_watch", "inotify_rm_watch",
    /* waiting and time */
    "poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6", "pselect6_time64", "epoll_create",
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "timerfd_create", "timerfd_settime",
    "timerfd_settime64", "timerfd_gettime", "timerfd_gettime64", "signalfd", "signalfd4", "nanosleep", "clock_nanosleep",
    "clock_nanosleep_time64", "clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "gettimeofday",
    "time", "times", "getitimer", "setitimer", "alarm", "pause", "timer_create", "timer_delete", "timer_settime",
    "timer_settime64", "timer_gettime", "timer_gettime64", "timer_getoverrun",
    /* memory */
    "brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "msync", "mincore", "mlock", "mlock2", "munlock", "mlockall", "munlockall",
    "membarrier", "mseal", "pkey_alloc", "pkey_free", "pkey_mprotect", "get_mempolicy",
    "set_mempolicy", "set_mempolicy_home_node", "mbind", "cacheflush", "riscv_flush_icache", "riscv_hwprobe",
    /* threads and signals */
    "futex", "futex_time64", "futex_waitv", "futex_wait", "futex_wake", "futex_requeue", "set_robust_list",
    "get_robust_list", "set_tid_address", "set_thread_area", "get_thread_area", "set_tls", "arch_prctl", "prctl", "rseq",
    "gettid", "sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_setparam", "sched_getscheduler",
    "sched_setscheduler", "sched_getattr", "sched_setattr", "sched_rr_get_interval", "sched_rr_get_interval_time64",
    "sched_get_priority_max", "sched_get_priority_min", "getpriority", "setpriority", "exit", "exit_group",
    "restart_syscall", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_sigtimedwait_time64", "sigaction", "sigprocmask", "sigreturn", "sigpending", "sigsuspend", "signal", "sigaltstack", "tgkill",
    /* sockets; which families, add_sockets() says */
    "socketpair", "bind", "connect", "listen", "accept", "accept4", "getsockname", "getpeername", "getsockopt",
    "setsockopt", "shutdown", "send", "sendto", "sendmsg", "sendmmsg", "recv", "recvfrom", "recvmsg", "recvmmsg",
    "recvmmsg_time64", "socketcall",
    /* who and where */
    "getpid", "getppid", "getuid", "getuid32", "geteuid", "geteuid32", "getgid", "getgid32", "getegid", "getegid32",
    "getresuid", "getresuid32", "getresgid", "getresgid32", "getpgrp", "getpgid", "getsid", "getgroups", "getgroups32",
    "uname", "sysinfo", "getrusage", "getrlimit", "ugetrlimit", "setrlimit", "prlimit64", "getrandom", "getcpu",
    "capget", "cachestat",
};

/* What no stage, no plugin and no program that the monitor starts needs. */
static const char *const refused[] = {
    /* the system */
    "mount", "umount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount",
    "open_tree", "mount_setattr", "swapon", "swapoff", "init_module", "finit_module", "delete_module", "create_module",
    "kexec_load", "kexec_file_load", "reboot", "settimeofday", "clock_settime", "clock_settime64", "clock_adjtime",
    "clock_adjtime64", "adjtimex", "stime", "sethostname", "setdomainname", "acct", "quotactl", "quotactl_fd", "syslog",
    "iopl", "ioperm", "vm86", "vm86old", "uselib", "_sysctl", "nfsservctl", "vhangup",
    /* other processes */
    "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp", "perf_event_open", "unshare", "setns",
    /* wide doors into the kernel */
    "bpf", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key", "request_key",
    "open_by_handle_at", "fanotify_init", "lookup_dcookie",
};
static const char *const looks[] = {"ptrace", "process_vm_readv"};
/* LeakSanitizer clones itself at the end and looks into its threads. */
static const char *const of_sanitizers[] = {"ptrace", "process_vm_readv", "clone", "wait4", "kill"};
/* clang-format on */

#define COUNT(table) (sizeof table / sizeof *table)

/* Not on this machine is no fault; nor is what the filter does anyway. */
static int rule(scmp_filter_ctx ctx, uint32_t action, const char *name, unsigned n,
                const struct scmp_arg_cmp *args)
{
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR)
        return 0;
    int r = seccomp_rule_add_array(ctx, action, number, n, args);
    return r == -EDOM || r == -EACCES ? 0 : r;
}

static int rules(scmp_filter_ctx ctx, uint32_t action, const char *const *names, size_t n)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = rule(ctx, action, names[i], 0, NULL);
    return r;
}

static bool has_family(const struct syscall_filter *f, int family)
{
    return family == AF_UNIX ||
           (f->network == SYSCALL_INET && (family == AF_INET || family == AF_INET6)) ||
           ((f->network == SYSCALL_INET || f->any) && family == AF_NETLINK);
}

/* Other families are doors to kernel code that few have looked at. */
static int add_sockets(scmp_filter_ctx ctx, const struct syscall_filter *f)
{
    const struct scmp_arg_cmp above = SCMP_A0(SCMP_CMP_GT, AF_NETLINK, 0);
    const uint32_t none = SCMP_ACT_ERRNO(EAFNOSUPPORT);
    if (f->network == SYSCALL_ANY)
        return f->any ? 0 : rule(ctx, SCMP_ACT_ALLOW, "socket", 0, NULL);
    int r = rule(ctx, none, "socket", 1, &above);
    for (int family = 0; family <= AF_NETLINK && r == 0; family++) {
        const struct scmp_arg_cmp is = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0);
        r = rule(ctx, has_family(f, family) ? SCMP_ACT_ALLOW : none, "socket", 1, &is);
    }
    return r;
}

/* Threads for all; another process only for who starts programs; namespaces for nobody. The
 * arguments of clone3 lie in memory, where no filter sees them: without it the C library uses
 * clone. */
static int add_processes(scmp_filter_ctx ctx, const struct syscall_filter *f)
{
    static const char *const starts[] = {"fork", "vfork", "execve", "execveat"};
    const uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
    const struct scmp_arg_cmp thread =
        SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | NAMESPACES, CLONE_THREAD);
    const struct scmp_arg_cmp process = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
    int r = rule(ctx, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
    if (r == 0 && !f->exec)
        r = rules(ctx, refuse, starts, COUNT(starts));
    if (r || SANITIZED)
        return r;
    if (!f->any)
        return rule(ctx, SCMP_ACT_ALLOW, "clone", 1, &thread);
    if (!f->exec)
        r = rule(ctx, refuse, "clone", 1, &process);
    for (uint64_t flag = 1; flag <= CLONE_NEWNET && r == 0; flag <<= 1) {
        const struct scmp_arg_cmp has = SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag);
        if (flag & NAMESPACES)
            r = rule(ctx, refuse, "clone", 1, &has);
    }
    return r;
}

static int fill(scmp_filter_ctx ctx, const struct syscall_filter *f)
{
    int r = f->any ? rules(ctx, SCMP_ACT_ERRNO(EPERM), refused, COUNT(refused))
                   : rules(ctx, SCMP_ACT_ALLOW, allowed, COUNT(allowed));
    if (r == 0 && SANITIZED)
        r = rules(ctx, SCMP_ACT_ALLOW, of_sanitizers, COUNT(of_sanitizers));
    else if (r == 0)
        r = rules(ctx, SCMP_ACT_ERRNO(EPERM), looks, COUNT(looks));
    if (r == 0)
        r = add_processes(ctx, f);
    return r ? r : add_sockets(ctx, f);
}

int syscall_filter_load(const struct syscall_filter *f)
{
    const uint32_t otherwise = f->any ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOSYS);
    scmp_filter_ctx ctx = seccomp_init(otherwise);
    if (!ctx)
        return -ENOMEM;
    seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    int r = fill(ctx, f);
    if (r == 0)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    return r;
}
