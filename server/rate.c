/* How fast something may go: so much a second, with a burst.
 * Relies on nothing: the time is passed in.
 * Leaves the choice between refusing and waiting to its users. */
#include "server/rate.h"

#include "common/clock.h"

static void settle(struct rate *r, double per_s, int64_t now_ns)
{
    if (now_ns > r->at_ns)
        r->used -= (double)(now_ns - r->at_ns) / NS_PER_S * per_s;
    if (r->used < 0)
        r->used = 0;
    r->at_ns = now_ns;
}

bool rate_admit(struct rate *r, double per_s, double burst, double n, int64_t now_ns)
{
    if (per_s <= 0)
        return true;
    settle(r, per_s, now_ns);
    if (r->used > burst - 1e-6)
        return false;
    r->used += n;
    return true;
}

int64_t rate_spend(struct rate *r, double per_s, double burst, double n, int64_t now_ns)
{
    if (per_s <= 0)
        return 0;
    settle(r, per_s, now_ns);
    r->used += n;
    return r->used > burst ? (int64_t)((r->used - burst) / per_s * NS_PER_S) : 0;
}
