/* Latency histogram with logarithmic buckets.
 * Relies on libm.
 * Leaves measuring to its users. */
#include "uploader/latency.h"

#include <math.h>

#define FIRST_NS 10000.0
#define LOG_STEP 0.019802627296 /* ln 1.02 */

void latency_add(struct latency *l, int64_t ns)
{
    double at = ns > FIRST_NS ? log((double)ns / FIRST_NS) / LOG_STEP : 0;
    unsigned i = at < LATENCY_BUCKETS - 1 ? (unsigned)at : LATENCY_BUCKETS - 1;
    l->buckets[i]++;
    l->count++;
}

double latency_ms(const struct latency *l, double percent)
{
    double want = (double)l->count * percent / 100.0, seen = 0;
    if (!l->count)
        return 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        seen += l->buckets[i];
        if (seen >= want && seen > 0)
            return FIRST_NS * exp(LOG_STEP * (i + 0.5)) / 1e6;
    }
    return 0;
}
