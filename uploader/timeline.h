/* What is missing from a stream in time: per track the interval between the last frame in the log
 * and the next one, and why. Relies on ledger.h for the entry. A pure function of what the log
 * holds, in order, so that reading the log back gives the same entries again. Leaves keeping them
 * to ledger.c.
 *
 * Numbers that are gaps lie between two frames: the interval between them is theirs. A track that
 * says nothing for longer than TIMELINE_SILENCE_NS (and three of its usual steps) although no
 * number is missing was not captured: its camera was silent. */
#ifndef KVPIPE_UPLOADER_TIMELINE_H
#define KVPIPE_UPLOADER_TIMELINE_H

#include "common/clock.h"
#include "common/link.h"
#include "uploader/ledger.h"

#define TIMELINE_SILENCE_NS (500 * NS_PER_MS)
#define TIMELINE_GAPS_MAX 8 /* runs of different reason between two frames */

struct timeline_track {
    bool known;      /* last_ns holds */
    int64_t last_ns; /* pts of the newest frame */
    int64_t end_ns;  /* until where it, or a gap behind it, reaches */
    int64_t step_ns; /* usual distance of frames, 0: not known yet */
    bool new_epoch;  /* since then */
    bool stopped;    /* the old epoch ended in good order */
    uint64_t old_epoch, old_next;
    struct ledger_entry gap[TIMELINE_GAPS_MAX];
    bool told[TIMELINE_GAPS_MAX]; /* in the ledger already */
    unsigned ngaps;
};

struct timeline {
    struct timeline_track track[LINK_TRACKS_MAX];
    unsigned ticks; /* since a gap waits for the frame behind it */
    void (*tell)(void *arg, const struct ledger_entry *e);
    void *arg;
};

/* tell gets each entry once its interval is known. */
void timeline_init(struct timeline *t, void (*tell)(void *arg, const struct ledger_entry *e),
                   void *arg);
/* A frame came to the log at a place. */
void timeline_frame(struct timeline *t, unsigned track, uint64_t epoch, uint64_t number,
                    int64_t pts_ns, struct ledger_place at);
/* Numbers became a gap; e has all but its times. `told`: it is in the ledger, it only passes. */
void timeline_gap(struct timeline *t, const struct ledger_entry *e, bool told);
/* A new capture: next is what the old epoch's tracks came to. */
void timeline_epoch(struct timeline *t, uint64_t old_epoch, const uint64_t next[LINK_TRACKS_MAX],
                    bool stopped);
/* Numbers were jumped over that are nobody's loss here: another log has them. */
void timeline_jump(struct timeline *t);
/* Gaps that wait for the frame behind them. */
uint64_t timeline_waiting(const struct timeline *t);
/* Tells all that waits, its end reckoned from the usual step. */
void timeline_settle(struct timeline *t);
/* Once a second: what waits for three seconds is settled. */
void timeline_tick(struct timeline *t);

#endif
