/* Where the numbers go by themselves: CloudWatch, embedded metric format, the edge agent's metrics.
 * Relies on samples, rollup, cloudwatch, emf, edge_metrics; a timer of a second.
 * Leaves /metrics, which is asked for, to status_http.c. */
#ifndef KVPIPE_MONITOR_OUTPUTS_H
#define KVPIPE_MONITOR_OUTPUTS_H

#include "common/conf.h"
#include "monitor/instances.h"
#include "monitor/offsite.h"
#include "monitor/report_table.h"

struct event_base;
struct outputs;
struct stage;

struct outputs_from {          /* all borrowed, for life */
    const struct stage *stage; /* its config may change; that of the outputs does not */
    const struct instances *instances;
    const struct report_table *table;
    const struct offsite *offsite;
};

/* Returns 0, also when no output is on (*out is NULL then), or a negative errno after logging. */
int outputs_create(struct event_base *base, const struct outputs_from *from, struct outputs **out);
/* What was not sent yet is lost. */
void outputs_destroy(struct outputs **o);

#endif
