/* Opening an archive: its tables, and what a crash left behind.
 * Relies on sqlite3 through sql.h and on files.
 * Leaves appending to archive.c, reading to archive_reader.c. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/dirs.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/archive_private.h"
#include "server/archive_seal.h"
#include "server/sql.h"

#define SCHEMA_VERSION 4
#define SCHEMA_VERSION_SET "PRAGMA user_version=4;"

static const char schema[] =
    "CREATE TABLE streams(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, folder "
    "TEXT NOT NULL UNIQUE,"
    " arn TEXT NOT NULL, version TEXT NOT NULL, media_type TEXT, device_name TEXT, kms_key TEXT, "
    "tags TEXT,"
    " created_ms INTEGER NOT NULL, retention_h INTEGER NOT NULL, last_seq INTEGER NOT NULL,"
    " settings TEXT);"
    "CREATE TABLE files(stream INTEGER NOT NULL, file INTEGER NOT NULL, header_len INTEGER NOT "
    "NULL,"
    " created_ms INTEGER NOT NULL, wrapped BLOB, PRIMARY KEY(stream, file)) WITHOUT ROWID;"
    "CREATE TABLE fragments(stream INTEGER NOT NULL, seq INTEGER NOT NULL, file INTEGER NOT NULL,"
    " offset INTEGER NOT NULL, length INTEGER NOT NULL, pre_len INTEGER NOT NULL, cluster_len "
    "INTEGER NOT NULL,"
    " server_ms INTEGER NOT NULL, producer_ms INTEGER NOT NULL, length_ms INTEGER NOT NULL,"
    " frames INTEGER,"
    " PRIMARY KEY(stream, seq)) WITHOUT ROWID;"
    "CREATE INDEX fragments_server ON fragments(stream, server_ms, seq);"
    "CREATE INDEX fragments_producer ON fragments(stream, producer_ms, seq);"
    "CREATE INDEX fragments_file ON fragments(stream, file, offset);"
    "CREATE TABLE doomed(folder TEXT PRIMARY KEY) WITHOUT ROWID;";

/* One number of up to three; *out stays as it is for NULL or no row. Returns 0 or a negative errno.
 */
static int get_int(sqlite3 *db, const char *sql, int64_t *out, const char *fmt, int64_t a,
                   int64_t b, int64_t c)
{
    sqlite3_stmt *st = sql_prepare(db, sql, fmt, a, b, c);
    int step = st ? sqlite3_step(st) : SQLITE_ERROR;
    if (step == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL)
        *out = sqlite3_column_int64(st, 0);
    int r = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : sql_error(db, sql);
    sqlite3_finalize(st);
    return r;
}

/* What each version added to the one before. */
static int upgrade(struct archive *a, int64_t version)
{
    static const char *const steps[SCHEMA_VERSION] = {
        [1] = "ALTER TABLE streams ADD COLUMN settings TEXT",
        [2] = "ALTER TABLE files ADD COLUMN wrapped BLOB",
        [3] = "ALTER TABLE fragments ADD COLUMN frames INTEGER",
    };
    int r = sql_script(a->db, "BEGIN");
    for (; version < SCHEMA_VERSION && r == 0; version++)
        r = sql_script(a->db, steps[version]);
    return r ? r : sql_script(a->db, SCHEMA_VERSION_SET "COMMIT");
}

/* Makes the tables or checks their version. */
static int make_tables(struct archive *a)
{
    struct stat sb;
    a->device = fstat(a->lock_fd, &sb) == 0 ? sb.st_dev : 0;
    int r = sql_script(
        a->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000; "
               "PRAGMA temp_store=MEMORY;" /* no file outside the archive */);
    if (r)
        return r;
    int64_t version = 0;
    r = get_int(a->db, "PRAGMA user_version", &version, "", 0, 0, 0);
    if (r)
        return r;
    if (version == SCHEMA_VERSION)
        return 0;
    if (version > 0 && version < SCHEMA_VERSION)
        return upgrade(a, version);
    if (version != 0) {
        log_error("server.archive.version",
                  "dir=%s found=%" PRId64 " expected=%d action=\"use the newer kvpipe-server\"",
                  a->dir, version, SCHEMA_VERSION);
        return -EINVAL;
    }
    r = sql_script(a->db, "BEGIN");
    if (r == 0)
        r = sql_script(a->db, schema);
    if (r == 0)
        r = sql_script(a->db, SCHEMA_VERSION_SET "COMMIT");
    return r;
}

static bool file_number(const char *name, uint32_t *n)
{
    char *end;
    unsigned long v = strtoul(name, &end, 10);
    *n = (uint32_t)v;
    return end != name && (!strcmp(end, ".mkv") || !strcmp(end, ".mkv.enc")) && v > 0 &&
           v <= UINT32_MAX;
}

void archive_purge(struct archive *a, const char *folder)
{
    char *path = xasprintf("%s/%s", a->dir, folder);
    DIR *d = opendir(path);
    struct dirent *e;
    uint32_t n;
    while (d && (e = readdir(d)))
        if (file_number(e->d_name, &n))
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    if (rmdir(path) < 0 && errno != ENOENT)
        log_warn("server.archive.purge", "dir=%s error=\"%s\"", path, strerror(errno));
    else
        sql_run(a->db, "DELETE FROM doomed WHERE folder=?", "s", folder);
    free(path);
}

struct known { /* a file of the index */
    uint32_t file, header_len;
    bool sealed, there;
};

/* The files of a stream in rising order, to be freed. Returns how many, or a negative errno. */
static int known_files(struct archive *a, int64_t stream, struct known **out)
{
    struct known *list = NULL;
    size_t n = 0, room = 0;
    sqlite3_stmt *st = sql_prepare(a->db,
                                   "SELECT file, header_len, wrapped IS NOT NULL FROM files WHERE "
                                   "stream=? ORDER BY file",
                                   "i", stream);
    int step = SQLITE_ERROR;
    while (st && (step = sqlite3_step(st)) == SQLITE_ROW) {
        if (n == room) {
            room = room ? 2 * room : 64;
            list = xrealloc(list, room * sizeof *list);
        }
        list[n++] = (struct known){.file = (uint32_t)sqlite3_column_int64(st, 0),
                                   .header_len = (uint32_t)sqlite3_column_int64(st, 1),
                                   .sealed = sqlite3_column_int(st, 2)};
    }
    int r = step == SQLITE_DONE ? (int)n : sql_error(a->db, "files");
    sqlite3_finalize(st);
    *out = list;
    return r;
}

static int by_file(const void *a, const void *b)
{
    const struct known *x = a, *y = b;
    return (x->file > y->file) - (x->file < y->file);
}

/* Files that the index does not know were begun by a batch that was never committed. */
static void match_files(struct archive *a, const char *path, DIR *d, struct known *list, size_t n)
{
    struct dirent *e;
    while ((e = readdir(d))) {
        struct known key = {0}, *k = NULL;
        if (!file_number(e->d_name, &key.file))
            continue;
        if (n)
            k = bsearch(&key, list, n, sizeof *list, by_file);
        if (k && k->sealed == (strstr(e->d_name, ".enc") != NULL)) {
            k->there = true;
            continue;
        }
        log_info("server.archive.unindexed", "file=%s/%s action=removed", path, e->d_name);
        unlinkat(dirfd(d), e->d_name, 0);
    }
}

/* A file that somebody removed takes its own fragments out of the index, no others. */
static int drop_missing(struct archive *a, int64_t stream, const char *path, const struct known *k)
{
    int r = sql_run(a->db, "DELETE FROM fragments WHERE stream=? AND file=?", "ii", stream,
                    (int64_t)k->file);
    int n = r ? 0 : sqlite3_changes(a->db);
    if (n)
        log_error("server.archive.missing_file",
                  "dir=%s file=%u fragments=%d action=\"they leave the index; to have them back, "
                  "restore the file and a copy of the index of before\"",
                  path, k->file, n);
    return r;
}

#define ROW_END "offset+length+?*((length+65535)/65536)"

static int cut_tail(struct archive *a, int64_t stream, const char *folder, const struct known *k)
{
    int64_t tag = k->sealed ? ARCHIVE_TAG_LEN : 0;
    int64_t end = -1;
    int r = get_int(a->db, "SELECT MAX(" ROW_END ") FROM fragments WHERE stream=? AND file=?", &end,
                    "iii", tag, stream, (int64_t)k->file);
    if (r)
        return r;
    if (end < 0)
        end = k->sealed ? (int64_t)(ARCHIVE_SEAL_MAGIC_LEN + archive_sealed_len(k->header_len))
                        : k->header_len;
    char *path = xasprintf(k->sealed ? ARCHIVE_SEALED : ARCHIVE_PLAIN, a->dir, folder, k->file);
    struct stat sb;
    int64_t size = stat(path, &sb) == 0 ? (int64_t)sb.st_size : 0;
    if (size > end) {
        log_info("server.archive.torn_tail", "file=%s bytes=%" PRId64 " action=cut", path,
                 size - end);
        if (truncate(path, end) < 0)
            log_error("server.archive.truncate", "file=%s error=\"%s\"", path, strerror(errno));
    } else if (size < end) {
        log_error("server.archive.short_file",
                  "file=%s bytes=%" PRId64 " indexed=%" PRId64
                  " action=\"fragments beyond the end leave the index\"",
                  path, size, end);
        r = sql_run(a->db, "DELETE FROM fragments WHERE " ROW_END ">? AND stream=? AND file=?",
                    "iiii", tag, size, stream, (int64_t)k->file);
    }
    free(path);
    return r;
}

static int recover_stream(struct archive *a, int64_t id, const char *folder)
{
    struct known *list;
    int n = known_files(a, id, &list);
    if (n < 0)
        return n;
    char *path = xasprintf("%s/%s", a->dir, folder);
    if (!n && mkdir(path, 0750) < 0 && errno != EEXIST)
        log_error("server.archive.mkdir", "dir=%s error=\"%s\"", path, strerror(errno));
    DIR *d = opendir(path);
    if (!d) /* a disk that is not mounted: nothing is concluded from what is not there */
        log_error("server.archive.missing_folder",
                  "dir=%s error=\"%s\" action=\"mount or restore it and start again; until then "
                  "the stream stores and gives nothing\"",
                  path, strerror(errno));
    if (d)
        match_files(a, path, d, list, (size_t)n);
    int r = 0;
    for (int i = 0; d && i < n && r == 0; i++)
        if (!list[i].there)
            r = drop_missing(a, id, path, &list[i]);
    if (d && n && r == 0 && list[n - 1].there)
        r = cut_tail(a, id, folder, &list[n - 1]);
    if (d)
        closedir(d);
    free(path);
    free(list);
    return r;
}

static int recover_all(struct archive *a)
{
    sqlite3_stmt *st = sql_prepare(a->db, "SELECT folder FROM doomed", "");
    while (st && sqlite3_step(st) == SQLITE_ROW)
        archive_purge(a, (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    st = sql_prepare(a->db, "SELECT id, folder FROM streams", "");
    int step = SQLITE_ERROR, r = 0;
    while (st && r == 0 && (step = sqlite3_step(st)) == SQLITE_ROW)
        r = recover_stream(a, sqlite3_column_int64(st, 0),
                           (const char *)sqlite3_column_text(st, 1));
    if (r == 0 && step != SQLITE_DONE)
        r = sql_error(a->db, "recover");
    sqlite3_finalize(st);
    return r;
}

/* Cuts torn tails, removes unindexed files and those of deleted streams. */
static int recover(struct archive *a)
{
    int r = sql_script(a->db, "BEGIN");
    if (r == 0)
        r = recover_all(a);
    if (r == 0)
        r = sql_script(a->db, "COMMIT");
    if (r && !sqlite3_get_autocommit(a->db))
        sql_script(a->db, "ROLLBACK");
    return r;
}

static int lock_dir(struct archive *a)
{
    char *path = xasprintf("%s/lock", a->dir);
    a->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    int r = a->lock_fd < 0 ? -errno : 0;
    if (r == 0 && flock(a->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        r = -EBUSY;
        log_error("server.archive.locked",
                  "dir=%s action=\"stop the other kvpipe-server or set server.data to another "
                  "directory\"",
                  a->dir);
    }
    free(path);
    return r;
}

int archive_open(const char *dir, struct archive **out)
{
    struct archive *a = xcalloc(1, sizeof *a);
    a->dir = xstrdup(dir);
    a->lock_fd = -1;
    TAILQ_INIT(&a->dirty);
    STAILQ_INIT(&a->swept);
    char *path = xasprintf("%s/" ARCHIVE_INDEX, dir);
    int r = dirs_make(dir, 0750);
    if (r == 0)
        r = lock_dir(a);
    if (r == 0 && sqlite3_open(path, &a->db) != SQLITE_OK)
        r = sql_error(a->db, "open");
    if (r == 0)
        r = make_tables(a);
    if (r == 0)
        r = recover(a);
    free(path);
    if (r) {
        if (r == -EBADMSG)
            log_error(
                "server.archive.damaged",
                "file=%s/" ARCHIVE_INDEX
                " error=\"the index is damaged; nothing was changed\" action=\"restore a copy "
                "of it, or move it and its -wal away to start with an empty one: the .mkv "
                "files stay, and play\"",
                dir);
        else if (r != -EBUSY && r != -EINVAL)
            log_error("server.archive.open",
                      "dir=%s error=\"%s\" action=\"make the directory writable, or set "
                      "server.data to another\"",
                      dir, strerror(-r));
        archive_close(&a);
        return r;
    }
    *out = a;
    return 0;
}

void archive_close(struct archive **ap)
{
    struct archive *a = *ap;
    if (!a)
        return;
    sqlite3_close(a->db);
    if (a->lock_fd >= 0)
        close(a->lock_fd);
    free(a->dir);
    free(a);
    *ap = NULL;
}

int archive_load(struct archive *a, void (*fn)(void *arg, const struct archive_stream *s),
                 void *arg)
{
    sqlite3_stmt *st = sql_prepare(
        a->db,
        "SELECT id, name, folder, arn, version, media_type, device_name, kms_key, tags, "
        "created_ms, retention_h, settings,"
        " MAX(last_seq, COALESCE((SELECT MAX(seq) FROM fragments WHERE stream=id),0)),"
        " COALESCE((SELECT MAX(server_ms) FROM fragments WHERE stream=id),0) FROM "
        "streams ORDER BY name",
        "");
    int step = SQLITE_ERROR;
    while (st && (step = sqlite3_step(st)) == SQLITE_ROW) {
        const char *t[9];
        for (int i = 1; i < 9; i++)
            t[i] = (const char *)sqlite3_column_text(st, i);
        struct archive_stream s = {.id = sqlite3_column_int64(st, 0),
                                   .name = t[1],
                                   .folder = t[2],
                                   .arn = t[3],
                                   .version = t[4],
                                   .media_type = t[5],
                                   .device_name = t[6],
                                   .kms_key = t[7],
                                   .tags = t[8],
                                   .created_ms = sqlite3_column_int64(st, 9),
                                   .retention_h = (uint32_t)sqlite3_column_int64(st, 10),
                                   .settings = (const char *)sqlite3_column_text(st, 11),
                                   .last_seq = sqlite3_column_int64(st, 12),
                                   .newest_server_ms = sqlite3_column_int64(st, 13)};
        fn(arg, &s);
    }
    sqlite3_finalize(st);
    return step == SQLITE_DONE ? 0 : -EIO;
}
