/* Numbers at one moment in one flat list, ready for a form to go out in.
 * Relies on metrics.
 * Leaves taking them to the stages, the forms to prometheus.h and the monitor. */
#ifndef KVPIPE_COMMON_SAMPLE_H
#define KVPIPE_COMMON_SAMPLE_H

#include <stddef.h>

#include "common/metrics.h"

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

/* The place of one more, to be filled; a place that nobody reads when there are too many. */
struct sample *samples_add(struct samples *s);
void samples_fini(struct samples *s);

#endif
