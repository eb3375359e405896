/* How the pipeline is, as JSON.
 * Relies on instances and report_table; Jansson.
 * Leaves the transport to status_http.c and the table for people to the kvpipe command. */
#ifndef KVPIPE_MONITOR_STATUS_H
#define KVPIPE_MONITOR_STATUS_H

#include <jansson.h>

#include "monitor/instances.h"
#include "monitor/offsite.h"
#include "monitor/report_table.h"

/* The whole as an object; `brief`: without the numbers of each stage, as open pages get it. */
json_t *status_make(const struct conf *conf, const struct instances *all,
                    const struct report_table *table, const struct offsite *offsite,
                    int64_t start_ns, int64_t now_ns, bool brief);
/* Returns malloc'ed JSON text. */
char *status_json(const struct conf *conf, const struct instances *all,
                  const struct report_table *table, const struct offsite *offsite, int64_t start_ns,
                  int64_t now_ns);

#endif
