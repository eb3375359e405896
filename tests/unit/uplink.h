/* A simulated uplink behind a spool: media go in at the encoder's bitrate, leave at the uplink's,
 * and count as archived by fragment. Relies on Check. Leaves thresholds and bitrates to the code
 * under test. */
#ifndef KVPIPE_TESTS_UPLINK_H
#define KVPIPE_TESTS_UPLINK_H

#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/claim.h"

#define UPLINK_FRAGMENT_MS 2000
#define UPLINK_FRAGMENTS 8192

struct uplink {
    struct {
        uint64_t ms, bytes, sent;
    } fragments[UPLINK_FRAGMENTS];
    unsigned first, n; /* the last one is open until it has UPLINK_FRAGMENT_MS */
    uint64_t ms, bytes, acks;
    int64_t acked_ns;
};

/* Lets `ms` pass with the stream at `in_kbps` and the uplink at `out_kbps`. */
static inline void uplink_pass(struct uplink *u, uint64_t ms, uint64_t in_kbps, uint64_t out_kbps,
                               int64_t now_ns)
{
    uint64_t may = out_kbps * ms / 8;

    if (u->n == u->first || u->fragments[u->n - 1].ms >= UPLINK_FRAGMENT_MS)
        u->n++;
    claim(u->n < UPLINK_FRAGMENTS);
    u->fragments[u->n - 1].ms += ms;
    u->fragments[u->n - 1].bytes += in_kbps * ms / 8;
    u->ms += ms;
    u->bytes += in_kbps * ms / 8;
    for (unsigned i = u->first; i < u->n && may; i++) {
        uint64_t left = u->fragments[i].bytes - u->fragments[i].sent,
                 part = left < may ? left : may;
        u->fragments[i].sent += part;
        may -= part;
    }
    while (u->first < u->n && u->fragments[u->first].ms >= UPLINK_FRAGMENT_MS &&
           u->fragments[u->first].sent == u->fragments[u->first].bytes) {
        u->ms -= u->fragments[u->first].ms;
        u->bytes -= u->fragments[u->first].bytes;
        u->first++;
        u->acks++;
        u->acked_ns = now_ns;
    }
}

#endif
