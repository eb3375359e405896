/* What an interval of numbers comes to, and how Prometheus is given them.
 * Relies on Check.
 * Leaves reports to test_report.c, the outputs to tests/monitor. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/prometheus.h"
#include "monitor/rollup.h"
#include "tests/unit/suite.h"

#define MOST 16

static struct rollup *rollup;
static struct sample list[MOST];
static struct samples now = {.list = list};
static struct histogram histograms[2];
static struct datum got[MOST];
static struct histogram got_histogram;
static size_t ngot;

static void up(void)
{
    rollup = rollup_create("*");
    now.count = ngot = 0;
}

static void down(void)
{
    rollup_destroy(&rollup);
}

static struct sample *sample(enum metric id, const char *process, double value)
{
    const struct metrics_def *def = metrics_def(id);
    struct sample *s = &list[now.count++];
    *s = (struct sample){.name = def->name,
                         .unit = def->unit,
                         .stage = "uploader",
                         .process = process,
                         .stream = def->process ? "" : "cam",
                         .label = "",
                         .label_value = "",
                         .def = def,
                         .kind = def->kind,
                         .value = value,
                         .scale = def->scale};
    return s;
}

static void feed(int64_t second)
{
    rollup_feed(rollup, &now, second * NS_PER_S);
    now.count = 0;
}

static void keep(void *arg, const struct datum *d)
{
    if (d->histogram)
        got_histogram = *d->histogram;
    got[ngot++] = *d;
}

static const struct datum *take(const char *name)
{
    ngot = 0;
    rollup_take(rollup, keep, NULL);
    for (size_t i = 0; i < ngot; i++)
        if (strcmp(got[i].name, name) == 0)
            return &got[i];
    return NULL;
}

START_TEST(a_counter_gives_its_growth_over_all_processes)
{
    sample(METRIC_PUT_REQUESTS, "uploader-1", 5);
    feed(1);
    sample(METRIC_PUT_REQUESTS, "uploader-1", 7);
    sample(METRIC_PUT_REQUESTS, "uploader-2", 3);
    feed(2);
    ck_assert_double_eq(take("PutMedia.Requests")->value, 10);
    sample(METRIC_PUT_REQUESTS, "uploader-1", 8);
    feed(3);
    ck_assert_double_eq(take("PutMedia.Requests")->value, 1);
}
END_TEST

START_TEST(a_counter_that_fell_began_anew)
{
    sample(METRIC_PUT_REQUESTS, "uploader-1", 50);
    feed(1);
    take("");
    sample(METRIC_PUT_REQUESTS, "uploader-1", 2);
    feed(2);
    ck_assert_double_eq(take("PutMedia.Requests")->value, 2);
}
END_TEST

START_TEST(what_an_older_process_counted_before_is_not_growth)
{
    sample(METRIC_PUT_REQUESTS, "uploader-1", 1000)->up_s = 3600;
    feed(1);
    sample(METRIC_PUT_REQUESTS, "uploader-1", 1004)->up_s = 3601;
    feed(2);
    ck_assert_double_eq(take("PutMedia.Requests")->value, 4);
    struct sample *s = sample(METRIC_ERRORS, "uploader-1", 1); /* a first error, much later */
    s->up_s = 3700;
    s->label = "id";
    s->label_value = "4006";
    feed(100);
    const struct datum *d = take("Errors");
    ck_assert_double_eq(d->value, 1);
    ck_assert_uint_eq(d->ndimensions, 2);
    ck_assert_str_eq(d->dimensions[1].name, "Id");
    ck_assert_str_eq(d->dimensions[1].value, "4006");
}
END_TEST

START_TEST(a_gauge_gives_statistics_and_its_last)
{
    static const double values[] = {3, 9, 1, 5};
    for (int i = 0; i < 4; i++) {
        sample(METRIC_BACKLOG, "uploader-1", values[i]);
        feed(i + 1);
    }
    const struct datum *d = take("Backlog");
    ck_assert_double_eq(d->samples, 4);
    ck_assert_double_eq(d->sum, 18);
    ck_assert_double_eq(d->least, 1);
    ck_assert_double_eq(d->most, 9);
    ck_assert_double_eq(d->value, 5);
    ck_assert_ptr_null(take("Backlog")); /* nothing came since */
}
END_TEST

START_TEST(a_histogram_gives_what_came_in_the_interval)
{
    struct histogram *h = &histograms[0];
    *h = (struct histogram){0};
    for (int i = 0; i < 3; i++)
        histogram_add(h, 1000);
    sample(METRIC_ACK_PERSISTED, "uploader-1", 0)->histogram = h;
    feed(1);
    ck_assert_ptr_nonnull(take("PutMedia.PersistedAckLatency"));
    ck_assert_uint_eq(got_histogram.count, 3);
    sample(METRIC_ACK_PERSISTED, "uploader-1", 0)->histogram = h;
    feed(2);
    ck_assert_ptr_null(take("PutMedia.PersistedAckLatency")); /* none */
    histogram_add(h, 5000000);
    sample(METRIC_ACK_PERSISTED, "uploader-1", 0)->histogram = h;
    feed(3);
    ck_assert_ptr_nonnull(take("PutMedia.PersistedAckLatency"));
    ck_assert_uint_eq(got_histogram.count, 1);
    ck_assert_uint_eq(got_histogram.buckets[histogram_bucket(5000000)], 1);
}
END_TEST

START_TEST(only_wanted_names_are_given)
{
    rollup_destroy(&rollup);
    rollup = rollup_create(" PutMedia.*  Backlog");
    sample(METRIC_PUT_REQUESTS, "uploader-1", 1);
    sample(METRIC_BACKLOG, "uploader-1", 1);
    sample(METRIC_BACKLOG_BYTES, "uploader-1", 1);
    feed(1);
    ck_assert_ptr_null(take("BacklogBytes"));
    ck_assert_uint_eq(ngot, 2);
}
END_TEST

START_TEST(what_is_silent_for_long_is_forgotten)
{
    sample(METRIC_PUT_REQUESTS, "uploader-1", 5)->up_s = 0;
    feed(1);
    for (int i = 0; i < 12; i++)
        take("");
    ck_assert_uint_eq(ngot, 0);
    sample(METRIC_PUT_REQUESTS, "uploader-1", 5);
    feed(60);
    ck_assert_double_eq(take("PutMedia.Requests")->value, 5); /* a new one of that name */
}
END_TEST

START_TEST(dimensions_tell_stages_apart_only_where_they_must)
{
    sample(METRIC_FRAMES_IN, "uploader-1", 1);
    sample(METRIC_BACKLOG, "uploader-1", 1);
    sample(METRIC_PROCESS_CPU, "uploader-1", 1);
    feed(1);
    const struct datum *d = take("FramesIn");
    ck_assert_uint_eq(d->ndimensions, 2);
    ck_assert_str_eq(d->dimensions[1].name, "Stage");
    for (size_t i = 0; i < ngot; i++) {
        if (strcmp(got[i].name, "Backlog") == 0)
            ck_assert_str_eq(got[i].dimensions[0].name, "StreamName");
        if (strcmp(got[i].name, "ProcessCpu") == 0)
            ck_assert_str_eq(got[i].dimensions[0].name, "Process");
    }
}
END_TEST

START_TEST(prometheus_gets_each_series_once_and_escaped)
{
    struct sample *s = sample(METRIC_GAPS, "uploader-1", 2);
    s->label = "cause";
    s->label_value = "a\"b\\c";
    list[now.count++] = *s; /* twice */
    struct sample *other = sample(METRIC_GAPS, "own-1", 1);
    other->kind = METRICS_GAUGE; /* of another kind */
    sample(METRIC_BACKLOG, "uploader-1", 0.5);
    char *text = prometheus_text(&now);
    ck_assert_str_eq(text, "# HELP kvpipe_backlog_seconds Media in the spool that the endpoint has "
                           "not persisted\n"
                           "# TYPE kvpipe_backlog_seconds gauge\n"
                           "kvpipe_backlog_seconds{stage=\"uploader\",process=\"uploader-1\","
                           "stream=\"cam\"} 0.5\n"
                           "# HELP kvpipe_gaps_total Intervals that are missing from the archive, "
                           "by cause\n"
                           "# TYPE kvpipe_gaps_total counter\n"
                           "kvpipe_gaps_total{stage=\"uploader\",process=\"uploader-1\",stream="
                           "\"cam\",cause=\"a\\\"b\\\\c\"} 2\n");
    free(text);
}
END_TEST

START_TEST(prometheus_gets_buckets_that_add_up)
{
    struct histogram *h = &histograms[1];
    *h = (struct histogram){0};
    for (int i = 1; i <= 1000; i++)
        histogram_add(h, i * NS_PER_MS);
    sample(METRIC_ACK_PERSISTED, "uploader-1", 500.5)->histogram = h;
    char *text = prometheus_text(&now);
    const char *half = strstr(text, "le=\"0.5\"} ");
    ck_assert_ptr_nonnull(half);
    ck_assert_double_eq_tol(atof(half + strlen("le=\"0.5\"} ")), 500, 16);
    ck_assert_ptr_nonnull(strstr(text, "le=\"2.5\"} 1000\n"));
    ck_assert_ptr_nonnull(strstr(text, "le=\"+Inf\"} 1000\n"));
    ck_assert_ptr_nonnull(strstr(text, "_sum{stage=\"uploader\",process=\"uploader-1\",stream="
                                       "\"cam\"} 500.5\n"));
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rollup");
    TCase *t = tcase_create("rollup");
    tcase_add_checked_fixture(t, up, down);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, a_counter_gives_its_growth_over_all_processes);
    tcase_add_test(t, a_counter_that_fell_began_anew);
    tcase_add_test(t, what_an_older_process_counted_before_is_not_growth);
    tcase_add_test(t, a_gauge_gives_statistics_and_its_last);
    tcase_add_test(t, a_histogram_gives_what_came_in_the_interval);
    tcase_add_test(t, only_wanted_names_are_given);
    tcase_add_test(t, what_is_silent_for_long_is_forgotten);
    tcase_add_test(t, dimensions_tell_stages_apart_only_where_they_must);
    tcase_add_test(t, prometheus_gets_each_series_once_and_escaped);
    tcase_add_test(t, prometheus_gets_buckets_that_add_up);
    suite_add_tcase(s, t);
    return suite_run(s);
}
