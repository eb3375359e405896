/* The outputs that are on, once a second.
 * Relies on samples, rollup, cloudwatch, emf, edge_metrics.
 * Leaves what the numbers are to their makers. */
#include "monitor/outputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/stage.h"
#include "monitor/cloudwatch.h"
#include "monitor/edge_metrics.h"
#include "monitor/emf.h"
#include "monitor/rollup.h"
#include "monitor/samples.h"

struct outputs {
    struct outputs_from from;
    const struct conf *conf; /* held: of the start, for the settings of the outputs */
    struct event *timer;
    struct samples samples;
    struct cloudwatch *cloudwatch; /* each of these NULL: it is off */
    struct rollup *cloudwatch_rollup;
    struct emf *emf;
    struct rollup *emf_rollup;
    struct edge_metrics edge;
    int64_t cloudwatch_ns, emf_ns, edge_ns; /* when the interval ends */
};

static void to_cloudwatch(void *arg, const struct datum *d)
{
    cloudwatch_add(arg, d);
}

static void to_emf(void *arg, const struct datum *d)
{
    emf_add(arg, d);
}

/* True once each interval. The first ends an interval after the start. */
static bool is_over(int64_t *end_ns, uint32_t interval_s, int64_t now_ns)
{
    if (!*end_ns)
        *end_ns = now_ns + interval_s * NS_PER_S;
    if (now_ns < *end_ns)
        return false;
    *end_ns += interval_s * NS_PER_S;
    if (*end_ns <= now_ns) /* it was stopped for longer than that */
        *end_ns = now_ns + interval_s * NS_PER_S;
    return true;
}

static void tick_cloudwatch(struct outputs *o, int64_t now_ns)
{
    const struct conf_cloudwatch *c = &o->conf->monitor.cloudwatch;
    rollup_feed(o->cloudwatch_rollup, &o->samples, now_ns);
    if (is_over(&o->cloudwatch_ns, c->interval_s, now_ns)) {
        cloudwatch_begin(o->cloudwatch, c->space, clock_wall_ns());
        rollup_take(o->cloudwatch_rollup, to_cloudwatch, o->cloudwatch);
        cloudwatch_end(o->cloudwatch);
    }
    if (!c->edge_agent)
        return;
    edge_metrics_watch(&o->edge, o->from.stage->conf, o->from.table, now_ns);
    if (!is_over(&o->edge_ns, c->interval_s < EDGE_METRICS_S ? c->interval_s : EDGE_METRICS_S,
                 now_ns))
        return;
    cloudwatch_begin(o->cloudwatch, EDGE_METRICS_SPACE, clock_wall_ns());
    edge_metrics_take(&o->edge, o->from.stage->conf, o->from.table, c->thing, to_cloudwatch,
                      o->cloudwatch);
    cloudwatch_end(o->cloudwatch);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct outputs *o = arg;
    int64_t now_ns = clock_mono_ns();
    samples_take(&o->samples, o->from.stage->conf, o->from.instances, o->from.table,
                 o->from.offsite, now_ns);
    if (o->cloudwatch)
        tick_cloudwatch(o, now_ns);
    if (!o->emf)
        return;
    rollup_feed(o->emf_rollup, &o->samples, now_ns);
    if (is_over(&o->emf_ns, o->conf->monitor.emf.interval_s, now_ns)) {
        emf_begin(o->emf, clock_wall_ns());
        rollup_take(o->emf_rollup, to_emf, o->emf);
        emf_end(o->emf);
    }
}

int outputs_create(struct event_base *base, const struct outputs_from *from, struct outputs **out)
{
    static const struct timeval second = {.tv_sec = 1};
    const struct conf_monitor *c = &from->stage->conf->monitor;
    bool emf = strcmp(c->emf.output, "off") != 0;
    *out = NULL;
    if (!c->cloudwatch.enabled && !emf)
        return 0;
    struct outputs *o = *out = xcalloc(1, sizeof *o);
    o->from = *from;
    o->conf = conf_hold(from->stage->conf);
    if (c->cloudwatch.enabled) {
        o->cloudwatch = cloudwatch_create(base, o->conf);
        o->cloudwatch_rollup = rollup_create(o->conf->monitor.cloudwatch.metrics);
        if (!o->cloudwatch) {
            log_error("monitor.cloudwatch", "error=\"the HTTP client cannot start\"");
            outputs_destroy(out);
            return -ENOMEM;
        }
    }
    if (emf) {
        o->emf = emf_create(base, &o->conf->monitor.emf);
        o->emf_rollup = rollup_create("*");
    }
    o->timer = event_new(base, -1, EV_PERSIST, on_tick, o);
    event_add(o->timer, &second);
    return 0;
}

void outputs_destroy(struct outputs **op)
{
    struct outputs *o = *op;
    *op = NULL;
    if (!o)
        return;
    if (o->timer)
        event_free(o->timer);
    cloudwatch_destroy(&o->cloudwatch);
    rollup_destroy(&o->cloudwatch_rollup);
    emf_destroy(&o->emf);
    rollup_destroy(&o->emf_rollup);
    edge_metrics_fini(&o->edge);
    samples_fini(&o->samples);
    conf_release(&o->conf);
    free(o);
}
