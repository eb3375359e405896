/* Times of the frames that a program puts, as the link wants them: absolute, decode times rising in
 * each track. Relies on capture/anchor and capture/dts. Pure: "now" is passed in. Leaves durations
 * alone. */
#ifndef KVPIPE_CAPTURE_LIBKVPIPE_FRAME_TIMES_H
#define KVPIPE_CAPTURE_LIBKVPIPE_FRAME_TIMES_H

#include "capture/anchor.h"
#include "capture/dts.h"

#define FRAME_TIMES_TRACKS ANCHOR_TRACKS_MAX

struct frame_times {
    bool wall;
    struct anchor anchor;
    struct dts dts[FRAME_TIMES_TRACKS];
    int64_t offset_ns, floor_ns; /* wall alone */
    int64_t last_ns[FRAME_TIMES_TRACKS];
};

/* floor_ns: no decode time will be at or below it. wall: the caller's times are absolute; else they
 * are a clock of its own, which is put at the wall clock. */
void frame_times_init(struct frame_times *t, bool wall, int64_t floor_ns);
/* Before a track's first frame: so many may come after one that is shown before them. For frames
 * without a decode time; not said, it is learnt, and the first ones are moved. */
void frame_times_reorder(struct frame_times *t, unsigned track, unsigned depth);
/* Gives the times of the next frame of track 0 to 2. dts_ns INT64_MIN: not known. A wall clock that
 * steps back by more than ANCHOR_BACK_NS goes on evenly from there. */
void frame_times_map(struct frame_times *t, unsigned track, int64_t pts_ns, int64_t dts_ns,
                     int64_t duration_ns, int64_t now_ns, int64_t *out_pts_ns, int64_t *out_dts_ns);
/* The greatest decode time given so far, the floor when there was none. */
int64_t frame_times_last(const struct frame_times *t);

#endif
