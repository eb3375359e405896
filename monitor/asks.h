/* What people may ask the monitor to do: a key frame, a restart, fragment metadata.
 * Relies on instances, report_table, metadata_keeper; each is noted among the events.
 * Leaves who may ask to status_http.c. */
#ifndef KVPIPE_MONITOR_ASKS_H
#define KVPIPE_MONITOR_ASKS_H

#include <stddef.h>
#include <stdint.h>

#include "monitor/instances.h"
#include "monitor/metadata_keeper.h"
#include "monitor/pulse.h"
#include "monitor/remote.h"
#include "monitor/report_table.h"

struct evkeyvalq;

struct asks { /* all borrowed */
    const struct conf *conf;
    struct instances *instances;
    struct remote *remote; /* NULL: the stages are our children */
    struct report_table *table;
    struct metadata_keeper *metadata;
    struct pulse *pulse;
};

/* Does what the verb says. Fills text for people, returns the HTTP status. */
int asks_do(const struct asks *a, const char *verb, const struct evkeyvalq *fields, int64_t now_ns,
            char *text, size_t size);

#endif
