/* Seconds until off-site, from what stages report and what an uploader that is gone said last.
 * Relies on Check.
 * Leaves the reports' way to test_report.c. */
#include <check.h>

#include "common/clock.h"
#include "monitor/offsite.h"
#include "proto/report.pb-c.h"
#include "tests/unit/suite.h"

static struct report_table *table;
static struct offsite offsite;

static void up(void)
{
    offsite = (struct offsite){0};
    ck_assert_int_eq(report_table_create(NULL, NULL, NULL, NULL, NULL, &table), 0);
}

static void down(void)
{
    offsite_fini(&offsite);
    report_table_destroy(&table);
}

static void hear(const char *stage, double age_s, int64_t second)
{
    static uint8_t bytes[1024];
    Kvpipe__Value v = KVPIPE__VALUE__INIT, *vp = &v;
    Kvpipe__Subject s = KVPIPE__SUBJECT__INIT, *sp = &s;
    Kvpipe__Report m = KVPIPE__REPORT__INIT;
    bool uploader = stage[0] == 'u';
    m.version = 1;
    m.stage = m.instance = (char *)stage;
    m.n_subjects = s.n_values = 1;
    m.subjects = &sp;
    s.stream = "cam";
    s.values = &vp;
    v.name = uploader ? "spool_age_seconds" : "window_age_seconds";
    v.value = age_s;
    const struct report_row *row =
        report_table_take(table, bytes, kvpipe__report__pack(&m, bytes), second * NS_PER_S);
    ck_assert_ptr_nonnull(row);
    offsite_heard(&offsite, row, table, second * NS_PER_S);
}

static double at(int64_t second)
{
    return offsite_seconds(&offsite, "cam", second * NS_PER_S);
}

START_TEST(nothing_is_known_before_an_uploader_or_a_frame)
{
    ck_assert_double_lt(at(10), 0);
    hear("capture", 0, 10);
    ck_assert_double_lt(at(10), 0);
    hear("uploader", 0, 10);
    ck_assert_double_eq(at(10), 0);
}
END_TEST

START_TEST(the_oldest_frame_counts_wherever_it_waits)
{
    hear("uploader", 2, 10);
    hear("capture", 7, 10);
    ck_assert_double_eq_tol(at(10), 7, 1e-6);
    hear("capture", 0.1, 11);
    ck_assert_double_eq_tol(at(11), 3, 1e-6);
    hear("uploader", 0, 12);
    ck_assert_double_lt(at(12), 1.2);
}
END_TEST

START_TEST(what_an_uploader_held_that_is_gone_grows_old)
{
    hear("uploader", 2, 10);
    hear("capture", 0, 30);
    ck_assert_double_eq_tol(at(30), 22, 1e-6);
    report_table_expire(table, 30 * NS_PER_S);
    hear("capture", 15, 90);
    ck_assert_double_eq_tol(at(100), 92, 1e-6);
    hear("uploader", 0, 101); /* the next one has it persisted */
    hear("capture", 0, 101);
    ck_assert_double_eq(at(101), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("offsite");
    TCase *t = tcase_create("offsite");
    tcase_add_checked_fixture(t, up, down);
    tcase_add_test(t, nothing_is_known_before_an_uploader_or_a_frame);
    tcase_add_test(t, the_oldest_frame_counts_wherever_it_waits);
    tcase_add_test(t, what_an_uploader_held_that_is_gone_grows_old);
    suite_add_tcase(s, t);
    return suite_run(s);
}
