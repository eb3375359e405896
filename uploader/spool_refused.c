/* Fragments that the endpoint refused for good, kept beside the spool: refused/TIMECODE-REASON.mkv,
 * each a file that players open. Relies on spool_read. Leaves deciding to session.c; a person may
 * look at them and delete them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "uploader/spool_private.h"

#define FOLDER "refused"
#define KEEP_BYTES (256u << 20)
#define PART_BYTES 65536

static int write_all(int fd, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int copy(struct spool *s, const struct spool_fragment *f, int fd)
{
    const struct blob *segment = f->file->segment;
    int r = segment ? write_all(fd, segment->data, segment->len) : -EIO;
    uint8_t *part = malloc(PART_BYTES);
    uint64_t pos = f->own_tags ? f->offset : f->cluster;
    ssize_t n = part ? 1 : -ENOMEM;
    while (r == 0 && n > 0) {
        n = spool_read(s, f, &pos, part, PART_BYTES);
        r = n < 0 ? (int)n : write_all(fd, part, (size_t)n);
    }
    free(part);
    if (r == 0 && fdatasync(fd) < 0)
        r = -errno;
    return r;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_mkv(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return n > 4 && !strcmp(e->d_name + n - 4, ".mkv");
}

/* Deletes the oldest until the folder is within its size. */
static void trim(int dirfd)
{
    struct dirent **found = NULL;
    uint64_t total = 0;
    int n = scandirat(dirfd, ".", &found, is_mkv, by_name);
    for (int i = n - 1; i >= 0; i--) { /* newest first */
        struct stat st;
        if (fstatat(dirfd, found[i]->d_name, &st, 0) == 0)
            total += (uint64_t)st.st_size;
        if (total > KEEP_BYTES)
            unlinkat(dirfd, found[i]->d_name, 0);
        free(found[i]);
    }
    free(found);
}

void spool_keep_refused(struct spool *s, const struct spool_fragment *f, const char *reason)
{
    char name[96];
    snprintf(name, sizeof name, "%013" PRId64 "-%.60s.mkv", f->timecode_ms, reason);
    int r = mkdirat(s->dirfd, FOLDER, 0750) < 0 && errno != EEXIST ? -errno : 0;
    int dir = r ? -1 : openat(s->dirfd, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = dir < 0 ? -1 : openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (r == 0 && fd < 0)
        r = -errno;
    if (r == 0)
        r = copy(s, f, fd);
    if (fd >= 0)
        close(fd);
    if (r < 0 && fd >= 0)
        unlinkat(dir, name, 0);
    if (dir >= 0) {
        if (r == 0 && fsync(dir) < 0)
            r = -errno;
        trim(dir);
        close(dir);
    }
    if (r < 0)
        log_warn("uploader.refused.not_kept", "stream=%s fragment=%" PRId64 " error=\"%s\"",
                 s->stream, f->timecode_ms, strerror(-r));
    else
        log_info("uploader.refused.kept", "stream=%s file=" FOLDER "/%s", s->stream, name);
}
