/* What a session measures of PutMedia from the producer's side: acks, fragments sent, errors.
 * Relies on common/metrics. The clocks are arguments.
 * Leaves what passes by itself (bytes, requests) to session_stats. */
#ifndef KVPIPE_UPLOADER_SESSION_METRICS_H
#define KVPIPE_UPLOADER_SESSION_METRICS_H

#include "common/metrics.h"
#include "uploader/ack.h"
#include "uploader/spool.h"

struct session_metrics {
    struct metrics *all;
    struct histogram *send_latency; /* capture to the last byte of a live frame handed over */
    struct histogram *persist_latency, *answer, *fragment, *buffering, *received, *persisted,
        *success;
    double *fragments, *frames, *ack_errors, *connection_errors;
};

/* m may be NULL. */
void session_metrics_init(struct session_metrics *s, struct metrics *m);
/* An ack for a fragment of this session came; not an ERROR. `whole`: all of it was sent. */
void session_metrics_ack(struct session_metrics *s, struct spool_fragment *f, enum ack_event event,
                         bool whole, int64_t mono_ns);
/* It is archived. */
void session_metrics_done(struct session_metrics *s, const struct spool_fragment *f,
                          int64_t wall_ns);
/* The session failed; `name` of its policy, a literal. `refused`: before PutMedia was answered 200.
 */
void session_metrics_failed(struct session_metrics *s, const char *name, bool refused);

#endif
