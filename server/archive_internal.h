/* What the archive's source files share.
 * Relies on sqlite3.
 * Leaves everything public to archive.h. */
#ifndef KVPIPE_SERVER_ARCHIVE_INTERNAL_H
#define KVPIPE_SERVER_ARCHIVE_INTERNAL_H

#include <sys/queue.h>

#include <sqlite3.h>

#include "server/archive.h"

#define ARCHIVE_INDEX "index.sqlite"

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
    struct blob *header;
    bool dirty;
    char path[4200];
};

struct archive {
    char *dir;
    sqlite3 *db;
    bool in_transaction;
    int lock_fd;
    TAILQ_HEAD(, archive_file) dirty;
    STAILQ_HEAD(, archive_swept) swept;
};

/* Makes the tables or checks their version. */
int archive_schema(struct archive *a);
/* Cuts torn tails, removes unindexed files and those of deleted streams. */
int archive_recover(struct archive *a);

#endif
