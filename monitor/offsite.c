/* Seconds until off-site.
 * Relies on report_table.
 * Leaves showing it to others. */
#include "monitor/offsite.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

#define SILENT_NS (5 * NS_PER_S)
#define STREAMS_MAX 4096

void offsite_fini(struct offsite *o)
{
    for (size_t i = 0; i < o->count; i++)
        free(o->streams[i].name);
    free(o->streams);
    *o = (struct offsite){0};
}

static struct offsite_stream *find(const struct offsite *o, const char *name)
{
    for (size_t i = 0; i < o->count; i++)
        if (strcmp(o->streams[i].name, name) == 0)
            return &o->streams[i];
    return NULL;
}

static struct offsite_stream *find_or_add(struct offsite *o, const char *name)
{
    struct offsite_stream *s = find(o, name);
    if (s || o->count == STREAMS_MAX)
        return s;
    o->streams = xrealloc(o->streams, (o->count + 1) * sizeof *o->streams);
    o->streams[o->count] = (struct offsite_stream){.name = xstrdup(name)};
    return &o->streams[o->count++];
}

/* The oldest frame that a stage has of the stream, as a time; 0: it has none. */
static int64_t oldest_of(const struct report_row *row, const struct report_subject *s)
{
    enum metric id = strcmp(row->stage, "uploader") == 0 ? METRIC_SPOOL_AGE : METRIC_WINDOW_AGE;
    double age_s = report_subject_value(s, id);
    return age_s > 0 ? row->heard_ns - (int64_t)(age_s * NS_PER_S) : 0;
}

static void update(struct offsite_stream *at, const struct report_table *table, int64_t now_ns)
{
    int64_t oldest = 0;
    bool uploader = false;
    for (size_t i = 0; i < report_table_count(table); i++) {
        const struct report_row *row = report_table_row(table, i);
        const struct report_subject *s = report_row_subject(row, at->name);
        if (!s || now_ns - row->heard_ns > SILENT_NS)
            continue;
        int64_t t = oldest_of(row, s);
        if (t && (!oldest || t < oldest))
            oldest = t;
        uploader = uploader || strcmp(row->stage, "uploader") == 0;
    }
    if (!uploader && at->oldest_ns && (!oldest || at->oldest_ns < oldest))
        oldest = at->oldest_ns; /* nobody says that it was persisted */
    at->oldest_ns = oldest;
    at->known = at->known || uploader || oldest;
}

void offsite_heard(struct offsite *o, const struct report_row *row,
                   const struct report_table *table, int64_t now_ns)
{
    for (size_t i = 0; i < row->count; i++) {
        const char *name = row->subjects[i].stream;
        struct offsite_stream *s = *name ? find_or_add(o, name) : NULL;
        if (s)
            update(s, table, now_ns);
    }
}

double offsite_seconds(const struct offsite *o, const char *stream, int64_t now_ns)
{
    const struct offsite_stream *s = find(o, stream);
    if (!s || !s->known)
        return -1;
    return s->oldest_ns ? (double)(now_ns - s->oldest_ns) / (double)NS_PER_S : 0;
}

bool offsite_is_guest(const struct offsite_stream *s, const struct conf *conf,
                      const struct report_table *table)
{
    bool told = s->oldest_ns != 0;
    for (size_t i = 0; !told && i < report_table_count(table); i++) {
        const struct report_row *row = report_table_row(table, i);
        told = strcmp(row->stage, "uploader") == 0 && report_row_subject(row, s->name);
    }
    return told && !conf_stream(conf, s->name);
}
