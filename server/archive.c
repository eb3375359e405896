/* The archive's writer: index rows and append-only files that become durable together.
 * Relies on sqlite3 through sql.h and on files.
 * Leaves recovery at start to archive_recover.c, reading to archive_reader.c. */
#include "server/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/archive_private.h"
#include "server/archive_seal.h"
#include "server/kms.h"
#include "server/sql.h"

#define FILE_AGE_NS (5 * 60 * NS_PER_S)
#define FILE_BYTES (UINT64_C(1) << 30)
/* From so many files on one syncfs() is cheaper than a sync of each. */
#define SYNCFS_FILES 4

static int begin(struct archive *a)
{
    /* SQLite ends a transaction by itself when the disk is full or fails. Nothing may follow
     * outside of one: archive_commit() fails then and undoes the whole batch. */
    if (a->in_transaction)
        return sqlite3_get_autocommit(a->db) ? -EIO : 0;
    int r = sql_script(a->db, "BEGIN IMMEDIATE");
    a->in_transaction = r == 0;
    return r;
}

static int sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

int archive_add_stream(struct archive *a, const struct archive_stream *s, int64_t *id)
{
    char path[4096];
    int r = begin(a);
    if (r == 0)
        r = sql_run(a->db,
                    "INSERT INTO streams(name, folder, arn, version, media_type, device_name, "
                    "kms_key, tags, created_ms, "
                    "retention_h, last_seq) VALUES(?,?,?,?,?,?,?,?,?,?,0)",
                    "ssssssssii", s->name, s->folder, s->arn, s->version, s->media_type,
                    s->device_name, s->kms_key, s->tags, s->created_ms, (int64_t)s->retention_h);
    if (r)
        return r;
    *id = sqlite3_last_insert_rowid(a->db);
    snprintf(path, sizeof path, "%s/%s", a->dir, s->folder);
    if (mkdir(path, 0750) < 0 && errno != EEXIST)
        return -errno;
    return sync_dir(a->dir);
}

int archive_update_stream(struct archive *a, const struct archive_stream *s)
{
    int r = begin(a);
    return r ? r
             : sql_run(a->db,
                       "UPDATE streams SET version=?, media_type=?, device_name=?, tags=?, "
                       "settings=?, retention_h=? WHERE id=?",
                       "sssssii", s->version, s->media_type, s->device_name, s->tags, s->settings,
                       (int64_t)s->retention_h, s->id);
}

static void close_file(struct archive *a, struct archive_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    blob_unref(&f->header);
    archive_seal_free(&f->seal);
    if (f->dirty)
        TAILQ_REMOVE(&a->dirty, f, link);
    f->dirty = false;
}

int archive_delete_stream(struct archive *a, int64_t id, const char *folder, struct archive_file *f)
{
    int r = begin(a);
    if (r == 0)
        r = sql_run(a->db, "DELETE FROM fragments WHERE stream=?", "i", id);
    if (r == 0)
        r = sql_run(a->db, "DELETE FROM files WHERE stream=?", "i", id);
    if (r == 0)
        r = sql_run(a->db, "DELETE FROM streams WHERE id=?", "i", id);
    if (r == 0)
        r = sql_run(a->db, "INSERT OR IGNORE INTO doomed(folder) VALUES(?)", "s", folder);
    return r;
}

struct archive_file *archive_file_new(void)
{
    struct archive_file *f = xcalloc(1, sizeof *f);
    f->fd = -1;
    return f;
}

void archive_file_free(struct archive *a, struct archive_file **f)
{
    if (!*f)
        return;
    close_file(a, *f);
    free(*f);
    *f = NULL;
}

static void mark_dirty(struct archive *a, struct archive_file *f)
{
    if (f->dirty)
        return;
    f->dirty = true;
    f->synced = false;
    TAILQ_INSERT_TAIL(&a->dirty, f, link);
}

static int write_all(int fd, const void *data, size_t len, uint64_t at)
{
    const char *p = data;
    while (len) {
        ssize_t n = pwrite(fd, p, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* Finds the number behind the last file, once; a stream's numbers then only rise. */
static int next_number(struct archive *a, struct archive_file *f, int64_t stream)
{
    if (f->file)
        return 0;
    sqlite3_stmt *st =
        sql_prepare(a->db, "SELECT COALESCE(MAX(file),0) FROM files WHERE stream=?", "i", stream);
    if (!st)
        return -EIO;
    if (sqlite3_step(st) == SQLITE_ROW)
        f->file = (uint32_t)sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return 0;
}

/* Leaves the open file to the commit, which syncs or undoes it; the next append begins another. */
static void retire(struct archive *a, struct archive_file *f)
{
    if (!f->dirty) {
        close_file(a, f);
        return;
    }
    struct archive_file *old = xcalloc(1, sizeof *old);
    TAILQ_REMOVE(&a->dirty, f, link);
    *old = *f;
    old->retired = true;
    TAILQ_INSERT_TAIL(&a->dirty, old, link);
    f->fd = -1;
    f->header = NULL;
    f->seal = NULL;
    f->dirty = false;
}

void archive_context(const char *arn, uint32_t file, char out[ARCHIVE_CONTEXT_MAX])
{
    snprintf(out, ARCHIVE_CONTEXT_MAX, "%s/%u", arn, file);
}

/* Writes a record at f->end and moves that on; what failed is for the caller to undo. */
static int write_record(struct archive_file *f, const struct blob *b)
{
    if (!f->seal) {
        int r = write_all(f->fd, b->data, b->len, f->end);
        f->end += r ? 0 : b->len;
        return r;
    }
    uint64_t len = archive_sealed_len(b->len);
    uint8_t *sealed = malloc(len ? len : 1);
    int r = sealed ? archive_seal(f->seal, f->end, b->data, b->len, sealed) : -ENOMEM;
    if (r == 0)
        r = write_all(f->fd, sealed, len, f->end);
    free(sealed);
    f->end += r ? 0 : len;
    return r;
}

static int begin_file(struct archive_file *f, const char *path, const struct blob *header)
{
    struct stat sb;
    f->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (f->fd < 0)
        return -errno;
    f->device = fstat(f->fd, &sb) == 0 ? sb.st_dev : 0;
    f->end = 0;
    int r = 0;
    if (f->seal) {
        r = write_all(f->fd, ARCHIVE_SEAL_MAGIC, ARCHIVE_SEAL_MAGIC_LEN, 0);
        f->end = ARCHIVE_SEAL_MAGIC_LEN;
    }
    return r ? r : write_record(f, header);
}

static int new_file(struct archive *a, struct archive_file *f, const struct archive_target *t,
                    const struct blob *header)
{
    uint8_t key[KMS_DATA_KEY_LEN], wrapped[KMS_WRAPPED_MAX];
    char context[ARCHIVE_CONTEXT_MAX], dir[4096];
    size_t wrapped_len = 0;
    struct archive_file n = {.fd = -1};
    int r = next_number(a, f, t->stream);
    if (r)
        return r;
    n.file = f->file + 1;
    if (kms_wanted(a->kms, t->kms_key)) {
        archive_context(t->arn, n.file, context);
        r = kms_generate(a->kms, t->kms_key, context, key, wrapped, &wrapped_len);
        if (r)
            return r;
        n.seal = archive_seal_new(key);
        OPENSSL_cleanse(key, sizeof key);
    }
    snprintf(dir, sizeof dir, "%s/%s", a->dir, t->folder);
    snprintf(n.path, sizeof n.path, n.seal ? ARCHIVE_SEALED : ARCHIVE_PLAIN, a->dir, t->folder,
             n.file);
    r = begin_file(&n, n.path, header);
    if (r == 0)
        r = sync_dir(dir);
    if (r == 0)
        r = sql_run(a->db,
                    "INSERT INTO files(stream, file, header_len, created_ms, wrapped) "
                    "VALUES(?,?,?,?,?)",
                    "iiiib", t->stream, (int64_t)n.file, (int64_t)header->len,
                    clock_wall_ns() / NS_PER_MS, n.seal ? wrapped : NULL, wrapped_len);
    if (r) {
        if (n.fd >= 0)
            unlink(n.path);
        close_file(a, &n);
        return r;
    }
    retire(a, f);
    n.opened_ns = clock_mono_ns();
    n.header = blob_ref((struct blob *)header);
    *f = n;
    mark_dirty(a, f);
    return 0;
}

static bool fits(const struct archive_file *f, const struct blob *header)
{
    return f->fd >= 0 && f->header->len == header->len &&
           !memcmp(f->header->data, header->data, header->len) && f->end < FILE_BYTES &&
           clock_mono_ns() - f->opened_ns < FILE_AGE_NS;
}

static int insert_row(struct archive *a, int64_t stream, const struct archive_row *row)
{
    int r = archive_note_seq(a, stream, row->seq);
    return r ? r
             : sql_run(a->db,
                       "INSERT INTO fragments(stream, seq, file, offset, length, pre_len, "
                       "cluster_len, server_ms, "
                       "producer_ms, length_ms, frames) VALUES(?,?,?,?,?,?,?,?,?,?,?)",
                       "iiiiiiiiiii", stream, row->seq, (int64_t)row->file, (int64_t)row->offset,
                       (int64_t)row->length, (int64_t)row->pre_len, (int64_t)row->cluster_len,
                       row->server_ms, row->producer_ms, row->length_ms, (int64_t)row->frames);
}

int archive_check_key(struct archive *a, const char *kms_key)
{
    return kms_check(a->kms, kms_key);
}

int archive_append(struct archive *a, struct archive_file *f, const struct archive_target *t,
                   const struct blob *header, const struct blob *data, struct archive_row *row)
{
    int r = begin(a);
    if (r == 0 && f->seal) /* a key that was disabled meanwhile stores no more, new file or not */
        r = kms_check(a->kms, t->kms_key);
    if (r == 0 && !fits(f, header))
        r = new_file(a, f, t, header);
    if (r)
        return r;
    mark_dirty(a, f);
    row->file = f->file;
    row->header_len = (uint32_t)header->len;
    row->offset = f->end;
    row->length = (uint32_t)data->len;
    r = write_record(f, data);
    if (r == 0)
        r = insert_row(a, t->stream, row);
    if (r == 0)
        return 0;
    f->end = row->offset;
    if (ftruncate(f->fd, (off_t)f->end) < 0)
        log_error("server.archive.truncate", "file=%s error=\"%s\"", f->path, strerror(errno));
    if (f->seal) /* its key must not write here again */
        retire(a, f);
    return r;
}

int archive_note_seq(struct archive *a, int64_t stream, int64_t seq)
{
    int r = begin(a);
    return r ? r
             : sql_run(a->db, "UPDATE streams SET last_seq=MAX(last_seq,?) WHERE id=?", "ii", seq,
                       stream);
}

int archive_sweep(struct archive *a, int64_t stream, const char *folder, struct archive_file *f,
                  int64_t before_ms, bool *more)
{
    int r = begin(a);
    if (r == 0)
        r = next_number(a, f, stream);
    if (r == 0)
        r = sql_run(a->db,
                    "DELETE FROM fragments WHERE stream=? AND seq IN (SELECT seq FROM fragments "
                    "WHERE stream=? AND server_ms<? ORDER BY server_ms LIMIT ?)",
                    "iiii", stream, stream, before_ms, (int64_t)ARCHIVE_SWEEP_ROWS);
    if (r)
        return r;
    *more = sqlite3_changes(a->db) == ARCHIVE_SWEEP_ROWS;
    int64_t open_file = f->fd >= 0 ? (int64_t)f->file : -1;
    sqlite3_stmt *st = sql_prepare(
        a->db,
        "DELETE FROM files WHERE stream=? AND file<>? AND NOT EXISTS(SELECT 1 FROM fragments"
        " WHERE fragments.stream=files.stream AND fragments.file=files.file) RETURNING "
        "file, wrapped",
        "ii", stream, open_file);
    if (!st)
        return -EIO;
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        struct archive_swept *s = xcalloc(1, sizeof *s);
        bool sealed = sqlite3_column_type(st, 1) == SQLITE_BLOB; /* 3.40's RETURNING has IS wrong */
        s->path = xasprintf(sealed ? ARCHIVE_SEALED : ARCHIVE_PLAIN, a->dir, folder,
                            (unsigned)sqlite3_column_int64(st, 0));
        STAILQ_INSERT_TAIL(&a->swept, s, link);
    }
    r = r == SQLITE_DONE ? 0 : sql_error(a->db, "sweep");
    sqlite3_finalize(st);
    return r;
}

static void forget_swept(struct archive *a, bool remove)
{
    struct archive_swept *s;
    while ((s = STAILQ_FIRST(&a->swept))) {
        STAILQ_REMOVE_HEAD(&a->swept, link);
        if (remove && unlink(s->path) < 0 && errno != ENOENT)
            log_warn("server.archive.unlink", "file=%s error=\"%s\"", s->path, strerror(errno));
        free(s->path);
        free(s);
    }
}

void archive_unlink_swept(struct archive *a)
{
    forget_swept(a, true);
}

/* Undoes what the batch wrote to one file. */
static void undo(struct archive *a, struct archive_file *f)
{
    if (f->committed_end == 0) {
        unlink(f->path);
        close_file(a, f);
        return;
    }
    if (ftruncate(f->fd, (off_t)f->committed_end) < 0)
        log_error("server.archive.truncate", "file=%s error=\"%s\"", f->path, strerror(errno));
    f->end = f->committed_end;
    if (f->seal) /* its key must not write here again */
        close_file(a, f);
}

/* The batch is over for one file. */
static void settle(struct archive *a, struct archive_file *f, bool failed)
{
    if (failed)
        undo(a, f);
    else
        f->committed_end = f->end;
    if (f->dirty)
        TAILQ_REMOVE(&a->dirty, f, link);
    f->dirty = false;
    if (f->retired) {
        close_file(a, f);
        free(f);
    }
}

/* One sync for all files that lie on the archive's own file system, when they are many. */
static int sync_together(struct archive *a)
{
    struct archive_file *f;
    unsigned n = 0;
    TAILQ_FOREACH (f, &a->dirty, link)
        n += f->device == a->device;
    if (n < SYNCFS_FILES)
        return 0;
    a->syncs++;
    if (syncfs(a->lock_fd) < 0) {
        log_error("server.archive.sync", "dir=%s error=\"%s\"", a->dir, strerror(errno));
        return -errno;
    }
    TAILQ_FOREACH (f, &a->dirty, link)
        f->synced = f->device == a->device;
    return 0;
}

/* Starts the writing of all files before it waits for the first. */
static int sync_each(struct archive *a)
{
    struct archive_file *f;
    TAILQ_FOREACH (f, &a->dirty, link)
        if (!f->synced)
            sync_file_range(f->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    TAILQ_FOREACH (f, &a->dirty, link) {
        if (f->synced)
            continue;
        a->syncs++;
        if (fdatasync(f->fd) < 0) {
            log_error("server.archive.sync", "file=%s error=\"%s\"", f->path, strerror(errno));
            return -errno;
        }
    }
    return 0;
}

int archive_commit(void *ctx)
{
    struct archive *a = ctx;
    struct archive_file *f;
    if (!a->in_transaction)
        return 0;
    int r = sync_together(a);
    if (r == 0)
        r = sync_each(a);
    if (r == 0)
        r = sql_script(a->db, "COMMIT");
    a->in_transaction = false;
    if (r) {
        if (!sqlite3_get_autocommit(a->db))
            sql_script(a->db, "ROLLBACK");
        forget_swept(a, false);
    }
    a->syncs++;
    while ((f = TAILQ_FIRST(&a->dirty)))
        settle(a, f, r != 0);
    return r;
}

uint64_t archive_syncs(const struct archive *a)
{
    return a->syncs;
}

void archive_use_kms(struct archive *a, struct kms *kms)
{
    a->kms = kms;
}
