/* Streams and their fragments as the operations see them: in memory what is live, on disk
 * (archive.h) what lasts. Relies on two worker threads, one that writes and one that reads; all
 * calls here belong to the loop and never block, but for store_open and store_close. Leaves HTTP,
 * JSON and the rules for fragments to the operations and to ingest. */
#ifndef KVPIPE_SERVER_STORE_H
#define KVPIPE_SERVER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/blob.h"
#include "server/archive.h"
#include "server/job_thread.h"
#include "server/quota.h"

struct event_base;
struct kms;
struct metrics;
struct store;
struct stream;

#define SERVER_ACCOUNT "000000000000" /* in every ARN */

enum stream_status { STREAM_NONE, STREAM_CREATING, STREAM_ACTIVE, STREAM_DELETING };

/* A whole fragment in memory. Reference-counted, loop thread only. */
struct fragment {
    TAILQ_ENTRY(fragment) link; /* in the stream's ring */
    unsigned refs;
    struct archive_row row; /* file, offset and header_len once archived */
    struct blob *header;    /* EBML, Segment of unknown size, Info, Tracks */
    struct blob *data;      /* producer's Tags before, Cluster, Tags behind */
    int64_t ring_ns;        /* when it was added, monotonic */
    bool settled;           /* archived, or never to be */
};

/* Told that the stream has a new fragment, or (stream->status) that it is being deleted. */
struct stream_watch {
    TAILQ_ENTRY(stream_watch) link;
    void (*changed)(struct stream_watch *w);
};

/* Who is sending fragments; begins the user's own struct. */
struct stream_producer {
    TAILQ_ENTRY(stream_producer) link;
    int64_t open_seq;                       /* number of the fragment that is coming, 0: none */
    void (*end)(struct stream_producer *p); /* takes it out of the list: the stream goes */
};

struct stream {
    TAILQ_ENTRY(stream) link;
    struct store *store;
    unsigned refs;
    int64_t id;
    char name[257], code[24], folder[232], version[33];
    char *arn, *media_type, *device_name, *kms_key;
    char *tags, *settings; /* JSON objects; NULL: empty */
    int64_t created_ms;
    uint32_t retention_h;
    enum stream_status status;
    int64_t last_seq;         /* highest given out */
    int64_t reserved_seq;     /* up to which the index knows that they may have been given out */
    int64_t newest_server_ms; /* of the newest whole fragment */
    uint64_t persisted, persisted_bytes;
    TAILQ_HEAD(fragments, fragment) ring; /* in order of seq */
    size_t ring_bytes;
    int64_t evicted_seq; /* the ring has every fragment above this */
    TAILQ_HEAD(, stream_watch) watches;
    struct quota quota;
    struct rate *calls;                      /* of each control operation; NULL: none yet */
    TAILQ_HEAD(, stream_producer) producers; /* oldest first */
    struct archive_file *file;               /* writer thread */
    struct metrics *metrics; /* borrowed, service_metrics.h; NULL until something is counted */
};

struct stream_spec { /* for store_create; strings borrowed, NULL = not given */
    const char *name, *media_type, *device_name, *kms_key, *tags;
    uint32_t retention_h;
};

/* Opens the archive and loads its streams. Blocks. Returns 0 or a negative errno after logging what
 * to do. */
int store_open(struct event_base *base, const char *dir, const char *region, struct store **out);
/* The keeper of the keys of encrypted streams, borrowed; before anything else. */
void store_use_kms(struct store *s, struct kms *kms);
/* Whether the stream's key can be used now: done runs in the loop with 0 or a negated kms_error. */
void store_check_key(struct stream *st, void (*done)(void *arg, int result), void *arg);
/* Writes what waits, ends the threads, frees all. Blocks. Streams must have no other users. */
void store_close(struct store **s);

/* How many there are. */
unsigned store_count(const struct store *s);
struct stream *store_first(struct store *s); /* by name; next: TAILQ_NEXT(stream, link) */
struct stream *store_find(struct store *s, const char *name);
struct stream *store_find_arn(struct store *s, const char *arn);
const char *store_region(const struct store *s);
struct stream *stream_ref(struct stream *st);
void stream_unref(struct stream **st);

/* Creates a stream; done runs in the loop with 0 or a negative errno once it is durable. Returns
 * the stream (CREATING, borrowed), or NULL when the name is taken. */
struct stream *store_create(struct store *s, const struct stream_spec *spec,
                            void (*done)(void *arg, struct stream *st, int result), void *arg);
/* Deletes: at once for readers and writers; done when durable. */
void store_delete(struct stream *st, void (*done)(void *arg, int result), void *arg);

/* Replaces one text of a stream in memory; NULL clears it. */
void stream_set(char **text, const char *value);
/* A new version: of two who give the old one only the first gets through. */
void stream_new_version(struct stream *st);
/* Stores the version, media type, device name, tags, settings and retention that a stream has now;
 * done runs in the loop with 0 once they are durable, or a negative errno: then they hold until the
 * server starts again. */
void store_update(struct stream *st, void (*done)(void *arg, int result), void *arg);

/* The next fragment number of a stream: above every earlier one, near the wall clock in ns. */
int64_t stream_next_seq(struct stream *st, int64_t wall_ns);
/* Adds a whole fragment: readers get it now; with retention it is archived. Takes the reference.
 * done runs in the loop: 1 archived durably, 0 kept in memory only (retention 0; before the call
 * returns), negative errno not stored. */
void stream_add(struct stream *st, struct fragment *f,
                void (*done)(void *arg, struct fragment *f, int result), void *arg);
struct fragment *fragment_new(struct blob *header, struct blob *data); /* takes both */
struct fragment *fragment_ref(struct fragment *f);
void fragment_unref(struct fragment **f);
/* The first fragment above seq in memory (borrowed); only meaningful for seq >=
 * stream->evicted_seq. */
struct fragment *stream_ring_after(struct stream *st, int64_t seq);
/* Whether a fragment with a number between the two is still coming: readers go by number. */
bool stream_gap_open(const struct stream *st, int64_t after, int64_t before);
/* Tells the watches: a fragment that was coming does not come. */
void stream_changed(struct stream *st);
void stream_watch(struct stream *st, struct stream_watch *w);
void stream_unwatch(struct stream *st, struct stream_watch *w);

/* Bytes of fragments that wait to be archived: producers pause while this is above
 * STORE_BACKLOG_MAX_BYTES. */
size_t store_backlog_bytes(const struct store *s);
#define STORE_BACKLOG_MAX_BYTES (128u << 20)

/* Syncs that the archive asked of the disk so far. */
uint64_t store_syncs(const struct store *s);

/* Removes what is older than each stream's retention, in the writer thread. */
void store_sweep(struct store *s, int64_t wall_ns);

/* A job for the reader thread: the user's struct begins with this; run gets the reader. The job
 * must stay valid until done. */
struct store_read {
    struct job job;
    void (*run)(struct store_read *r, struct archive_reader *reader);
    void (*done)(struct store_read *r);
};
void store_read(struct store *s, struct store_read *r);

#endif
