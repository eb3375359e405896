/* The gap ledger of a stream: every interval that is missing from its archive, with cause, numbers
 * and wall clock, as one JSON line each in gaps.log. Relies on jansson, common/gaps (causes and how
 * it is read). Bounded: over LEDGER_MAX_BYTES the older half becomes one line of counts.
 *
 * Nothing is missing from it and nothing is in it twice, also after kill -9 or a power cut: lines
 * are written in batches whose last line says up to which place of the spool the ledger tells of
 * it; a batch without its end is cut off at the next start, and the spool's records behind that
 * place are told again. What the spool is about to forget (a deleted file, a fragment given up) is
 * synced first. Leaves the truth to the spool's records, intervals to timeline.c. */
#ifndef KVPIPE_UPLOADER_LEDGER_H
#define KVPIPE_UPLOADER_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/gaps.h"

#define LEDGER_MAX_BYTES (2u << 20)

struct ledger;

struct ledger_place { /* in the spool; file 0: nowhere */
    unsigned file;
    uint64_t offset;
};

struct ledger_entry {
    unsigned track; /* 1.. */
    uint64_t epoch, first, last;
    uint64_t count;     /* frames; 0: not known, it never had numbers */
    const char *reason; /* literal, see gaps_cause_of() */
    int64_t start_ns, end_ns;
    struct ledger_place at;       /* the record it tells of */
    struct ledger_place fragment; /* or the fragment that was given up */
};

struct ledger_totals {
    uint64_t intervals[GAPS_CAUSES], frames[GAPS_CAUSES];
};

/* Opens (creates) gaps.log in the directory, drops a torn last batch, sums up what it counted.
 * Given up fragments are remembered from first_file on. Blocks on the file. Returns 0 or a negative
 * errno.
 */
int ledger_open(int dirfd, const char *stream, unsigned first_file, struct ledger **out);
/* Flushes and closes. NULL is fine. */
void ledger_close(struct ledger **l);
/* True when the ledger told of the record there already when it was opened. */
bool ledger_has(const struct ledger *l, struct ledger_place at);
/* True when the fragment that begins there was in the ledger as given up when it was opened. */
bool ledger_gave_up(const struct ledger *l, struct ledger_place fragment);
/* Takes an entry; counted at once, written with the next flush. */
void ledger_add(struct ledger *l, const struct ledger_entry *e);
/* Writes what was added. Returns 1 when that was anything, 0, or -errno of the write (kept, tried
 * again at the next flush). */
int ledger_flush(struct ledger *l);
/* Flushes and, when the disk has not all of it, syncs; blocks for that. Returns 0 or -errno. */
int ledger_sync(struct ledger *l);
/* Frames counted as lost over the whole life of the spool. */
uint64_t ledger_count(const struct ledger *l);
/* By cause, over the same. */
const struct ledger_totals *ledger_totals(const struct ledger *l);

#endif
