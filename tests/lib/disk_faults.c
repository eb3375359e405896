/* LD_PRELOAD=build/tests/disk_faults: a disk with bad days under one process.
 *   DISK_FAULTS=FILE  what it does now, read at each call: "write ERRNO" (files cannot be written
 * or made), "sync hang" (a sync does not return), nothing (it works) DISK_SYNCED=FILE  gets a line
 * for each sync that is over: "file SIZE PATH" with the size when it began, or "dir PATH NAME…".
 * What is not in it a power cut may take. Takes paths below the directory of DISK_SYNCED only. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int (*real_openat)(int, const char *, int, ...);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_fdatasync)(int), (*real_fsync)(int);
static int notes = -1; /* open from the start: later the process may not write there */

static __attribute__((constructor)) void find(void)
{
    *(void **)&real_openat = dlsym(RTLD_NEXT, "openat");
    *(void **)&real_pwritev = dlsym(RTLD_NEXT, "pwritev");
    *(void **)&real_write = dlsym(RTLD_NEXT, "write");
    *(void **)&real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    *(void **)&real_fsync = dlsym(RTLD_NEXT, "fsync");
    const char *log = getenv("DISK_SYNCED");
    if (log)
        notes = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The path of a regular file or directory in the spool, false for others. */
static bool spool_path(int fd, char path[4096])
{
    char link[64];
    const char *log = getenv("DISK_SYNCED");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = log ? readlink(link, path, 4095) : -1;
    if (n <= 0)
        return false;
    path[n] = '\0';
    return strncmp(path, log, (size_t)(strrchr(log, '/') - log)) == 0 && strstr(path, "/spool/");
}

static bool now(const char *word, char text[64])
{
    const char *path = getenv("DISK_FAULTS");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd >= 0 ? read(fd, text, 63) : 0;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return strncmp(text, word, strlen(word)) == 0;
}

static bool write_fails(int fd)
{
    char path[4096], text[64];
    if (!spool_path(fd, path) || !now("write ", text))
        return false;
    errno = atoi(text + 6);
    return true;
}

int openat(int dirfd, const char *name, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
    va_end(list);
    if (flags & O_CREAT && dirfd >= 0 && write_fails(dirfd))
        return -1;
    return real_openat(dirfd, name, flags, mode);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
    return write_fails(fd) ? -1 : real_pwritev(fd, iov, n, at);
}

ssize_t write(int fd, const void *data, size_t len)
{
    return write_fails(fd) ? -1 : real_write(fd, data, len);
}

static void note(const char *line)
{
    if (real_write(notes, line, strlen(line)) < 0)
        abort();
}

static void list_names(const char *path, char *line, size_t cap)
{
    DIR *d = opendir(path);
    size_t len = (size_t)snprintf(line, cap, "dir %s", path);
    for (struct dirent *e; d && (e = readdir(d));)
        len += (size_t)snprintf(line + len, cap - len, " %s", e->d_name);
    snprintf(line + len, cap - len, "\n");
    if (d)
        closedir(d);
}

static int synced(int fd, int (*real)(int))
{
    char path[4096], text[64], line[16384];
    struct stat st;
    if (!spool_path(fd, path) || fstat(fd, &st) < 0)
        return real(fd);
    if (S_ISDIR(st.st_mode))
        list_names(path, line, sizeof line);
    else
        snprintf(line, sizeof line, "file %lld %s\n", (long long)st.st_size, path);
    while (now("sync hang", text))
        usleep(20000);
    int r = real(fd);
    if (r == 0)
        note(line);
    return r;
}

int fdatasync(int fd)
{
    return synced(fd, real_fdatasync);
}

int fsync(int fd)
{
    return synced(fd, real_fsync);
}
