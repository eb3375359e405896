/* Job states of an edge agent, from what stages report.
 * Relies on Check.
 * Leaves names and units to tests/monitor/cloudwatch. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "monitor/edge_metrics.h"
#include "proto/report.pb-c.h"
#include "tests/unit/suite.h"

static struct report_table *table;
static struct edge_metrics edge;
static struct conf conf;
static struct conf_stream stream = {.name = "cam"};
static char said[4096];

static void up(void)
{
    edge = (struct edge_metrics){0};
    conf = (struct conf){.streams = &stream, .streams_count = 1};
    ck_assert_int_eq(report_table_create(NULL, NULL, NULL, NULL, NULL, &table), 0);
}

static void down(void)
{
    edge_metrics_fini(&edge);
    report_table_destroy(&table);
}

static void hear(const char *stage, const char *state, double backlog, int64_t second)
{
    static uint8_t bytes[1024];
    Kvpipe__Value v = KVPIPE__VALUE__INIT, *vp = &v;
    Kvpipe__Subject s = KVPIPE__SUBJECT__INIT, *sp = &s;
    Kvpipe__Report m = KVPIPE__REPORT__INIT;
    m.version = 1;
    m.stage = m.instance = (char *)stage;
    m.n_subjects = s.n_values = 1;
    m.subjects = &sp;
    s.stream = "cam";
    s.state = (char *)state;
    s.values = &vp;
    v.name = "backlog_fragments";
    v.value = backlog;
    ck_assert_ptr_nonnull(
        report_table_take(table, bytes, kvpipe__report__pack(&m, bytes), second * NS_PER_S));
}

static void keep(void *arg, const struct datum *d)
{
    size_t len = strlen(said);
    snprintf(said + len, sizeof said - len, "%s=%g ", d->name, d->value);
}

static const char *at(int64_t second)
{
    edge_metrics_watch(&edge, &conf, table, second * NS_PER_S);
    said[0] = '\0';
    edge_metrics_take(&edge, &conf, table, "thing", keep, NULL);
    return said;
}

#define SAYS(second, text) ck_assert_msg(strstr(at(second), text) != NULL, "%s", said)
#define SAYS_NO(second, text) ck_assert_msg(strstr(at(second), text) == NULL, "%s", said)

START_TEST(what_is_live_runs)
{
    hear("capture", "live", 0, 1);
    hear("uploader", "live", 3, 1);
    SAYS(1, "RecordJob.Running=1");
    SAYS(1, "UploadJob.Running=1");
    SAYS(1, "RecordJobs.RunningJobCount=1");
    SAYS(1, "RecordJobs.UnhealthyJobCount=0");
    SAYS(1, "Alive=1");
}
END_TEST

START_TEST(a_camera_that_is_away_is_unhealthy_and_no_fatal_error)
{
    hear("capture", "connecting", 0, 1);
    SAYS(1, "RecordJobs.UnhealthyJobCount=1");
    SAYS_NO(1, "RecordJob.FatalError");
    SAYS_NO(1, "RecordJob.Running");
}
END_TEST

START_TEST(an_uploader_that_waits_is_healthy_only_without_backlog)
{
    hear("uploader", "waiting", 0, 1);
    SAYS(1, "UploadJobs.HealthyJobCount=1");
    hear("uploader", "waiting", 2, 2);
    SAYS(2, "UploadJobs.UnhealthyJobCount=1");
}
END_TEST

START_TEST(a_fatal_error_and_an_end_are_told_once)
{
    hear("capture", "failed", 0, 1);
    SAYS(1, "RecordJob.FatalError=1");
    SAYS_NO(2, "RecordJob.FatalError");
    SAYS(2, "RecordJobs.UnhealthyJobCount=1");
    hear("capture", "ended", 0, 3);
    SAYS(3, "RecordJob.Completed=1");
    SAYS_NO(20, "RecordJob.Completed"); /* its process is silent meanwhile */
    hear("capture", "ended", 0, 21);
    SAYS_NO(21, "RecordJob.Completed");
    hear("capture", "live", 0, 22);
    SAYS(22, "RecordJob.Running=1");
    hear("capture", "ended", 0, 23);
    SAYS(23, "RecordJob.Completed=1");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("edge_metrics");
    TCase *t = tcase_create("edge_metrics");
    tcase_add_checked_fixture(t, up, down);
    tcase_set_timeout(t, 20);
    tcase_add_test(t, what_is_live_runs);
    tcase_add_test(t, a_camera_that_is_away_is_unhealthy_and_no_fatal_error);
    tcase_add_test(t, an_uploader_that_waits_is_healthy_only_without_backlog);
    tcase_add_test(t, a_fatal_error_and_an_end_are_told_once);
    suite_add_tcase(s, t);
    return suite_run(s);
}
