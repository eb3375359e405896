/* Every number of the pipeline at one moment, in one flat list: what stages report, and what only
 * the monitor knows (processes, seconds until off-site). Relies on instances, report_table,
 * offsite. Leaves the forms it goes out in to prometheus.c, cloudwatch.c and emf.c. */
#ifndef KVPIPE_MONITOR_SAMPLES_H
#define KVPIPE_MONITOR_SAMPLES_H

#include "common/metrics.h"
#include "common/sample.h"
#include "monitor/instances.h"
#include "monitor/offsite.h"
#include "monitor/report_table.h"

/* Borrows everything: good until control returns to the loop. Reads /proc for processes that do not
 * tell what they use. */
void samples_take(struct samples *s, const struct conf *conf, const struct instances *all,
                  const struct report_table *table, const struct offsite *offsite, int64_t now_ns);
/* Whether what the process said last still holds: a silent or dead one says nothing any longer. */
bool samples_counts(const struct report_row *row, const struct instances *all, int64_t now_ns);

#endif
