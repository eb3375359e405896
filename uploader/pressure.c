/* Three thresholds with hysteresis.
 * Relies on nothing.
 * Leaves measuring, log and metrics to stage.c. */
#include "uploader/pressure.h"

void pressure_init(struct pressure *p, const struct pressure_conf *conf)
{
    *p = (struct pressure){.conf = *conf};
}

static bool storage(const struct pressure_sample *now, bool on)
{
    double percent = on ? PRESSURE_FREE_AGAIN_PERCENT : PRESSURE_FREE_PERCENT;
    double line = (double)now->capacity_bytes * percent / 100, left = (double)now->free_bytes;
    return now->capacity_bytes && (on ? left < line : left <= line);
}

static bool latency(const struct pressure *p, const struct pressure_sample *now, bool on)
{
    int64_t most = p->conf.max_latency_ms;
    return most && now->backlog_ms > (on ? most / 2 : most);
}

/* A new connection alone does not end it: it may be as dead as the one before. */
static bool stale(const struct pressure *p, const struct pressure_sample *now, bool on)
{
    bool goes_on = on && now->acks == p->acks && now->backlog_ms > 0;
    return now->unacked_ms >= p->conf.staleness_ms || goes_on;
}

unsigned pressure_feed(struct pressure *p, const struct pressure_sample *now, int64_t now_ns,
                       struct pressure_event out[PRESSURE_KINDS])
{
    struct pressure_state *s = p->states;
    const bool on[] = {
        [PRESSURE_STORAGE] = storage(now, s[PRESSURE_STORAGE].on),
        [PRESSURE_LATENCY] = latency(p, now, s[PRESSURE_LATENCY].on),
        [PRESSURE_STALE] = stale(p, now, s[PRESSURE_STALE].on),
    };
    unsigned n = 0;

    p->acks = now->acks;
    for (unsigned k = 0; k < PRESSURE_KINDS; k++) {
        if (on[k] == s[k].on)
            continue;
        out[n++] = (struct pressure_event){
            .kind = k, .on = on[k], .lasted_ns = on[k] ? 0 : now_ns - s[k].since_ns};
        s[k].on = on[k];
        s[k].since_ns = now_ns;
        s[k].events += on[k];
    }
    return n;
}
