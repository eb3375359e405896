/* Every number of the pipeline at one moment, in one flat list: what stages report, and what only
 * the monitor knows (processes, seconds until off-site). Relies on instances, report_table,
 * offsite. Leaves the forms it goes out in to prometheus.c, cloudwatch.c and emf.c. */
#ifndef KVPIPE_MONITOR_SAMPLES_H
#define KVPIPE_MONITOR_SAMPLES_H

#include "common/metrics.h"
#include "monitor/instances.h"
#include "monitor/offsite.h"
#include "monitor/report_table.h"

struct sample {
    const char *name, *unit;
    const char *stage, *process;     /* "" where it is the monitor's own word on a stream */
    const char *stream;              /* "": of the process */
    const char *label, *label_value; /* "": none */
    const struct metrics_def *def;   /* NULL: a replacement stage's own */
    enum metrics_kind kind;
    double up_s;                       /* so long the process runs, as it says; 0: not known */
    double value;                      /* of a histogram: the sum, in `unit` */
    double scale;                      /* of a histogram */
    const struct histogram *histogram; /* NULL: it is none */
};

struct samples {
    struct sample *list;
    size_t count, room;
};

/* Borrows everything: good until control returns to the loop. Reads /proc for processes that do not
 * tell what they use. */
void samples_take(struct samples *s, const struct conf *conf, const struct instances *all,
                  const struct report_table *table, const struct offsite *offsite, int64_t now_ns);
void samples_fini(struct samples *s);
/* Whether what the process said last still holds: a silent or dead one says nothing any longer. */
bool samples_counts(const struct report_row *row, const struct instances *all, int64_t now_ns);

#endif
