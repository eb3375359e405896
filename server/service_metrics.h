/* The service's own metrics of each stream, as the monitor and /metrics show them. Relies on
 * common/metrics and common/report, which keeps them. Loop thread only. Leaves what is measured to
 * the operations. */
#ifndef KVPIPE_SERVER_SERVICE_METRICS_H
#define KVPIPE_SERVER_SERVICE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/metrics.h"

struct http_exchange;
struct server;
struct stream;

void service_count(struct server *server, struct stream *st, enum metric id, double n);
void service_gauge(struct server *server, struct stream *st, enum metric id, double value);
void service_time(struct server *server, struct stream *st, enum metric id, int64_t ns);
/* One more of a *_SUCCESS: a 1 or a 0 of the service's. */
void service_result(struct server *server, struct stream *st, enum metric id, bool ok);

/* Brings what is kept elsewhere up to date. */
void service_metrics_sample(struct server *server);
/* GET /metrics: Prometheus text. Clients on this machine may read it; others with HTTP's basic
 * authentication, access key and secret of a caller who may cloudwatch:GetMetricData on "*". */
void service_metrics_handle(struct server *server, struct http_exchange *ex);

#endif
