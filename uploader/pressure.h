/* Tells when a stream outruns its uplink: storage pressure, latency pressure, a stale connection.
 * Relies on what it is fed once a second; the clock is an argument. Leaves measuring, log and
 * metrics to stage.c, and what to do about it: the session starts anew when it is stale, the
 * encoder may lower its bitrate. */
#ifndef KVPIPE_UPLOADER_PRESSURE_H
#define KVPIPE_UPLOADER_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

#define PRESSURE_FREE_PERCENT 5 /* STORAGE_PRESSURE_NOTIFICATION_THRESHOLD of the producer SDK */
#define PRESSURE_FREE_AGAIN_PERCENT 10

enum pressure_kind {
    PRESSURE_STORAGE, /* at most 5 % of the spool are free; over at 10 % */
    PRESSURE_LATENCY, /* more than max_latency_ms of video wait; over at half of it */
    PRESSURE_STALE, /* nothing was acked for staleness_ms while sending; over with the next ack, or
                       when nothing waits */
    PRESSURE_KINDS
};

struct pressure_conf {
    int64_t max_latency_ms; /* 0: never */
    int64_t staleness_ms;
};

struct pressure_sample {
    int64_t backlog_ms;      /* media in the spool that is not archived */
    uint64_t free_bytes;     /* of the spool */
    uint64_t capacity_bytes; /* 0: not known */
    int64_t unacked_ms;      /* sending so long without an ack; 0 when none is waited for */
    uint64_t acks;           /* counter */
};

struct pressure {
    struct pressure_conf conf;
    struct pressure_state {
        bool on;
        int64_t since_ns;
        uint64_t events; /* how often it began */
    } states[PRESSURE_KINDS];
    uint64_t acks; /* in the last sample */
};

struct pressure_event {
    enum pressure_kind kind;
    bool on;           /* it begins; false: it is over */
    int64_t lasted_ns; /* when over */
};

void pressure_init(struct pressure *p, const struct pressure_conf *conf);
/* Returns the number of events written to `out`: one for each kind that begins or is over now. */
unsigned pressure_feed(struct pressure *p, const struct pressure_sample *now, int64_t now_ns,
                       struct pressure_event out[PRESSURE_KINDS]);

#endif
