/* The durable log of one stream: plain .mkv files that any player opens, a cursor, the gap ledger.
 * Relies on spool_scan (reading back), ledger, syncer. A directory DIR/STREAM holds 000001.mkv…,
 * cursor, gaps.log, .lock. Leaves the link to stage.c and the endpoint to session.c.
 *
 * What survives what. Each piece is written (one pwritev) before its number is acked upstream, so
 * kill -9 of any process loses nothing: a torn last piece is cut off at the next start and asked
 * for again. With sync: fragment (default) the file is also fdatasync'ed by a worker thread when a
 * fragment is complete, and the directory after a new file: a power cut then loses at most the
 * fragment being written and the one being synced. With sync: none it loses what the kernel had not
 * written back. The accepted vector and the gaps are records in the same file (spool_record.h), so
 * data and log cannot disagree. The cursor is replaced by rename; when it is lost or old, fragments
 * are looked up at the endpoint again before anything is sent twice.
 *
 * Damage. A complete fragment is followed by a checksum of its bytes and by the numbers it began
 * with. A fragment that is not as it was written is not sent, but logged and counted in the ledger
 * (disk_damaged); where the structure itself is broken, reading goes on at the next fragment whose
 * checksum is right.
 *
 * Full. Over max_bytes, drop_oldest deletes files down to the one being written (which is closed at
 * a quarter of the limit), last of all what the endpoint may have got already, since that would be
 * counted as lost and be archived; drop_newest logs gaps. When the disk itself is full and there is
 * nothing to delete, writes fail: the stream waits, and capture's window counts what it cannot
 * keep. */
#ifndef KVPIPE_UPLOADER_SPOOL_H
#define KVPIPE_UPLOADER_SPOOL_H

#include <sys/queue.h>
#include <sys/types.h>

#include "common/conf.h"
#include "common/histogram.h"
#include "common/link.h"

struct ledger_totals;
struct spool;
struct syncer;

struct spool_hole { /* one of our records inside a fragment: not sent */
    uint64_t offset, end;
};

struct spool_file {
    TAILQ_ENTRY(spool_file) entry;
    TAILQ_HEAD(spool_fragments, spool_fragment) fragments;
    unsigned number;
    uint64_t bytes;
    uint64_t scale_ns;
    int64_t base_ns;      /* wall clock of timecode 0 */
    int64_t start_ns;     /* of its first fragment */
    struct blob *segment; /* EBML..Tracks, NULL until scanned */
    int fd;               /* open for reading (the last file: for writing too), or -1 */
    unsigned pins;
    bool scanned, archived; /* archived: nothing in it is still to be sent */
    uint8_t tracks;         /* bits of those in its segment, once known */
    bool continues;         /* it goes on with the segment of the file before */
};

struct spool_fragment {
    TAILQ_ENTRY(spool_fragment) entry;
    struct spool_file *file;
    uint64_t offset, end; /* bytes [offset, end) of the file */
    uint64_t cluster;     /* where its Cluster begins; Tags may stand before */
    uint64_t timecode;    /* of the Cluster, as written */
    uint64_t latest;      /* of its blocks */
    int64_t timecode_ms;  /* as acks name it */
    int64_t start_ns;     /* wall clock */
    uint64_t first[LINK_TRACKS_MAX], last[LINK_TRACKS_MAX],
        count[LINK_TRACKS_MAX]; /* frames per track */
    uint64_t epoch;
    uint64_t from[LINK_TRACKS_MAX]; /* the numbers that were next when it began */
    uint64_t sum_end;               /* its checksum covers [offset, sum_end); 0: it has none */
    uint32_t sum, crc;              /* as recorded; of all bytes written so far */
    struct spool_hole *holes;
    unsigned nholes;
    bool own_tags; /* Tags in front of its Cluster are its own: first of its segment. Else they
                      belong to the fragment before (muxer/mux.h) */
    bool complete; /* no more blocks will come */
    bool checked;  /* its checksum was compared */
    bool done;     /* archived, or given up */
    bool sent;     /* its first byte left in the present session */
    bool untold;   /* it did in an earlier one, and nobody has said yet what became of it */
    bool listed;   /* session.c: the endpoint said that it has it */
    bool doubt;    /* may be archived already: look it up before sending */
    int64_t captured_ns; /* wall clock when capture had its first frame; start_ns where unknown */
    int64_t first_ns, last_ns; /* monotonic: when its first, its last byte was sent; 0: not yet */
    bool counted;              /* session.c: as sent whole */
    unsigned tries;            /* ERROR acks for it */
};

struct spool_conf {
    const char *dir, *stream;
    uint64_t max_bytes;
    int64_t file_ns, keep_ns;
    enum conf_full when_full;
    bool sync;
    struct histogram *durations, *sizes; /* of fragments, in ns and bytes; may be NULL */
};

struct spool_stats {
    uint64_t frames, fragments, fragments_done; /* since start */
    uint64_t dropped;                           /* frames in the ledger, over the spool's life */
    const struct ledger_totals *gaps; /* the same by cause; as long as the spool is open */
    uint64_t backlog_fragments, backlog_bytes;
    int64_t backlog_ms; /* media that are not archived, a pause of the source not counted */
    /* max_bytes, or less when the disk has less; and what of it archived files could give way to */
    uint64_t capacity_bytes, free_bytes;
    uint64_t used_bytes; /* of all files */
    int64_t oldest_ns;   /* wall clock of the oldest frame not archived; 0: there is none */
};

/* Opens the stream's directory (made when missing), scans the last file, cuts a torn tail (logged).
 * Blocks on the disk, for one file of file_ns. Strings of conf are copied. syncer may be NULL
 * (never sync). Returns 0, -EWOULDBLOCK when another process has this spool, or another negative
 * errno, after logging what is wrong. */
int spool_open(const struct spool_conf *conf, struct syncer *syncer, struct spool **out);
/* Syncs (by the worker) and closes. NULL is fine. */
void spool_close(struct spool **s);
/* Called before the fragments of a deleted file go, so that a session can let go of them. */
void spool_on_drop(struct spool *s, void (*fn)(void *arg, struct spool_fragment *f), void *arg);

/* The greatest vector ever accepted; n == 0 when none was. */
struct link_vector spool_vector(const struct spool *s);
/* Accepts a session: logs the vector (greater than spool_vector(); a greater epoch starts at 0),
 * raises positions to `base` where it is greater, tells the next number per track. Returns 0, or
 * -errno of the write: then nothing changed, try again later. */
int spool_session(struct spool *s, const struct link_vector *vector,
                  const uint64_t base[LINK_TRACKS_MAX], uint64_t next[LINK_TRACKS_MAX]);
/* Appends a frame (seq is the track's next number). One that cannot be placed (not a piece of
 * Matroska, its fragment is not in the log, disk full under drop_newest) is logged as a gap.
 * Returns 0; -EPROTO for another number; -errno of the write with the file as it was before.
 * Borrows the item. */
int spool_append(struct spool *s, const struct link_item *item);
/* Logs a gap in place of numbers. Returns as spool_append. */
int spool_gap(struct spool *s, const struct link_item *gap);
/* The source ended: the open fragment is complete. Returns 0 or -errno. */
int spool_end(struct spool *s);
/* The stream moved away: the open fragment is complete as it is. Returns 0 or -errno. */
int spool_close_fragment(struct spool *s);
bool spool_is_ended(const struct spool *s);
/* Where the next byte will be written; file 0: there is none yet. */
struct spool_position {
    unsigned file;
    uint64_t offset;
};
struct spool_position spool_end_position(const struct spool *s);
uint64_t spool_next_number(const struct spool *s, unsigned track);

/* The first fragment after `f` (NULL: of all) that is not done, in log order, or NULL. May scan one
 * file, and reads a complete fragment to compare its checksum (blocks for it). */
struct spool_fragment *spool_next(struct spool *s, const struct spool_fragment *f);
/* The sent, not done fragment that an ack names: in ms, or in units of the timecode scale. NULL
 * when there is none. */
struct spool_fragment *spool_find_sent(struct spool *s, int64_t timecode);
/* A reference to the segment header to send the fragment with: its file's, but without the tracks
 * of which a complete fragment has no frame, since the service wants one of each (error 4011). That
 * happens when encoder and muxer die together behind a fragment's first frame. */
struct blob *spool_segment(const struct spool_fragment *f);
/* Copies bytes of the fragment from file offset *pos on, leaving records out; moves *pos. Returns
 * the number, 0 when all that is there was read, or -errno. */
ssize_t spool_read(struct spool *s, const struct spool_fragment *f, uint64_t *pos, void *dst,
                   size_t cap);
/* While pinned, a file and its fragments stay in memory (drop_oldest apart: spool_on_drop). */
void spool_pin(struct spool_file *file);
void spool_unpin(struct spool *s, struct spool_file *file);

/* The fragment is archived. Moves the cursor; may delete the file and with it the fragment, unless
 * pinned. */
void spool_done(struct spool *s, struct spool_fragment *f);
/* The fragment is given up: as spool_done, and its frames go to the ledger. `reason` is a literal.
 */
void spool_give_up(struct spool *s, struct spool_fragment *f, const char *reason);
/* Copies a complete fragment into DIR/refused/TIMECODE-reason.mkv, at most 256 MiB of them, the
 * oldest go first. Blocks on the disk; a failure is logged and holds nothing up. */
void spool_keep_refused(struct spool *s, const struct spool_fragment *f, const char *reason);
/* Once a second: ledger lines, old files, one look at a file that is not scanned yet. */
void spool_tick(struct spool *s, int64_t wall_ns);
struct spool_stats spool_get_stats(const struct spool *s);

#endif
