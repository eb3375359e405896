/* How the pipeline is, as JSON: processes with their state, streams with what every stage says
 * about them. Relies on instances and report_table; Jansson. Leaves the transport to status_http.c
 * and the table for people to the kvpipe command. */
#include "monitor/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "monitor/samples.h"

static const char *const order[] = {"capture", "encoder", "muxer", "uploader", "server"};
#define STAGES (sizeof order / sizeof *order)

static void set(json_t *o, const char *key, const char *text)
{
    json_t *s = json_string(text ? text : ""); /* NULL when it is not UTF-8 */
    json_object_set_new(o, key, s ? s : json_string("?"));
}

static void add_number(json_t *o, const char *name, const char *suffix, double value)
{
    char key[512];
    snprintf(key, sizeof key, "%s%s", name, suffix);
    json_object_set_new(o, key, json_real(value));
}

static json_t *numbers(const struct report_subject *s)
{
    json_t *o = json_object();
    for (size_t i = 0; s && i < s->count; i++) {
        const struct report_number *n = &s->numbers[i];
        if (n->histogram) {
            add_number(o, n->name, "_count", (double)n->histogram->count);
            add_number(o, n->name, "_p50", report_number_quantile(n, 0.5));
            add_number(o, n->name, "_p99", report_number_quantile(n, 0.99));
        } else {
            add_number(o, n->name, "", n->value);
        }
    }
    return o;
}

static json_t *process(const char *stage, const char *instance, const struct report_row *row,
                       bool brief)
{
    const struct report_subject *own = report_row_subject(row, "");
    json_t *o = json_object();
    set(o, "stage", stage);
    set(o, "instance", instance);
    set(o, "version", row ? row->version : "");
    set(o, "note", own ? own->note : "");
    if (!brief)
        json_object_set_new(o, "numbers", numbers(own));
    return o;
}

static json_t *supervised(const struct instance *in, const struct report_table *table,
                          int64_t now_ns, bool brief)
{
    const struct supervisor *s = &in->supervisor;
    const struct report_row *row = report_table_find(table, in->plan->instance);
    bool up = supervisor_running(s);
    json_t *o = process(in->plan->stage, in->plan->instance, up ? row : NULL, brief);
    if (*in->verdict)
        set(o, "note", in->verdict);
    json_object_set_new(o, "pid", json_integer(in->pid));
    set(o, "state", supervisor_state_name(s->state));
    json_object_set_new(o, "restarts", json_integer(s->restarts));
    json_object_set_new(o, "uptime_s", json_real(up ? (double)(now_ns - s->started_ns) / 1e9 : 0));
    json_object_set_new(o, "last_exit", in->ended ? json_integer(in->last_code) : json_null());
    if (in->log_path)
        set(o, "log", in->log_path);
    return o;
}

/* A process that reports here but was started by somebody else: a container runtime, or a person.
 */
static json_t *foreign(const struct report_row *row, int64_t now_ns, bool brief)
{
    bool silent = now_ns - row->heard_ns > 5 * NS_PER_S;
    json_t *o = process(row->stage, row->instance, row, brief);
    json_object_set_new(o, "pid", json_integer(row->pid));
    set(o, "state",
        silent          ? "silent"
        : row->draining ? "stopping"
        : row->ready    ? "ready"
                        : "starting");
    json_object_set_new(o, "restarts", json_null());
    json_object_set_new(o, "uptime_s", json_real((double)row->uptime_ms / 1e3));
    json_object_set_new(o, "last_exit", json_null());
    return o;
}

static bool is_ours(const struct instances *all, const char *instance)
{
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->list[i].plan->instance, instance) == 0)
            return true;
    return false;
}

static json_t *processes(const struct instances *all, const struct report_table *table,
                         int64_t now_ns, bool brief)
{
    json_t *list = json_array();
    for (size_t k = 0; k < STAGES; k++) {
        for (size_t i = 0; i < all->count; i++)
            if (strcmp(all->list[i].plan->stage, order[k]) == 0)
                json_array_append_new(list, supervised(&all->list[i], table, now_ns, brief));
        for (size_t i = 0; i < report_table_count(table); i++) {
            const struct report_row *row = report_table_row(table, i);
            if (strcmp(row->stage, order[k]) == 0 && !is_ours(all, row->instance))
                json_array_append_new(list, foreign(row, now_ns, brief));
        }
    }
    return list;
}

/* What one stream comes to, from what each stage says. */
struct summary {
    double frames_per_s, muxed_per_s, bytes_per_s, persisted, fragments, backlog_fragments,
        backlog_bytes;
    double dropped, reconnects;
    double backlog_s; /* of the uploader that has most */
    double persisted_per_s, latency_s_per_s;
    bool captured, uploads; /* a capture, an uploader tells of it */
    const char *state, *note;
    json_t *stages, *gaps, *lost;
};

static bool is_good(const char *state)
{
    return !*state || strcmp(state, "live") == 0;
}

/* States come in order from capture to uploader: the first that is not good says most, "failed"
 * anywhere says more. */
static void add_state(struct summary *sum, const struct report_subject *s)
{
    bool failed = strcmp(s->state, "failed") == 0;
    if (!sum->state || (is_good(sum->state) && *s->state) ||
        (failed && strcmp(sum->state, "failed") != 0)) {
        sum->state = s->state;
        if (*s->note)
            sum->note = s->note;
    }
    if (!sum->note && *s->note)
        sum->note = s->note;
}

/* Adds the numbers of one metric to an object by their label. */
static void add_labelled(json_t *to, const struct report_subject *s, enum metric id)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct report_number *n = &s->numbers[i];
        if (strcmp(n->metric, metrics_def(id)->name) != 0)
            continue;
        double before = json_number_value(json_object_get(to, n->label_value));
        json_object_set_new(to, n->label_value, json_real(before + n->value));
    }
}

static void add_uploader(struct summary *sum, const struct report_subject *s)
{
    const struct report_number *latency =
        report_subject_number(s, metrics_def(METRIC_PERSIST_LATENCY)->name);
    double backlog = report_subject_value(s, METRIC_BACKLOG);
    sum->uploads = true;
    sum->backlog_s = backlog > sum->backlog_s ? backlog : sum->backlog_s;
    sum->persisted_per_s += report_subject_rate(s, METRIC_FRAGMENTS_PERSISTED);
    sum->latency_s_per_s += latency ? latency->per_s : 0;
    add_labelled(sum->gaps, s, METRIC_GAPS);
    add_labelled(sum->lost, s, METRIC_GAP_FRAMES);
}

static void add_numbers(struct summary *sum, const char *stage, const struct report_subject *s)
{
    if (strcmp(stage, "capture") == 0) {
        double video = report_subject_rate(s, METRIC_VIDEO_FRAMES);
        sum->captured = true;
        sum->frames_per_s += video > 0 ? video : report_subject_rate(s, METRIC_FRAMES_OUT);
        sum->dropped += report_subject_value(s, METRIC_FRAMES_DROPPED);
        sum->reconnects += report_subject_value(s, METRIC_RECONNECTS);
    } else if (strcmp(stage, "muxer") == 0) {
        sum->muxed_per_s += report_subject_rate(s, METRIC_FRAMES_OUT);
    } else if (strcmp(stage, "uploader") == 0) {
        sum->bytes_per_s += report_subject_rate(s, METRIC_BYTES_OUT);
        sum->fragments += report_subject_value(s, METRIC_FRAGMENTS);
        sum->persisted += report_subject_value(s, METRIC_FRAGMENTS_PERSISTED);
        sum->backlog_fragments += report_subject_value(s, METRIC_BACKLOG_FRAGMENTS);
        sum->backlog_bytes += report_subject_value(s, METRIC_BACKLOG_BYTES);
        add_uploader(sum, s);
    }
}

/* Returns what the process says of the stream; NULL: nothing. */
static const struct report_subject *add_stage(struct summary *sum, const struct report_row *row,
                                              const char *stream, bool brief)
{
    const struct report_subject *s = report_row_subject(row, stream);
    if (!s)
        return NULL;
    json_t *o = json_object();
    set(o, "state", s->state);
    set(o, "note", s->note);
    if (!brief)
        json_object_set_new(o, "numbers", numbers(s));
    json_object_set_new(o, "frames_per_s", json_real(report_subject_rate(s, METRIC_FRAMES_OUT)));
    json_object_set_new(o, "kbit_per_s",
                        json_real(report_subject_rate(s, METRIC_BYTES_OUT) * 8 / 1000));
    json_object_set_new(sum->stages, row->instance, o);
    add_numbers(sum, row->stage, s);
    return s;
}

static json_t *stream(const char *name, const struct instances *all,
                      const struct report_table *table, double offsite_s, int64_t now_ns,
                      bool brief)
{
    struct summary sum = {.stages = json_object(), .gaps = json_object(), .lost = json_object()};
    for (size_t k = 0; k < STAGES; k++) {
        /* of replicas, one that has the stream: others may have had it before */
        const struct report_subject *has = NULL, *s;
        for (size_t i = 0; i < report_table_count(table); i++) {
            const struct report_row *row = report_table_row(table, i);
            if (strcmp(row->stage, order[k]) != 0 || !samples_counts(row, all, now_ns))
                continue;
            s = add_stage(&sum, row, name, brief);
            if (s && (!has || (!is_good(has->state) && is_good(s->state))))
                has = s;
        }
        if (has && strcmp(order[k], "server") != 0)
            add_state(&sum, has);
    }
    json_t *o = json_object();
    set(o, "name", name);
    set(o, "state", sum.state && *sum.state ? sum.state : "waiting");
    set(o, "note", sum.note);
    /* what another program gives to the muxer does not come by a capture */
    json_object_set_new(o, "frames_per_s",
                        json_real(sum.captured ? sum.frames_per_s : sum.muxed_per_s));
    json_object_set_new(o, "kbit_per_s", json_real(sum.bytes_per_s * 8 / 1000));
    json_object_set_new(o, "fragments", json_real(sum.fragments));
    json_object_set_new(o, "fragments_persisted", json_real(sum.persisted));
    json_object_set_new(o, "backlog_fragments", json_real(sum.backlog_fragments));
    json_object_set_new(o, "backlog_bytes", json_real(sum.backlog_bytes));
    json_object_set_new(o, "frames_dropped", json_real(sum.dropped));
    json_object_set_new(o, "reconnects", json_real(sum.reconnects));
    json_object_set_new(o, "offsite_s", offsite_s >= 0 ? json_real(offsite_s) : json_null());
    json_object_set_new(o, "backlog_s", sum.uploads ? json_real(sum.backlog_s) : json_null());
    json_object_set_new(o, "latency_s",
                        sum.persisted_per_s > 0
                            ? json_real(sum.latency_s_per_s / sum.persisted_per_s)
                            : json_null());
    json_object_set_new(o, "gaps", sum.gaps);
    json_object_set_new(o, "lost", sum.lost);
    json_object_set_new(o, "stages", sum.stages);
    return o;
}

json_t *status_make(const struct conf *conf, const struct instances *all,
                    const struct report_table *table, const struct offsite *offsite,
                    int64_t start_ns, int64_t now_ns, bool brief)
{
    json_t *o = json_object(), *streams = json_array();
    char *token = xasprintf("%s/" KEYS_TOKEN_FILE, conf->run);
    set(o, "version", KVPIPE_VERSION);
    json_object_set_new(o, "pid", json_integer(getpid()));
    set(o, "config", conf->file);
    if (all->fault && *all->fault)
        set(o, "config_fault", all->fault);
    set(o, "endpoint", conf->endpoint.url);
    json_object_set_new(o, "own_server", json_boolean(conf->endpoint.own));
    if (conf->server.enabled)
        set(o, "archive", conf->server.data);
    set(o, "spool", conf->spool.dir);
    set(o, "token_file", token);
    free(token);
    json_object_set_new(o, "at_ms", json_integer(clock_wall_ns() / NS_PER_MS));
    json_object_set_new(o, "uptime_s", json_real((double)(now_ns - start_ns) / 1e9));
    json_object_set_new(o, "ready", json_boolean(instances_ready(all)));
    json_object_set_new(o, "reports_refused",
                        json_integer((json_int_t)report_table_refused(table)));
    json_object_set_new(o, "stages", processes(all, table, now_ns, brief));
    for (unsigned i = 0; i < conf->streams_count; i++)
        json_array_append_new(streams,
                              stream(conf->streams[i].name, all, table,
                                     offsite_seconds(offsite, conf->streams[i].name, now_ns),
                                     now_ns, brief));
    for (size_t i = 0; i < offsite->count; i++)
        if (offsite_is_guest(&offsite->streams[i], conf, table)) {
            const char *name = offsite->streams[i].name;
            json_array_append_new(
                streams,
                stream(name, all, table, offsite_seconds(offsite, name, now_ns), now_ns, brief));
        }
    json_object_set_new(o, "streams", streams);
    return o;
}

char *status_json(const struct conf *conf, const struct instances *all,
                  const struct report_table *table, const struct offsite *offsite, int64_t start_ns,
                  int64_t now_ns)
{
    json_t *o = status_make(conf, all, table, offsite, start_ns, now_ns, false);
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    json_decref(o);
    return text ? text : xstrdup("{}");
}
