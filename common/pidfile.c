/* Pid files with a lock.
 * Relies on flock(2). The file is never removed: unlinking a locked file would let two processes
 * lock two files. Leaves what to do about the other process to the caller. */
#include "common/pidfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/dirs.h"
#include "common/mem.h"

int pidfile_dirs(const char *run)
{
    char *pids = xasprintf("%s/pids", run);
    int r = dirs_make(pids, 0755);
    free(pids);
    return r;
}

/* The first line is the pid, the second what it runs. */
static pid_t parse(int fd, char *identity)
{
    char text[32 + PIDFILE_IDENTITY_MAX];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    *identity = '\0';
    if (n <= 0)
        return 0;
    text[n] = '\0';
    char *line = strchr(text, '\n');
    if (line) {
        size_t len = strcspn(++line, "\n");
        if (line[len] && len < PIDFILE_IDENTITY_MAX)
            snprintf(identity, PIDFILE_IDENTITY_MAX, "%.*s", (int)len, line);
    }
    long pid = strtol(text, NULL, 10);
    return pid > 0 && pid < 1 << 30 ? (pid_t)pid : 0;
}

int pidfile_write(int fd, const char *identity)
{
    char *text =
        xasprintf("%d\n%s%s", (int)getpid(), identity ? identity : "", identity ? "\n" : "");
    size_t len = strlen(text);
    bool ok = pwrite(fd, text, len, 0) == (ssize_t)len && ftruncate(fd, (off_t)len) == 0;
    free(text);
    return ok ? 0 : -(errno ? errno : EIO);
}

/* A pid is only a number: the process is the one that we mean when it has this very file open. */
static bool has_open(pid_t pid, int fd)
{
    char path[64];
    struct stat want, st;
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (!dir || fstat(fd, &want) < 0) {
        found = !dir && errno == EACCES; /* another user's: the number is all there is */
        if (dir)
            closedir(dir);
        return found;
    }
    const struct dirent *e;
    while (!found && (e = readdir(dir)) != NULL)
        found = e->d_name[0] != '.' && fstatat(dirfd(dir), e->d_name, &st, 0) == 0 &&
                st.st_ino == want.st_ino && st.st_dev == want.st_dev;
    closedir(dir);
    return found;
}

static int open_file(const char *run, const char *instance, int flags)
{
    char *path = xasprintf("%s/pids/%s.pid", run, instance);
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0644);
    int r = fd < 0 ? -errno : fd;
    free(path);
    return r;
}

int pidfile_lock(const char *run, const char *instance, const char *identity, pid_t *holder)
{
    char other[PIDFILE_IDENTITY_MAX];
    *holder = 0;
    int fd = open_file(run, instance, O_RDWR | O_CREAT);
    if (fd < 0)
        return fd;
    int r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : pidfile_write(fd, identity);
    if (r == 0)
        return fd;
    *holder = parse(fd, other);
    close(fd);
    return r;
}

static pid_t find_holder(const char *run, const char *instance, char *identity)
{
    int fd = open_file(run, instance, O_RDONLY);
    *identity = '\0';
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    pid_t pid = 0;
    if (flock(fd, LOCK_SH | LOCK_NB) < 0) {
        pid = errno == EWOULDBLOCK ? parse(fd, identity) : -errno;
        if (pid >= 0 && (pid == 0 || !has_open(pid, fd)))
            pid = -EAGAIN;
    }
    close(fd);
    return pid;
}

pid_t pidfile_holder(const char *run, const char *instance)
{
    char identity[PIDFILE_IDENTITY_MAX];
    return find_holder(run, instance, identity);
}

int pidfile_open_holder(const char *run, const char *instance, struct pidfile_process *p)
{
    pid_t pid = find_holder(run, instance, p->identity);
    if (pid <= 0)
        return pid ? pid : -ENOENT;
    p->pid = pid;
    p->pidfd = pidfd_open(pid, 0);
    if (p->pidfd < 0)
        return errno == ESRCH ? -EAGAIN : -errno;
    /* it may have ended, and its number be another's, before we opened it: look again */
    if (find_holder(run, instance, p->identity) == pid)
        return 0;
    close(p->pidfd);
    return -EAGAIN;
}
