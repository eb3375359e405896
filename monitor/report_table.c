/* Reports in, rows out.
 * Relies on ZeroMQ (ROUTER) and protobuf-c; every size and text is checked before it is kept.
 * Leaves what silence means to supervisor.c and the looks to status.c. */
#include "monitor/report_table.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <zmq.h>

#include "common/clock.h"
#include "common/curve.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/report.h"
#include "proto/report.pb-c.h"

#define VERSION 1
#define ROWS_MAX 1024
#define SUBJECTS_MAX 1025
#define NUMBERS_MAX METRICS_MAX
#define NAME_MAX_BYTES 256
#define NOTE_MAX_BYTES 512
#define UNIT_MAX_BYTES 32
#define LABEL_MAX_BYTES METRICS_LABEL_MAX
#define MESSAGE_MAX_BYTES (4 << 20)
#define MESSAGES_A_TURN 256
#define SAMPLE_NS (900 * NS_PER_MS)

struct report_table {
    void *zmq, *socket;
    struct curve_guard *guard; /* NULL: no keys */
    struct event *readable, *again;
    report_table_fn heard;
    void *arg;
    struct report_row **rows;
    size_t count;
    uint64_t refused;
};

static void free_number(struct report_number *n)
{
    free(n->name);
    free(n->metric);
    free(n->unit);
    free(n->label);
    free(n->label_value);
    free(n->histogram);
}

static void free_subjects(struct report_row *row)
{
    for (size_t i = 0; i < row->count; i++) {
        struct report_subject *s = &row->subjects[i];
        for (size_t k = 0; k < s->count; k++)
            free_number(&s->numbers[k]);
        free(s->numbers);
        free(s->stream);
        free(s->state);
        free(s->note);
    }
    free(row->subjects);
    row->subjects = NULL;
    row->count = 0;
}

static void free_row(struct report_row *row)
{
    free_subjects(row);
    free(row->stage);
    free(row->instance);
    free(row->version);
    free(row);
}

static bool plain(const char *text, size_t most)
{
    size_t len = strnlen(text, most + 1);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return len <= most;
}

/* A name as Prometheus takes it, so that nobody needs to change it. */
static bool good_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return len && !name[len] && len <= NAME_MAX_BYTES && !(name[0] >= '0' && name[0] <= '9');
}

static bool good_histogram(const Kvpipe__Histogram *h)
{
    bool ok = h && isfinite(h->scale) && h->scale > 0 && h->n_bucket == h->n_count &&
              h->n_bucket <= HISTOGRAM_BUCKETS;
    for (size_t i = 0; ok && i < h->n_bucket; i++)
        ok = h->bucket[i] < HISTOGRAM_BUCKETS && (!i || h->bucket[i] > h->bucket[i - 1]) &&
             h->count[i] < UINT64_C(1) << 53;
    return ok;
}

static bool good_value(const Kvpipe__Value *v)
{
    return good_name(v->name) && isfinite(v->value) && plain(v->unit, UNIT_MAX_BYTES) &&
           (!*v->label || good_name(v->label)) && plain(v->label_value, LABEL_MAX_BYTES) &&
           (v->kind != KVPIPE__KIND__HISTOGRAM || good_histogram(v->histogram));
}

static bool good_subject(const Kvpipe__Subject *m)
{
    bool ok = plain(m->stream, NAME_MAX_BYTES) && plain(m->state, NAME_MAX_BYTES) &&
              plain(m->note, NOTE_MAX_BYTES) && m->n_values <= NUMBERS_MAX;
    for (size_t i = 0; ok && i < m->n_values; i++)
        ok = good_value(m->values[i]);
    return ok;
}

static bool good(const Kvpipe__Report *m)
{
    bool ok = m->version == VERSION && *m->stage && *m->instance &&
              plain(m->stage, NAME_MAX_BYTES) && plain(m->instance, NAME_MAX_BYTES) &&
              plain(m->program_version, NAME_MAX_BYTES) && m->n_subjects <= SUBJECTS_MAX;
    for (size_t i = 0; ok && i < m->n_subjects; i++)
        ok = good_subject(m->subjects[i]);
    return ok;
}

const struct report_number *report_subject_number(const struct report_subject *s, const char *name)
{
    for (size_t i = 0; s && i < s->count; i++)
        if (strcmp(s->numbers[i].name, name) == 0)
            return &s->numbers[i];
    return NULL;
}

const struct report_subject *report_row_subject(const struct report_row *row, const char *stream)
{
    for (size_t i = 0; row && i < row->count; i++)
        if (strcmp(row->subjects[i].stream, stream) == 0)
            return &row->subjects[i];
    return NULL;
}

double report_subject_value(const struct report_subject *s, enum metric id)
{
    const struct report_number *n = report_subject_number(s, metrics_def(id)->name);
    return n ? n->value : 0;
}

double report_subject_rate(const struct report_subject *s, enum metric id)
{
    const struct report_number *n = report_subject_number(s, metrics_def(id)->name);
    return n ? n->per_s : 0;
}

double report_number_quantile(const struct report_number *n, double part)
{
    return n && n->histogram ? histogram_quantile(n->histogram, part) * n->scale : 0;
}

/* Takes over the samples of `before` and adds this one. A number that fell begins anew. */
static void add_sample(struct report_number *n, const struct report_number *before, int64_t now_ns)
{
    if (before && before->value <= n->value) {
        memcpy(n->samples, before->samples, sizeof n->samples);
        n->nsamples = before->nsamples;
        n->per_s = before->per_s;
    }
    /* reports that come at once, for a change of state, are too close to measure by */
    if (n->nsamples && now_ns - n->samples[n->nsamples - 1].at_ns < SAMPLE_NS)
        return;
    if (n->nsamples == REPORT_RATE_SAMPLES) {
        memmove(n->samples, n->samples + 1, sizeof n->samples - sizeof n->samples[0]);
        n->nsamples--;
    }
    n->samples[n->nsamples].value = n->value;
    n->samples[n->nsamples++].at_ns = now_ns;
    if (n->nsamples > 1)
        n->per_s = (n->value - n->samples[0].value) * (double)NS_PER_S /
                   (double)(now_ns - n->samples[0].at_ns);
}

static void fill_histogram(const Kvpipe__Histogram *m, double sum, struct report_number *n)
{
    struct histogram *h = n->histogram = xcalloc(1, sizeof *h);
    n->scale = m->scale;
    for (size_t i = 0; i < m->n_bucket; i++) {
        h->buckets[m->bucket[i]] = m->count[i];
        h->count += m->count[i];
    }
    h->sum = sum > 0 && sum / m->scale < 0x1p63 ? (uint64_t)(sum / m->scale + 0.5) : 0;
}

/* What the table knows is held to; the numbers of a replacement stage are as it says. */
static void fill_number(const Kvpipe__Value *m, struct report_number *n)
{
    const struct metrics_def *def = metrics_def_by_name(m->name);
    bool histogram = m->kind == KVPIPE__KIND__HISTOGRAM;
    n->kind = histogram                               ? METRICS_HISTOGRAM
              : def && def->kind != METRICS_HISTOGRAM ? def->kind
              : m->kind == KVPIPE__KIND__COUNTER      ? METRICS_COUNTER
                                                      : METRICS_GAUGE;
    bool labelled = *m->label && *m->label_value;
    n->metric = xstrdup(m->name);
    n->label = xstrdup(labelled ? m->label : "");
    n->label_value = xstrdup(labelled ? m->label_value : "");
    n->name = labelled ? xasprintf("%s_%s", m->name, m->label_value) : xstrdup(m->name);
    n->unit = xstrdup(def ? def->unit : m->unit);
    n->value = m->value;
    if (histogram)
        fill_histogram(m->histogram, m->value, n);
}

static void fill_subject(const Kvpipe__Subject *m, const struct report_subject *before,
                         int64_t now_ns, struct report_subject *s)
{
    s->stream = xstrdup(m->stream);
    s->state = xstrdup(m->state);
    s->note = xstrdup(m->note);
    s->numbers = xcalloc(m->n_values, sizeof *s->numbers);
    s->count = m->n_values;
    for (size_t i = 0; i < m->n_values; i++) {
        struct report_number *n = &s->numbers[i];
        fill_number(m->values[i], n);
        /* most often they come in the same order */
        const struct report_number *old =
            before && i < before->count && strcmp(before->numbers[i].name, n->name) == 0
                ? &before->numbers[i]
                : report_subject_number(before, n->name);
        add_sample(n, old, now_ns);
    }
}

static struct report_row *row_of(struct report_table *t, const char *instance)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->rows[i]->instance, instance) == 0)
            return t->rows[i];
    if (t->count == ROWS_MAX)
        return NULL;
    struct report_row *row = xcalloc(1, sizeof *row);
    row->instance = xstrdup(instance);
    t->rows = xrealloc(t->rows, (t->count + 1) * sizeof *t->rows);
    t->rows[t->count++] = row;
    return row;
}

static void fill_row(struct report_row *row, const Kvpipe__Report *m, int64_t now_ns)
{
    struct report_row old = *row;
    free(row->stage);
    free(row->version);
    row->stage = xstrdup(m->stage);
    row->version = xstrdup(m->program_version);
    row->pid = m->pid;
    row->ready = m->ready;
    row->draining = m->draining;
    row->uptime_ms = m->uptime_ms;
    row->heard_ns = now_ns;
    row->subjects = xcalloc(m->n_subjects, sizeof *row->subjects);
    row->count = m->n_subjects;
    for (size_t i = 0; i < m->n_subjects; i++)
        fill_subject(m->subjects[i],
                     old.pid == m->pid ? report_row_subject(&old, m->subjects[i]->stream) : NULL,
                     now_ns, &row->subjects[i]);
    free_subjects(&old);
}

const struct report_row *report_table_take(struct report_table *t, const void *bytes, size_t len,
                                           int64_t now_ns)
{
    Kvpipe__Report *m = len <= MESSAGE_MAX_BYTES ? kvpipe__report__unpack(NULL, len, bytes) : NULL;
    struct report_row *row = m && good(m) ? row_of(t, m->instance) : NULL;
    if (row)
        fill_row(row, m, now_ns);
    else
        t->refused++;
    if (m)
        kvpipe__report__free_unpacked(m, NULL);
    return row;
}

size_t report_table_count(const struct report_table *t)
{
    return t->count;
}

const struct report_row *report_table_row(const struct report_table *t, size_t i)
{
    return t->rows[i];
}

const struct report_row *report_table_find(const struct report_table *t, const char *instance)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->rows[i]->instance, instance) == 0)
            return t->rows[i];
    return NULL;
}

void report_table_expire(struct report_table *t, int64_t before_ns)
{
    for (size_t i = 0; i < t->count;) {
        if (t->rows[i]->heard_ns >= before_ns) {
            i++;
            continue;
        }
        free_row(t->rows[i]);
        t->rows[i] = t->rows[--t->count];
    }
}

uint64_t report_table_refused(const struct report_table *t)
{
    return t->refused;
}

static void on_message(struct report_table *t, const void *bytes, size_t len)
{
    const struct report_row *row = report_table_take(t, bytes, len, clock_mono_ns());
    if (row && t->heard)
        t->heard(t->arg, row);
    else if (!row)
        log_warn("monitor.report_refused", "bytes=%zu refused=%llu", len,
                 (unsigned long long)t->refused);
}

/* Reads one message of [routing id][report]. Returns false when none waits. */
static bool read_one(struct report_table *t)
{
    int part = 0;
    bool more = true;
    while (more) {
        zmq_msg_t msg;
        zmq_msg_init(&msg);
        if (zmq_msg_recv(&msg, t->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&msg);
            return false;
        }
        more = zmq_msg_more(&msg);
        if (part++ == 1 && !more)
            on_message(t, zmq_msg_data(&msg), zmq_msg_size(&msg));
        zmq_msg_close(&msg);
    }
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval now = {0};
    struct report_table *t = arg;
    for (int i = 0; i < MESSAGES_A_TURN; i++)
        if (!read_one(t))
            return;
    event_add(t->again, &now);
}

static char *text(const char *given)
{
    return (char *)(given ? given : "");
}

int report_table_command(struct report_table *t, const char *instance,
                         const struct report_command *command)
{
    Kvpipe__Command c;
    uint8_t bytes[1024];
    kvpipe__command__init(&c);
    c.version = VERSION;
    c.verb = text(command->verb);
    c.stream = text(command->stream);
    c.name = text(command->name);
    c.value = text(command->value);
    c.persistent = command->persistent;
    if (kvpipe__command__get_packed_size(&c) > sizeof bytes)
        return -EMSGSIZE;
    size_t len = kvpipe__command__pack(&c, bytes);
    if (zmq_send(t->socket, instance, strlen(instance), ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0 ||
        zmq_send(t->socket, bytes, len, ZMQ_DONTWAIT) < 0)
        return -errno;
    on_readable(-1, 0, t); /* a send can swallow the edge on the socket's file descriptor */
    return 0;
}

static int open_socket(struct report_table *t, struct event_base *base, const char *address,
                       const char *keys)
{
    const struct curve_conf cc = {.dir = keys, .self = "monitor"};
    int one = 1, none = 0;
    int64_t most = MESSAGE_MAX_BYTES;
    t->zmq = zmq_ctx_new();
    t->socket = t->zmq ? zmq_socket(t->zmq, ZMQ_ROUTER) : NULL;
    if (!t->socket)
        return -errno;
    zmq_setsockopt(t->socket, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(t->socket, ZMQ_ROUTER_HANDOVER, &one, sizeof one);
    zmq_setsockopt(t->socket, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
    zmq_setsockopt(t->socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
    int r = curve_applies(&cc, address)
                ? curve_guard_create(base, t->zmq, t->socket, &cc, &t->guard)
                : 0;
    return r < 0 ? r : zmq_bind(t->socket, address) < 0 ? -errno : 0;
}

int report_table_create(struct event_base *base, const char *address, const char *keys,
                        report_table_fn heard, void *arg, struct report_table **out)
{
    struct report_table *t = xcalloc(1, sizeof *t);
    int fd;
    size_t len = sizeof fd;

    t->heard = heard;
    t->arg = arg;
    *out = t;
    if (!address)
        return 0;
    int r = open_socket(t, base, address, keys);
    if (r == 0 && zmq_getsockopt(t->socket, ZMQ_FD, &fd, &len) < 0)
        r = -errno;
    if (r < 0) {
        log_error("monitor.socket", "address=%s error=\"%s\" (free it, or set monitor.socket)",
                  address, zmq_strerror(-r));
        report_table_destroy(out);
        return r;
    }
    t->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, t);
    t->again = evtimer_new(base, on_readable, t);
    event_add(t->readable, NULL);
    return 0;
}

void report_table_destroy(struct report_table **table)
{
    struct report_table *t = *table;
    *table = NULL;
    if (!t)
        return;
    if (t->readable)
        event_free(t->readable);
    if (t->again)
        event_free(t->again);
    curve_guard_destroy(&t->guard);
    if (t->socket)
        zmq_close(t->socket);
    if (t->zmq)
        zmq_ctx_term(t->zmq);
    for (size_t i = 0; i < t->count; i++)
        free_row(t->rows[i]);
    free(t->rows);
    free(t);
}
