/* A small histogram of latencies: 2 % wide buckets from 10 us to 10 min, so that p50 and p99 cost
 * nothing per frame. Relies on nothing. Leaves measuring to its users. */
#ifndef KVPIPE_UPLOADER_LATENCY_H
#define KVPIPE_UPLOADER_LATENCY_H

#include <stdint.h>

#define LATENCY_BUCKETS 928

struct latency { /* zero it to start */
    uint64_t count;
    uint32_t buckets[LATENCY_BUCKETS];
};

void latency_add(struct latency *l, int64_t ns);
/* The latency in ms below which `percent` of all lie; 0 when there are none. */
double latency_ms(const struct latency *l, double percent);

#endif
