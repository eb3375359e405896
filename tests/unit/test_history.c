/* Claims about the minutes that a page gets when it is opened. */
#include <check.h>
#include <string.h>

#include "monitor/history.h"
#include "tests/unit/suite.h"

static struct history *h;

static void up(void)
{
    h = history_create();
}

static void down(void)
{
    history_destroy(&h);
}

static void sample(const char *name, double fps, int64_t at_ms)
{
    json_t *streams = json_pack("[{s:s,s:f,s:n}]", "name", name, "frames_per_s", fps, "latency_s");
    history_sample(h, streams, at_ms);
    json_decref(streams);
}

/* Length of a series, and the value at `i`: -1 for null. */
static double value(const char *name, const char *series, size_t i, size_t *len)
{
    json_t *o = history_json(h);
    const json_t *list =
        json_object_get(json_object_get(json_object_get(o, "streams"), name), series);
    *len = json_array_size(list);
    const json_t *v = json_array_get(list, i);
    double found = json_is_number(v) ? json_number_value(v) : -1;
    json_decref(o);
    return found;
}

START_TEST(samples_are_a_step_apart)
{
    size_t n;
    sample("cam", 10, 100000);
    sample("cam", 11, 101000);
    sample("cam", 12, 102000);
    ck_assert_double_eq_tol(value("cam", "fps", 1, &n), 12, 0.01);
    ck_assert_uint_eq(n, 2);
}
END_TEST

START_TEST(what_is_not_known_is_null)
{
    size_t n;
    sample("cam", 10, 100000);
    ck_assert_double_eq(value("cam", "latency", 0, &n), -1);
    ck_assert_uint_eq(n, 1);
}
END_TEST

START_TEST(the_oldest_go)
{
    size_t n;
    for (int i = 0; i < HISTORY_SAMPLES + 5; i++)
        sample("cam", i, 100000 + i * HISTORY_STEP_MS);
    ck_assert_double_eq_tol(value("cam", "fps", 0, &n), 5, 0.01);
    ck_assert_uint_eq(n, HISTORY_SAMPLES);
}
END_TEST

START_TEST(a_stream_that_comes_later_is_not_known_before)
{
    size_t n;
    sample("cam", 10, 100000);
    sample("late", 20, 102000);
    ck_assert_double_eq(value("late", "fps", 0, &n), -1);
    ck_assert_double_eq_tol(value("late", "fps", 1, &n), 20, 0.01);
}
END_TEST

START_TEST(a_stream_that_went_is_not_known_since)
{
    size_t n;
    sample("cam", 10, 100000);
    sample("other", 20, 102000);
    ck_assert_double_eq(value("cam", "fps", 1, &n), -1);
}
END_TEST

START_TEST(a_stream_that_went_for_good_is_forgotten)
{
    size_t n;
    sample("cam", 10, 100000);
    for (int i = 1; i < HISTORY_SAMPLES + 5; i++)
        sample("other", i, 100000 + i * HISTORY_STEP_MS);
    value("cam", "fps", 0, &n);
    ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(a_clock_that_steps_back_stops_nothing)
{
    size_t n;
    sample("cam", 10, 100000);
    sample("cam", 11, 50000);
    value("cam", "fps", 0, &n);
    ck_assert_uint_eq(n, 2);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("history");
    Suite *s = suite_create("history");
    suite_add_tcase(s, t);
    tcase_add_checked_fixture(t, up, down);
    tcase_add_test(t, samples_are_a_step_apart);
    tcase_add_test(t, what_is_not_known_is_null);
    tcase_add_test(t, the_oldest_go);
    tcase_add_test(t, a_stream_that_comes_later_is_not_known_before);
    tcase_add_test(t, a_stream_that_went_is_not_known_since);
    tcase_add_test(t, a_stream_that_went_for_good_is_forgotten);
    tcase_add_test(t, a_clock_that_steps_back_stops_nothing);
    return suite_run(s);
}
