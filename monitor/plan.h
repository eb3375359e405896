/* Which processes a config asks for: none when somebody else starts them (monitor.driver).
 * Relies on struct conf.
 * Leaves starting them to child.c. */
#ifndef KVPIPE_MONITOR_PLAN_H
#define KVPIPE_MONITOR_PLAN_H

#include <stddef.h>

#include "common/conf.h"

struct plan_entry {
    const char *stage;                  /* "capture" */
    char *instance;                     /* "capture-1", "capture-street" */
    const char *stream;                 /* with isolate, else NULL; borrowed from the config */
    const char *program;                /* exec of the config, NULL: kvpipe-STAGE */
    const struct conf_process *process; /* borrowed from the config */
    unsigned group; /* start order, from 0: server, uploader, muxer, encoder, capture; stopped the
                       other way round */
};

#define PLAN_GROUPS 5

/* Returns a malloc'ed array of *count entries in start order, to be freed with plan_free. */
struct plan_entry *plan_make(const struct conf *conf, size_t *count);
void plan_free(struct plan_entry *plan, size_t count);

#endif
