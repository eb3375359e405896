/* PutMetricData to CloudWatch: batches within the service's limits, signed, tried again with
 * backoff, oldest dropped when too many wait. Relies on common/api, common/retry. The form is AWS
 * Query, which every CloudWatch endpoint understands. Leaves what to send to outputs.c. */
#ifndef KVPIPE_MONITOR_CLOUDWATCH_H
#define KVPIPE_MONITOR_CLOUDWATCH_H

#include "common/conf.h"
#include "monitor/rollup.h"

struct cloudwatch;
struct event_base;

#define CLOUDWATCH_DATUMS_MAX 1000      /* of a request, by the service */
#define CLOUDWATCH_BYTES_MAX 900000     /* the service takes 1 MB */
#define CLOUDWATCH_VALUES_MAX 150       /* of a datum, by the service */
#define CLOUDWATCH_WAITING_MAX 16777216 /* bytes that wait; more: the oldest are dropped */

/* Borrows conf for its life. Returns NULL when libcurl cannot start. */
struct cloudwatch *cloudwatch_create(struct event_base *base, const struct conf *conf);
/* What waits is lost. */
void cloudwatch_destroy(struct cloudwatch **c);
/* A batch: begin, add any number, end. Nothing blocks; sending begins with the end. wall_ns: when
 * it was measured. */
void cloudwatch_begin(struct cloudwatch *c, const char *space, int64_t wall_ns);
void cloudwatch_add(struct cloudwatch *c, const struct datum *d);
void cloudwatch_end(struct cloudwatch *c);
struct cloudwatch_counts {   /* of requests */
    uint64_t accepted, lost; /* lost: refused for good, or dropped */
};
struct cloudwatch_counts cloudwatch_counts(const struct cloudwatch *c);
size_t cloudwatch_waiting_bytes(const struct cloudwatch *c);

#endif
