/* What the clients of one stream have used of its limits.
 * Relies on rate, http and error.h: what is too much is answered here.
 * Leaves the limits themselves to the config. */
#include "server/quota.h"

#include "common/clock.h"
#include "server/error.h"

bool quota_admit(struct http_exchange *ex, struct rate *r, unsigned per_s, unsigned n,
                 const char *what)
{
    if (rate_admit(r, per_s, per_s, n, clock_mono_ns()))
        return true;
    error_reply(ex, 400, "ClientLimitExceededException",
                "This stream takes %u %s a second; try again later (server.limits).", per_s, what);
    return false;
}

bool quota_connect(struct http_exchange *ex, unsigned *n, unsigned max, const char *operation)
{
    if (!max || *n < max) {
        ++*n;
        return true;
    }
    error_reply(ex, 400, "ConnectionLimitExceededException",
                "This stream has %u %s connections open, as many as it may (server.limits).", *n,
                operation);
    return false;
}
