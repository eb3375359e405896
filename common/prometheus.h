/* The numbers as Prometheus reads them (text format 0.0.4).
 * Relies on sample.
 * Leaves the transport to its users. */
#ifndef KVPIPE_COMMON_PROMETHEUS_H
#define KVPIPE_COMMON_PROMETHEUS_H

#include "common/sample.h"

/* Returns malloc'ed text. Puts the samples in order of name. A series that comes twice is given
 * once; one whose kind is not that of the table, or of the first of its name, is left out. */
char *prometheus_text(struct samples *s);

#endif
