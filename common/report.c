/* A stage's reports: state and numbers per stream, packed and sent once a second.
 * Relies on ZeroMQ and libevent; a send that would wait is dropped.
 * Leaves presentation, and judging silence, to the monitor. */
#include "common/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <zmq.h>

#include "common/clock.h"
#include "common/curve.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/zmq_watch.h"
#include "common/usage.h"
#include "proto/report.pb-c.h"

#define REPORT_VERSION 1
#define SUBJECTS_MAX 1025
#define NOTE_MAX_BYTES 512
#define COMMAND_MAX_BYTES 4096
#define COMMANDS_A_TURN 16
#define LINGER_MS 50
#define GREET_NS (2 * NS_PER_S)
#define TRY_AGAIN_S 2 /* after a refused handshake, which ends ZeroMQ's own tries */

struct subject {
    char *stream; /* "" for the process */
    char *state, *note;
    struct metrics *metrics;
};

struct report {
    char *stage, *instance, *address;
    struct report_conf conf;
    void *zmq, *socket;
    struct zmq_watch *watch;
    struct event *timer, *soon, *readable, *retry;
    bool keys;
    struct subject **subjects;
    size_t count;
    int64_t start_ns;
    bool ready, draining;
    bool got_through; /* a report has */
};

static struct subject *find(const struct report *r, const char *stream)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->subjects[i]->stream, stream ? stream : "") == 0)
            return r->subjects[i];
    return NULL;
}

static struct subject *find_or_add(struct report *r, const char *stream)
{
    struct subject *s = r ? find(r, stream) : NULL;
    if (!r || s || r->count == SUBJECTS_MAX)
        return s;
    s = xcalloc(1, sizeof *s);
    s->stream = xstrdup(stream ? stream : "");
    s->state = xstrdup("");
    s->note = xstrdup("");
    s->metrics = metrics_create();
    r->subjects = xrealloc(r->subjects, (r->count + 1) * sizeof *r->subjects);
    r->subjects[r->count++] = s;
    return s;
}

struct metrics *report_metrics(struct report *r, const char *stream)
{
    struct subject *s = find_or_add(r, stream);
    return s ? s->metrics : NULL;
}

static void send_soon(struct report *r)
{
    static const struct timeval now = {0};
    if (!event_pending(r->soon, EV_TIMEOUT, NULL))
        event_add(r->soon, &now);
}

static bool replace(char **at, const char *with)
{
    if (strcmp(*at, with) == 0)
        return false;
    free(*at);
    *at = xstrdup(with);
    return true;
}

void report_state(struct report *r, const char *stream, const char *state, const char *note)
{
    char cut[NOTE_MAX_BYTES];
    struct subject *s = find_or_add(r, stream);
    if (!s)
        return;
    size_t len = strnlen(note ? note : "", sizeof cut - 1);
    memcpy(cut, note ? note : "", len);
    cut[len] = '\0';
    bool changed = replace(&s->state, state ? state : "");
    if (replace(&s->note, cut) || changed)
        send_soon(r);
}

static void subject_free(struct subject *s)
{
    metrics_destroy(&s->metrics);
    free(s->stream);
    free(s->state);
    free(s->note);
    free(s);
}

void report_forget(struct report *r, const char *stream)
{
    for (size_t i = 0; r && i < r->count; i++)
        if (strcmp(r->subjects[i]->stream, stream ? stream : "") == 0) {
            subject_free(r->subjects[i]);
            r->subjects[i] = r->subjects[--r->count];
            return;
        }
}

static void fill_histogram(const struct metrics_entry *e, Kvpipe__Value *v)
{
    const struct histogram *h = e->histogram;
    Kvpipe__Histogram *m = v->histogram = xcalloc(1, sizeof *m);
    size_t n = 0;
    kvpipe__histogram__init(m);
    m->scale = metrics_def(e->id)->scale;
    v->value = (double)h->sum * m->scale;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        n += h->buckets[i] != 0;
    m->bucket = xcalloc(n, sizeof *m->bucket);
    m->count = xcalloc(n, sizeof *m->count);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (h->buckets[i]) {
            m->bucket[m->n_bucket++] = i;
            m->count[m->n_count++] = h->buckets[i];
        }
}

static void fill_value(const struct metrics_entry *e, Kvpipe__Value *v)
{
    const struct metrics_def *def = metrics_def(e->id);
    kvpipe__value__init(v);
    v->name = (char *)def->name;
    v->unit = (char *)def->unit;
    v->kind = (Kvpipe__Kind)def->kind;
    v->value = e->value;
    if (def->label) {
        v->label = (char *)def->label;
        v->label_value = (char *)e->label;
    }
    if (e->histogram)
        fill_histogram(e, v);
}

static void fill_subject(const struct subject *s, Kvpipe__Subject *m)
{
    size_t n = metrics_count(s->metrics);
    kvpipe__subject__init(m);
    m->stream = s->stream;
    m->state = s->state;
    m->note = s->note;
    m->values = xcalloc(n, sizeof *m->values);
    m->n_values = n;
    for (size_t i = 0; i < n; i++) {
        m->values[i] = xcalloc(1, sizeof **m->values);
        fill_value(metrics_at(s->metrics, i), m->values[i]);
    }
}

static void fill(const struct report *r, Kvpipe__Report *m)
{
    _Static_assert((int)METRICS_HISTOGRAM == (int)KVPIPE__KIND__HISTOGRAM, "the same kinds");
    kvpipe__report__init(m);
    m->version = REPORT_VERSION;
    m->stage = r->stage;
    m->instance = r->instance;
    m->pid = (uint32_t)getpid();
    m->program_version = KVPIPE_VERSION;
    m->ready = r->ready;
    m->draining = r->draining;
    m->uptime_ms = (uint64_t)((clock_mono_ns() - r->start_ns) / NS_PER_MS);
    m->subjects = xcalloc(r->count, sizeof *m->subjects);
    m->n_subjects = r->count;
    for (size_t i = 0; i < r->count; i++) {
        m->subjects[i] = xcalloc(1, sizeof **m->subjects);
        fill_subject(r->subjects[i], m->subjects[i]);
    }
}

static void unfill_value(Kvpipe__Value *v)
{
    if (v->histogram) {
        free(v->histogram->bucket);
        free(v->histogram->count);
    }
    free(v->histogram);
    free(v);
}

static void unfill(Kvpipe__Report *m)
{
    for (size_t i = 0; i < m->n_subjects; i++) {
        for (size_t k = 0; k < m->subjects[i]->n_values; k++)
            unfill_value(m->subjects[i]->values[k]);
        free(m->subjects[i]->values);
        free(m->subjects[i]);
    }
    free(m->subjects);
}

static void read_commands(struct report *r);

static void sample(struct report *r)
{
    struct metrics *own = report_metrics(r, NULL);
    struct usage usage;
    if (r->conf.sample)
        r->conf.sample(r->conf.arg);
    if (usage_read(0, &usage) < 0)
        return;
    metrics_set(own, METRIC_PROCESS_CPU, usage.cpu_s);
    metrics_set(own, METRIC_PROCESS_MEMORY, usage.rss_bytes);
}

static void send_report(struct report *r)
{
    static const struct timeval greet = {.tv_usec = 10000};
    Kvpipe__Report m;
    sample(r);
    fill(r, &m);
    size_t len = kvpipe__report__get_packed_size(&m);
    uint8_t *bytes = xmalloc(len);
    kvpipe__report__pack(&m, bytes);
    unfill(&m);
    if (zmq_send(r->socket, bytes, len, ZMQ_DONTWAIT) >= 0)
        r->got_through = true;
    else if (!r->got_through && clock_mono_ns() - r->start_ns < GREET_NS)
        event_add(r->soon, &greet); /* not connected yet: whoever starts us waits for this */
    /* else the monitor is away or slow: the next report says it all again */
    free(bytes);
    read_commands(r); /* a send can swallow the edge on the socket's file descriptor */
}

static void on_command(struct report *r, const uint8_t *bytes, size_t len)
{
    Kvpipe__Command *c =
        len <= COMMAND_MAX_BYTES ? kvpipe__command__unpack(NULL, len, bytes) : NULL;
    if (!c || c->version != REPORT_VERSION)
        log_warn("report.command_refused", "bytes=%zu", len);
    else if (r->conf.command)
        r->conf.command(r->conf.arg,
                        &(struct report_command){.verb = c->verb,
                                                 .stream = *c->stream ? c->stream : NULL,
                                                 .name = c->name,
                                                 .value = c->value,
                                                 .persistent = c->persistent});
    if (c)
        kvpipe__command__free_unpacked(c, NULL);
}

static void read_commands(struct report *r)
{
    static const struct timeval now = {0};
    for (int i = 0; i < COMMANDS_A_TURN; i++) {
        zmq_msg_t msg;
        zmq_msg_init(&msg);
        int n = zmq_msg_recv(&msg, r->socket, ZMQ_DONTWAIT);
        if (n >= 0)
            on_command(r, zmq_msg_data(&msg), zmq_msg_size(&msg));
        zmq_msg_close(&msg);
        if (n < 0)
            return;
    }
    event_add(r->soon, &now); /* more may wait and the edge is gone */
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    read_commands(arg);
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
    send_report(arg);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct report *r = arg;
    zmq_disconnect(r->socket, r->address);
    zmq_connect(r->socket, r->address);
}

static void on_refused(void *arg, unsigned event, int value)
{
    static const struct timeval later = {.tv_sec = TRY_AGAIN_S};
    struct report *r = arg;
    if (r->keys || event != ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
        curve_log_failure(r->address, event, value, r->keys);
    event_add(r->retry, &later);
}

static int use_keys(struct report *r, struct event_base *base)
{
    const struct curve_conf keys = {.dir = r->conf.keys, .self = r->stage, .peer = "monitor"};
    r->keys = curve_applies(&keys, r->address);
    int e = r->keys ? curve_connect(r->socket, &keys) : 0;
    r->retry = event_new(base, -1, 0, on_retry, r);
    return e < 0 ? e
                 : zmq_watch_create(base, r->zmq, r->socket, ZMQ_WATCH_FAILED, on_refused, r,
                                    &r->watch);
}

static int open_socket(struct report *r, struct event_base *base)
{
    int linger = LINGER_MS, hwm = 4, one = 1, back = 100, back_max = 1000;
    r->zmq = zmq_ctx_new();
    r->socket = r->zmq ? zmq_socket(r->zmq, ZMQ_DEALER) : NULL;
    if (!r->socket)
        return -errno;
    zmq_setsockopt(r->socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(r->socket, ZMQ_SNDHWM, &hwm, sizeof hwm);
    zmq_setsockopt(r->socket, ZMQ_IMMEDIATE, &one, sizeof one);
    zmq_setsockopt(r->socket, ZMQ_RECONNECT_IVL, &back, sizeof back);
    zmq_setsockopt(r->socket, ZMQ_RECONNECT_IVL_MAX, &back_max, sizeof back_max);
    zmq_setsockopt(r->socket, ZMQ_ROUTING_ID, r->instance, strlen(r->instance));
    int64_t most = COMMAND_MAX_BYTES;
    zmq_setsockopt(r->socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
    int e = use_keys(r, base);
    return e < 0 ? e : zmq_connect(r->socket, r->address) < 0 ? -errno : 0;
}

int report_create(struct event_base *base, const struct report_conf *conf, struct report **out)
{
    static const struct timeval second = {.tv_sec = 1};
    struct report *r = xcalloc(1, sizeof *r);
    int fd;
    size_t len = sizeof fd;

    r->conf = *conf;
    r->stage = xstrdup(conf->stage);
    r->instance = xstrdup(conf->instance);
    r->address = xstrdup(conf->address);
    r->start_ns = clock_mono_ns();
    *out = r;
    int e = open_socket(r, base);
    if (e == 0 && zmq_getsockopt(r->socket, ZMQ_FD, &fd, &len) < 0)
        e = -errno;
    if (e < 0) {
        log_error("report.socket", "address=%s error=\"%s\"", conf->address, zmq_strerror(-e));
        report_destroy(out);
        return e;
    }
    r->timer = event_new(base, -1, EV_PERSIST, on_time, r);
    r->soon = event_new(base, -1, 0, on_time, r);
    r->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, r);
    event_add(r->timer, &second);
    event_add(r->readable, NULL);
    return 0;
}

static void event_drop(struct event *e)
{
    if (e)
        event_free(e);
}

void report_destroy(struct report **report)
{
    struct report *r = *report;
    *report = NULL;
    if (!r)
        return;
    event_drop(r->timer);
    event_drop(r->soon);
    event_drop(r->readable);
    event_drop(r->retry);
    zmq_watch_destroy(&r->watch);
    if (r->socket)
        zmq_close(r->socket);
    if (r->zmq)
        zmq_ctx_term(r->zmq);
    for (size_t i = 0; i < r->count; i++)
        subject_free(r->subjects[i]);
    free(r->subjects);
    free(r->stage);
    free(r->instance);
    free(r->address);
    free(r);
}

void report_set_ready(struct report *r, bool ready)
{
    if (!r || r->ready == ready)
        return;
    r->ready = ready;
    send_soon(r);
}

void report_set_draining(struct report *r)
{
    if (!r)
        return;
    r->draining = true;
    send_report(r); /* at once: the loop may end in this turn */
}
