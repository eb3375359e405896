/* Claims about encoder/adapt: when it steps, and a simulated hour behind an uplink that is slower
 * than the stream. Relies on Check and a simulated uplink. Leaves the encoder to test_codec_gst and
 * the way of the backlog to test_relay. */
#include "encoder/adapt.h"

#include "common/clock.h"
#include "tests/unit/link_trace.h"
#include "tests/unit/uplink.h"

#define STEP_MS 250

static const struct adapt_conf conf = {.bitrate_kbps = 2000,
                                       .min_kbps = 300,
                                       .backlog_ms = 10000,
                                       .look_ns = 4 * NS_PER_S,
                                       .restore_ns = 30 * NS_PER_S};

static struct uplink u;
static struct adapt a;
static int64_t clock_ns;
static unsigned downs, ups;
static uint64_t most_ms, most_bytes;

static void setup(void)
{
    u = (struct uplink){0};
    adapt_init(&a, &conf);
    clock_ns = 100 * NS_PER_S;
    downs = ups = 0;
}

/* Lets the seconds pass, with the encoder at the bitrate that `a` says. */
static void pass(unsigned seconds, uint64_t uplink_kbps)
{
    most_ms = most_bytes = 0;
    for (unsigned i = 0; i < seconds * 1000 / STEP_MS; i++) {
        uint32_t before = a.kbps;
        clock_ns += STEP_MS * NS_PER_MS;
        uplink_pass(&u, STEP_MS, a.kbps, uplink_kbps, clock_ns);
        claim(adapt_feed(&a, u.ms, u.bytes, clock_ns) == (a.kbps != before));
        claim(a.kbps >= conf.min_kbps && a.kbps <= conf.bitrate_kbps);
        downs += a.kbps < before;
        ups += a.kbps > before;
        most_ms = u.ms > most_ms ? u.ms : most_ms;
        most_bytes = u.bytes > most_bytes ? u.bytes : most_bytes;
    }
}

START_TEST(an_uplink_that_keeps_up_changes_nothing)
{
    pass(3600, 2100);
    ck_assert_uint_eq(a.kbps, 2000);
    ck_assert_uint_eq(downs + ups, 0);
}
END_TEST

START_TEST(it_steps_down_while_the_backlog_grows_and_no_further)
{
    pass(20, 1000);
    ck_assert_uint_eq(a.kbps, 2000); /* 10 s wait only now */
    pass(40, 1000);
    ck_assert_uint_eq(a.kbps, 750); /* by what it grew, then by a quarter: now it drains */
    ck_assert_uint_eq(downs, 2);
}
END_TEST

START_TEST(it_goes_down_to_the_minimum_when_nothing_gets_through)
{
    pass(120, 0);
    ck_assert_uint_eq(a.kbps, 300);
}
END_TEST

START_TEST(it_is_restored_step_by_step_once_the_backlog_is_gone)
{
    pass(120, 0);
    uint64_t drained_s = u.bytes / 2500000 + 1;
    pass((unsigned)drained_s + 29, 20000);
    ck_assert_uint_eq(a.kbps, 300);
    pass(2, 20000);
    ck_assert_uint_eq(a.kbps, 375);
    pass(30, 20000);
    ck_assert_uint_eq(a.kbps, 468);
    pass(300, 20000);
    ck_assert_uint_eq(a.kbps, 2000);
    ck_assert_uint_eq(ups, 9);
}
END_TEST

START_TEST(a_backlog_that_drains_is_left_to_drain)
{
    a.conf.min_kbps = 0;
    pass(3600, 500); /* another encoder's */
    adapt_init(&a, &conf);
    downs = 0;
    pass(900, 4000);
    ck_assert_uint_gt(u.ms, 60000);
    ck_assert_uint_le(downs, 1); /* nothing is known of it in the first look */
}
END_TEST

START_TEST(without_a_minimum_it_does_nothing)
{
    a.conf.min_kbps = 0;
    pass(600, 0);
    ck_assert_uint_eq(a.kbps, 2000);
}
END_TEST

/* The hour: the uplink has half of the stream's bitrate, then all it needs. The bitrate
 * goes below the uplink, the backlog never reaches the 60 s of latency pressure, and all is
 * restored. */
START_TEST(an_hour_behind_a_slow_uplink)
{
    pass(60, 1000);
    uint64_t early_bytes = most_bytes;
    pass(3540, 1000);
    ck_assert_uint_lt(most_ms, 60000);
    ck_assert_uint_lt(most_bytes, 2 * early_bytes); /* it stopped growing within the first minute */
    ck_assert_uint_le(a.kbps, 1300);                /* it probes upwards now and then */
    ck_assert_uint_ge(a.kbps, 600);
    ck_assert_uint_lt(downs, 60);
    pass(600, 8000);
    ck_assert_uint_eq(a.kbps, 2000);
    ck_assert_uint_le(u.ms, 2 * UPLINK_FRAGMENT_MS);
}
END_TEST

/* The same without: half an hour of video waits at its end. */
START_TEST(an_hour_behind_a_slow_uplink_without_it)
{
    a.conf.min_kbps = 0;
    pass(3600, 1000);
    ck_assert_uint_ge(u.ms, 1790000);
    ck_assert_uint_ge(u.bytes, 440000000);
}
END_TEST

START_TEST(numbers_from_a_hostile_peer_do_no_harm)
{
    for (unsigned i = 0; i < 1000; i++)
        adapt_feed(&a, INT64_MAX, i % 2 ? INT64_MAX : 0, clock_ns += NS_PER_S);
    ck_assert_uint_ge(a.kbps, 300);
    ck_assert_uint_le(a.kbps, 2000);
}
END_TEST

static void fill(TCase *tc)
{
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, an_uplink_that_keeps_up_changes_nothing);
    tcase_add_test(tc, it_steps_down_while_the_backlog_grows_and_no_further);
    tcase_add_test(tc, it_goes_down_to_the_minimum_when_nothing_gets_through);
    tcase_add_test(tc, it_is_restored_step_by_step_once_the_backlog_is_gone);
    tcase_add_test(tc, a_backlog_that_drains_is_left_to_drain);
    tcase_add_test(tc, without_a_minimum_it_does_nothing);
    tcase_add_test(tc, an_hour_behind_a_slow_uplink);
    tcase_add_test(tc, an_hour_behind_a_slow_uplink_without_it);
    tcase_add_test(tc, numbers_from_a_hostile_peer_do_no_harm);
}

int main(void)
{
    return run_suite("adapt", fill);
}
