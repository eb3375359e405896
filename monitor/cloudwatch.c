/* PutMetricData.
 * Relies on common/api for signing, common/retry for when to try again.
 * Leaves what to send to outputs.c. */
#include "monitor/cloudwatch.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <time.h>

#include <event2/event.h>

#include "common/api.h"
#include "common/blob.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/retry.h"

#define SETTLE_NS (60 * NS_PER_S)

static const struct retry_conf retry_conf = {
    .first_ns = NS_PER_S, .max_ns = 60 * NS_PER_S, .reset_ns = SETTLE_NS};

struct waiting {
    STAILQ_ENTRY(waiting) entry;
    struct blob *body;
};

struct cloudwatch {
    const struct conf_cloudwatch *conf;
    struct http_client *http;
    struct api api;
    struct api_call *call;
    struct event *timer;
    struct retry retry;
    STAILQ_HEAD(, waiting) queue; /* oldest first */
    size_t waiting_bytes;
    struct buf body; /* of the request being made */
    unsigned datums;
    const char *space;
    char time[32];
    struct cloudwatch_counts counts;
    bool failing; /* said in the log */
};

static void send_next(struct cloudwatch *c);

/* ---- making bodies ---- */

static void put_value(struct buf *b, const char *text)
{
    for (; *text; text++)
        if (isalnum((unsigned char)*text) || strchr("-_.~", *text))
            buf_append(b, text, 1);
        else
            buf_printf(b, "%%%02X", (unsigned char)*text);
}

static void put_text(struct buf *b, unsigned n, const char *member, const char *text)
{
    buf_printf(b, "&MetricData.member.%u.%s=", n, member);
    put_value(b, text);
}

static void put_number(struct buf *b, unsigned n, const char *member, double value)
{
    buf_printf(b, "&MetricData.member.%u.%s=%.15g", n, member, value);
}

static void finish_body(struct cloudwatch *c)
{
    if (!c->datums)
        return;
    struct waiting *w = xcalloc(1, sizeof *w);
    w->body = blob_copy(c->body.data, c->body.len);
    c->waiting_bytes += c->body.len;
    STAILQ_INSERT_TAIL(&c->queue, w, entry);
    buf_clear(&c->body);
    c->datums = 0;
}

static void begin_datum(struct cloudwatch *c, const struct datum *d)
{
    struct buf *b = &c->body;
    char member[64];
    if (c->datums == CLOUDWATCH_DATUMS_MAX || b->len > CLOUDWATCH_BYTES_MAX)
        finish_body(c);
    if (!c->datums) {
        buf_printf(b, "Action=PutMetricData&Version=2010-08-01&Namespace=");
        put_value(b, c->space);
    }
    unsigned n = ++c->datums;
    put_text(b, n, "MetricName", d->name);
    put_text(b, n, "Unit", d->unit);
    put_text(b, n, "Timestamp", c->time);
    for (unsigned i = 0; i < d->ndimensions; i++) {
        snprintf(member, sizeof member, "Dimensions.member.%u.Name", i + 1);
        put_text(b, n, member, d->dimensions[i].name);
        snprintf(member, sizeof member, "Dimensions.member.%u.Value", i + 1);
        put_text(b, n, member, d->dimensions[i].value);
    }
    if (c->conf->interval_s < 60)
        put_number(b, n, "StorageResolution", 1);
}

/* Each bucket is a value with its count: statistics and percentiles are right to 3 %. */
static void add_histogram(struct cloudwatch *c, const struct datum *d)
{
    unsigned values = CLOUDWATCH_VALUES_MAX;
    char member[32];
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (!d->histogram->buckets[i])
            continue;
        if (values == CLOUDWATCH_VALUES_MAX) {
            begin_datum(c, d);
            values = 0;
        }
        values++;
        snprintf(member, sizeof member, "Values.member.%u", values);
        put_number(&c->body, c->datums, member, histogram_value(i) * d->scale);
        snprintf(member, sizeof member, "Counts.member.%u", values);
        put_number(&c->body, c->datums, member, (double)d->histogram->buckets[i]);
    }
}

void cloudwatch_begin(struct cloudwatch *c, const char *space, int64_t wall_ns)
{
    time_t t = (time_t)(wall_ns / NS_PER_S);
    struct tm tm;
    c->space = space;
    strftime(c->time, sizeof c->time, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
}

/* CloudWatch refuses what is this great. */
static bool is_sendable(double value)
{
    return isfinite(value) && fabs(value) < 0x1p360;
}

void cloudwatch_add(struct cloudwatch *c, const struct datum *d)
{
    if (d->histogram) {
        add_histogram(c, d);
    } else if (d->kind == METRICS_GAUGE && d->samples > 1) {
        if (!is_sendable(d->sum))
            return;
        begin_datum(c, d);
        put_number(&c->body, c->datums, "StatisticValues.SampleCount", d->samples);
        put_number(&c->body, c->datums, "StatisticValues.Sum", d->sum);
        put_number(&c->body, c->datums, "StatisticValues.Minimum", d->least);
        put_number(&c->body, c->datums, "StatisticValues.Maximum", d->most);
    } else if (is_sendable(d->value)) {
        begin_datum(c, d);
        put_number(&c->body, c->datums, "Value", d->value);
    }
}

/* ---- sending ---- */

static void drop(struct cloudwatch *c, struct waiting *w)
{
    STAILQ_REMOVE(&c->queue, w, waiting, entry);
    c->waiting_bytes -= w->body->len;
    blob_unref(&w->body);
    free(w);
}

/* The oldest goes; one that is under way stays. */
static void bound(struct cloudwatch *c)
{
    struct waiting *w;
    uint64_t before = c->counts.lost;
    while (c->waiting_bytes > CLOUDWATCH_WAITING_MAX &&
           (w = c->call ? STAILQ_NEXT(STAILQ_FIRST(&c->queue), entry) : STAILQ_FIRST(&c->queue))) {
        drop(c, w);
        c->counts.lost++;
    }
    if (c->counts.lost > before)
        log_warn("monitor.cloudwatch.dropped",
                 "requests=%llu cause=\"more than %d MB wait\" do=\"check the uplink and "
                 "monitor.cloudwatch\"",
                 (unsigned long long)(c->counts.lost - before), CLOUDWATCH_WAITING_MAX >> 20);
}

void cloudwatch_end(struct cloudwatch *c)
{
    finish_body(c);
    bound(c);
    if (!c->call && !evtimer_pending(c->timer, NULL))
        send_next(c);
}

static void try_later(struct cloudwatch *c, const char *why)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = (uint64_t)clock_mono_ns();
    int64_t wait = retry_failed(&c->retry, clock_mono_ns(), random);
    struct timeval tv = {.tv_sec = wait / NS_PER_S, .tv_usec = wait % NS_PER_S / 1000};
    if (!c->failing)
        log_warn("monitor.cloudwatch.failed",
                 "url=%s error=\"%s\" do=\"check url, credentials (cloudwatch:PutMetricData) and "
                 "clock\" effect=\"metrics wait, up to %d MB\"",
                 c->conf->url, why, CLOUDWATCH_WAITING_MAX >> 20);
    c->failing = true;
    evtimer_add(c->timer, &tv);
}

/* Sending the same again later can help. */
static bool is_passing(const struct api_answer *a)
{
    static const char *const types[] = {"Thrott", "LimitExceeded", "Expired", "Token"};
    bool passing =
        a->error || a->status >= 500 || a->status == 429 || a->status == 401 || a->status == 403;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        passing = passing || strstr(a->type, types[i]);
    return passing;
}

static void on_answer(void *arg, const struct api_answer *a)
{
    struct cloudwatch *c = arg;
    char why[512];
    c->call = NULL;
    snprintf(why, sizeof why, "status=%d %s %s", a->status, a->type, a->message);
    if (!a->error && a->status == 200) {
        retry_works(&c->retry, clock_mono_ns());
        c->counts.accepted++;
        if (c->failing)
            log_info("monitor.cloudwatch.works", "url=%s", c->conf->url);
        c->failing = false;
        drop(c, STAILQ_FIRST(&c->queue));
    } else if (is_passing(a)) {
        if (a->status == 401 || a->status == 403)
            credentials_refused(c->api.credentials);
        try_later(c, why);
        return;
    } else {
        c->counts.lost++;
        log_error("monitor.cloudwatch.refused",
                  "url=%s error=\"%s\" effect=\"these metrics are lost\" do=\"check "
                  "monitor.cloudwatch\"",
                  c->conf->url, why);
        drop(c, STAILQ_FIRST(&c->queue));
    }
    send_next(c);
}

static void send_next(struct cloudwatch *c)
{
    struct waiting *w = STAILQ_FIRST(&c->queue);
    if (!w)
        return;
    int r = api_post_bytes(&c->api, c->conf->url, "application/x-www-form-urlencoded", w->body,
                           on_answer, c, &c->call);
    if (r < 0)
        try_later(c, api_sign_error(&c->api, r));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    send_next(arg);
}

static void on_signable(void *arg)
{
    struct cloudwatch *c = arg;
    if (!c->call && evtimer_pending(c->timer, NULL)) {
        evtimer_del(c->timer);
        send_next(c);
    }
}

static void on_credentials(void *arg, int error)
{
    if (error == 0)
        on_signable(arg);
}

struct cloudwatch *cloudwatch_create(struct event_base *base, const struct conf *conf)
{
    struct cloudwatch *c = xcalloc(1, sizeof *c);
    c->conf = &conf->monitor.cloudwatch;
    STAILQ_INIT(&c->queue);
    buf_init(&c->body, 2 * CLOUDWATCH_BYTES_MAX);
    retry_init(&c->retry, &retry_conf);
    c->timer = evtimer_new(base, on_timer, c);
    c->http = http_client_create(base);
    if (!c->http) {
        cloudwatch_destroy(&c);
        return NULL;
    }
    c->api = (struct api){.service = "monitoring",
                          .http = c->http,
                          .region = c->conf->region,
                          .ca_file = c->conf->ca_file,
                          .signable = on_signable,
                          .arg = c};
    c->api.credentials =
        api_credentials(&c->api, base, c->http, &conf->endpoint.credentials, on_credentials, c);
    return c;
}

void cloudwatch_destroy(struct cloudwatch **cp)
{
    struct cloudwatch *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    api_cancel(&c->call);
    while (STAILQ_FIRST(&c->queue))
        drop(c, STAILQ_FIRST(&c->queue));
    if (c->api.credentials)
        credentials_destroy(c->api.credentials);
    if (c->http)
        http_client_destroy(c->http);
    event_free(c->timer);
    buf_fini(&c->body);
    free(c);
}

struct cloudwatch_counts cloudwatch_counts(const struct cloudwatch *c)
{
    return c->counts;
}

size_t cloudwatch_waiting_bytes(const struct cloudwatch *c)
{
    return c->waiting_bytes;
}
