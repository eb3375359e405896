/* How often values of each size were measured: 16 steps to each doubling, so that a quantile is
 * right to 3 % at any size and adding costs a shift and an add. Relies on nothing. Histograms can
 * be added up. Leaves what the values are (ns, bytes) to its users. */
#ifndef KVPIPE_COMMON_HISTOGRAM_H
#define KVPIPE_COMMON_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 16    /* to each doubling */
#define HISTOGRAM_BUCKETS 720 /* values up to 2^48 (78 hours in ns); greater ones count as that */

struct histogram { /* zero it to start */
    uint64_t count, sum;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_bucket(uint64_t value)
{
    if (value < HISTOGRAM_STEPS)
        return (unsigned)value;
    if (value >> 48)
        return HISTOGRAM_BUCKETS - 1;
    unsigned top = 63 - (unsigned)__builtin_clzll(value); /* 4 .. 47 */
    return (top - 3) * HISTOGRAM_STEPS + (unsigned)(value >> (top - 4) & (HISTOGRAM_STEPS - 1));
}

/* A value below 0 counts as 0: clocks can be set back. */
static inline void histogram_add(struct histogram *h, int64_t value)
{
    uint64_t v = value > 0 ? (uint64_t)value : 0;
    h->count++;
    h->sum += v;
    h->buckets[histogram_bucket(v)]++;
}

/* The least value that the bucket counts; of HISTOGRAM_BUCKETS: one more than the greatest. */
uint64_t histogram_bound(unsigned bucket);
/* The value that stands for all of a bucket: its middle; small ones are exact. */
double histogram_value(unsigned bucket);
/* The value below which `part` (0 to 1) of all lie; 0 when there are none. */
double histogram_quantile(const struct histogram *h, double part);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* What was added to `now` since it was `before`; all of it when it began anew in between. */
void histogram_since(const struct histogram *now, const struct histogram *before,
                     struct histogram *out);

#endif
