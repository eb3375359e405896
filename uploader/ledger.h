/* The gap ledger of a stream: every number that was not archived, with its reason, as one JSON line
 * each in gaps.log. Relies on jansson. Consecutive gaps of one track and reason become one line;
 * lines are written by ledger_flush(). Leaves the truth to the spool's gap records: `file:offset`
 * in a line says which record it tells of, so that after a crash records that are not in the ledger
 * yet are added once. */
#ifndef KVPIPE_UPLOADER_LEDGER_H
#define KVPIPE_UPLOADER_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

struct ledger;

struct ledger_entry {
    unsigned track; /* 1..; 0 for an event of the whole stream (epoch end), not counted */
    uint64_t first, last, count;
    const char *reason;                /* literal */
    int64_t pts_first_ns, pts_last_ns; /* 0: not known */
    unsigned file;                     /* the spool record it tells of; 0: none */
    uint64_t offset;
};

/* Opens (creates) gaps.log in the directory, drops a torn last line, sums up what it counted.
 * Blocks on the file. Returns 0 or a negative errno. */
int ledger_open(int dirfd, const char *stream, struct ledger **out);
/* Flushes and closes. NULL is fine. */
void ledger_close(struct ledger **l);
/* True when the record at file:offset is in the ledger already. */
bool ledger_has(const struct ledger *l, unsigned file, uint64_t offset);
/* Takes an entry; counted at once, written with the next flush. */
void ledger_add(struct ledger *l, const struct ledger_entry *e);
/* Returns 0, or -errno of the write (kept, tried again at the next flush). */
int ledger_flush(struct ledger *l);
/* Frames counted as lost over the whole life of the spool. */
uint64_t ledger_count(const struct ledger *l);

#endif
