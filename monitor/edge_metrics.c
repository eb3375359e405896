/* Job states and counts of an edge agent.
 * Relies on report_table.
 * Leaves sending to cloudwatch.c. */
#include "monitor/edge_metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

#define SILENT_NS (5 * NS_PER_S)
#define STREAMS_MAX 1024

static const char *const job_names[] = {"RecordJob", "UploadJob"};

void edge_metrics_fini(struct edge_metrics *e)
{
    for (size_t i = 0; i < e->count; i++)
        free(e->streams[i].name);
    free(e->streams);
    *e = (struct edge_metrics){0};
}

static struct edge_stream *find_or_add(struct edge_metrics *e, const char *name)
{
    for (size_t i = 0; i < e->count; i++)
        if (strcmp(e->streams[i].name, name) == 0)
            return &e->streams[i];
    if (e->count == STREAMS_MAX)
        return NULL;
    e->streams = xrealloc(e->streams, (e->count + 1) * sizeof *e->streams);
    e->streams[e->count] = (struct edge_stream){.name = xstrdup(name)};
    return &e->streams[e->count++];
}

static const struct report_subject *subject_of(const struct report_table *table, const char *stage,
                                               const char *stream, int64_t now_ns)
{
    for (size_t i = 0; i < report_table_count(table); i++) {
        const struct report_row *row = report_table_row(table, i);
        const struct report_subject *s =
            strcmp(row->stage, stage) == 0 && now_ns - row->heard_ns <= SILENT_NS
                ? report_row_subject(row, stream)
                : NULL;
        if (s)
            return s;
    }
    return NULL;
}

static enum edge_job job_of(enum edge_job before, const struct report_subject *s, bool idle)
{
    if (!s) /* its process is away: the monitor restarts it */
        return before == EDGE_DONE || before == EDGE_FATAL ? before : EDGE_RETRYING;
    if (strcmp(s->state, "live") == 0)
        return EDGE_RUNNING;
    if (strcmp(s->state, "failed") == 0)
        return EDGE_FATAL;
    if (strcmp(s->state, "ended") == 0)
        return EDGE_DONE;
    return idle ? EDGE_SCHEDULED : EDGE_RETRYING;
}

static void change(enum edge_job *job, enum edge_job to, bool *failed, bool *completed)
{
    *failed = *failed || (to == EDGE_FATAL && *job != EDGE_FATAL);
    *completed = *completed || (to == EDGE_DONE && *job != EDGE_DONE);
    *job = to;
}

void edge_metrics_watch(struct edge_metrics *e, const struct conf *conf,
                        const struct report_table *table, int64_t now_ns)
{
    for (unsigned i = 0; i < conf->streams_count; i++) {
        const char *name = conf->streams[i].name;
        struct edge_stream *s = find_or_add(e, name);
        const struct report_subject *up = subject_of(table, "uploader", name, now_ns);
        if (!s)
            continue;
        change(&s->record, job_of(s->record, subject_of(table, "capture", name, now_ns), false),
               &s->failed[0], &s->completed[0]);
        change(&s->upload,
               job_of(s->upload, up, up && !report_subject_value(up, METRIC_BACKLOG_FRAGMENTS)),
               &s->failed[1], &s->completed[1]);
    }
}

static void give(const char *name, const char *unit, const char *dimension, const char *of,
                 double value, void (*fn)(void *arg, const struct datum *d), void *arg)
{
    struct datum d = {.name = (char *)name, .kind = METRICS_GAUGE, .value = value, .samples = 1};
    snprintf(d.unit, sizeof d.unit, "%s", unit);
    snprintf(d.dimensions[0].name, sizeof d.dimensions[0].name, "%s", dimension);
    d.dimensions[0].value = (char *)of;
    d.ndimensions = 1;
    fn(arg, &d);
}

static void give_job(struct edge_stream *s, unsigned job,
                     void (*fn)(void *arg, const struct datum *d), void *arg)
{
    const struct {
        const char *what;
        bool is;
    } states[] = {{"Running", (job ? s->upload : s->record) == EDGE_RUNNING},
                  {"FatalError", s->failed[job]},
                  {"Completed", s->completed[job]}};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%s", job_names[job], states[i].what);
        if (states[i].is)
            give(name, "None", "StreamName", s->name, 1, fn, arg);
    }
    s->failed[job] = s->completed[job] = false;
}

static void give_counts(const struct edge_metrics *e, const struct conf *conf, unsigned job,
                        const char *thing, void (*fn)(void *arg, const struct datum *d), void *arg)
{
    unsigned healthy = 0, unhealthy = 0, running = 0;
    char name[64];
    for (size_t i = 0; i < e->count; i++) {
        enum edge_job state = job ? e->streams[i].upload : e->streams[i].record;
        if (!conf_stream(conf, e->streams[i].name))
            continue;
        running += state == EDGE_RUNNING;
        healthy += state == EDGE_RUNNING || state == EDGE_SCHEDULED || state == EDGE_DONE;
        unhealthy += state == EDGE_RETRYING || state == EDGE_FATAL;
    }
    const struct {
        const char *what;
        unsigned value;
    } counts[] = {{"HealthyJobCount", healthy},
                  {"UnhealthyJobCount", unhealthy},
                  {"RunningJobCount", running},
                  {"EdgeConfigCount", conf->streams_count}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        snprintf(name, sizeof name, "%ss.%s", job_names[job], counts[i].what);
        give(name, "Count", "ThingName", thing, counts[i].value, fn, arg);
    }
}

/* On a scale of 0 to 1, as the agent has it. */
static void give_space(const struct report_table *table, const char *stream,
                       void (*fn)(void *arg, const struct datum *d), void *arg)
{
    const struct report_subject *up = subject_of(table, "uploader", stream, clock_mono_ns());
    double most = up ? report_subject_value(up, METRIC_SPOOL_CAPACITY) : 0;
    if (most > 0)
        give("PercentageSpaceUsed", "Percent", "StreamName", stream,
             report_subject_value(up, METRIC_SPOOL_USED) / most, fn, arg);
}

void edge_metrics_take(struct edge_metrics *e, const struct conf *conf,
                       const struct report_table *table, const char *thing,
                       void (*fn)(void *arg, const struct datum *d), void *arg)
{
    give("Alive", "None", "ThingName", thing, 1, fn, arg);
    for (unsigned job = 0; job < 2; job++)
        give_counts(e, conf, job, thing, fn, arg);
    for (size_t i = 0; i < e->count; i++) {
        if (!conf_stream(conf, e->streams[i].name))
            continue;
        give_job(&e->streams[i], 0, fn, arg);
        give_job(&e->streams[i], 1, fn, arg);
        give_space(table, e->streams[i].name, fn, arg);
    }
}
