/* Backoff.
 * Relies on nothing.
 * Leaves timers to its users. */
#include "common/retry.h"

void retry_init(struct retry *r, const struct retry_conf *conf)
{
    *r = (struct retry){.conf = conf};
}

void retry_works(struct retry *r, int64_t now_ns)
{
    if (!r->worked_since_ns)
        r->worked_since_ns = now_ns ? now_ns : 1;
}

int64_t retry_failed(struct retry *r, int64_t now_ns, uint64_t random)
{
    if (r->worked_since_ns && now_ns - r->worked_since_ns >= r->conf->reset_ns)
        r->failures = 0;
    r->worked_since_ns = 0;
    int64_t wait = r->conf->first_ns;
    for (unsigned i = 0; i < r->failures && wait < r->conf->max_ns; i++)
        wait *= 2;
    if (wait > r->conf->max_ns)
        wait = r->conf->max_ns;
    r->failures++;
    return wait - (int64_t)(random % (uint64_t)(wait / 2 + 1));
}
