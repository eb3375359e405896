/* The list of every number.
 * Relies on instances, report_table, common/usage.
 * Leaves the forms it goes out in to others. */
#include "monitor/samples.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/usage.h"

#define SILENT_NS (5 * NS_PER_S)

bool samples_counts(const struct report_row *row, const struct instances *all, int64_t now_ns)
{
    if (now_ns - row->heard_ns > SILENT_NS)
        return false;
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->list[i].plan->instance, row->instance) == 0)
            return (uint32_t)all->list[i].pid == row->pid;
    return true;
}

static void own(struct samples *s, enum metric id, const char *stage, const char *process,
                const char *stream, double value)
{
    const struct metrics_def *def = metrics_def(id);
    *samples_add(s) = (struct sample){.name = def->name,
                                      .unit = def->unit,
                                      .stage = stage,
                                      .process = process,
                                      .stream = stream,
                                      .label = "",
                                      .label_value = "",
                                      .def = def,
                                      .kind = def->kind,
                                      .value = value};
}

static void add_number(struct samples *s, const struct report_row *row,
                       const struct report_subject *subject, const struct report_number *n)
{
    *samples_add(s) = (struct sample){.name = n->metric,
                                      .unit = n->unit,
                                      .stage = row->stage,
                                      .process = row->instance,
                                      .stream = subject->stream,
                                      .label = n->label,
                                      .label_value = n->label_value,
                                      .def = metrics_def_by_name(n->metric),
                                      .kind = n->kind,
                                      .up_s = (double)row->uptime_ms / 1000,
                                      .value = n->value,
                                      .scale = n->scale,
                                      .histogram = n->histogram};
}

static void add_row(struct samples *s, const struct report_row *row)
{
    for (size_t i = 0; i < row->count; i++) {
        const struct report_subject *subject = &row->subjects[i];
        for (size_t k = 0; k < subject->count; k++)
            add_number(s, row, subject, &subject->numbers[k]);
        if (*subject->stream && *subject->state)
            own(s, METRIC_STREAM_LIVE, row->stage, row->instance, subject->stream,
                strcmp(subject->state, "live") == 0);
    }
}

static bool tells_usage(const struct report_row *row)
{
    return row && report_subject_number(report_row_subject(row, ""),
                                        metrics_def(METRIC_PROCESS_CPU)->name);
}

static void add_usage(struct samples *s, const char *stage, const char *process, pid_t pid)
{
    struct usage usage;
    if (usage_read(pid, &usage) < 0)
        return;
    own(s, METRIC_PROCESS_CPU, stage, process, "", usage.cpu_s);
    own(s, METRIC_PROCESS_MEMORY, stage, process, "", usage.rss_bytes);
}

static void add_supervised(struct samples *s, const struct instance *in,
                           const struct report_table *table, int64_t now_ns)
{
    const struct report_row *row = report_table_find(table, in->plan->instance);
    const char *stage = in->plan->stage, *process = in->plan->instance;
    bool up = supervisor_running(&in->supervisor) && in->pid;
    bool heard = up && row && row->pid == (uint32_t)in->pid && now_ns - row->heard_ns <= SILENT_NS;
    own(s, METRIC_PROCESS_UP, stage, process, "", heard && row->ready);
    own(s, METRIC_PROCESS_RESTARTS, stage, process, "", in->supervisor.restarts);
    own(s, METRIC_PROCESS_UPTIME, stage, process, "",
        up ? (double)(now_ns - in->supervisor.started_ns) / (double)NS_PER_S : 0);
    if (up && !(heard && tells_usage(row)))
        add_usage(s, stage, process, in->pid);
}

/* A process that somebody else supervises: a container runtime, systemd. */
static void add_foreign(struct samples *s, const struct report_row *row, int64_t now_ns)
{
    bool heard = now_ns - row->heard_ns <= SILENT_NS;
    own(s, METRIC_PROCESS_UP, row->stage, row->instance, "", heard && row->ready);
    own(s, METRIC_PROCESS_UPTIME, row->stage, row->instance, "",
        heard ? (double)row->uptime_ms / 1000 : 0);
}

static void add_streams(struct samples *s, const struct conf *conf, const struct offsite *offsite,
                        const struct report_table *table, int64_t now_ns)
{
    for (unsigned i = 0; i < conf->streams_count; i++) {
        double seconds = offsite_seconds(offsite, conf->streams[i].name, now_ns);
        if (seconds >= 0)
            own(s, METRIC_OFFSITE, "", "", conf->streams[i].name, seconds);
    }
    for (size_t i = 0; i < offsite->count; i++)
        if (offsite_is_guest(&offsite->streams[i], conf, table))
            own(s, METRIC_OFFSITE, "", "", offsite->streams[i].name,
                offsite_seconds(offsite, offsite->streams[i].name, now_ns));
}

void samples_take(struct samples *s, const struct conf *conf, const struct instances *all,
                  const struct report_table *table, const struct offsite *offsite, int64_t now_ns)
{
    s->count = 0;
    for (size_t i = 0; i < all->count; i++)
        add_supervised(s, &all->list[i], table, now_ns);
    for (size_t i = 0; i < report_table_count(table); i++) {
        const struct report_row *row = report_table_row(table, i);
        if (!instances_planned(all, row->instance))
            add_foreign(s, row, now_ns);
        if (samples_counts(row, all, now_ns))
            add_row(s, row);
    }
    add_streams(s, conf, offsite, table, now_ns);
}
