/* The answer of a read: chunk after chunk of a stream, each a whole Matroska document of one
 * fragment with tags in front of and behind its Cluster. Relies on http and the store, whose reader
 * thread brings what is not in memory. Leaves which chunk comes next, and the tags, to its user;
 * holds at most 512 KiB and one piece unsent, a slow client is waited for, then cut by http's send
 * timeout. */
#ifndef KVPIPE_SERVER_CHUNKS_H
#define KVPIPE_SERVER_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/metrics.h"
#include "media/mkv.h"
#include "server/rate.h"
#include "server/store.h"

struct chunks;
struct event;
struct http_exchange;
struct server;

#define CHUNKS_PIECE_BYTES (256u << 10)

/* The parts of a chunk, in order. */
enum chunk_part {
    CHUNK_HEADER,
    CHUNK_BEFORE, /* the producer's tags in front of the Cluster, and behind it */
    CHUNK_TAGS,
    CHUNK_CLUSTER,
    CHUNK_BEHIND,
    CHUNK_TRAILER,
    CHUNK_PARTS
};

/* Which numbers a read counts in. */
struct chunks_metrics {
    enum metric bytes, fragments, frames, success;
};

struct chunks_ops {
    struct chunks_metrics metrics;
    /* Nothing is being sent. Calls one of chunks_begin(), chunks_query(), chunks_error(),
     * chunks_finish(); or none, and chunks_pump() later. */
    void (*next)(struct chunks *c);
    /* Appends the tags in front of the Cluster of c->row, and behind it (NULL: none). */
    void (*tags)(struct chunks *c, struct buf *out);
    void (*trailer)(struct chunks *c, struct buf *out);
    /* The chunk of c->row is out. May be NULL. */
    void (*sent)(struct chunks *c);
    /* The index or the archive does not give a chunk of which nothing is out yet: says so
     * (chunks_error) and ends the answer (chunks_finish) or sees to it that `next` takes another.
     */
    void (*unreadable)(struct chunks *c, int error);
    /* The end: frees what the user's struct holds, and it. */
    void (*free)(struct chunks *c);
};

/* Begins the user's own struct, which is made zeroed. */
struct chunks {
    struct store_read read; /* first; one at a time: `busy` */
    const struct chunks_ops *ops;
    struct http_exchange *ex; /* NULL once the client has gone */
    struct server *server;
    struct stream *st;
    unsigned fragments_per_s; /* most that is sent; 0: no limit */
    struct archive_row row;   /* the chunk that is begun */
    int result;               /* of a query */

    /* private */
    void (*query)(struct chunks *c, struct archive_reader *reader);
    void (*answered)(struct chunks *c);
    struct event *pause;
    struct rate fragments, bytes;
    int64_t pause_ns;
    bool busy, sending, over;
    bool key_asked;
    int key_result;
    struct fragment *live; /* its bytes, when it is in memory */
    struct archive_in *in; /* its file, when it is in the archive */
    enum chunk_part part;
    size_t part_at;
    struct buf before, behind;
    size_t want; /* bytes that the read is for */
    size_t want_at;
    uint8_t piece[CHUNKS_PIECE_BYTES];
};

/* Answers 200 and takes the exchange over; chunks_pump() or chunks_query() must follow. */
void chunks_start(struct chunks *c, const struct chunks_ops *ops, struct server *server,
                  struct http_exchange *ex, struct stream *st);
/* Begins the chunk of c->row: of `live` (borrowed), or with NULL of the archive. */
void chunks_begin(struct chunks *c, struct fragment *live);
/* Asks the index: `query` runs in the reader thread and sets c->result, then `answered`, or
 * ops->unreadable when it is negative, in the loop, if the client is still there. It goes on as
 * after chunks_pump(). */
void chunks_query(struct chunks *c, void (*query)(struct chunks *c, struct archive_reader *reader),
                  void (*answered)(struct chunks *c));
/* Sends a chunk without Cluster that says what is wrong. */
void chunks_error(struct chunks *c, const struct mkv_tag *tags, unsigned n);
/* Goes on, when nothing else is under way. */
void chunks_pump(struct chunks *c);
/* Ends the answer. */
void chunks_finish(struct chunks *c);
/* Whether a chunk is under way or the archive is being asked. */
bool chunks_busy(const struct chunks *c);

/* The tags in front of a Cluster: the number, and the times of c->row under the operation's names.
 */
void chunks_head_tags(struct chunks *c, struct buf *out, const char *server_time,
                      const char *producer_time);

#endif
