/* The embedded metric format.
 * Relies on jansson; libevent for the way to the agent.
 * Leaves what to send to outputs.c. */
#include "monitor/emf.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define AGAIN_S 5

struct emf {
    struct event_base *base;
    const struct conf_emf *conf;
    char host[256]; /* "": standard output */
    uint16_t port;
    struct evdns_base *dns;
    struct bufferevent *agent;
    struct event *again;
    bool connected, away; /* away: said in the log */
    uint64_t dropped;
    int64_t wall_ns;
    json_t *line, *metrics; /* of the dimensions in hand; NULL: none */
    struct datum of;        /* their dimensions, borrowed */
};

/* ---- the agent ---- */

static void connect_agent(struct emf *e);

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    connect_agent(arg);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    static const struct timeval pause = {.tv_sec = AGAIN_S};
    struct emf *e = arg;
    if (what & BEV_EVENT_CONNECTED) {
        e->connected = true;
        log_info("monitor.emf.connected", "output=%s dropped=%llu", e->conf->output,
                 (unsigned long long)e->dropped);
        e->away = false;
        return;
    }
    if (!e->away)
        log_warn("monitor.emf.away",
                 "output=%s error=\"%s\" effect=\"lines are dropped\" do=\"start the CloudWatch "
                 "agent with its embedded metric port, or correct monitor.emf.output\"",
                 e->conf->output,
                 e->connected ? "the connection ended"
                              : evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    e->connected = false;
    e->away = true;
    bufferevent_free(bev);
    e->agent = NULL;
    evtimer_add(e->again, &pause);
}

/* Agents answer nothing; what comes is thrown away. */
static void on_read(struct bufferevent *bev, void *arg)
{
    struct evbuffer *in = bufferevent_get_input(bev);
    evbuffer_drain(in, evbuffer_get_length(in));
}

static void connect_agent(struct emf *e)
{
    e->agent = bufferevent_socket_new(e->base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (!e->agent)
        return;
    bufferevent_setcb(e->agent, on_read, NULL, on_event, e);
    bufferevent_enable(e->agent, EV_READ | EV_WRITE);
    bufferevent_socket_connect_hostname(e->agent, e->dns, AF_UNSPEC, e->host, e->port);
}

static void put_line(struct emf *e, const char *text)
{
    if (!*e->host) {
        puts(text);
        return;
    }
    struct evbuffer *out = e->agent ? bufferevent_get_output(e->agent) : NULL;
    if (!e->connected || evbuffer_get_length(out) > EMF_WAITING_MAX) {
        e->dropped++;
        return;
    }
    evbuffer_add(out, text, strlen(text));
    evbuffer_add(out, "\n", 1);
}

/* ---- lines ---- */

static void end_line(struct emf *e)
{
    if (!e->line)
        return;
    char *text = json_dumps(e->line, JSON_COMPACT | JSON_REAL_PRECISION(15));
    if (text)
        put_line(e, text);
    free(text);
    json_decref(e->line);
    e->line = NULL;
}

static void begin_line(struct emf *e, const struct datum *d)
{
    json_t *names = json_array();
    e->of = *d;
    e->metrics = json_array();
    e->line = json_object();
    for (unsigned i = 0; i < d->ndimensions; i++) {
        json_array_append_new(names, json_string(d->dimensions[i].name));
        json_object_set_new(e->line, d->dimensions[i].name, json_string(d->dimensions[i].value));
    }
    json_t *aws = json_pack("{s:I, s:[{s:s, s:[o], s:o}]}", "Timestamp",
                            (json_int_t)(e->wall_ns / NS_PER_MS), "CloudWatchMetrics", "Namespace",
                            e->conf->space, "Dimensions", names, "Metrics", e->metrics);
    if (e->conf->log_group)
        json_object_set_new(aws, "LogGroupName", json_string(e->conf->log_group));
    json_object_set_new(e->line, "_aws", aws);
}

/* Takes value. */
static void add_metric(struct emf *e, const struct datum *d, const char *suffix, const char *unit,
                       json_t *value)
{
    char name[300];
    if (!e->line || json_array_size(e->metrics) == EMF_METRICS_MAX ||
        !rollup_same_dimensions(&e->of, d)) {
        end_line(e);
        begin_line(e, d);
    }
    snprintf(name, sizeof name, "%s%s", d->name, suffix);
    json_t *metric = json_pack("{s:s, s:s}", "Name", name, "Unit", unit);
    if (e->conf->interval_s < 60)
        json_object_set_new(metric, "StorageResolution", json_integer(1));
    json_array_append_new(e->metrics, metric);
    json_object_set_new(e->line, name, value);
}

/* The format has no counts: as many values as it takes, each for the same share of all, so that
 * percentiles are right; and how many there were as a metric of its own. */
static void add_histogram(struct emf *e, const struct datum *d)
{
    uint64_t n = d->histogram->count < EMF_VALUES_MAX ? d->histogram->count : EMF_VALUES_MAX;
    json_t *values = json_array();
    for (uint64_t i = 0; i < n; i++)
        json_array_append_new(
            values,
            json_real(histogram_quantile(d->histogram, ((double)i + 0.5) / (double)n) * d->scale));
    add_metric(e, d, "", d->unit, values);
    add_metric(e, d, "Count", "Count", json_real((double)d->histogram->count));
}

void emf_begin(struct emf *e, int64_t wall_ns)
{
    e->wall_ns = wall_ns;
}

void emf_add(struct emf *e, const struct datum *d)
{
    if (d->histogram)
        add_histogram(e, d);
    else if (isfinite(d->value))
        add_metric(e, d, "", d->unit, json_real(d->value));
}

void emf_end(struct emf *e)
{
    end_line(e);
    if (!*e->host)
        fflush(stdout);
}

struct emf *emf_create(struct event_base *base, const struct conf_emf *conf)
{
    static const char tcp[] = "tcp://";
    struct emf *e = xcalloc(1, sizeof *e);
    e->base = base;
    e->conf = conf;
    if (strncmp(conf->output, tcp, sizeof tcp - 1) != 0)
        return e;
    conf_host_port(conf->output + sizeof tcp - 1, e->host, sizeof e->host, &e->port);
    e->dns =
        evdns_base_new(base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    e->again = evtimer_new(base, on_again, e);
    connect_agent(e);
    return e;
}

void emf_destroy(struct emf **ep)
{
    struct emf *e = *ep;
    *ep = NULL;
    if (!e)
        return;
    json_decref(e->line);
    if (e->agent)
        bufferevent_free(e->agent);
    if (e->again)
        event_free(e->again);
    if (e->dns)
        evdns_base_free(e->dns, 0);
    free(e);
}
