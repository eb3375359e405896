/* Reports from a stage to the monitor's table, over a real socket, and refusals of bad ones.
 * Relies on Check, libevent, ZeroMQ over ipc and tcp.
 * Leaves looks to view.c. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/curve_keys.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/report.h"
#include "monitor/report_table.h"
#include "proto/report.pb-c.h"
#include "tests/unit/loopback.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

static struct event_base *base;
static struct report *report;
static struct report_table *table;
static char *address;
static int samples, heard, commands;
static char verb_seen[32], stream_seen[32], item_seen[64];
static bool (*enough)(void);

static void check_enough(void)
{
    if (enough && enough())
        event_base_loopbreak(base);
}

static void on_sample(void *arg)
{
    samples++;
}

static void on_command(void *arg, const struct report_command *c)
{
    commands++;
    snprintf(verb_seen, sizeof verb_seen, "%s", c->verb);
    snprintf(stream_seen, sizeof stream_seen, "%s", c->stream ? c->stream : "-");
    snprintf(item_seen, sizeof item_seen, "%s=%s%s", c->name, c->value, c->persistent ? "!" : "");
    check_enough();
}

static void on_heard(void *arg, const struct report_row *row)
{
    heard++;
    check_enough();
}

static void open_report(void)
{
    struct report_conf conf = {.address = address,
                               .stage = "muxer",
                               .instance = "muxer-1",
                               .sample = on_sample,
                               .command = on_command};
    ck_assert_int_eq(report_create(base, &conf, &report), 0);
}

static void up(void)
{
    base = event_base_new();
    address = xasprintf("ipc:///tmp/kvpipe-report-%d.sock", (int)getpid());
    samples = heard = commands = 0;
}

static void down(void)
{
    report_destroy(&report);
    report_table_destroy(&table);
    event_base_free(base);
    if (strncmp(address, "ipc", 3) == 0)
        unlink(address + strlen("ipc://"));
    free(address);
}

static bool heard_once(void)
{
    return heard >= 1;
}

static bool live_heard(void)
{
    const struct report_subject *s = report_row_subject(report_table_find(table, "muxer-1"), "cam");
    return s && strcmp(s->state, "live") == 0;
}

static bool command_heard(void)
{
    if (heard && !commands)
        report_table_command(table, "muxer-1",
                             &(struct report_command){.verb = "metadata",
                                                      .stream = "cam",
                                                      .name = "door",
                                                      .value = "open",
                                                      .persistent = true});
    return commands >= 1;
}

static void run_until(bool (*fn)(void))
{
    enough = fn;
    event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
}

START_TEST(numbers_states_and_notes_arrive)
{
    ck_assert_int_eq(report_table_create(base, address, NULL, on_heard, NULL, &table), 0);
    open_report();
    struct metrics *numbers = report_metrics(report, "cam");
    double *out = metrics_value(numbers, METRIC_FRAMES_OUT, NULL);
    metrics_set(report_metrics(report, NULL), METRIC_REFUSED, 3);
    *out += 2;
    *out += 5;
    metrics_set_of(numbers, METRIC_GAPS, "camera", 4);
    for (int i = 1; i <= 100; i++)
        histogram_add(metrics_histogram(numbers, METRIC_ENCODE), i * NS_PER_MS);
    report_set_ready(report, true);
    report_state(report, "cam", "waiting", "no camera: plug it in");
    run_until(heard_once);
    const struct report_row *row = report_table_find(table, "muxer-1");
    ck_assert_ptr_nonnull(row);
    ck_assert_str_eq(row->stage, "muxer");
    ck_assert_uint_eq(row->pid, (uint32_t)getpid());
    ck_assert(row->ready);
    ck_assert(report_subject_value(report_row_subject(row, ""), METRIC_REFUSED) == 3);
    const struct report_subject *cam = report_row_subject(row, "cam");
    ck_assert(report_subject_value(cam, METRIC_FRAMES_OUT) == 7);
    const struct report_number *gaps = report_subject_number(cam, "gaps_camera");
    ck_assert_str_eq(gaps->metric, "gaps");
    ck_assert_str_eq(gaps->label, "cause");
    ck_assert_str_eq(gaps->label_value, "camera");
    ck_assert_int_eq(gaps->kind, METRICS_COUNTER);
    ck_assert(gaps->value == 4);
    const struct report_number *encode = report_subject_number(cam, "encode_seconds");
    ck_assert_int_eq(encode->kind, METRICS_HISTOGRAM);
    ck_assert_str_eq(encode->unit, "Seconds");
    ck_assert_uint_eq(encode->histogram->count, 100);
    ck_assert_double_eq_tol(encode->value, 5.05, 1e-9);
    ck_assert_double_eq_tol(report_number_quantile(encode, 0.5), 0.05, 0.0016);
    ck_assert_str_eq(cam->state, "waiting");
    ck_assert_str_eq(cam->note, "no camera: plug it in");
    ck_assert_int_ge(samples, 1);
}
END_TEST

/* The monitor's socket as it is between hosts: with keys, and for their owners alone. */
static void over_tcp(char dir[32], const char *other)
{
    free(address);
    address = xasprintf("tcp://127.0.0.1:%u", loopback_port());
    scratch_make(dir, 32, "report");
    ck_assert_int_eq(curve_keys_make(dir, "monitor"), 1);
    ck_assert_int_eq(curve_keys_make(dir, "muxer"), 1);
    ck_assert_int_eq(report_table_create(base, address, dir, on_heard, NULL, &table), 0);
    struct report_conf conf = {
        .address = address, .stage = "muxer", .instance = "muxer-1", .keys = other ? other : dir};
    if (other) {
        char *copy = xasprintf("mkdir %s && cp %s/monitor.pub %s", other, dir, other);
        ck_assert_int_eq(system(copy), 0);
        ck_assert_int_eq(curve_keys_make(other, "muxer"), 1);
        free(copy);
    }
    ck_assert_int_eq(report_create(base, &conf, &report), 0);
}

static void remove_folder(const char *dir)
{
    scratch_remove(dir);
}

START_TEST(with_keys_reports_arrive_over_tcp)
{
    char dir[32];
    over_tcp(dir, NULL);
    run_until(heard_once);
    ck_assert_ptr_nonnull(report_table_find(table, "muxer-1"));
    remove_folder(dir);
}
END_TEST

START_TEST(the_monitor_needs_no_pub_of_its_own)
{
    char dir[32];
    over_tcp(dir, NULL);
    report_destroy(&report);
    char *command = xasprintf("rm %s/monitor.pub", dir);
    ck_assert_int_eq(system(command), 0);
    free(command);
    struct report_conf conf = {
        .address = address, .stage = "monitor", .instance = "monitor-1", .keys = dir};
    ck_assert_int_eq(report_create(base, &conf, &report), 0);
    run_until(heard_once);
    remove_folder(dir);
}
END_TEST

START_TEST(with_a_key_nobody_knows_they_do_not)
{
    char dir[32];
    struct timeval while_ = {.tv_sec = 1, .tv_usec = 500000};
    char *other = xasprintf("/tmp/kvpipe-report-other-%d", (int)getpid());
    over_tcp(dir, other);
    event_base_loopexit(base, &while_);
    event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
    ck_assert_int_eq(heard, 0);
    remove_folder(dir);
    remove_folder(other);
    free(other);
}
END_TEST

START_TEST(a_change_of_state_goes_at_once)
{
    ck_assert_int_eq(report_table_create(base, address, NULL, on_heard, NULL, &table), 0);
    open_report();
    run_until(heard_once); /* connected */
    int64_t before = clock_mono_ns();
    report_state(report, "cam", "live", NULL);
    run_until(live_heard);
    ck_assert_int_lt(clock_mono_ns() - before, 900 * NS_PER_MS);
}
END_TEST

START_TEST(without_a_monitor_nothing_waits)
{
    open_report();
    int64_t before = clock_mono_ns();
    for (int i = 0; i < 1000; i++) {
        report_state(report, "cam", i % 2 ? "live" : "waiting", "");
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    report_destroy(&report);
    ck_assert_int_lt(clock_mono_ns() - before, NS_PER_S);
}
END_TEST

START_TEST(a_command_reaches_the_stage)
{
    ck_assert_int_eq(report_table_create(base, address, NULL, on_heard, NULL, &table), 0);
    open_report();
    run_until(command_heard);
    ck_assert_str_eq(verb_seen, "metadata");
    ck_assert_str_eq(stream_seen, "cam");
    ck_assert_str_eq(item_seen, "door=open!");
    ck_assert_int_lt(
        report_table_command(table, "muxer-9", &(struct report_command){.verb = "keyframe"}), 0);
}
END_TEST

START_TEST(without_a_report_numbers_go_nowhere)
{
    ck_assert_ptr_null(report_metrics(NULL, "cam"));
    metrics_set(report_metrics(NULL, NULL), METRIC_FRAMES_IN, 1);
    report_state(NULL, "cam", "live", "");
    report_forget(NULL, "cam");
}
END_TEST

START_TEST(streams_are_bounded_and_can_be_forgotten)
{
    char name[32];
    open_report();
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "cam%d", i);
        metrics_set(report_metrics(report, name), METRIC_FRAMES_IN, i);
    }
    ck_assert(metrics_get(report_metrics(report, "cam10"), METRIC_FRAMES_IN, NULL) == 10);
    ck_assert_ptr_null(report_metrics(report, "cam2999"));
    report_forget(report, "cam10");
    ck_assert_ptr_nonnull(report_metrics(report, "cam2999"));
    ck_assert_ptr_null(report_metrics(report, "cam10"));
}
END_TEST

static const struct report_row *take(Kvpipe__Report *m, int64_t now)
{
    uint8_t bytes[8192];
    ck_assert_uint_lt(kvpipe__report__get_packed_size(m), sizeof bytes);
    return report_table_take(table, bytes, kvpipe__report__pack(m, bytes), now);
}

static Kvpipe__Report message(void)
{
    Kvpipe__Report m = KVPIPE__REPORT__INIT;
    m.version = 1;
    m.stage = "muxer";
    m.instance = "m";
    m.pid = 5;
    return m;
}

START_TEST(bad_reports_are_counted_and_refused)
{
    Kvpipe__Value v = KVPIPE__VALUE__INIT, *vp = &v;
    Kvpipe__Subject s = KVPIPE__SUBJECT__INIT, *sp = &s;
    ck_assert_int_eq(report_table_create(NULL, NULL, NULL, NULL, NULL, &table), 0);
    Kvpipe__Report m = message();
    ck_assert_ptr_nonnull(take(&m, 1));
    m.version = 2;
    ck_assert_ptr_null(take(&m, 1));
    m = message();
    m.instance = "";
    ck_assert_ptr_null(take(&m, 1));
    m = message();
    m.stage = "a\x1b[2J";
    ck_assert_ptr_null(take(&m, 1));
    m = message();
    m.n_subjects = 1;
    m.subjects = &sp;
    s.n_values = 1;
    s.values = &vp;
    v.name = "x";
    v.value = NAN;
    ck_assert_ptr_null(take(&m, 1));
    v.value = 1;
    ck_assert_ptr_nonnull(take(&m, 1));
    v.name = "1{x}";
    ck_assert_ptr_null(take(&m, 1));
    ck_assert_ptr_null(report_table_take(table, "\xff\xff\xff", 3, 1));
    ck_assert_uint_eq(report_table_refused(table), 6);
    ck_assert_uint_eq(report_table_count(table), 1);
    report_table_expire(table, 2);
    ck_assert_uint_eq(report_table_count(table), 0);
}
END_TEST

START_TEST(bad_histograms_are_refused)
{
    static const struct {
        double scale;
        uint32_t bucket[2];
        uint64_t count[2];
        size_t buckets, counts;
        bool good;
    } cases[] = {
        {1e-9, {3, 719}, {1, 2}, 2, 2, true},    {1e-9, {0}, {0}, 0, 0, true},
        {1e-9, {3, 720}, {1, 2}, 2, 2, false},   {1e-9, {3, 3}, {1, 2}, 2, 2, false},
        {1e-9, {3, 4}, {1, 2}, 2, 1, false},     {0, {3, 4}, {1, 2}, 2, 2, false},
        {INFINITY, {3, 4}, {1, 2}, 2, 2, false}, {1e-9, {3, 4}, {1, UINT64_MAX}, 2, 2, false},
    };
    Kvpipe__Histogram h = KVPIPE__HISTOGRAM__INIT;
    Kvpipe__Value v = KVPIPE__VALUE__INIT, *vp = &v;
    Kvpipe__Subject s = KVPIPE__SUBJECT__INIT, *sp = &s;
    Kvpipe__Report m = message();
    ck_assert_int_eq(report_table_create(NULL, NULL, NULL, NULL, NULL, &table), 0);
    m.n_subjects = s.n_values = 1;
    m.subjects = &sp;
    s.values = &vp;
    v.name = "own_seconds";
    v.kind = KVPIPE__KIND__HISTOGRAM;
    ck_assert_ptr_null(take(&m, 1)); /* it has none */
    v.histogram = &h;
    h.scale = cases[_i].scale;
    h.bucket = (uint32_t *)cases[_i].bucket;
    h.count = (uint64_t *)cases[_i].count;
    h.n_bucket = cases[_i].buckets;
    h.n_count = cases[_i].counts;
    ck_assert_int_eq(take(&m, 1) != NULL, cases[_i].good);
}
END_TEST

START_TEST(rates_are_growth_per_second_and_start_anew_with_the_process)
{
    Kvpipe__Value v = KVPIPE__VALUE__INIT, *vp = &v;
    Kvpipe__Subject s = KVPIPE__SUBJECT__INIT, *sp = &s;
    Kvpipe__Report m = message();
    const struct report_row *row = NULL;
    ck_assert_int_eq(report_table_create(NULL, NULL, NULL, NULL, NULL, &table), 0);
    m.n_subjects = s.n_values = 1;
    m.subjects = &sp;
    s.stream = "cam";
    s.values = &vp;
    v.name = "frames_out";
    for (int i = 0; i < 10; i++) {
        v.value = 1000 + 30 * i;
        row = take(&m, i * NS_PER_S);
    }
    ck_assert_double_eq_tol(report_subject_rate(report_row_subject(row, "cam"), METRIC_FRAMES_OUT),
                            30, 0.01);
    m.pid = 6;
    v.value = 5000;
    row = take(&m, 10 * NS_PER_S);
    ck_assert(report_subject_rate(report_row_subject(row, "cam"), METRIC_FRAMES_OUT) == 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("report");
    TCase *t = tcase_create("report");
    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, up, down);
    tcase_add_test(t, numbers_states_and_notes_arrive);
    tcase_add_test(t, with_keys_reports_arrive_over_tcp);
    tcase_add_test(t, the_monitor_needs_no_pub_of_its_own);
    tcase_add_test(t, with_a_key_nobody_knows_they_do_not);
    tcase_add_test(t, a_change_of_state_goes_at_once);
    tcase_add_test(t, without_a_monitor_nothing_waits);
    tcase_add_test(t, a_command_reaches_the_stage);
    tcase_add_test(t, without_a_report_numbers_go_nowhere);
    tcase_add_test(t, streams_are_bounded_and_can_be_forgotten);
    tcase_add_test(t, bad_reports_are_counted_and_refused);
    tcase_add_loop_test(t, bad_histograms_are_refused, 0, 8);
    tcase_add_test(t, rates_are_growth_per_second_and_start_anew_with_the_process);
    suite_add_tcase(s, t);
    return suite_run(s);
}
