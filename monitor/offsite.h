/* Seconds until off-site, per stream: how old the oldest frame is that the endpoint has not
 * persisted, wherever it waits. Relies on report_table. Remembers what an uploader that is gone
 * said last: what it held grows old all the same. Leaves showing it to others. */
#ifndef KVPIPE_MONITOR_OFFSITE_H
#define KVPIPE_MONITOR_OFFSITE_H

#include <stdbool.h>

#include "common/conf.h"
#include "monitor/report_table.h"

struct offsite_stream {
    char *name;
    bool known;        /* an uploader has said something of it, or a frame waits */
    int64_t oldest_ns; /* monotonic time when the oldest frame was captured; 0: all is persisted */
};

struct offsite {
    struct offsite_stream *streams; /* that were heard of; at most 4096 */
    size_t count;
};

/* Zero it to start. */
void offsite_fini(struct offsite *o);
/* A report came in. */
void offsite_heard(struct offsite *o, const struct report_row *row,
                   const struct report_table *table, int64_t now_ns);
/* 0 when all is persisted; negative while nothing is known. */
double offsite_seconds(const struct offsite *o, const char *stream, int64_t now_ns);
/* Whether it is a stream that the config does not know and is here: an uploader tells of it, or
 * some of it waits. */
bool offsite_is_guest(const struct offsite_stream *s, const struct conf *conf,
                      const struct report_table *table);

#endif
