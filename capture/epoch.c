/* The epoch of a stream, kept in a file.
 * Relies on rename(2) and fsync(2).
 * Leaves what epochs are for to the link. */
#include "capture/epoch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/dirs.h"
#include "common/mem.h"

/* Stream names are letters, digits, '_', '.', '-' by the config's check; '/' would leave the
 * folder. */
static char *path_of(const char *dir, const char *stream, const char *suffix)
{
    char *path = xasprintf("%s/%s.epoch%s", dir, stream, suffix);

    for (char *p = path + strlen(dir) + 1; *p; p++)
        if (*p == '/')
            *p = '_';
    return path;
}

static int read_stored(const char *path, uint64_t *stored)
{
    char text[32] = "", *end;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    *stored = 0;
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    n = read(fd, text, sizeof text - 1);
    if (n < 0)
        n = -errno;
    close(fd);
    if (n < 0)
        return (int)n;
    errno = 0;
    *stored = strtoull(text, &end, 10);
    if (end == text || *end != '\n' || errno || text[0] == '-' || *stored == UINT64_MAX)
        return -EBADMSG;
    return 0;
}

static int sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

    if (fd < 0)
        return -errno;
    if (fsync(fd) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

static int write_file(const char *path, uint64_t value, bool durable)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)value), rc = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (fd < 0)
        return -errno;
    errno = 0;
    if (write(fd, text, (size_t)n) != n)
        rc = errno ? -errno : -EIO;
    if (!rc && durable && fsync(fd) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

static int replace(const char *dir, const char *stream, uint64_t value, bool durable)
{
    char *path = path_of(dir, stream, ""), *fresh = path_of(dir, stream, ".new");
    int rc = write_file(fresh, value, durable);

    if (!rc && rename(fresh, path) < 0)
        rc = -errno;
    if (!rc && durable)
        rc = sync_dir(dir);
    free(path);
    free(fresh);
    return rc;
}

int epoch_next(const char *dir, const char *stream, int64_t wall_ms, uint64_t *epoch,
               uint64_t *reached_ms)
{
    char *path = path_of(dir, stream, "");
    uint64_t stored, next = wall_ms > 0 ? (uint64_t)wall_ms : 1;
    int rc = dirs_make(dir, 0777);

    if (!rc)
        rc = read_stored(path, &stored);
    free(path);
    if (rc)
        return rc;
    if (next <= stored)
        next = stored + 1;
    rc = replace(dir, stream, next, true);
    if (!rc) {
        *epoch = next;
        *reached_ms = stored;
    }
    return rc;
}

int epoch_note(const char *dir, const char *stream, uint64_t epoch)
{
    return replace(dir, stream, epoch, false);
}

void epoch_reach(const char *dir, const char *stream, uint64_t epoch, int64_t last_ns,
                 uint64_t *noted)
{
    uint64_t reached = (uint64_t)(last_ns / NS_PER_MS) + 1;

    if (epoch > reached)
        reached = epoch;
    if (reached <= *noted)
        return;
    *noted = reached;
    epoch_note(dir, stream, reached);
}
