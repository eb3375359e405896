/* Claims about uploader/pressure: each threshold, its hysteresis, and an hour behind an uplink of
 * half the stream's bitrate. Relies on Check and a simulated uplink. Leaves log lines and metrics
 * to tests/faults/pressure. */
#include "uploader/pressure.h"

#include "common/clock.h"
#include "tests/unit/link_trace.h"
#include "tests/unit/uplink.h"

#define CAPACITY_BYTES 1000

static const struct pressure_conf conf = {.max_latency_ms = 60000, .staleness_ms = 60000};
static const struct pressure_sample calm = {.free_bytes = CAPACITY_BYTES,
                                            .capacity_bytes = CAPACITY_BYTES};

/* Feeds one sample; what it says goes to the trace. */
static void feed(struct pressure *p, const struct pressure_sample *now, int64_t now_ns)
{
    static const char *const names[] = {"storage", "latency", "stale"};
    struct pressure_event out[PRESSURE_KINDS];
    unsigned n = pressure_feed(p, now, now_ns, out);

    for (unsigned i = 0; i < n; i++) {
        tracef("%s %s", names[out[i].kind], out[i].on ? "begins" : "over");
        if (!out[i].on)
            tracef(" after %lld s", (long long)(out[i].lasted_ns / NS_PER_S));
        tracef("; ");
    }
}

static void feed_free(struct pressure *p, uint64_t free_bytes)
{
    struct pressure_sample now = calm;
    now.free_bytes = free_bytes;
    feed(p, &now, 0);
}

START_TEST(storage_pressure_begins_at_five_percent_free_and_is_over_at_ten)
{
    struct pressure p;
    pressure_init(&p, &conf);
    feed_free(&p, 51);
    silence();
    feed_free(&p, 50);
    said("storage begins");
    feed_free(&p, 0);
    feed_free(&p, 51);
    feed_free(&p, 99);
    silence();
    feed_free(&p, 100);
    said("storage over after 0 s");
    feed_free(&p, 99);
    feed_free(&p, 51);
    silence();
    ck_assert_uint_eq(p.states[PRESSURE_STORAGE].events, 1);
}
END_TEST

START_TEST(a_spool_of_unknown_size_is_never_full)
{
    struct pressure p;
    struct pressure_sample now = {0};
    pressure_init(&p, &conf);
    feed(&p, &now, 0);
    silence();
}
END_TEST

static void feed_backlog(struct pressure *p, int64_t ms)
{
    struct pressure_sample now = calm;
    now.backlog_ms = ms;
    feed(p, &now, ms * NS_PER_MS);
}

START_TEST(latency_pressure_begins_above_max_latency_and_is_over_at_half)
{
    struct pressure p;
    pressure_init(&p, &conf);
    feed_backlog(&p, 60000);
    silence();
    feed_backlog(&p, 60001);
    said("latency begins");
    feed_backlog(&p, 3600000);
    feed_backlog(&p, 30001);
    silence();
    p.states[PRESSURE_LATENCY].since_ns = 0;
    feed_backlog(&p, 30000);
    said("latency over after 30 s");
    feed_backlog(&p, 60000);
    silence();
}
END_TEST

START_TEST(max_latency_0_never_tells)
{
    struct pressure p;
    pressure_init(&p, &(struct pressure_conf){.staleness_ms = 60000});
    feed_backlog(&p, INT64_MAX / NS_PER_MS);
    silence();
}
END_TEST

static void feed_acks(struct pressure *p, int64_t unacked_ms, uint64_t acks)
{
    struct pressure_sample now = calm;
    now.backlog_ms = 1000;
    now.unacked_ms = unacked_ms;
    now.acks = acks;
    feed(p, &now, 0);
}

START_TEST(a_connection_is_stale_without_an_ack_for_staleness_and_until_the_next_ack)
{
    struct pressure p;
    pressure_init(&p, &conf);
    feed_acks(&p, 59999, 7);
    silence();
    feed_acks(&p, 60000, 7);
    said("stale begins");
    feed_acks(&p, 0, 7); /* the session began anew */
    feed_acks(&p, 500, 7);
    silence();
    feed_acks(&p, 100, 8);
    said("stale over after 0 s");
}
END_TEST

START_TEST(a_stale_connection_is_over_when_nothing_waits)
{
    struct pressure p;
    pressure_init(&p, &conf);
    feed_acks(&p, 60000, 7);
    said("stale begins");
    feed(&p, &(struct pressure_sample){.acks = 7}, NS_PER_S);
    said("stale over after 1 s");
}
END_TEST

START_TEST(all_of_them_at_once)
{
    struct pressure p;
    struct pressure_sample now = {
        .backlog_ms = 60001, .capacity_bytes = CAPACITY_BYTES, .unacked_ms = 60000};
    pressure_init(&p, &conf);
    feed(&p, &now, 0);
    said("storage begins; latency begins; stale begins");
    now = calm;
    feed(&p, &now, 9 * NS_PER_S);
    said("storage over after 9 s; latency over after 9 s; stale over after 9 s");
}
END_TEST

/* Simulated: 2000 kbit/s of video, 1000 for an hour, then 8000. The spool holds 460 MB, so it is at
 * 95 % when the hour is nearly over. Each threshold tells once, when it is due. */
START_TEST(an_hour_behind_half_the_bitrate_tells_each_threshold_once)
{
    static struct uplink u;
    const uint64_t capacity = 460000000;
    int64_t begun[PRESSURE_KINDS] = {0}, over[PRESSURE_KINDS] = {0};
    struct pressure p;
    struct pressure_event out[PRESSURE_KINDS];

    u = (struct uplink){0};
    pressure_init(&p, &conf);
    for (int64_t s = 1; s <= 2 * 3600; s++) {
        uplink_pass(&u, 1000, 2000, s <= 3600 ? 1000 : 8000, s * NS_PER_S);
        struct pressure_sample now = {.backlog_ms = (int64_t)u.ms,
                                      .free_bytes = capacity - u.bytes,
                                      .capacity_bytes = capacity,
                                      .unacked_ms = s * 1000 - u.acked_ns / NS_PER_MS,
                                      .acks = u.acks};
        claim(u.bytes < capacity);
        unsigned n = pressure_feed(&p, &now, s * NS_PER_S, out);
        for (unsigned i = 0; i < n; i++)
            *(out[i].on ? &begun[out[i].kind] : &over[out[i].kind]) = s;
    }
    ck_assert_uint_eq(p.states[PRESSURE_LATENCY].events, 1);
    ck_assert_uint_eq(p.states[PRESSURE_STORAGE].events, 1);
    ck_assert_uint_eq(p.states[PRESSURE_STALE].events, 0);
    /* half of each second stays behind: 60 s of video after 120 s, 437 MB after 3496 s */
    ck_assert_int_ge(begun[PRESSURE_LATENCY], 116);
    ck_assert_int_le(begun[PRESSURE_LATENCY], 124);
    ck_assert_int_ge(begun[PRESSURE_STORAGE], 3480);
    ck_assert_int_le(begun[PRESSURE_STORAGE], 3500);
    ck_assert_int_gt(over[PRESSURE_STORAGE], 3600);
    ck_assert_int_gt(over[PRESSURE_LATENCY], over[PRESSURE_STORAGE]);
    ck_assert_uint_le(u.ms, 2 * UPLINK_FRAGMENT_MS);
}
END_TEST

static void fill(TCase *tc)
{
    tcase_add_test(tc, storage_pressure_begins_at_five_percent_free_and_is_over_at_ten);
    tcase_add_test(tc, a_spool_of_unknown_size_is_never_full);
    tcase_add_test(tc, latency_pressure_begins_above_max_latency_and_is_over_at_half);
    tcase_add_test(tc, max_latency_0_never_tells);
    tcase_add_test(tc, a_connection_is_stale_without_an_ack_for_staleness_and_until_the_next_ack);
    tcase_add_test(tc, a_stale_connection_is_over_when_nothing_waits);
    tcase_add_test(tc, all_of_them_at_once);
    tcase_add_test(tc, an_hour_behind_half_the_bitrate_tells_each_threshold_once);
}

int main(void)
{
    return run_suite("pressure", fill);
}
