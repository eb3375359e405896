/* Time, as the rest of the code asks for it.
 * Relies on clock_gettime(2).
 * Leaves it to callers to pass the value on. */
#include "common/clock.h"

#include <time.h>

static int64_t now_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_mono_ns(void)
{
    return now_ns(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void)
{
    return now_ns(CLOCK_REALTIME);
}

double clock_age_s(int64_t wall_ns)
{
    int64_t now = wall_ns ? clock_wall_ns() : 0;
    return now > wall_ns ? (double)(now - wall_ns) / (double)NS_PER_S : 0;
}
