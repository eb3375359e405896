/* What the archive's source files share.
 * Relies on sqlite3.
 * Leaves everything public to archive.h. */
#ifndef KVPIPE_SERVER_ARCHIVE_PRIVATE_H
#define KVPIPE_SERVER_ARCHIVE_PRIVATE_H

#include <stdatomic.h>
#include <sys/queue.h>

#include <sqlite3.h>

#include "server/archive.h"

#define ARCHIVE_INDEX "index.sqlite"
#define ARCHIVE_PLAIN "%s/%s/%04u.mkv"
#define ARCHIVE_SEALED "%s/%s/%04u.mkv.enc"
#define ARCHIVE_CONTEXT_MAX 1100

struct archive_seal;

struct archive_swept {
    STAILQ_ENTRY(archive_swept) link;
    char *path;
};

struct archive_file {
    TAILQ_ENTRY(archive_file) link; /* while dirty */
    int fd;                         /* -1: none open */
    uint32_t file;                  /* number of the last file, 0 = not known yet */
    uint64_t end, committed_end;    /* committed_end 0: the file is as new as the batch */
    int64_t opened_ns;
    uint64_t device;
    struct blob *header;
    struct archive_seal *seal; /* NULL: a plain file */
    bool dirty, synced;
    bool retired; /* no stream's any more; freed by the commit */
    char path[4200];
};

struct archive {
    char *dir;
    sqlite3 *db;
    bool in_transaction;
    int lock_fd; /* the directory's, too, for syncfs */
    uint64_t device;
    atomic_ullong syncs;
    struct kms *kms;
    TAILQ_HEAD(, archive_file) dirty;
    STAILQ_HEAD(, archive_swept) swept;
};

struct archive_reader {
    char *dir;
    sqlite3 *db;
    struct kms *kms;
};

/* What a file's data key is bound to. */
void archive_context(const char *arn, uint32_t file, char out[ARCHIVE_CONTEXT_MAX]);

#endif
