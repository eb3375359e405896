/* Histograms, sets of numbers, and the table that names them.
 * Relies on Check.
 * Leaves sending them to test_report.c. */
#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/metrics.h"
#include "tests/unit/suite.h"

START_TEST(a_bucket_holds_what_lies_between_its_bounds)
{
    static const uint64_t values[] = {0,
                                      1,
                                      15,
                                      16,
                                      17,
                                      31,
                                      32,
                                      33,
                                      1000,
                                      123456789,
                                      1000000007,
                                      (UINT64_C(1) << 47) + 1,
                                      (UINT64_C(1) << 48) - 1};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        unsigned b = histogram_bucket(values[i]);
        ck_assert_uint_le(histogram_bound(b), values[i]);
        ck_assert_uint_gt(histogram_bound(b + 1), values[i]);
    }
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
        ck_assert_uint_eq(histogram_bucket(histogram_bound(b)), b);
}
END_TEST

START_TEST(quantiles_are_right_to_three_percent)
{
    static struct histogram h;
    h = (struct histogram){0};
    for (int64_t i = 1; i <= 1000; i++)
        histogram_add(&h, i * 1000000);
    ck_assert_double_eq_tol(histogram_quantile(&h, 0.5), 500e6, 15e6);
    ck_assert_double_eq_tol(histogram_quantile(&h, 0.99), 990e6, 30e6);
    ck_assert_uint_eq(h.sum, UINT64_C(500500000000));
}
END_TEST

START_TEST(extremes_do_not_leave_the_table)
{
    static struct histogram h;
    h = (struct histogram){0};
    ck_assert(histogram_quantile(&h, 0.5) == 0);
    histogram_add(&h, -5);
    ck_assert_double_lt(histogram_quantile(&h, 0.5), 1);
    histogram_add(&h, INT64_MAX);
    ck_assert_double_gt(histogram_quantile(&h, 0.99), 0x1p47);
}
END_TEST

START_TEST(what_came_since_is_the_difference_or_all_of_a_new_one)
{
    static struct histogram before, now, all, since;
    before = now = all = (struct histogram){0};
    histogram_add(&before, 10);
    histogram_merge(&now, &before);
    histogram_add(&now, 500);
    histogram_since(&now, &before, &since);
    ck_assert_uint_eq(since.count, 1);
    ck_assert_uint_eq(since.sum, 500);
    ck_assert_uint_eq(since.buckets[histogram_bucket(500)], 1);
    histogram_since(&before, &now, &since); /* it fell: the process began anew */
    ck_assert_uint_eq(since.count, 1);
    ck_assert_uint_eq(since.sum, 10);
    histogram_merge(&all, &now);
    histogram_merge(&all, &before);
    ck_assert_uint_eq(all.count, 3);
}
END_TEST

START_TEST(a_place_stays_and_is_told_apart_by_its_label)
{
    struct metrics *m = metrics_create();
    double *plain = metrics_value(m, METRIC_FRAMES_IN, NULL);
    double *camera = metrics_value(m, METRIC_GAPS, "camera");
    *camera += 2;
    for (int i = 0; i < 60; i++) {
        char label[16];
        snprintf(label, sizeof label, "%d", i);
        metrics_set_of(m, METRIC_GAPS, label, 1);
    }
    *plain += 3;
    ck_assert_ptr_eq(metrics_value(m, METRIC_FRAMES_IN, NULL), plain);
    ck_assert_ptr_eq(metrics_value(m, METRIC_GAPS, "camera"), camera);
    ck_assert(metrics_get(m, METRIC_FRAMES_IN, NULL) == 3);
    ck_assert(metrics_get(m, METRIC_GAPS, "camera") == 2);
    ck_assert(metrics_get(m, METRIC_GAPS, "other") == 0);
    metrics_destroy(&m);
    ck_assert_ptr_null(m);
}
END_TEST

START_TEST(a_full_set_and_none_take_updates_and_keep_nothing)
{
    struct metrics *m = metrics_create();
    for (int i = 0; i < 1000; i++) {
        char label[128];
        snprintf(label, sizeof label, "%d-%080d", i, i);
        metrics_set_of(m, METRIC_ERRORS, label, 1);
    }
    ck_assert_uint_eq(metrics_count(m), METRICS_MAX);
    metrics_set(m, METRIC_FRAMES_IN, 5);
    ck_assert(metrics_get(m, METRIC_FRAMES_IN, NULL) == 0);
    histogram_add(metrics_histogram(m, METRIC_ENCODE), 5);
    metrics_destroy(&m);
    metrics_set(NULL, METRIC_FRAMES_IN, 5);
    histogram_add(metrics_histogram(NULL, METRIC_ENCODE), 5);
    ck_assert_uint_eq(metrics_count(NULL), 0);
}
END_TEST

/* CloudWatch's words, less those that would not fit a name without a scale. */
static bool is_unit(const char *unit)
{
    static const char *const units[] = {"None", "Count", "Bytes", "Seconds", "Kilobits/Second"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(unit, units[i]) == 0)
            return true;
    return false;
}

START_TEST(the_table_is_whole)
{
    const struct metrics_def *d = metrics_def(_i);
    ck_assert_ptr_nonnull(d->name);
    ck_assert_ptr_eq(metrics_def_by_name(d->name), d); /* no name twice */
    for (const char *c = d->name; *c; c++)
        ck_assert(islower((unsigned char)*c) || *c == '_');
    ck_assert_int_ne(d->kind, METRICS_NONE);
    ck_assert(d->unit && is_unit(d->unit));
    ck_assert_int_eq(d->kind == METRICS_HISTOGRAM, d->scale > 0);
    ck_assert_int_ne(d->from, 0);
    ck_assert(d->help && *d->help && d->cloudwatch);
    ck_assert_uint_lt(strlen(d->cloudwatch), 256);
    for (int k = 1; k < METRICS; k++)
        ck_assert(k == _i || strcmp(metrics_def(k)->cloudwatch, d->cloudwatch) != 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("metrics");
    TCase *t = tcase_create("metrics");
    tcase_set_timeout(t, 20);
    tcase_add_test(t, a_bucket_holds_what_lies_between_its_bounds);
    tcase_add_test(t, quantiles_are_right_to_three_percent);
    tcase_add_test(t, extremes_do_not_leave_the_table);
    tcase_add_test(t, what_came_since_is_the_difference_or_all_of_a_new_one);
    tcase_add_test(t, a_place_stays_and_is_told_apart_by_its_label);
    tcase_add_test(t, a_full_set_and_none_take_updates_and_keep_nothing);
    tcase_add_loop_test(t, the_table_is_whole, METRIC_NONE + 1, METRICS);
    suite_add_tcase(s, t);
    return suite_run(s);
}
