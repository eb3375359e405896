/* Down by what the backlog grows, a quarter to a half at a time; up by a quarter.
 * Relies on bytes to see growth: what waits in ms goes on growing long after the bitrate went below
 * the uplink, as what waits was coded at the old one. Leaves the encoder alone. */
#include "encoder/adapt.h"

#define DOWN_PERCENT 75
#define DOWN_MOST_PERCENT 50
#define UP_PERCENT 125
#define DRAIN_PERCENT 5 /* of the bitrate: slower than that counts as not drained */

void adapt_init(struct adapt *a, const struct adapt_conf *conf)
{
    *a = (struct adapt){.conf = *conf, .kbps = conf->bitrate_kbps};
}

/* Acks come by fragment, so the backlog is a saw: its peaks tell. */
static bool drains(const struct adapt *a)
{
    uint64_t least =
        (uint64_t)((double)a->kbps * 125 * DRAIN_PERCENT / 100 * (double)a->conf.look_ns / 1e9);
    return a->peak_bytes + least <= a->last_peak_bytes;
}

static bool set(struct adapt *a, uint64_t kbps)
{
    uint32_t old = a->kbps;

    if (kbps < a->conf.min_kbps)
        kbps = a->conf.min_kbps;
    if (kbps > a->conf.bitrate_kbps)
        kbps = a->conf.bitrate_kbps;
    a->kbps = (uint32_t)kbps;
    return a->kbps != old;
}

static bool lower(struct adapt *a)
{
    double grown = (double)a->peak_bytes - (double)a->last_peak_bytes;
    double kbps = a->kbps - grown * 8e6 / (double)a->conf.look_ns;
    double most = (double)a->kbps * DOWN_PERCENT / 100;
    double least = (double)a->kbps * DOWN_MOST_PERCENT / 100;

    return set(a, (uint64_t)(kbps > most ? most : kbps < least ? least : kbps));
}

/* At the end of each look. */
static bool look(struct adapt *a, uint64_t backlog_ms, int64_t now_ns)
{
    bool down = backlog_ms > a->conf.backlog_ms && !a->settles && !drains(a);

    a->look_end_ns = now_ns + a->conf.look_ns;
    a->settles = down && lower(a);
    a->last_peak_bytes = a->peak_bytes;
    a->peak_bytes = 0;
    return a->settles;
}

static bool restore(struct adapt *a, uint64_t backlog_ms, int64_t now_ns)
{
    if (backlog_ms >= a->conf.backlog_ms / 2) {
        a->drained_ns = 0;
        return false;
    }
    if (a->drained_ns && now_ns - a->drained_ns < a->conf.restore_ns)
        return false;
    bool first = !a->drained_ns;
    a->drained_ns = now_ns;
    return !first && set(a, (uint64_t)a->kbps * UP_PERCENT / 100);
}

bool adapt_feed(struct adapt *a, uint64_t backlog_ms, uint64_t backlog_bytes, int64_t now_ns)
{
    if (!a->conf.min_kbps)
        return false;
    if (backlog_bytes > a->peak_bytes)
        a->peak_bytes = backlog_bytes;
    if (!a->look_end_ns)
        a->look_end_ns = now_ns + a->conf.look_ns;
    if (now_ns >= a->look_end_ns && look(a, backlog_ms, now_ns))
        return true;
    return restore(a, backlog_ms, now_ns);
}
