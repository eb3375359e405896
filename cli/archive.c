/* Finds what can be played of a stream.
 * Relies on the layout DIR/STREAM/NAME.mkv of archive and spool.
 * Leaves playing it to ffplay. */
#include "cli/archive.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"

#define DEPTH_MAX 3

struct newest {
    char *path;
    struct timespec when;
};

static void consider(struct newest *best, char **path, const struct stat *st)
{
    size_t len = strlen(*path);
    bool later =
        st->st_mtim.tv_sec > best->when.tv_sec ||
        (st->st_mtim.tv_sec == best->when.tv_sec && st->st_mtim.tv_nsec > best->when.tv_nsec);
    if (len > 4 && strcmp(*path + len - 4, ".mkv") == 0 && st->st_size > 0 &&
        (!best->path || later)) {
        free(best->path);
        best->path = *path;
        best->when = st->st_mtim;
        *path = NULL;
    }
}

static void look(const char *dir, int depth, struct newest *best)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    while (d && (e = readdir(d)) != NULL) {
        struct stat st;
        char *path = xasprintf("%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.' && lstat(path, &st) == 0) {
            if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
                look(path, depth + 1, best);
            else if (S_ISREG(st.st_mode))
                consider(best, &path, &st);
        }
        free(path);
    }
    if (d)
        closedir(d);
}

char *archive_newest(const char *dir, const char *stream)
{
    struct newest best = {0};
    char *path = xasprintf("%s/%s", dir, stream);
    look(path, 1, &best);
    free(path);
    return best.path;
}
