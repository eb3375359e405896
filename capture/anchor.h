/* Absolute time of frames: the wall clock is read once per connection, then the source's own clock
 * counts. Pure: "now" is passed in. Relies on nothing. Keeps decode times of each track strictly
 * increasing over reconnects, clock steps and jumps. Leaves missing decode times to dts.h. */
#ifndef KVPIPE_CAPTURE_ANCHOR_H
#define KVPIPE_CAPTURE_ANCHOR_H

#include <stdbool.h>
#include <stdint.h>

#define ANCHOR_TRACKS_MAX 3
#define ANCHOR_JUMP_NS                                                                             \
    INT64_C(10000000000) /* a hole that is longer is a jump of the source's clock */
#define ANCHOR_BACK_NS INT64_C(500000000) /* a step back that is longer is one, too */

#define ANCHOR_LEAD_NS                                                                             \
    INT64_C(500000000) /* room below a new anchor for tracks that begin earlier */

struct anchor_track {
    int64_t base_ns;     /* added to running time; own, because tracks come to a jump one by one */
    int64_t last_dts_ns; /* INT64_MIN before the first */
    int64_t end_ns;      /* where the last frame ends */
    int64_t last_step_ns;
    bool set; /* base_ns counts in this connection */
};

struct anchor {
    /* private; corrections and jumps may be read */
    struct anchor_track track[ANCHOR_TRACKS_MAX];
    int64_t base_ns, floor_ns, tick_ns;
    bool set, wall, carry_on;
    uint64_t corrections; /* frames whose time was raised by hand */
    uint64_t jumps;       /* jumps of the source's clock */
};

/* floor_ns: no time stamp will be at or below it. tick_ns: the least distance of two decode times
 * of a track. wall: jumps return to the wall clock (live sources); else time goes on where it was.
 */
void anchor_init(struct anchor *a, int64_t floor_ns, int64_t tick_ns, bool wall);
/* A new connection: the next frame anchors anew, at the wall clock but after all that was. With
 * carry_on it goes on where the tracks ended (a file that begins again). */
void anchor_connect(struct anchor *a, bool carry_on);
/* Gives the absolute times of the next frame of track 0 to 2 from its running times. Times must
 * have pts >= dts; both are shifted alike. */
void anchor_map(struct anchor *a, unsigned track, int64_t run_pts_ns, int64_t run_dts_ns,
                int64_t duration_ns, int64_t wall_ns, int64_t *pts_ns, int64_t *dts_ns);
/* What anchor_map() would give for the decode time, changing nothing. False before the first frame
 * of a connection and at a jump: there is no telling. */
bool anchor_peek(const struct anchor *a, unsigned track, int64_t run_dts_ns, int64_t *dts_ns);
/* The greatest decode time given so far, the floor when there was none. */
int64_t anchor_last(const struct anchor *a);

#endif
