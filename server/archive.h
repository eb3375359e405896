/* The archive on disk: DIR/index.sqlite and per stream DIR/<stream>-<code>/NNNN.mkv, append-only
 * files that any player opens, or NNNN.mkv.enc, the same encrypted. Relies on sqlite3 (WAL) and
 * files. Everything here may block: the writer's calls belong to the store's writer thread, the
 * reader's to its reader thread, open and load to start-up. Leaves fragment rules, live readers and
 * threads to others. */
#ifndef KVPIPE_SERVER_ARCHIVE_H
#define KVPIPE_SERVER_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/blob.h"

struct archive;        /* the writer: one connection to the index, the open files */
struct archive_reader; /* a second connection that only reads */
struct archive_file;   /* where one stream's fragments are being appended */
struct archive_in;     /* a file that is read */
struct kms;

/* Where a fragment lies and what the index knows of it. In the file: tags before, Cluster, tags
 * behind. */
struct archive_row {
    int64_t seq; /* fragment_number.h */
    uint32_t file, header_len;
    uint64_t offset;
    uint32_t length, pre_len, cluster_len, frames;
    int64_t server_ms, producer_ms, length_ms;
};

/* Whose fragments are appended; strings borrowed. */
struct archive_target {
    int64_t stream;
    const char *folder, *arn, *kms_key;
};

struct archive_stream { /* strings borrowed; NULL = not given */
    int64_t id;
    const char *name, *folder, *arn, *version;
    const char *media_type, *device_name, *kms_key, *tags,
        *settings; /* the last two: JSON objects */
    int64_t created_ms, last_seq, newest_server_ms;
    uint32_t retention_h;
};

/* Opens or makes the archive, cuts torn tails, removes what deleted streams left. Logs what it
 * finds. Returns 0 or a negative errno after logging what to do. */
int archive_open(const char *dir, struct archive **out);
/* The keeper of keys for streams that are encrypted, borrowed. NULL: there is none. */
void archive_use_kms(struct archive *a, struct kms *kms);
void archive_close(struct archive **a);
/* Calls fn for each stream. Returns 0 or a negative errno. */
int archive_load(struct archive *a, void (*fn)(void *arg, const struct archive_stream *s),
                 void *arg);

/* ---- writer thread: nothing is durable before archive_commit returned 0 ---- */

/* Adds the row and the folder; sets *id. Returns 0, -EEXIST, or another negative errno. */
int archive_add_stream(struct archive *a, const struct archive_stream *s, int64_t *id);
/* Stores what may change of a stream: version, media type, device name, tags, settings, retention.
 */
int archive_update_stream(struct archive *a, const struct archive_stream *s);
/* Removes all rows of the stream; archive_purge(folder), after the commit, removes its files. */
int archive_delete_stream(struct archive *a, int64_t id, const char *folder,
                          struct archive_file *f);
void archive_purge(struct archive *a, const char *folder);
struct archive_file *archive_file_new(void);
void archive_file_free(struct archive *a, struct archive_file **f);
/* Whether what a stream's KmsKeyId (NULL: none given) says can be done now: 0 or a negated
 * kms_error. */
int archive_check_key(struct archive *a, const char *kms_key);
/* Appends header (in a new file only) and fragment; `row` gives seq, times and lengths of the
 * parts, the rest is filled in. Starts a new file every few minutes and when the header changes.
 * Returns 0, a negative errno or a negated kms_error; the file is then as it was. */
int archive_append(struct archive *a, struct archive_file *f, const struct archive_target *t,
                   const struct blob *header, const struct blob *data, struct archive_row *row);
/* Keeps the highest number given out, for streams that archive nothing. */
int archive_note_seq(struct archive *a, int64_t stream, int64_t seq);
#define ARCHIVE_SWEEP_ROWS 2000
/* Removes the rows of fragments that the server got before `before_ms`, the oldest
 * ARCHIVE_SWEEP_ROWS of them (*more: there may be others), and of files that hold none any more;
 * archive_unlink_swept, after the commit, removes those. */
int archive_sweep(struct archive *a, int64_t stream, const char *folder, struct archive_file *f,
                  int64_t before_ms, bool *more);
void archive_unlink_swept(struct archive *a);
/* Syncs every file written to, then commits the index. On failure all since the last commit is
 * undone. */
int archive_commit(void *a);
/* Syncs asked of the disk so far, any thread. */
uint64_t archive_syncs(const struct archive *a);

/* ---- reader thread ---- */

enum archive_clock { ARCHIVE_SERVER_CLOCK = 1, ARCHIVE_PRODUCER_CLOCK };

int archive_reader_open(const char *dir, struct archive_reader **out);
void archive_reader_close(struct archive_reader **r);
/* Each returns 1 with *row, 0 when there is none, or a negative errno. */
int archive_after(struct archive_reader *r, int64_t stream, int64_t seq, struct archive_row *row);
int archive_newest(struct archive_reader *r, int64_t stream, struct archive_row *row);
/* The fragment that covers `t_ms`, else the first one later. */
int archive_at(struct archive_reader *r, int64_t stream, enum archive_clock clock, int64_t t_ms,
               struct archive_row *row);
/* Up to `max` rows that start in [from_ms, to_ms], ordered by (time, seq), behind (after_ms,
 * after_seq). Returns how many, or a negative errno. */
int archive_list(struct archive_reader *r, int64_t stream, enum archive_clock clock,
                 int64_t from_ms, int64_t to_ms, int64_t after_ms, int64_t after_seq,
                 struct archive_row *rows, int max);
void archive_reader_use_kms(struct archive_reader *r, struct kms *kms);
int archive_reader_check_key(struct archive_reader *r, const char *kms_key);
/* Opens the file of a row for reading. Returns 0, -ENOENT (the file is gone), another negative
 * errno or a negated kms_error. */
int archive_in_open(struct archive_reader *r, int64_t stream, const char *folder, uint32_t file,
                    struct archive_in **out);
void archive_in_close(struct archive_in **in); /* NULL is fine */
/* Reads n bytes of a row's header, or of its fragment from byte `at` of it; decrypts. Returns 0,
 * -EIO (the file is shorter than the index says), -EBADMSG (an encrypted file was changed) or
 * another negative errno. Blocks. */
int archive_in_header(struct archive_in *in, const struct archive_row *row, size_t at, void *out,
                      size_t n);
int archive_in_fragment(struct archive_in *in, const struct archive_row *row, size_t at, void *out,
                        size_t n);
/* Opens a plain file of the archive. Returns a descriptor or a negative errno. */
int archive_open_file(struct archive_reader *r, const char *folder, uint32_t file);

#endif
