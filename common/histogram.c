/* Reading and adding up of histograms.
 * Relies on histogram.h.
 * Leaves what the values are to its users. */
#include "common/histogram.h"

#include <stdbool.h>

uint64_t histogram_bound(unsigned bucket)
{
    if (bucket < HISTOGRAM_STEPS)
        return bucket;
    unsigned top = bucket / HISTOGRAM_STEPS + 3;
    return (UINT64_C(1) << top) + ((uint64_t)(bucket % HISTOGRAM_STEPS) << (top - 4));
}

double histogram_value(unsigned bucket)
{
    double low = (double)histogram_bound(bucket);
    return bucket < HISTOGRAM_STEPS ? low : (low + (double)histogram_bound(bucket + 1)) / 2;
}

double histogram_quantile(const struct histogram *h, double part)
{
    double want = (double)h->count * part, seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && h->count; i++) {
        double n = (double)h->buckets[i];
        if (n > 0 && seen + n >= want) {
            double low = (double)histogram_bound(i), high = (double)histogram_bound(i + 1);
            if (i < HISTOGRAM_STEPS)
                return low;
            return low + (high - low) * (want > seen ? (want - seen) / n : 0);
        }
        seen += n;
    }
    return 0;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    into->sum += from->sum;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

static bool grew(const struct histogram *now, const struct histogram *before)
{
    bool yes = now->count >= before->count && now->sum >= before->sum;
    for (unsigned i = 0; yes && i < HISTOGRAM_BUCKETS; i++)
        yes = now->buckets[i] >= before->buckets[i];
    return yes;
}

void histogram_since(const struct histogram *now, const struct histogram *before,
                     struct histogram *out)
{
    if (out != now)
        *out = *now;
    if (!grew(now, before))
        return;
    out->count -= before->count;
    out->sum -= before->sum;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        out->buckets[i] -= before->buckets[i];
}
