/* Where fragments (clusters) begin and end, and which frame belongs to which: a pure decision per
 * frame. Relies on link.h. Rules F4, F5 and F10 of the KVS fragment rules are kept here: no frame
 * later than the limit, no fragment that does not begin after everything in the one before,
 * relative timecodes from 0 to 32767. Leaves the marking of fragment starts to upstream
 * (common/fragmenter), tracks and headers to mux.c. */
#ifndef KVPIPE_MUXER_FRAGMENT_H
#define KVPIPE_MUXER_FRAGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/link.h"

#define FRAGMENT_LIMIT_NS                                                                          \
    INT64_C(19900000000) /* the service takes 20 s; the last frame lasts a while, too */
#define FRAGMENT_LIMIT_BYTES                                                                       \
    UINT64_C(49900000) /* the service takes 50,000,000; cluster head and Tags count, too */
#define FRAGMENT_SHORTEST_NS INT64_C(1000000000) /* below it the service may throttle */
#define FRAGMENT_TIME_MAX_NS (INT64_C(1) << 62)

struct fragment_conf {
    int64_t scale_ns;  /* one tick */
    int64_t origin_ns; /* time of tick 0: 0 for absolute timecodes, the capture's epoch for relative
                          ones */
    int64_t duration_ns; /* length of fragments without video that upstream does not mark */
};

struct fragment {
    struct fragment_conf conf;
    bool open;  /* a fragment is open in the log; the rest says which */
    bool fresh; /* nothing is known yet: the log may have a fragment open that the first video frame
                   names */
    int64_t start_ns;
    int64_t alias_ns; /* what upstream calls it when sound before its key frame began it; 0 none */
    int64_t latest_tick; /* of its frames that we put ourselves; INT64_MIN: none */
    uint64_t bytes;
    bool skipping; /* video of this fragment cannot go on: nothing of it until the next start */
    enum link_gap_reason skip_reason;
};

struct fragment_place {
    enum { FRAGMENT_GAP, FRAGMENT_CONTINUE, FRAGMENT_START } what;
    enum link_gap_reason reason; /* FRAGMENT_GAP */
    int64_t start_ns;            /* of the frame's fragment */
    int64_t alias_ns;            /* FRAGMENT_START: see struct fragment */
    int64_t previous_ns;         /* FRAGMENT_START: of the fragment before, 0 none known */
    int64_t tick;
    uint64_t timecode; /* of the cluster */
    int16_t relative;  /* of the block */
};

void fragment_init(struct fragment *f, const struct fragment_conf *conf);
/* The tick in which `ns` lies. All comparisons between fragments are made in ticks, as the service
 * makes them. */
int64_t fragment_tick(const struct fragment_conf *conf, int64_t ns);
/* True when the frame, first in its track, is marked as (or, unmarked, has to be) the start of a
 * fragment. */
bool fragment_is_start(const struct fragment *f, const struct link_item *item);
/* Says which fragment is open in the log (after a restart, from a frame that names it). Ends
 * `fresh`. */
void fragment_adopt(struct fragment *f, int64_t start_ns);

/* Each decides for one frame and changes nothing but `skipping`; fragment_commit() follows when the
 * frame was really put. */
/* A frame of the track that leads: video, or audio of a stream without video. */
struct fragment_place fragment_lead(struct fragment *f, const struct link_item *item);
/* A frame beside video: it belongs to the latest fragment that began at or before its tick. */
struct fragment_place fragment_beside(struct fragment *f, const struct link_item *item);
/* A frame of a track that goes on alone because video fell silent. With `start` it must begin a
 * fragment. */
struct fragment_place fragment_alone(struct fragment *f, const struct link_item *item, bool start);
/* A frame beside video shortly before `start`, a fragment before which none is known: it begins
 * that fragment. */
struct fragment_place fragment_early(struct fragment *f, const struct link_item *item,
                                     const struct link_item *start);
void fragment_commit(struct fragment *f, const struct fragment_place *place, uint64_t bytes);
/* The log closes the open fragment: whatever comes next starts one. */
void fragment_end(struct fragment *f);
/* The frame that was to be put could not be: what follows in its fragment depends on it. */
void fragment_skip(struct fragment *f, enum link_gap_reason reason);

#endif
