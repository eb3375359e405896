/* The archive's reader: queries on the index and descriptors of the files, on a connection of its
 * own. Relies on sqlite3 through sql.h (WAL: readers and the writer do not wait for each other).
 * Leaves threads to the store. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "server/archive_private.h"
#include "server/sql.h"

#define COLUMNS                                                                                    \
    "SELECT f.seq, f.file, h.header_len, f.offset, f.length, f.pre_len, f.cluster_len, "           \
    "f.server_ms, f.producer_ms,"                                                                  \
    " f.length_ms, f.frames FROM fragments f JOIN files h ON h.stream=f.stream AND h.file=f.file " \
    "WHERE "                                                                                       \
    "f.stream=? "

int archive_reader_open(const char *dir, struct archive_reader **out)
{
    struct archive_reader *r = xcalloc(1, sizeof *r);
    r->dir = xstrdup(dir);
    char *path = xasprintf("%s/" ARCHIVE_INDEX, dir);
    int err = sqlite3_open_v2(path, &r->db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK
                  ? 0
                  : sql_error(r->db, "open");
    free(path);
    if (err == 0)
        err = sql_script(r->db, "PRAGMA busy_timeout=5000; PRAGMA query_only=1; "
                                "PRAGMA temp_store=MEMORY;");
    if (err)
        archive_reader_close(&r);
    *out = r;
    return err;
}

void archive_reader_close(struct archive_reader **rp)
{
    struct archive_reader *r = *rp;
    if (!r)
        return;
    sqlite3_close(r->db);
    free(r->dir);
    free(r);
    *rp = NULL;
}

static void take_row(sqlite3_stmt *st, struct archive_row *row)
{
    row->seq = sqlite3_column_int64(st, 0);
    row->file = (uint32_t)sqlite3_column_int64(st, 1);
    row->header_len = (uint32_t)sqlite3_column_int64(st, 2);
    row->offset = (uint64_t)sqlite3_column_int64(st, 3);
    row->length = (uint32_t)sqlite3_column_int64(st, 4);
    row->pre_len = (uint32_t)sqlite3_column_int64(st, 5);
    row->cluster_len = (uint32_t)sqlite3_column_int64(st, 6);
    row->server_ms = sqlite3_column_int64(st, 7);
    row->producer_ms = sqlite3_column_int64(st, 8);
    row->length_ms = sqlite3_column_int64(st, 9);
    row->frames = (uint32_t)sqlite3_column_int64(st, 10);
}

static int take_rows(struct archive_reader *r, sqlite3_stmt *st, struct archive_row *rows, int max)
{
    int n = 0, step = SQLITE_ERROR;
    if (!st)
        return -EIO;
    while (n < max && (step = sqlite3_step(st)) == SQLITE_ROW)
        take_row(st, &rows[n++]);
    if (n < max && step != SQLITE_DONE)
        n = sql_error(r->db, "select");
    sqlite3_finalize(st);
    return n;
}

int archive_after(struct archive_reader *r, int64_t stream, int64_t seq, struct archive_row *row)
{
    return take_rows(
        r, sql_prepare(r->db, COLUMNS "AND f.seq>? ORDER BY f.seq LIMIT 1", "ii", stream, seq), row,
        1);
}

int archive_newest(struct archive_reader *r, int64_t stream, struct archive_row *row)
{
    return take_rows(r, sql_prepare(r->db, COLUMNS "ORDER BY f.seq DESC LIMIT 1", "i", stream), row,
                     1);
}

int archive_at(struct archive_reader *r, int64_t stream, enum archive_clock clock, int64_t t_ms,
               struct archive_row *row)
{
    bool server = clock == ARCHIVE_SERVER_CLOCK;
    sqlite3_stmt *st = sql_prepare(
        r->db,
        server ? COLUMNS "AND f.server_ms<=? ORDER BY f.server_ms DESC, f.seq DESC LIMIT 1"
               : COLUMNS "AND f.producer_ms<=? ORDER BY f.producer_ms DESC, f.seq DESC LIMIT 1",
        "ii", stream, t_ms);
    int n = take_rows(r, st, row, 1);
    if (n < 0)
        return n;
    int64_t start = server ? row->server_ms : row->producer_ms;
    if (n && (t_ms == start || t_ms < start + row->length_ms))
        return 1;
    st = sql_prepare(r->db,
                     server ? COLUMNS "AND f.server_ms>? ORDER BY f.server_ms, f.seq LIMIT 1"
                            : COLUMNS "AND f.producer_ms>? ORDER BY f.producer_ms, f.seq LIMIT 1",
                     "ii", stream, t_ms);
    return take_rows(r, st, row, 1);
}

int archive_list(struct archive_reader *r, int64_t stream, enum archive_clock clock,
                 int64_t from_ms, int64_t to_ms, int64_t after_ms, int64_t after_seq,
                 struct archive_row *rows, int max)
{
    sqlite3_stmt *st =
        sql_prepare(r->db,
                    clock == ARCHIVE_SERVER_CLOCK
                        ? COLUMNS "AND f.server_ms BETWEEN ? AND ? AND (f.server_ms, f.seq) > (?, "
                                  "?) ORDER BY f.server_ms, f.seq"
                                  " LIMIT ?"
                        : COLUMNS "AND f.producer_ms BETWEEN ? AND ? AND (f.producer_ms, f.seq) > "
                                  "(?, ?) ORDER BY f.producer_ms,"
                                  " f.seq LIMIT ?",
                    "iiiiii", stream, from_ms, to_ms, after_ms, after_seq, (int64_t)max);
    return take_rows(r, st, rows, max);
}

int archive_open_file(struct archive_reader *r, const char *folder, uint32_t file)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s/%04u.mkv", r->dir, folder, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

void archive_reader_use_kms(struct archive_reader *r, struct kms *kms)
{
    r->kms = kms;
}
