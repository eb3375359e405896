/* What waits for CloudWatch while it is away stays bounded.
 * Relies on Check, libevent; nothing listens at the URL.
 * Leaves what is sent to tests/monitor/cloudwatch. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/clock.h"
#include "monitor/cloudwatch.h"
#include "tests/unit/suite.h"

START_TEST(what_waits_is_bounded_and_the_oldest_goes)
{
    static struct conf conf = {.monitor.cloudwatch = {.url = "http://127.0.0.1:1/",
                                                      .region = "us-west-2",
                                                      .interval_s = 60}};
    struct event_base *base = event_base_new();
    static struct histogram h;
    struct datum d = {
        .name = "Latency", .unit = "Seconds", .kind = METRICS_HISTOGRAM, .scale = 1e-9};
    conf.endpoint.credentials.type = CONF_CRED_ENV;
    setenv("AWS_ACCESS_KEY_ID", "AKIATEST", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    for (int64_t v = 1; v < INT64_C(1) << 40; v += v / 20 + 1)
        histogram_add(&h, v);
    d.histogram = &h;
    struct cloudwatch *c = cloudwatch_create(base, &conf);
    ck_assert_ptr_nonnull(c);
    for (int interval = 0; interval < 20; interval++) {
        cloudwatch_begin(c, "kvpipe", clock_wall_ns());
        for (int i = 0; i < 40; i++)
            cloudwatch_add(c, &d);
        cloudwatch_end(c);
        event_base_loop(base, EVLOOP_NONBLOCK);
        ck_assert_uint_le(cloudwatch_waiting_bytes(c), CLOUDWATCH_WAITING_MAX);
    }
    ck_assert_uint_gt(cloudwatch_waiting_bytes(c), CLOUDWATCH_WAITING_MAX / 2);
    ck_assert_uint_gt(cloudwatch_counts(c).lost, 0);
    ck_assert_uint_eq(cloudwatch_counts(c).accepted, 0);
    cloudwatch_destroy(&c);
    ck_assert_ptr_null(c);
    event_base_free(base);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cloudwatch");
    TCase *t = tcase_create("cloudwatch");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, what_waits_is_bounded_and_the_oldest_goes);
    suite_add_tcase(s, t);
    return suite_run(s);
}
