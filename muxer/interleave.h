/* Brings the tracks of a stream into one order of time: per-track queues, the earliest head leaves
 * first, video before others at the same tick. Relies on link.h. No clock: "now" is passed in, and
 * is the caller's patience clock, which may stand still. Leaves what a tick is and where fragments
 * begin to fragment.c, and who may be missing to mux.c. */
#ifndef KVPIPE_MUXER_INTERLEAVE_H
#define KVPIPE_MUXER_INTERLEAVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/link.h"

/* How long a head waits for a track that has nothing queued. Video that lags behind audio costs a
 * whole group of pictures when audio does not wait for it, so audio waits longer; credit still
 * bounds what piles up meanwhile. */
#define INTERLEAVE_WAIT_OTHER_NS INT64_C(3000000000) /* video for audio and data */
#define INTERLEAVE_WAIT_LEAD_NS                                                                    \
    INT64_C(5000000000) /* audio for video; anything for a track's first item */
/* A machine that is too busy is silent, too: only a track that is behind in its own time has
 * fallen silent, unless it has been so for very long. */
#define INTERLEAVE_BEHIND_NS INT64_C(2000000000)
#define INTERLEAVE_WAIT_ANY_NS INT64_C(10000000000)
/* A track that gives items, but so far behind, is not waited for: its clock is wrong. */
#define INTERLEAVE_HOPELESS_NS INT64_C(10000000000)
#define INTERLEAVE_WAIT_BACK_NS                                                                    \
    INT64_C(500000000) /* audio for a video track that fell silent and may come back */
#define INTERLEAVE_MAX_BYTES (64u << 20)
#define INTERLEAVE_MAX_ITEMS 4096 /* all tracks; credit is far below */

struct interleave_node;

struct interleave_track {
    TAILQ_HEAD(, interleave_node) items;
    bool heard;        /* gave an item in this session */
    int64_t heard_ns;  /* when it gave the last one */
    int64_t newest_ns; /* dts of that */
};

struct interleave {
    uint8_t declared; /* bit (track - 1): the tracks of the stream */
    uint8_t lead; /* of these: the video track, whose key frames start fragments; 0 without video */
    uint8_t active; /* of these: in the current segment, waited for */
    struct interleave_track tracks[LINK_TRACKS_MAX];
    uint64_t bytes;
    unsigned items;
};

void interleave_init(struct interleave *il, uint8_t declared, uint8_t lead);
/* Gives back everything queued. */
void interleave_fini(struct interleave *il);

/* Takes an item (track declared, numbers of a track in order) that has its place at `tick`; a gap
 * has none and leaves as soon as it is first in its track. */
void interleave_push(struct interleave *il, struct link_item *item, int64_t tick, int64_t now_ns);
/* Gives the next item that may leave. Returns false when all wait. With `flush` nothing waits for
 * anything. */
bool interleave_pop(struct interleave *il, int64_t now_ns, bool flush, struct link_item *item);
/* The first queued item of track number `track`, or NULL. Borrowed until the next push or pop. */
const struct link_item *interleave_head(const struct interleave *il, unsigned track);

#endif
