/* What CloudWatch wants to have of the numbers: for each metric and its dimensions what happened in
 * an interval (growth of counters and histograms, statistics of gauges). Relies on samples; the
 * clock is an argument. Leaves sending to cloudwatch.c and emf.c. */
#ifndef KVPIPE_MONITOR_ROLLUP_H
#define KVPIPE_MONITOR_ROLLUP_H

#include "monitor/samples.h"

#define ROLLUP_DIMENSIONS_MAX 4
#define ROLLUP_SERIES_MAX 100000u

struct datum {
    char *name;
    char unit[32];
    struct {
        char name[32];
        char *value; /* ASCII */
    } dimensions[ROLLUP_DIMENSIONS_MAX];
    unsigned ndimensions;
    enum metrics_kind kind;
    double value;                     /* counter: growth; gauge: the last */
    double samples, sum, least, most; /* gauge */
    double scale;                     /* histogram: a value in it times this is in `unit` */
    struct histogram *histogram;      /* of what came in the interval */
};

struct rollup;

/* `names` as in monitor.cloudwatch.metrics; kept. */
struct rollup *rollup_create(const char *names);
void rollup_destroy(struct rollup **r);
/* Once a second. A counter that fell began anew at 0. One that is seen for the first time counts
 * from 0, unless its process is older than the rollup: then from what it is. */
void rollup_feed(struct rollup *r, const struct samples *s, int64_t now_ns);
/* Gives each datum of the interval, those of the same dimensions one after the other, and begins
 * the next. What was not heard of for ten intervals is forgotten. */
void rollup_take(struct rollup *r, void (*fn)(void *arg, const struct datum *d), void *arg);
bool rollup_same_dimensions(const struct datum *a, const struct datum *b);

#endif
