/* The last report of every process, decoded and checked, with rates per second.
 * Relies on ZeroMQ (ROUTER), libevent, proto/report.proto.
 * Leaves what silence means to supervisor.c and the looks to status.c. */
#ifndef KVPIPE_MONITOR_REPORT_TABLE_H
#define KVPIPE_MONITOR_REPORT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/metrics.h"

struct event_base;
struct report_command;
struct report_table;

#define REPORT_RATE_SAMPLES 6

struct report_number {
    char *name;   /* what it is looked up by: NAME, or NAME_LABEL where a label tells them apart */
    char *metric; /* NAME */
    char *unit, *label, *label_value; /* "" where there is none */
    enum metrics_kind kind;           /* METRICS_GAUGE where the stage does not say */
    double value;                     /* of a histogram: the sum, in `unit` */
    double scale;                     /* of a histogram: a value in it times this is in `unit` */
    struct histogram *histogram;      /* NULL: it is none */
    double per_s;                     /* growth over the last samples, at least 1 s apart */
    struct {
        double value;
        int64_t at_ns;
    } samples[REPORT_RATE_SAMPLES]; /* oldest first */
    size_t nsamples;
};

struct report_subject {
    char *stream; /* "" for the process */
    char *state, *note;
    struct report_number *numbers;
    size_t count;
};

struct report_row {
    char *stage, *instance, *version;
    uint32_t pid;
    bool ready, draining;
    uint64_t uptime_ms;
    int64_t heard_ns;
    struct report_subject *subjects;
    size_t count;
};

typedef void (*report_table_fn)(void *arg, const struct report_row *row);

/* Binds `address` (NULL: no socket, for tests), tcp:// with the keys of the folder `keys` when it
 * is not NULL; heard (may be NULL) is called for each good report. Returns 0, or a negative errno
 * after logging. */
int report_table_create(struct event_base *base, const char *address, const char *keys,
                        report_table_fn heard, void *arg, struct report_table **out);
void report_table_destroy(struct report_table **t);
/* Takes one report as it came from the wire at `now_ns`: the row, or NULL when it is refused (bad
 * bytes, too big, too many rows). For tests and fuzzing too. */
const struct report_row *report_table_take(struct report_table *t, const void *bytes, size_t len,
                                           int64_t now_ns);
size_t report_table_count(const struct report_table *t);
const struct report_row *report_table_row(const struct report_table *t, size_t i);
const struct report_row *report_table_find(const struct report_table *t, const char *instance);
/* Forgets rows not heard of since then. */
void report_table_expire(struct report_table *t, int64_t before_ns);
uint64_t report_table_refused(const struct report_table *t);
/* Sends a command to one instance; texts may be NULL but its verb. Never waits. Returns 0 or a
 * negative errno (-EHOSTUNREACH: not there). */
int report_table_command(struct report_table *t, const char *instance,
                         const struct report_command *command);

const struct report_subject *report_row_subject(const struct report_row *row, const char *stream);
/* NULL when it is not there. */
const struct report_number *report_subject_number(const struct report_subject *s, const char *name);
/* 0 when it is not there. */
double report_subject_value(const struct report_subject *s, enum metric id);
double report_subject_rate(const struct report_subject *s, enum metric id);
/* In its unit; 0 when it is not there or no histogram. */
double report_number_quantile(const struct report_number *n, double part);

#endif
