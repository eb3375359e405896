/* The metrics of an edge agent (namespace EdgeRuntimeAgent) for each stream: recording it (capture
 * into the spool) is its record job, sending it its upload job. Relies on report_table, rollup's
 * data. Leaves sending to cloudwatch.c. */
#ifndef KVPIPE_MONITOR_EDGE_METRICS_H
#define KVPIPE_MONITOR_EDGE_METRICS_H

#include "common/conf.h"
#include "monitor/report_table.h"
#include "monitor/rollup.h"

#define EDGE_METRICS_SPACE "EdgeRuntimeAgent"
#define EDGE_METRICS_S 60 /* each of them is published so often */

enum edge_job { EDGE_NO_JOB, EDGE_SCHEDULED, EDGE_RUNNING, EDGE_RETRYING, EDGE_FATAL, EDGE_DONE };

struct edge_stream {
    char *name;
    enum edge_job record, upload;
    bool failed[2], completed[2]; /* of record, upload: since the last time, to be said once */
};

struct edge_metrics {            /* zero it to start */
    struct edge_stream *streams; /* at most as many as a table has */
    size_t count;
};

void edge_metrics_fini(struct edge_metrics *e);
/* Once a second: what the jobs do. */
void edge_metrics_watch(struct edge_metrics *e, const struct conf *conf,
                        const struct report_table *table, int64_t now_ns);
/* Once a minute: gives each datum; what is said once is over with it. */
void edge_metrics_take(struct edge_metrics *e, const struct conf *conf,
                       const struct report_table *table, const char *thing,
                       void (*fn)(void *arg, const struct datum *d), void *arg);

#endif
