/* What metrics cost a stage, in CPU time: ns for each update, us for a report of STREAMS streams
 * with all numbers of the stage. Prints "counter_ns histogram_ns" and a line "STAGE us" for each
 * stage. Relies on common/metrics, common/report. Leaves pipelines to tests/bench/metrics. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/report.h"

#define UPDATES 20000000
#define REPORTS 300

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double updates(void (*update)(void *at, int64_t i), void *at)
{
    double before = cpu_ns();
    for (int64_t i = 0; i < UPDATES; i++)
        update(at, i);
    return (cpu_ns() - before) / UPDATES;
}

__attribute__((noinline)) static void count(void *at, int64_t i)
{
    *(volatile double *)at += 1;
}

__attribute__((noinline)) static void add(void *at, int64_t i)
{
    histogram_add(at, i * 1237);
}

/* Every number that the stage has of a stream; histograms as wide as they get in practice. */
static void fill(struct metrics *m, unsigned stage)
{
    for (int id = METRIC_NONE + 1; id < METRICS; id++) {
        const struct metrics_def *d = metrics_def(id);
        if (!(d->from >> stage & 1) || d->process)
            continue;
        if (d->kind == METRICS_HISTOGRAM)
            for (int i = 0; i < 60; i++)
                histogram_add(metrics_histogram(m, id), 1000000 << i % 6 | i * 7919);
        else
            metrics_set_of(m, id, d->label ? "some" : NULL, id);
    }
}

static double report_us(const char *stage, unsigned bit, unsigned streams)
{
    struct event_base *base = event_base_new();
    struct report_conf conf = {
        .address = "ipc:///tmp/kvpipe-no-monitor", .stage = stage, .instance = stage};
    struct report *r;
    char name[32];
    if (report_create(base, &conf, &r) < 0)
        exit(1);
    for (unsigned i = 0; i < streams; i++) {
        snprintf(name, sizeof name, "cam%u", i);
        fill(report_metrics(r, name), bit);
    }
    double before = cpu_ns();
    for (int i = 0; i < REPORTS; i++) {
        report_set_ready(r, i % 2 == 0); /* a change goes out at once */
        event_base_loop(base, EVLOOP_ONCE);
    }
    double us = (cpu_ns() - before) / REPORTS / 1000;
    report_destroy(&r);
    event_base_free(base);
    return us;
}

int main(int argc, char **argv)
{
    static const char *const stages[] = {"capture", "encoder", "muxer", "uploader", "server"};
    static struct histogram h;
    unsigned streams = argc > 1 ? (unsigned)atoi(argv[1]) : 16;
    double value = 0;
    printf("%.2f %.2f\n", updates(count, &value), updates(add, &h));
    for (unsigned i = 0; i < 5; i++)
        printf("%s %.1f\n", stages[i], report_us(stages[i], i, streams));
    return 0;
}
