/* The bitrate that suits a backlog: lower by steps while the backlog grows, up again by steps when
 * it is gone. Relies on what it is fed; the clock is an argument. Leaves the backlog to the link
 * (Ack) and setting the encoder to codec. */
#ifndef KVPIPE_ENCODER_ADAPT_H
#define KVPIPE_ENCODER_ADAPT_H

#include <stdbool.h>
#include <stdint.h>

struct adapt_conf {
    uint32_t bitrate_kbps, min_kbps; /* min_kbps 0: never changed */
    uint64_t backlog_ms;             /* above it the bitrate goes down, below half of it up again */
    int64_t look_ns;    /* so long the backlog is watched; two fragments, as those are acked */
    int64_t restore_ns; /* between two steps up */
};

struct adapt {
    struct adapt_conf conf;
    uint32_t kbps;
    int64_t look_end_ns, drained_ns;      /* 0: not begun */
    uint64_t peak_bytes, last_peak_bytes; /* of this look and the one before */
    bool settles; /* the look after a step down: what it did shows in the next */
};

void adapt_init(struct adapt *a, const struct adapt_conf *conf);
/* The backlog now: media that wait below, in ms and in bytes. A few times a second. Returns true
 * when a->kbps changed. */
bool adapt_feed(struct adapt *a, uint64_t backlog_ms, uint64_t backlog_bytes, int64_t now_ns);

#endif
