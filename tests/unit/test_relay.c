/* A stage in the middle, between two fakes: what it asks below before it answers above.
 * Relies on relay_create_wired and link_trace.h; "up" and "down" name the direction of what it
 * says. Leaves chains of stages under faults to test_link_sim.c. */
#include "common/relay.h"

#include "common/log.h"
#include "tests/unit/link_trace.h"

static struct relay *r;
static int64_t now;
static unsigned sessions; /* begun and not dropped */
static bool hold;         /* the stage keeps what it takes */
static struct link_item held[8];
static unsigned nheld;
static struct relay_stream *stream;

static int send_down(void *arg, uint64_t peer, const struct link_msg *m)
{
    (void)arg;
    tracef("down ");
    trace_msg(peer, m);
    return 0;
}

static void send_up(void *arg, unsigned link, const struct link_msg *m)
{
    (void)arg;
    tracef("up ");
    trace_msg(link, m);
}

static int64_t sim_now(void *arg)
{
    (void)arg;
    return now;
}

/* ---- the stage: passes items on, or holds them ---- */

static void on_begin(void *arg, struct relay_stream *s, const struct link_track *tracks,
                     unsigned ntracks, const struct link_positions *p, void **user)
{
    (void)arg, (void)tracks;
    sessions++;
    stream = s;
    *user = &sessions;
    tracef("begin %u", ntracks);
    trace_positions(p);
    tracef("; ");
}

static void on_item(void *arg, struct relay_stream *s, void *user, struct link_item *item)
{
    (void)arg;
    ck_assert_ptr_eq(user, &sessions);
    if (hold) {
        held[nheld++] = *item;
        return;
    }
    relay_put(s, item);
}

static void on_ended(void *arg, struct relay_stream *s, void *user)
{
    (void)arg, (void)user;
    tracef("ended; ");
    relay_end(s);
}

static void on_drop(void *arg, struct relay_stream *s, void *user)
{
    (void)arg, (void)s;
    ck_assert_ptr_eq(user, &sessions);
    sessions--;
    stream = NULL;
    while (nheld)
        link_item_fini(&held[--nheld]);
    tracef("drop; ");
}

static uint64_t credit_of(const struct link_format *f)
{
    return f->codec == LINK_CODEC_RAW_VIDEO ? 4 : 0;
}

static void setup(void)
{
    static const struct conf_link link = {.heartbeat_ms = 250, .silence_ms = 1000};
    static const struct relay_ops ops = {
        .begin = on_begin, .item = on_item, .ended = on_ended, .drop = on_drop};
    struct relay_conf conf = {.instance = "m", .link = &link, .credit = credit_of};
    struct relay_wire wire = {send_down, send_up, sim_now, NULL, 9};

    trace_len = 0;
    sessions = nheld = 0;
    hold = false;
    now = 10000 * MS;
    r = relay_create_wired(&conf, &wire, &ops, NULL);
    inlet_link_up(relay_inlet(r), 0, now);
    trace();
}

static void teardown(void)
{
    relay_destroy(&r, false);
    ck_assert_uint_eq(sessions, 0);
}

/* ---- the neighbours ---- */

static void hello(uint64_t peer, const char *instance)
{
    struct link_msg m = {.type = LINK_HELLO};
    m.hello.version = LINK_VERSION;
    strcpy(m.hello.instance, instance);
    m.hello.incarnation = 100 + peer;
    outlet_receive(relay_outlet(r), peer, &m, now);
}

static void open_as(const char *vector, const char *tracks)
{
    struct link_msg m = {.type = LINK_OPEN, .stream = "cam", .vector = vec(vector)};
    m.open.ntracks = tracks_of(tracks, NULL, m.open.tracks);
    inlet_receive(relay_inlet(r), 0, &m, now);
    link_msg_fini(&m);
}

static void answer(enum link_type type, const char *vector, const char *positions)
{
    struct link_msg m = {.type = type, .stream = "cam", .vector = vec(vector)};
    m.positions = at(positions);
    outlet_receive(relay_outlet(r), 1, &m, now);
    inlet_flush(relay_inlet(r));
}

static void frame(const char *vector, uint64_t seq)
{
    struct link_format *f = format_of('r', 1);
    struct link_msg m = {.type = LINK_FRAME, .stream = "cam", .vector = vec(vector)};
    m.item.item = frame_of(f, 1, seq, true, (int64_t)seq * 10 * MS, 4);
    link_format_unref(&m.item.item.format);
    link_format_unref(&f);
    m.item.format_number = 1;
    inlet_receive(relay_inlet(r), 0, &m, now);
    link_msg_fini(&m);
}

static void close_above(const char *vector, enum link_close_reason reason)
{
    struct link_msg m = {.type = LINK_CLOSE, .stream = "cam", .vector = vec(vector)};
    m.close.reason = reason;
    inlet_receive(relay_inlet(r), 0, &m, now);
}

static void opened(void)
{
    hello(1, "u");
    open_as("1.1", "r");
    answer(LINK_RESUME, "1.1.1", "0+8");
    trace();
}

/* ---- the rules, by their numbers in proto/README.md ---- */

START_TEST(rule_3_own_numbers_begin_at_one_for_every_open_from_above)
{
    hello(1, "u");
    open_as("1.1", "r");
    hello(1, "u");
    open_as("1.2", "r");
    said("down 1 Open 1.1.1; down 1 Open 1.1.2; down 1 Open 1.2.1");
}
END_TEST

START_TEST(rule_4_resume_comes_from_the_log_through_every_hop)
{
    hello(1, "u");
    open_as("1.1", "ra");
    said("down 1 Open 1.1.1"); /* and nothing goes up */
    answer(LINK_RESUME, "1.1.1", "41+3,7+9");
    said("begin 2 41+3,7+9; up 0 Resume 1.1 41+3,7+9");
}
END_TEST

START_TEST(rule_4_a_new_session_starts_empty)
{
    opened();
    hold = true;
    frame("1.1", 0);
    frame("1.1", 1);
    open_as("1.2", "r");
    said("drop; down 1 Open 1.2.1");
    ck_assert_uint_eq(nheld, 0);
    answer(LINK_RESUME, "1.2.1", "0+8"); /* whatever it had taken: the log has none of it */
    said("begin 1 0+8; up 0 Resume 1.2 0+4");
}
END_TEST

START_TEST(rule_4_what_it_had_sent_is_forgotten_too)
{
    opened();
    frame("1.1", 0);
    said("down 1 Frame 1.1.1 t1#0 key format 1");
    open_as("1.2", "r");
    answer(LINK_RESUME, "1.2.1", "0+8");
    said("drop; down 1 Open 1.2.1; begin 1 0+8; up 0 Resume 1.2 0+4");
    frame("1.2", 0);
    said("down 1 Frame 1.2.1 t1#0 key format 1");
}
END_TEST

START_TEST(rule_5_resume_and_ack_count_durable_frames_only)
{
    opened();
    frame("1.1", 0);
    frame("1.1", 1);
    inlet_flush(relay_inlet(r));
    said("down 1 Frame 1.1.1 t1#0 key format 1; down 1 Frame 1.1.1 t1#1 key");
    answer(LINK_ACK, "1.1.1", "1+8");
    said("up 0 Ack 1.1 1+4");
}
END_TEST

START_TEST(rule_6_an_old_answer_from_below_goes_nowhere)
{
    hello(1, "u");
    open_as("1.1", "r");
    open_as("1.2", "r");
    trace();
    answer(LINK_RESUME, "1.1.1", "3+8");
    silence();
}
END_TEST

START_TEST(rule_11_the_smaller_credit_goes_up)
{
    hello(1, "u");
    open_as("1.1", "ra"); /* own: 4 for raw video, as below for the rest */
    trace();
    answer(LINK_RESUME, "1.1.1", "0+8,0+8");
    answer(LINK_ACK, "1.1.1", "0+2,0+2");
    said("begin 2 0+8,0+8; up 0 Resume 1.1 0+4,0+8; up 0 Ack 1.1 0+2,0+2");
}
END_TEST

/* ---- what joins the two tables ---- */

START_TEST(the_backlog_goes_up_with_acks_and_is_told_to_the_stage)
{
    opened();
    answer(LINK_ACK, "1.1.1", "0+8@1500/9000"); /* nothing else moved */
    said("up 0 Ack 1.1 0+4@1500/9000");
    ck_assert_uint_eq(relay_stream_stats(stream).backlog_ms, 1500);
    ck_assert_uint_eq(relay_stream_stats(stream).backlog_bytes, 9000);
    answer(LINK_ACK, "1.1.1", "0+8@1500/9000");
    silence();
    answer(LINK_ACK, "1.1.1", "0+8");
    said("up 0 Ack 1.1 0+4");
    ck_assert_uint_eq(relay_stream_stats(stream).backlog_ms, 0);
}
END_TEST

START_TEST(an_open_without_anyone_below_waits)
{
    open_as("1.1", "r");
    silence();
    hello(1, "u");
    answer(LINK_RESUME, "1.1.1", "5+8");
    said("down 1 Open 1.1.1; begin 1 5+8; up 0 Resume 1.1 5+4");
}
END_TEST

START_TEST(downstream_that_comes_back_gets_what_is_held_and_upstream_need_not_know)
{
    opened();
    for (uint64_t i = 0; i < 3; i++)
        frame("1.1", i);
    hello(1, "u");
    trace();
    answer(LINK_RESUME, "1.1.2", "1+8");
    said("down 1 Frame 1.1.2 t1#1 key format 1; down 1 Frame 1.1.2 t1#2 key; up 0 Ack 1.1 1+4");
    ck_assert_uint_eq(sessions, 1);
}
END_TEST

START_TEST(downstream_that_lost_data_makes_it_ask_above)
{
    opened();
    for (uint64_t i = 0; i < 3; i++)
        frame("1.1", i);
    answer(LINK_ACK, "1.1.1", "3+8");
    hello(1, "u");
    trace();
    answer(LINK_RESUME, "1.1.2", "1+8"); /* gone here */
    now += 250 * MS;
    inlet_tick(relay_inlet(r), now);
    said("up 0 Heartbeat"); /* not listed: opened again from above */
}
END_TEST

START_TEST(a_fence_from_below_goes_up_with_its_vector_and_drops_the_stream)
{
    struct link_msg m = {.type = LINK_CLOSE, .stream = "cam", .vector = vec("1.1.1")};
    opened();
    m.close.reason = LINK_CLOSE_FENCED;
    m.close.greatest = vec("2.1.1");
    outlet_receive(relay_outlet(r), 1, &m, now);
    said("up 0 Close 1.1 fenced 2.1.1; drop");
    ck_assert_ptr_null(outlet_stream_find(relay_outlet(r), "cam"));
}
END_TEST

START_TEST(moved_away_drops_the_stream_in_silence)
{
    opened();
    frame("1.1", 0);
    trace();
    close_above("1.1", LINK_CLOSE_MOVED);
    said("drop");
    answer(LINK_ACK, "1.1.1", "1+8");
    silence();
    open_as("1.2", "r"); /* and back */
    said("down 1 Open 1.2.1");
}
END_TEST

START_TEST(ended_goes_down_after_what_the_stage_still_held)
{
    opened();
    frame("1.1", 0);
    trace();
    close_above("1.1", LINK_CLOSE_ENDED);
    said("ended; down 1 Close 1.1.1 ended");
}
END_TEST

START_TEST(an_item_out_of_order_breaks_the_session)
{
    opened();
    struct link_format *f = format_of('r', 1);
    struct link_item it = frame_of(f, 1, 5, true, 0, 1);
    link_format_unref(&f);
    ck_assert_int_lt(relay_put(stream, &it), 0);
    now += 250 * MS;
    inlet_tick(relay_inlet(r), now);
    said("up 0 Heartbeat");
}
END_TEST

START_TEST(a_stage_that_breaks_a_session_gets_a_new_one_from_the_log)
{
    opened();
    hold = true;
    frame("1.1", 0);
    relay_break(stream);
    frame("1.1", 1); /* no longer taken */
    ck_assert_uint_eq(nheld, 1);
    open_as("1.2", "r");
    answer(LINK_RESUME, "1.2.1", "0+8");
    said("drop; down 1 Open 1.2.1; begin 1 0+8; up 0 Resume 1.2 0+4");
}
END_TEST

START_TEST(an_answer_after_the_link_broke_waits_for_the_next_open)
{
    hello(1, "u");
    open_as("1.1", "r");
    inlet_link_up(relay_inlet(r), 0, now);
    trace();
    answer(LINK_RESUME, "1.1.1", "0+8");
    said("begin 1 0+8"); /* up there the session is over */
    open_as("1.2", "r");
    answer(LINK_RESUME, "1.2.1", "0+8");
    said("drop; down 1 Open 1.2.1; begin 1 0+8; up 0 Resume 1.2 0+4");
}
END_TEST

START_TEST(a_vector_without_room_for_its_own_number_is_refused)
{
    hello(1, "u");
    open_as("1.2.3.4.5.6.7.8", "r");
    silence();
    ck_assert_uint_eq(relay_refused(r), 1);
    open_as("1.2.3.4.5.6.7", "r");
    said("down 1 Open 1.2.3.4.5.6.7.1");
}
END_TEST

static void fill(TCase *tc)
{
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, rule_3_own_numbers_begin_at_one_for_every_open_from_above);
    tcase_add_test(tc, rule_4_resume_comes_from_the_log_through_every_hop);
    tcase_add_test(tc, rule_4_a_new_session_starts_empty);
    tcase_add_test(tc, rule_4_what_it_had_sent_is_forgotten_too);
    tcase_add_test(tc, rule_5_resume_and_ack_count_durable_frames_only);
    tcase_add_test(tc, rule_6_an_old_answer_from_below_goes_nowhere);
    tcase_add_test(tc, rule_11_the_smaller_credit_goes_up);
    tcase_add_test(tc, the_backlog_goes_up_with_acks_and_is_told_to_the_stage);
    tcase_add_test(tc, an_open_without_anyone_below_waits);
    tcase_add_test(tc, downstream_that_comes_back_gets_what_is_held_and_upstream_need_not_know);
    tcase_add_test(tc, downstream_that_lost_data_makes_it_ask_above);
    tcase_add_test(tc, a_fence_from_below_goes_up_with_its_vector_and_drops_the_stream);
    tcase_add_test(tc, moved_away_drops_the_stream_in_silence);
    tcase_add_test(tc, ended_goes_down_after_what_the_stage_still_held);
    tcase_add_test(tc, an_item_out_of_order_breaks_the_session);
    tcase_add_test(tc, a_stage_that_breaks_a_session_gets_a_new_one_from_the_log);
    tcase_add_test(tc, an_answer_after_the_link_broke_waits_for_the_next_open);
    tcase_add_test(tc, a_vector_without_room_for_its_own_number_is_refused);
}

int main(void)
{
    log_init("test", LOG_NONE);
    return run_suite("relay", fill);
}
