/* Pid files with a lock.
 * Relies on flock(2). The file is never removed: unlinking a locked file would let two processes
 * lock two files. Leaves what to do about the other process to the caller. */
#include "common/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

static int make_dirs(const char *path)
{
    char *copy = xstrdup(path);
    int r = 0;
    for (char *p = copy + 1; r == 0; p++) {
        char c = *p;
        if (c && c != '/')
            continue;
        *p = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            r = -errno;
        *p = c;
        if (!c)
            break;
    }
    free(copy);
    return r;
}

int pidfile_dirs(const char *run)
{
    char *pids = xasprintf("%s/pids", run);
    int r = make_dirs(pids);
    free(pids);
    return r;
}

static pid_t read_pid(int fd)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    long pid = strtol(text, NULL, 10);
    return pid > 1 && pid < 1 << 30 ? (pid_t)pid : 0;
}

static int write_pid(int fd)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return -(errno ? errno : EIO);
    return 0;
}

static int open_file(const char *run, const char *instance, int flags)
{
    char *path = xasprintf("%s/pids/%s.pid", run, instance);
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0644);
    int r = fd < 0 ? -errno : fd;
    free(path);
    return r;
}

int pidfile_lock(const char *run, const char *instance, pid_t *holder)
{
    *holder = 0;
    int fd = open_file(run, instance, O_RDWR | O_CREAT);
    if (fd < 0)
        return fd;
    int r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : write_pid(fd);
    if (r == 0)
        return fd;
    *holder = read_pid(fd);
    close(fd);
    return r;
}

pid_t pidfile_holder(const char *run, const char *instance)
{
    int fd = open_file(run, instance, O_RDONLY);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    pid_t pid = 0;
    if (flock(fd, LOCK_SH | LOCK_NB) < 0)
        pid = errno == EWOULDBLOCK ? read_pid(fd) : -errno;
    close(fd);
    return pid;
}
