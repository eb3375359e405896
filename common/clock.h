/* Time, as the rest of the code asks for it.
 * Relies on clock_gettime(2).
 * Leaves it to callers to pass the value on: logic takes "now" as an argument, so that tests own
 * it. */
#ifndef KVPIPE_COMMON_CLOCK_H
#define KVPIPE_COMMON_CLOCK_H

#include <stdint.h>

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

/* Monotonic time in ns: for timeouts and intervals. */
int64_t clock_mono_ns(void);
/* Wall clock in ns since 1970-01-01 UTC: for timestamps that leave the machine. May step. */
int64_t clock_wall_ns(void);

/* Seconds from a wall clock time until now; 0 for none (0) and for one that is to come. */
double clock_age_s(int64_t wall_ns);

#endif
