/* What spool.c, spool_files.c and spool_load.c share: the state of one stream's log.
 * Relies on spool.h.
 * Leaves everything else to the three. */
#ifndef KVPIPE_UPLOADER_SPOOL_PRIVATE_H
#define KVPIPE_UPLOADER_SPOOL_PRIVATE_H

#include "uploader/ledger.h"
#include "uploader/spool.h"
#include "uploader/spool_scan.h"
#include "uploader/syncer.h"
#include "uploader/timeline.h"

#define SPOOL_DAMAGED "disk_damaged" /* reason in the ledger */
#define SPOOL_HOLES_MAX 100000u      /* records in one fragment */
#define SPOOL_VOID_MAX_BYTES (SPOOL_RECORD_MAX_BYTES + 16)

TAILQ_HEAD(spool_files, spool_file);

struct spool {
    char *stream;
    int dirfd, lockfd;
    uint64_t max_bytes, total_bytes;
    int64_t file_ns, keep_ns;
    enum conf_full when_full;
    bool sync;
    struct histogram *durations, *sizes;
    struct syncer *syncer;
    struct ledger *ledger;
    struct timeline timeline;    /* of the last file */
    struct spool_files files;    /* oldest first; the last is the one written to */
    unsigned next_file;          /* number of the next new file */
    struct spool_fragment *open; /* its cluster takes blocks; NULL: none does */
    struct link_vector vector;
    uint64_t next[LINK_TRACKS_MAX];
    bool ended, full;
    bool torn; /* the end of the log was cut at start: what upstream has not any more is lost */
    unsigned cursor_file;
    uint64_t cursor_offset;
    struct spool_stats stats;
    void (*on_drop)(void *arg, struct spool_fragment *f);
    void *on_drop_arg;
};

struct spool_file *spool_head(const struct spool *s);
struct spool_file *spool_file_new(unsigned number);
void spool_file_free(struct spool_file *file);
void spool_file_name(unsigned number, char out[16]);
/* Reads a file's fragments into memory. Damage is logged; what follows it is not sent. For want of
 * descriptors or memory the file stays unscanned. */
void spool_file_scan(struct spool *s, struct spool_file *file);
/* Wall clock of a block. Times that cannot be, of bytes whose checksum is still to come, are kept
 * in bounds. */
int64_t spool_wall_ns(const struct spool_file *file, uint64_t timecode, int16_t relative);
struct spool_fragment *spool_fragment_new(struct spool_file *file, uint64_t offset,
                                          uint64_t timecode);
/* One more block: its number, and its time after the cluster's. */
void spool_fragment_count(struct spool_fragment *f, unsigned track, uint64_t number,
                          int16_t relative);
int spool_fragment_hole(struct spool_fragment *f, uint64_t offset, uint64_t end);
/* For a timeline: an entry that the ledger does not have yet goes there. */
void spool_tell(void *arg, const struct ledger_entry *e);
/* Writes what the ledger is to tell of, with what waits in the timeline, and syncs it: before
 * anything is forgotten that it tells of. Blocks on the disk. */
void spool_ledger_sync(struct spool *s);
void spool_cursor_write(struct spool *s);
/* CRC-32 of the bytes [from, to) of a file. Returns 0 or a negative errno. */
int spool_damage_sum(int fd, uint64_t from, uint64_t to, uint32_t *sum);
/* Looks in [from, end) for the first checksum record by which reading can go on: the one of the
 * fragment that is broken (`broken`: its offset), or one that is right. Returns where the record
 * ends, 0 when there is none. */
uint64_t spool_damage_next(int fd, uint64_t from, uint64_t end, uint64_t broken,
                           struct spool_record *rec);
/* Moves the cursor over everything done; files that are left behind need no fragments in memory any
 * more. */
void spool_cursor_advance(struct spool *s);
/* Deletes archived files that are old enough. */
void spool_remove_old(struct spool *s, int64_t wall_ns);
/* Deletes the oldest file that is archived, else the oldest of all but the last (those that the
 * endpoint may have got, only when there is no other): what it held goes to the ledger. -ENOSPC
 * when there is none. */
int spool_drop_oldest(struct spool *s);
void spool_file_close(struct spool_file *file);

#endif
