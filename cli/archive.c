/* Finds what can be played of a stream.
 * Relies on the layouts of spool and archive; SQLite, read only.
 * Leaves playing it to ffplay. */
#include "cli/archive.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

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

char *archive_newest(const char *dir)
{
    struct newest best = {0};
    look(dir, 1, &best);
    return best.path;
}

/* Names one directory: nothing that leads elsewhere. */
static bool is_folder(const char *folder)
{
    return folder && *folder && *folder != '.' && !strchr(folder, '/');
}

char *archive_stream_dir(const char *archive, const char *stream)
{
    char *index = xasprintf("%s/index.sqlite", archive), *dir = NULL;
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    if (sqlite3_open_v2(index, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK) {
        sqlite3_busy_timeout(db, 200);
        if (sqlite3_prepare_v2(db, "SELECT folder FROM streams WHERE name = ?1", -1, &st, NULL) ==
                SQLITE_OK &&
            sqlite3_bind_text(st, 1, stream, -1, SQLITE_STATIC) == SQLITE_OK &&
            sqlite3_step(st) == SQLITE_ROW) {
            const char *folder = (const char *)sqlite3_column_text(st, 0);
            dir = is_folder(folder) ? xasprintf("%s/%s", archive, folder) : NULL;
        }
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    free(index);
    return dir;
}
