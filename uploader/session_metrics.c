/* PutMedia as the producer sees it.
 * Relies on common/metrics.
 * Leaves sending them to common/report. */
#include "uploader/session_metrics.h"

#include <string.h>

void session_metrics_init(struct session_metrics *s, struct metrics *m)
{
    *s = (struct session_metrics){
        .all = m,
        .send_latency = metrics_histogram(m, METRIC_SEND_LATENCY),
        .persist_latency = metrics_histogram(m, METRIC_PERSIST_LATENCY),
        .answer = metrics_histogram(m, METRIC_PUT_LATENCY),
        .fragment = metrics_histogram(m, METRIC_PUT_FRAGMENT),
        .buffering = metrics_histogram(m, METRIC_ACK_BUFFERING),
        .received = metrics_histogram(m, METRIC_ACK_RECEIVED),
        .persisted = metrics_histogram(m, METRIC_ACK_PERSISTED),
        .success = metrics_histogram(m, METRIC_PUT_SUCCESS),
        .fragments = metrics_value(m, METRIC_PUT_FRAGMENTS, NULL),
        .frames = metrics_value(m, METRIC_PUT_FRAMES, NULL),
        .ack_errors = metrics_value(m, METRIC_ACK_ERRORS, NULL),
        .connection_errors = metrics_value(m, METRIC_PUT_CONNECTION_ERRORS, NULL),
    };
}

static void count_whole(struct session_metrics *s, struct spool_fragment *f)
{
    if (f->counted)
        return;
    f->counted = true;
    *s->fragments += 1;
    for (unsigned t = 0; t < LINK_TRACKS_MAX; t++)
        *s->frames += (double)f->count[t];
    histogram_add(s->fragment, f->last_ns - f->first_ns);
}

void session_metrics_ack(struct session_metrics *s, struct spool_fragment *f, enum ack_event event,
                         bool whole, int64_t mono_ns)
{
    if (event == ACK_BUFFERING)
        histogram_add(s->buffering, mono_ns - f->first_ns);
    else if (event == ACK_RECEIVED && whole)
        histogram_add(s->received, mono_ns - f->last_ns);
    else if (event == ACK_PERSISTED && whole)
        histogram_add(s->persisted, mono_ns - f->last_ns);
    if (whole && (event == ACK_RECEIVED || event == ACK_PERSISTED))
        count_whole(s, f);
}

void session_metrics_done(struct session_metrics *s, const struct spool_fragment *f,
                          int64_t wall_ns)
{
    histogram_add(s->persist_latency, wall_ns - f->captured_ns);
    histogram_add(s->success, 1);
}

void session_metrics_failed(struct session_metrics *s, const char *name, bool refused)
{
    static const char ack[] = "refused_"; /* of an ERROR ack: its id follows */
    bool of_ack = strncmp(name, ack, sizeof ack - 1) == 0;
    *metrics_value(s->all, METRIC_ERRORS, of_ack ? name + sizeof ack - 1 : name) += 1;
    *s->ack_errors += of_ack;
    if (of_ack)
        histogram_add(s->success, 0);
    *s->connection_errors += refused;
}
