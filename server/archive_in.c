/* The bytes of archived fragments, out of plain files and encrypted ones.
 * Relies on the index for the data keys, on archive_seal.h and kms.h to use them.
 * Leaves which fragment to archive_reader.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "common/mem.h"
#include "server/archive_private.h"
#include "server/archive_seal.h"
#include "server/kms.h"
#include "server/sql.h"

int archive_reader_check_key(struct archive_reader *r, const char *kms_key)
{
    return kms_check(r->kms, kms_key);
}

struct archive_in {
    int fd;
    struct archive_seal *seal; /* NULL: a plain file */
    uint64_t record;           /* whose segment `have` is in `plain`; 0: none is */
    uint32_t have;
    uint8_t plain[ARCHIVE_SEGMENT_LEN], sealed[ARCHIVE_SEGMENT_LEN + ARCHIVE_TAG_LEN];
};

/* The data key of a file. Returns 0 with *seal NULL for a plain one. */
static int find_key(struct archive_reader *r, int64_t stream, uint32_t file,
                    struct archive_seal **seal)
{
    uint8_t key[KMS_DATA_KEY_LEN];
    char context[ARCHIVE_CONTEXT_MAX];
    sqlite3_stmt *st = sql_prepare(r->db,
                                   "SELECT f.wrapped, s.kms_key, s.arn FROM files f JOIN streams s "
                                   "ON s.id=f.stream WHERE f.stream=? AND f.file=?",
                                   "ii", stream, (int64_t)file);
    *seal = NULL;
    if (!st)
        return -EIO;
    int step = sqlite3_step(st), err = 0;
    if (step == SQLITE_DONE) {
        err = -ENOENT;
    } else if (step != SQLITE_ROW) {
        err = sql_error(r->db, "files");
    } else if (sqlite3_column_type(st, 0) == SQLITE_BLOB) {
        archive_context((const char *)sqlite3_column_text(st, 2), file, context);
        err = kms_unwrap(r->kms, (const char *)sqlite3_column_text(st, 1), context,
                         sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0), key);
        if (err == 0)
            *seal = archive_seal_new(key);
        OPENSSL_cleanse(key, sizeof key);
    }
    sqlite3_finalize(st);
    return err;
}

int archive_in_open(struct archive_reader *r, int64_t stream, const char *folder, uint32_t file,
                    struct archive_in **out)
{
    struct archive_seal *seal;
    char path[4300];
    *out = NULL;
    int err = find_key(r, stream, file, &seal);
    if (err)
        return err;
    snprintf(path, sizeof path, seal ? ARCHIVE_SEALED : ARCHIVE_PLAIN, r->dir, folder, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err = -errno;
        archive_seal_free(&seal);
        return err;
    }
    struct archive_in *in = xcalloc(1, sizeof *in);
    in->fd = fd;
    in->seal = seal;
    *out = in;
    return 0;
}

void archive_in_close(struct archive_in **in)
{
    if (!*in)
        return;
    close((*in)->fd);
    archive_seal_free(&(*in)->seal);
    free(*in);
    *in = NULL;
}

static int read_all(int fd, uint64_t at, void *out, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t r = pread(fd, (uint8_t *)out + got, n - got, (off_t)(at + got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return r < 0 ? -errno : -EIO;
        got += (size_t)r;
    }
    return 0;
}

/* Makes `plain` segment i of the record of `len` bytes at `record`. */
static int load_segment(struct archive_in *in, uint64_t record, size_t len, uint32_t i)
{
    if (in->record == record && in->have == i)
        return 0;
    in->record = 0;
    uint64_t at = record + (uint64_t)i * (ARCHIVE_SEGMENT_LEN + ARCHIVE_TAG_LEN);
    int r = read_all(in->fd, at, in->sealed, archive_segment_len(len, i) + ARCHIVE_TAG_LEN);
    if (r == 0)
        r = archive_unseal(in->seal, record, len, i, in->sealed, in->plain);
    if (r)
        return r;
    in->record = record;
    in->have = i;
    return 0;
}

static int read_record(struct archive_in *in, uint64_t record, size_t len, size_t at, uint8_t *out,
                       size_t n)
{
    if (at > len || n > len - at)
        return -EINVAL;
    if (!in->seal)
        return read_all(in->fd, record + at, out, n);
    while (n) {
        uint32_t i = (uint32_t)(at / ARCHIVE_SEGMENT_LEN);
        size_t skip = at % ARCHIVE_SEGMENT_LEN;
        int r = load_segment(in, record, len, i);
        if (r)
            return r;
        size_t part = archive_segment_len(len, i) - skip;
        part = part < n ? part : n;
        memcpy(out, in->plain + skip, part);
        out += part;
        at += part;
        n -= part;
    }
    return 0;
}

int archive_in_header(struct archive_in *in, const struct archive_row *row, size_t at, void *out,
                      size_t n)
{
    return read_record(in, in->seal ? ARCHIVE_SEAL_MAGIC_LEN : 0, row->header_len, at, out, n);
}

int archive_in_fragment(struct archive_in *in, const struct archive_row *row, size_t at, void *out,
                        size_t n)
{
    return read_record(in, row->offset, row->length, at, out, n);
}
