/* CPU and memory of a process.
 * Relies on /proc/PID/stat.
 * Leaves rates to its users. */
#include "common/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int usage_read(pid_t pid, struct usage *out)
{
    char path[64], text[1024];
    unsigned long long user, system;
    long pages;
    if (pid)
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    else
        snprintf(path, sizeof path, "/proc/self/stat");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    int r = n < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (r < 0)
        return r;
    text[n] = '\0';
    const char *after = strrchr(text, ')'); /* the name before it can hold anything */
    if (!after || sscanf(after + 1,
                         " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d "
                         "%*d %*d %*u %*u %ld",
                         &user, &system, &pages) != 3)
        return -EPROTO;
    out->cpu_s = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    out->rss_bytes = (double)pages * (double)sysconf(_SC_PAGESIZE);
    return 0;
}
