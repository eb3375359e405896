/* The inlet's rules and every row of its state table, messages in and messages out.
 * Relies on link_trace.h: what is said is compared as text.
 * Leaves bytes to test_link_wire.c, sockets to test_link_socket.c, chains of stages to
 * test_link_sim.c. */
#include "common/link_inlet.h"

#include <errno.h>

#include "common/log.h"
#include "tests/unit/link_trace.h"

static struct inlet *in;
static int64_t now;
static int refuse_item; /* what the stage answers to an item */

/* ---- what the inlet calls ---- */

static void on_send(void *arg, unsigned link, const struct link_msg *m)
{
    (void)arg;
    trace_msg(link, m);
}

static void on_open(void *arg, struct inlet_session *s, const struct link_msg *m)
{
    (void)arg, (void)s;
    tracef("open");
    trace_vector(&m->vector);
    tracef("; ");
}

static int on_item(void *arg, struct inlet_session *s, struct link_item *item)
{
    (void)arg, (void)s;
    tracef("item");
    trace_item(item);
    tracef("; ");
    link_item_fini(item);
    return refuse_item;
}

static void on_ended(void *arg, struct inlet_session *s)
{
    (void)arg, (void)s;
    tracef("ended; ");
}

static void on_moved(void *arg, struct inlet_session *s)
{
    (void)arg, (void)s;
    tracef("moved; ");
}

/* ---- what a test does ---- */

static void setup(void)
{
    struct inlet_conf conf = {.instance = "m", .incarnation = 9, .heartbeat_ns = 250 * MS};
    struct inlet_ops ops = {
        .send = on_send, .open = on_open, .item = on_item, .ended = on_ended, .moved = on_moved};
    trace_len = 0;
    refuse_item = 0;
    now = 10000 * MS;
    in = inlet_create(&conf, &ops, NULL);
    inlet_tick(in, now);
    inlet_link_up(in, 0, now);
    inlet_link_up(in, 1, now);
    said("0 Hello \"m\"; 1 Hello \"m\"");
}

static void teardown(void)
{
    inlet_destroy(&in);
}

static void receive(unsigned link, struct link_msg *m)
{
    inlet_receive(in, link, m, now);
    link_msg_fini(m);
}

static void open_as(unsigned link, const char *stream, const char *vector, const char *tracks)
{
    struct link_msg m = {.type = LINK_OPEN, .vector = vec(vector)};
    snprintf(m.stream, sizeof m.stream, "%s", stream);
    m.open.ntracks = tracks_of(tracks, NULL, m.open.tracks);
    receive(link, &m);
}

static struct inlet_session *cam(void)
{
    struct inlet_session *s = inlet_find(in, "cam");
    ck_assert_ptr_nonnull(s);
    return s;
}

static void resume(const char *positions)
{
    struct link_positions p = at(positions);
    inlet_resume(in, cam(), &p);
}

static void ack(const char *positions)
{
    struct link_positions p = at(positions);
    inlet_ack(in, cam(), &p);
}

/* A session of two raw tracks, open on link 0 under the vector, nothing said yet. */
static void opened(const char *vector)
{
    open_as(0, "cam", vector, "rr");
    resume("0+8,0+8");
    trace();
}

static void frame_with(unsigned link, const char *vector, unsigned track, uint64_t seq,
                       uint64_t format, bool is_new)
{
    struct link_format *f = format_of('r', format);
    struct link_msg m = {.type = LINK_FRAME, .stream = "cam", .vector = vec(vector)};
    m.item.item = frame_of(f, track, seq, false, 0, 4);
    link_format_unref(&m.item.item.format);
    m.item.format_number = format;
    m.item.new_format = is_new ? link_format_ref(f) : NULL;
    link_format_unref(&f);
    receive(link, &m);
}

static void frame(unsigned link, const char *vector, unsigned track, uint64_t seq)
{
    frame_with(link, vector, track, seq, 1, false);
}

static void gap(const char *vector, unsigned track, uint64_t first, uint64_t last)
{
    struct link_msg m = {.type = LINK_GAP, .stream = "cam", .vector = vec(vector)};
    m.item.item = (struct link_item){
        .gap = true, .track = (uint8_t)track, .seq = first, .last = last, .reason = 1};
    receive(0, &m);
}

static void closed(unsigned link, const char *vector, enum link_close_reason reason)
{
    struct link_msg m = {.type = LINK_CLOSE, .stream = "cam", .vector = vec(vector)};
    m.close.reason = reason;
    receive(link, &m);
}

static void beat_from(unsigned link, uint64_t outlet, const char *vector, const char *sent)
{
    struct link_msg m = {.type = LINK_HEARTBEAT};
    m.heartbeat.incarnation = outlet;
    if (vector) {
        m.heartbeat.sessions = calloc(1, sizeof *m.heartbeat.sessions);
        m.heartbeat.nsessions = 1;
        strcpy(m.heartbeat.sessions[0].stream, "cam");
        m.heartbeat.sessions[0].vector = vec(vector);
        m.heartbeat.sessions[0].at = at(sent);
    }
    receive(link, &m);
}

static void beat(unsigned link, const char *vector, const char *sent)
{
    beat_from(link, 500 + link, vector, sent);
}

static void ask_from(unsigned link, uint64_t outlet, uint32_t version)
{
    struct link_msg m = {.type = LINK_HELLO};
    m.hello.version = version;
    m.hello.incarnation = outlet;
    receive(link, &m);
}

/* ---- the rules, by their numbers in proto/README.md ---- */

START_TEST(rule_1_fence_at_the_log_by_every_vector_seen)
{
    open_as(0, "cam", "1.2.1", "r");
    said("open 1.2.1");
    static const char *const old[] = {"1.2.1", "1.1.9", "1.2", "1.1", "0.9.9.9"};
    for (unsigned i = 0; i < 5; i++) {
        char expect[64];
        open_as(1, "cam", old[i], "r");
        snprintf(expect, sizeof expect, "1 Close %s fenced 1.2.1", old[i]);
        said(expect);
    }
    resume("0+8");
    said("0 Resume 1.2.1 0+8"); /* the rightful one goes on */
}
END_TEST

START_TEST(rule_1_what_a_passed_over_owner_sends_is_never_taken)
{
    opened("1.1.1");
    open_as(1, "cam", "1.1.2", "rr");
    resume("0+8,0+8");
    trace();
    frame(0, "1.1.1", 1, 0); /* it woke up */
    said("0 Close 1.1.1 fenced 1.1.2");
    frame(0, "1.1.1", 1, 1);
    gap("1.1.1", 1, 0, 5);
    silence(); /* told once */
    frame(1, "1.1.2", 1, 0);
    said("item t1#0");
}
END_TEST

START_TEST(rule_2_the_fence_is_durable)
{
    struct link_vector v = vec("1.2.3.4"); /* as the log has it after a restart */
    inlet_set_greatest(in, "cam", &v);
    v = vec("1.2.2.9");
    inlet_set_greatest(in, "cam", &v); /* never lowered */
    open_as(0, "cam", "1.2.3.3", "r");
    open_as(0, "cam", "1.2.3.4", "r");
    open_as(0, "cam", "1.2.3.5", "r");
    said("0 Close 1.2.3.3 fenced 1.2.3.4; 0 Close 1.2.3.4 fenced 1.2.3.4; open 1.2.3.5");
}
END_TEST

START_TEST(rule_4_a_session_is_answered_only_with_what_the_stage_was_told)
{
    open_as(0, "cam", "1.1", "rr");
    inlet_flush(in);
    frame(0, "1.1", 1, 0); /* before the answer: nobody knows what is wanted */
    said("open 1.1");
    resume("41+8,7+8");
    frame(0, "1.1", 1, 41);
    said("0 Resume 1.1 41+8,7+8; item t1#41");
}
END_TEST

START_TEST(rule_5_nothing_is_acked_by_being_taken)
{
    opened("1.1");
    frame(0, "1.1", 1, 0);
    frame(0, "1.1", 1, 1);
    inlet_flush(in);
    said("item t1#0; item t1#1");
    ack("1+8,0+8");
    inlet_flush(in);
    said("0 Ack 1.1 1+8,0+8");
}
END_TEST

START_TEST(rule_6_answers_are_matched)
{
    opened("1.3");
    frame(0, "1.4", 1, 0);   /* of a session whose Open was lost */
    frame(0, "1.3.1", 1, 0); /* longer */
    frame(1, "1.3", 1, 0);   /* over another link */
    gap("1.4", 1, 0, 3);
    closed(0, "1.4", LINK_CLOSE_ENDED);
    closed(1, "1.3", LINK_CLOSE_ENDED);
    closed(0, "1.2", LINK_CLOSE_MOVED);
    silence();
    frame(0, "1.3", 1, 0);
    said("item t1#0");
}
END_TEST

START_TEST(rule_7_numbers_are_contiguous)
{
    static const uint64_t wrong[] = {0, 1, 3, 1000};
    for (unsigned i = 0; i < 4; i++) {
        char vector[8];
        snprintf(vector, sizeof vector, "1.%u", i + 1);
        opened(vector);
        frame(0, vector, 1, 0);
        frame(0, vector, 1, 1);
        trace();
        frame(0, vector, 1, wrong[i]); /* lost, or sent twice: never skipped, never left out */
        said("0 Hello \"m\"");
        frame(0, vector, 1, 2); /* the session is over */
        silence();
        ck_assert_uint_eq(inlet_refused(in), i + 1);
    }
}
END_TEST

START_TEST(rule_7_a_gap_takes_the_numbers_place)
{
    opened("1.1");
    gap("1.1", 1, 0, 3);
    frame(0, "1.1", 2, 0); /* tracks are numbered each by itself */
    frame(0, "1.1", 1, 4);
    gap("1.1", 1, 6, 7);
    said("item t1#0..3 window_full; item t2#0; item t1#4; 0 Hello \"m\"");
}
END_TEST

START_TEST(rule_7_a_reconnect_ends_sessions)
{
    opened("1.1");
    frame(0, "1.1", 1, 0);
    trace();
    inlet_link_up(in, 0, now);
    said("0 Hello \"m\"");
    frame(0, "1.1", 1, 1); /* of the connection before, still to be read */
    silence();
    open_as(0, "cam", "1.2", "rr");
    resume("1+8,0+8");
    frame(0, "1.2", 1, 1);
    said("open 1.2; 0 Resume 1.2 1+8,0+8; item t1#1");
}
END_TEST

START_TEST(rule_7_hello_ends_all_sessions_of_its_link_and_no_other)
{
    opened("1.1");
    open_as(1, "other", "1.1", "r");
    inlet_link_up(in, 0, now);
    trace();
    now += 250 * MS;
    inlet_tick(in, now);
    said("0 Heartbeat; 1 Heartbeat [other 1.1]");
}
END_TEST

START_TEST(rule_8_heartbeats_carry_positions)
{
    opened("1.1");
    frame(0, "1.1", 1, 0);
    frame(0, "1.1", 1, 1);
    frame(0, "1.1", 2, 0);
    ack("1+8,0+8");
    trace();
    now += 250 * MS;
    inlet_tick(in, now);
    said("0 Ack 1.1 1+8,0+8; 0 Heartbeat [cam 1.1 2+8,1+8 acked 1+8,0+8]; 1 Heartbeat");
}
END_TEST

START_TEST(rule_8_a_session_that_asks_is_listed_without_positions)
{
    open_as(0, "cam", "1.1", "r");
    trace();
    now += 250 * MS;
    inlet_tick(in, now);
    said("0 Heartbeat [cam 1.1]; 1 Heartbeat");
}
END_TEST

START_TEST(rule_8_hello_when_two_heartbeats_show_a_frame_that_did_not_come)
{
    opened("1.1");
    beat(0, "1.1", "1+0,0+0");
    silence();
    beat(0, "1.1", "0+0,0+0"); /* not twice in a row */
    beat(0, "1.1", "1+0,0+0");
    silence();
    beat(0, "1.1", "1+0,0+0");
    said("0 Hello \"m\"");
}
END_TEST

START_TEST(rule_8_hello_when_two_heartbeats_show_a_session_that_never_came)
{
    beat(0, "1.1", "");
    silence();
    beat(0, "1.1", "");
    said("0 Hello \"m\"");
    opened("1.2");
    beat(0, "1.3", ""); /* the Open of the next one was lost */
    beat(0, "1.3", "");
    said("0 Hello \"m\"");
}
END_TEST

START_TEST(rule_8_a_passed_over_owner_does_not_make_it_ask)
{
    opened("1.2");
    for (int i = 0; i < 5; i++)
        beat(1, "1.1", "7+0");
    silence();
}
END_TEST

START_TEST(rule_11_credit_goes_up_with_every_answer)
{
    opened("1.1");
    ack("0+3,0+8");
    inlet_flush(in);
    ack("0+0,0+8");
    inlet_flush(in);
    said("0 Ack 1.1 0+3,0+8; 0 Ack 1.1 0+0,0+8");
}
END_TEST

/* ---- the state table, row by row ---- */

START_TEST(open_with_a_greater_vector_throws_the_older_session_away)
{
    opened("1.1");
    frame(0, "1.1", 1, 0);
    open_as(1, "cam", "2.1", "r"); /* a new epoch, over another link */
    said("item t1#0; open 2.1");
    ck_assert(!inlet_session_is_open(cam()));
    frame(0, "1.1", 1, 1);
    said("0 Close 1.1 fenced 2.1");
    resume("0+8");
    said("1 Resume 2.1 0+8");
}
END_TEST

START_TEST(asking_takes_one_answer)
{
    open_as(0, "cam", "1.1", "r");
    resume("3+8");
    resume("0+8");
    said("open 1.1; 0 Resume 1.1 3+8");
    ck_assert_uint_eq(inlet_session_next(cam()).next[0], 3);
}
END_TEST

START_TEST(open_takes_the_next_number_with_its_format)
{
    opened("1.1");
    frame_with(0, "1.1", 1, 0, 1, true);
    frame(0, "1.1", 1, 1);
    frame_with(0, "1.1", 1, 2, 5, true);
    frame_with(0, "1.1", 1, 3, 5, false);
    said("item t1#0; item t1#1; item t1#2; item t1#3");
    frame_with(0, "1.1", 1, 4, 6, false); /* never announced */
    said("0 Hello \"m\"");
}
END_TEST

START_TEST(open_breaks_when_the_stage_refuses_an_item)
{
    opened("1.1");
    refuse_item = -EIO;
    frame(0, "1.1", 1, 0);
    refuse_item = 0;
    frame(0, "1.1", 1, 1);
    said("item t1#0"); /* no Hello: other streams of the link go on */
    now += 250 * MS;
    inlet_tick(in, now);
    said("0 Heartbeat; 1 Heartbeat"); /* not listed, so the outlet opens it again */
}
END_TEST

START_TEST(broken_says_hello_itself_when_the_outlet_does_not_see_it)
{
    opened("1.1");
    inlet_break(in, cam());
    for (int i = 0; i < 5; i++)
        beat(0, "1.1", "0+0,0+0");
    silence();
    beat(0, "1.1", "0+0,0+0");
    said("0 Hello \"m\"");
}
END_TEST

START_TEST(acks_of_one_turn_become_one)
{
    opened("1.1");
    ack("1+8,0+8");
    ack("2+8,1+8");
    ack("1+7,0+7"); /* positions only grow, the newest credit counts */
    inlet_flush(in);
    inlet_flush(in);
    said("0 Ack 1.1 2+7,1+7");
}
END_TEST

START_TEST(the_newest_backlog_goes_up)
{
    opened("1.1");
    ack("1+8,0+8@1500/9000");
    ack("1+8,0+8@1400/8000");
    inlet_flush(in);
    said("0 Ack 1.1 1+8,0+8@1400/8000");
}
END_TEST

START_TEST(acks_wait_for_an_open_session)
{
    open_as(0, "cam", "1.1", "r");
    ack("1+8");
    inlet_flush(in);
    said("open 1.1");
    resume("0+8");
    ack("1+8");
    inlet_link_up(in, 0, now); /* broken before the turn ended */
    trace();
    inlet_flush(in);
    silence();
}
END_TEST

START_TEST(fence_from_below_is_passed_up_with_its_vector)
{
    struct link_vector greatest = vec("3.1.1.1");
    opened("1.1");
    inlet_fence(in, cam(), &greatest);
    said("0 Close 1.1 fenced 3.1.1.1");
    frame(0, "1.1", 1, 0);
    resume("0+8,0+8");
    inlet_fence(in, cam(), &greatest);
    silence();
}
END_TEST

START_TEST(moved_forgets_the_stream)
{
    opened("1.1");
    closed(0, "1.1", LINK_CLOSE_MOVED);
    said("moved");
    frame(0, "1.1", 1, 0);
    beat(0, "1.1", "5+0,0+0");
    beat(0, "1.1", "5+0,0+0");
    silence();
    open_as(0, "cam", "1.2", "r"); /* and back again */
    said("open 1.2");
}
END_TEST

START_TEST(ended_is_told_once_and_again_when_it_went_on)
{
    opened("1.1");
    closed(0, "1.1", LINK_CLOSE_ENDED);
    closed(0, "1.1", LINK_CLOSE_ENDED);
    frame(0, "1.1", 1, 0);
    closed(0, "1.1", LINK_CLOSE_ENDED);
    said("ended; item t1#0; ended");
}
END_TEST

START_TEST(drain_says_so_on_every_link_after_the_last_acks)
{
    opened("1.1");
    ack("1+8,0+8");
    inlet_link_down(in, 1);
    inlet_drain(in);
    said("0 Ack 1.1 1+8,0+8; 0 Close draining");
}
END_TEST

START_TEST(a_lost_connection_gets_nothing_until_it_is_back)
{
    opened("1.1");
    inlet_link_down(in, 0);
    ack("1+8,0+8");
    for (int i = 0; i < 3; i++) {
        now += 250 * MS;
        inlet_tick(in, now);
    }
    said("1 Heartbeat; 1 Heartbeat; 1 Heartbeat");
    frame(0, "1.1", 1, 0); /* was read late */
    ask_from(0, 500, LINK_VERSION);
    silence();
    inlet_link_up(in, 0, now);
    said("0 Hello \"m\"");
}
END_TEST

START_TEST(an_empty_hello_from_above_is_answered)
{
    opened("1.1");
    ask_from(0, 500, LINK_VERSION);
    said("0 Hello \"m\"");
    frame(0, "1.1", 1, 0);
    silence();
}
END_TEST

START_TEST(one_outlet_under_two_addresses_gets_one_link)
{
    beat_from(0, 500, NULL, NULL);
    ask_from(1, 500, LINK_VERSION); /* it took link 0 for the newer one */
    silence();
    now += 250 * MS;
    beat_from(0, 500, NULL, NULL);
    inlet_tick(in, now);
    said("0 Heartbeat");
    ask_from(1, 501, LINK_VERSION); /* another process has the second address now */
    said("1 Hello \"m\"");
}
END_TEST

START_TEST(the_spare_link_takes_over_when_the_other_goes_or_falls_silent)
{
    for (int how = 0; how < 2; how++) {
        beat_from(0, 500, NULL, NULL);
        ask_from(1, 500, LINK_VERSION);
        silence();
        if (how == 0)
            inlet_link_down(in, 0);
        else
            now += 1000 * MS;
        now += 250 * MS;
        inlet_tick(in, now);
        ck_assert_uint_eq(trace_count(trace(), "1 Hello"), 1);
        inlet_link_up(in, 0, now);
        inlet_link_up(in, 1, now);
        trace();
    }
}
END_TEST

/* ---- hostile messages ---- */

START_TEST(vectors_too_short_or_too_long_are_refused)
{
    open_as(0, "cam", "1", "r");
    open_as(0, "cam", "1.2.3.4.5.6.7.8", "r"); /* a relay adds a number of its own */
    silence();
    ck_assert_uint_eq(inlet_refused(in), 2);
    open_as(0, "cam", "1.2.3.4.5.6.7", "r");
    said("open 1.2.3.4.5.6.7");
}
END_TEST

START_TEST(a_track_that_open_did_not_name_ends_the_session)
{
    opened("1.1");
    frame(0, "1.1", 3, 0);
    said("0 Hello \"m\"");
    ck_assert_uint_eq(inlet_refused(in), 1);
}
END_TEST

START_TEST(messages_for_the_other_end_are_refused)
{
    static const enum link_type types[] = {LINK_RESUME, LINK_ACK, LINK_NONE};
    opened("1.1");
    for (unsigned i = 0; i < 3; i++) {
        struct link_msg m = {.type = types[i], .stream = "cam", .vector = vec("1.1")};
        receive(0, &m);
    }
    closed(0, "1.1", LINK_CLOSE_FENCED);
    closed(0, "1.1", LINK_CLOSE_DRAINING);
    ask_from(0, 500, LINK_VERSION + 1);
    silence();
    ck_assert_uint_eq(inlet_refused(in), 6);
    ck_assert(inlet_session_is_open(cam()));
}
END_TEST

START_TEST(links_out_of_range_are_ignored)
{
    inlet_link_up(in, 100000, now);
    inlet_link_down(in, 100000);
    beat(100000, NULL, NULL);
    silence();
}
END_TEST

START_TEST(messages_before_hello_are_ignored)
{
    open_as(5, "cam", "1.1", "r");
    beat(5, NULL, NULL);
    silence();
    ck_assert_ptr_null(inlet_find(in, "cam"));
}
END_TEST

START_TEST(more_streams_than_the_bound_are_refused)
{
    char name[16];
    for (unsigned i = 0; i < 4100; i++) {
        snprintf(name, sizeof name, "s%u", i);
        open_as(0, name, "1.1", "r");
        trace();
    }
    ck_assert_uint_eq(inlet_refused(in), 4);
}
END_TEST

static void fill(TCase *tc)
{
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, rule_1_fence_at_the_log_by_every_vector_seen);
    tcase_add_test(tc, rule_1_what_a_passed_over_owner_sends_is_never_taken);
    tcase_add_test(tc, rule_2_the_fence_is_durable);
    tcase_add_test(tc, rule_4_a_session_is_answered_only_with_what_the_stage_was_told);
    tcase_add_test(tc, rule_5_nothing_is_acked_by_being_taken);
    tcase_add_test(tc, rule_6_answers_are_matched);
    tcase_add_test(tc, rule_7_numbers_are_contiguous);
    tcase_add_test(tc, rule_7_a_gap_takes_the_numbers_place);
    tcase_add_test(tc, rule_7_a_reconnect_ends_sessions);
    tcase_add_test(tc, rule_7_hello_ends_all_sessions_of_its_link_and_no_other);
    tcase_add_test(tc, rule_8_heartbeats_carry_positions);
    tcase_add_test(tc, rule_8_a_session_that_asks_is_listed_without_positions);
    tcase_add_test(tc, rule_8_hello_when_two_heartbeats_show_a_frame_that_did_not_come);
    tcase_add_test(tc, rule_8_hello_when_two_heartbeats_show_a_session_that_never_came);
    tcase_add_test(tc, rule_8_a_passed_over_owner_does_not_make_it_ask);
    tcase_add_test(tc, rule_11_credit_goes_up_with_every_answer);
    tcase_add_test(tc, open_with_a_greater_vector_throws_the_older_session_away);
    tcase_add_test(tc, asking_takes_one_answer);
    tcase_add_test(tc, open_takes_the_next_number_with_its_format);
    tcase_add_test(tc, open_breaks_when_the_stage_refuses_an_item);
    tcase_add_test(tc, broken_says_hello_itself_when_the_outlet_does_not_see_it);
    tcase_add_test(tc, acks_of_one_turn_become_one);
    tcase_add_test(tc, the_newest_backlog_goes_up);
    tcase_add_test(tc, acks_wait_for_an_open_session);
    tcase_add_test(tc, fence_from_below_is_passed_up_with_its_vector);
    tcase_add_test(tc, moved_forgets_the_stream);
    tcase_add_test(tc, ended_is_told_once_and_again_when_it_went_on);
    tcase_add_test(tc, drain_says_so_on_every_link_after_the_last_acks);
    tcase_add_test(tc, a_lost_connection_gets_nothing_until_it_is_back);
    tcase_add_test(tc, an_empty_hello_from_above_is_answered);
    tcase_add_test(tc, one_outlet_under_two_addresses_gets_one_link);
    tcase_add_test(tc, the_spare_link_takes_over_when_the_other_goes_or_falls_silent);
    tcase_add_test(tc, vectors_too_short_or_too_long_are_refused);
    tcase_add_test(tc, a_track_that_open_did_not_name_ends_the_session);
    tcase_add_test(tc, messages_for_the_other_end_are_refused);
    tcase_add_test(tc, links_out_of_range_are_ignored);
    tcase_add_test(tc, messages_before_hello_are_ignored);
    tcase_add_test(tc, more_streams_than_the_bound_are_refused);
}

int main(void)
{
    log_init("test", LOG_NONE);
    return run_suite("link_inlet", fill);
}
