/* LD_PRELOAD=build/tests/intruder INTRUDER="WHAT PATH;WHAT;...": what somebody could do who has
 * taken the process over. When its loop first waits, each is tried, and a line on stderr tells what
 * became of it: "intruder PROGRAM WHAT PATH ERROR". WHAT: read FILE, make FOLDER, exec, fork, trace
 * (the parent), signal (the parent), packet, inet. Relies on epoll_wait being called by the main
 * thread after setup. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int opened(int fd)
{
    int r = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return r;
}

static int make(const char *folder)
{
    char path[512];
    snprintf(path, sizeof path, "%s/intruder-%d", folder, (int)getpid());
    int r = opened(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    unlink(path);
    return r;
}

static int start(void (*child)(void))
{
    long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        child();
    int r = pid < 0 ? errno : 0;
    if (pid > 0)
        waitpid((pid_t)pid, NULL, 0);
    return r;
}

static void leave(void)
{
    _exit(0);
}

/* ENOENT when it may. */
static int start_nothing(void)
{
    execl("/nowhere", "nowhere", (char *)NULL);
    return errno;
}

static int trace(pid_t pid)
{
    int r = ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0 ? errno : 0;
    if (r == 0)
        ptrace(PTRACE_DETACH, pid, NULL, NULL);
    return r;
}

static int try(const char *what, const char *path)
{
    if (strcmp(what, "read") == 0)
        return opened(open(path, O_RDONLY | O_CLOEXEC));
    if (strcmp(what, "make") == 0)
        return make(path);
    if (strcmp(what, "exec") == 0)
        return start_nothing();
    if (strcmp(what, "fork") == 0)
        return start(leave);
    if (strcmp(what, "trace") == 0)
        return trace(getppid());
    if (strcmp(what, "signal") == 0)
        return kill(getppid(), 0) < 0 ? errno : 0;
    if (strcmp(what, "packet") == 0)
        return opened(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    if (strcmp(what, "inet") == 0)
        return opened(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return EINVAL;
}

static void intrude(void)
{
    char *list = strdup(getenv("INTRUDER")), *rest = NULL;
    for (char *t = strtok_r(list, ";", &rest); t; t = strtok_r(NULL, ";", &rest)) {
        char *path = strchr(t, ' ');
        if (path)
            *path++ = '\0';
        int r = try(t, path);
        fprintf(stderr, "intruder %s %s %s %s\n", program_invocation_short_name, t,
                path ? path : "-", r ? strerrorname_np(r) : "OK");
    }
    free(list);
}

int epoll_wait(int epoll, struct epoll_event *events, int n, int timeout)
{
    static int (*real)(int, struct epoll_event *, int, int);
    static int done;
    if (getpid() == gettid() && !done) {
        done = 1;
        if (getenv("INTRUDER"))
            intrude();
    }
    if (!real)
        real = (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
    return real(epoll, events, n, timeout);
}
