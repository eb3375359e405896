/* The numbers of a process: counters, gauges and histograms, of the whole process or of one stream,
 * each with a name, a kind and a unit from one table (metrics_table.c). Relies on histogram. A
 * number is looked up once; from then on updating it is an add. Leaves sending to report.c. */
#ifndef KVPIPE_COMMON_METRICS_H
#define KVPIPE_COMMON_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/histogram.h"

#define METRICS_MAX 128      /* numbers of one stream */
#define METRICS_LABEL_MAX 64 /* bytes of a label's value with its end */

enum metrics_kind {
    METRICS_NONE,
    METRICS_COUNTER, /* only grows, from 0 at the start of the process */
    METRICS_GAUGE,
    METRICS_HISTOGRAM,
};

/* Which number. metrics_table.c says what each one is. */
enum metric {
    METRIC_NONE,
    /* of a stream */
    METRIC_FRAMES_IN,
    METRIC_FRAMES_OUT,
    METRIC_VIDEO_FRAMES,
    METRIC_BYTES_OUT,
    METRIC_FRAMES_DROPPED,
    METRIC_WINDOW_FRAMES,
    METRIC_WINDOW_BYTES,
    METRIC_WINDOW_AGE,
    METRIC_RECONNECTS,
    METRIC_TIME_CORRECTIONS,
    METRIC_ENCODE,
    METRIC_ENCODE_QUEUE,
    METRIC_BITRATE,
    METRIC_SEGMENTS,
    METRIC_FRAGMENTS,
    METRIC_FRAGMENT_DURATION,
    METRIC_FRAGMENT_BYTES,
    METRIC_FRAGMENTS_PERSISTED,
    METRIC_BACKLOG_FRAGMENTS,
    METRIC_BACKLOG_BYTES,
    METRIC_BACKLOG,
    METRIC_SPOOL_AGE,
    METRIC_OFFSITE,
    METRIC_SPOOL_USED,
    METRIC_SPOOL_FREE,
    METRIC_SPOOL_CAPACITY,
    METRIC_SEND_LATENCY,
    METRIC_PERSIST_LATENCY,
    METRIC_PUT_CONNECTIONS,
    METRIC_PUT_REQUESTS,
    METRIC_PUT_BYTES,
    METRIC_PUT_CONNECTION_ERRORS,
    METRIC_PUT_LATENCY,
    METRIC_PUT_FRAGMENT,
    METRIC_PUT_FRAGMENTS,
    METRIC_PUT_FRAMES,
    METRIC_ACK_BUFFERING,
    METRIC_ACK_RECEIVED,
    METRIC_ACK_PERSISTED,
    METRIC_ACK_ERRORS,
    METRIC_PUT_SUCCESS,
    METRIC_ERRORS,
    METRIC_STORAGE_PRESSURE,
    METRIC_STORAGE_PRESSURE_EVENTS,
    METRIC_LATENCY_PRESSURE,
    METRIC_LATENCY_PRESSURE_EVENTS,
    METRIC_STALE,
    METRIC_STALE_EVENTS,
    METRIC_GAPS,
    METRIC_GAP_FRAMES,
    METRIC_ARCHIVED_BYTES,
    METRIC_STREAM_LIVE,
    /* of a stream, the service's own */
    METRIC_SERVICE_CONNECTIONS,
    METRIC_SERVICE_REQUESTS,
    METRIC_SERVICE_BYTES,
    METRIC_SERVICE_CONNECTION_ERRORS,
    METRIC_SERVICE_LATENCY,
    METRIC_SERVICE_FRAGMENT,
    METRIC_SERVICE_FRAGMENTS,
    METRIC_SERVICE_FRAMES,
    METRIC_SERVICE_BUFFERING,
    METRIC_SERVICE_RECEIVED,
    METRIC_SERVICE_PERSIST,
    METRIC_SERVICE_PERSISTED,
    METRIC_SERVICE_ERRORS,
    METRIC_SERVICE_SUCCESS,
    METRIC_GET_REQUESTS,
    METRIC_GET_BYTES,
    METRIC_GET_FRAGMENTS,
    METRIC_GET_FRAMES,
    METRIC_GET_BEHIND,
    METRIC_GET_CONNECTION_ERRORS,
    METRIC_GET_SUCCESS,
    METRIC_LIST_MEDIA_REQUESTS,
    METRIC_LIST_MEDIA_BYTES,
    METRIC_LIST_MEDIA_FRAGMENTS,
    METRIC_LIST_MEDIA_FRAMES,
    METRIC_LIST_MEDIA_SUCCESS,
    METRIC_LIST_REQUESTS,
    METRIC_LIST_LATENCY,
    METRIC_LIST_SUCCESS,
    METRIC_POINTS_MEDIA,
    METRIC_POINTS_METADATA,
    /* of a process */
    METRIC_ARCHIVE_SYNCS,
    METRIC_REFUSED,
    METRIC_CONNECTIONS,
    METRIC_PROCESS_UP,
    METRIC_PROCESS_UPTIME,
    METRIC_PROCESS_CPU,
    METRIC_PROCESS_MEMORY,
    METRIC_PROCESS_RESTARTS,
    METRICS
};

/* Where a number can come from. */
enum metrics_from {
    METRICS_CAPTURE = 1,
    METRICS_ENCODER = 2,
    METRICS_MUXER = 4,
    METRICS_UPLOADER = 8,
    METRICS_SERVER = 16,
    METRICS_MONITOR = 32,
};

struct metrics_def {
    const char *name;
    enum metrics_kind kind;
    const char *unit;  /* in CloudWatch's words: "Count", "Bytes", "Seconds", "None" … */
    double scale;      /* histograms: a value as measured times this is in `unit` */
    const char *label; /* its numbers are told apart by this, e.g. "cause"; NULL: there is one */
    bool process;      /* of the whole process, not of a stream */
    unsigned from;     /* enum metrics_from */
    const char *cloudwatch; /* its name there */
    const char *help;       /* one line for people, without an end */
};

/* Never NULL for 0 < id < METRICS. */
const struct metrics_def *metrics_def(enum metric id);
/* By name; NULL for one that is not in the table. */
const struct metrics_def *metrics_def_by_name(const char *name);

struct metrics;
struct metrics_entry {
    enum metric id;
    char label[METRICS_LABEL_MAX]; /* "": it has none */
    double value;
    struct histogram *histogram; /* NULL: it is none */
};

struct metrics *metrics_create(void);
void metrics_destroy(struct metrics **m);
/* The place of a number, made with 0 when it is not there yet; valid until metrics_destroy.
 * `label` is NULL for one without; it is copied. Never NULL: where m is NULL, or full, the place is
 * one that nobody reads. */
double *metrics_value(struct metrics *m, enum metric id, const char *label);
struct histogram *metrics_histogram(struct metrics *m, enum metric id);
/* For numbers that are kept elsewhere and copied just before a report. O(1) without a label. */
void metrics_set(struct metrics *m, enum metric id, double value);
void metrics_set_of(struct metrics *m, enum metric id, const char *label, double value);
/* Reads back; 0 and NULL when it was never set. */
double metrics_get(const struct metrics *m, enum metric id, const char *label);
size_t metrics_count(const struct metrics *m);
const struct metrics_entry *metrics_at(const struct metrics *m, size_t i);

#endif
