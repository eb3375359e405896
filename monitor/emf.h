/* Numbers as lines of CloudWatch's embedded metric format: one JSON object a line, on standard
 * output or to a CloudWatch agent's TCP port. Relies on jansson, libevent. Lines that the agent
 * does not take are dropped and counted. Leaves what to send to outputs.c. */
#ifndef KVPIPE_MONITOR_EMF_H
#define KVPIPE_MONITOR_EMF_H

#include <jansson.h>

#include "common/conf.h"
#include "monitor/rollup.h"

struct emf;
struct event_base;

#define EMF_METRICS_MAX 100 /* of a line, by the format */
#define EMF_VALUES_MAX 100  /* of a metric, by the format */
#define EMF_WAITING_MAX (4 << 20)

/* conf->output is not "off". Borrows conf. Does not wait for the agent. */
struct emf *emf_create(struct event_base *base, const struct conf_emf *conf);
void emf_destroy(struct emf **e);
/* An interval: begin, add data (those of the same dimensions one after the other), end. */
void emf_begin(struct emf *e, int64_t wall_ns);
void emf_add(struct emf *e, const struct datum *d);
void emf_end(struct emf *e);

#endif
