/* The outlet's rules and every row of its state table, messages in and messages out.
 * Relies on link_trace.h: what is said is compared as text.
 * Leaves bytes to test_link_wire.c, sockets to test_link_socket.c, chains of stages to
 * test_link_sim.c. */
#include "common/link_outlet.h"

#include <errno.h>

#include "common/log.h"
#include "tests/unit/link_trace.h"

static struct outlet *o;
static struct outlet_stream *cam;
static int64_t now;
static uint64_t unreachable; /* peer that cannot be routed to, or 0 */
static unsigned busy;        /* sends that answer "not now" */
static const struct outlet_window roomy = {.frames = 1000, .bytes = 1 << 20, .ns = 1000000 * MS};

/* ---- what the outlet calls ---- */

static int on_send(void *arg, uint64_t peer, const struct link_msg *m)
{
    (void)arg;
    if (peer == unreachable)
        return -EHOSTUNREACH;
    if (busy) {
        busy--;
        return -EAGAIN;
    }
    trace_msg(peer, m);
    return 0;
}

static void on_resumed(void *arg, struct outlet_stream *s, const struct link_positions *p)
{
    (void)arg, (void)s;
    tracef("resumed");
    trace_positions(p);
    tracef("; ");
}

static void on_acked(void *arg, struct outlet_stream *s, const struct link_positions *p)
{
    (void)arg, (void)s;
    tracef("acked");
    trace_positions(p);
    tracef("; ");
}

static void on_behind(void *arg, struct outlet_stream *s)
{
    (void)arg, (void)s;
    tracef("behind; ");
}

static void on_fenced(void *arg, struct outlet_stream *s, const struct link_vector *greatest,
                      bool stopped)
{
    (void)arg, (void)s;
    tracef("fenced by");
    trace_vector(greatest);
    tracef("%s; ", stopped ? " stopped" : "");
}

/* ---- what a test does ---- */

static void start(bool source, bool sticky)
{
    struct outlet_conf conf = {.heartbeat_ns = 250 * MS,
                               .silence_ns = 1000 * MS,
                               .source = source,
                               .sticky = sticky,
                               .incarnation = 77};
    struct outlet_ops ops = {.send = on_send,
                             .resumed = on_resumed,
                             .acked = on_acked,
                             .behind = on_behind,
                             .fenced = on_fenced};
    now = 10000 * MS;
    unreachable = 0;
    busy = 0;
    o = outlet_create(&conf, &ops, NULL);
}

static void setup(void)
{
    trace_len = 0;
}

static void teardown(void)
{
    outlet_destroy(&o);
}

static struct outlet_stream *add(const char *name, const char *tracks,
                                 const struct outlet_window *w, bool live)
{
    struct link_track t[LINK_TRACKS_MAX] = {0};
    unsigned n = tracks_of(tracks, NULL, t);
    struct outlet_stream *s = outlet_source_add(o, name, 1, t, n, w, live, now);
    tracks_fini(t, n);
    return s;
}

static void relay_open(const char *name, const char *vector, const char *tracks, const char *bases)
{
    struct link_track t[LINK_TRACKS_MAX] = {0};
    unsigned n = tracks_of(tracks, bases, t);
    struct link_vector v = vec(vector);
    cam = outlet_relay_open(o, name, &v, t, n, now);
    tracks_fini(t, n);
}

static void hello_as(uint64_t peer, const char *instance, uint64_t incarnation)
{
    struct link_msg m = {.type = LINK_HELLO};
    m.hello.version = LINK_VERSION;
    snprintf(m.hello.instance, sizeof m.hello.instance, "%s", instance);
    m.hello.incarnation = incarnation;
    outlet_receive(o, peer, &m, now);
}

static void hello(uint64_t peer, const char *instance)
{
    hello_as(peer, instance, 100 + peer);
}

static void answer(enum link_type type, uint64_t peer, const char *vector, const char *positions)
{
    struct link_msg m = {.type = type, .stream = "cam", .vector = vec(vector)};
    m.positions = at(positions);
    outlet_receive(o, peer, &m, now);
}

static void resume(uint64_t peer, const char *vector, const char *positions)
{
    answer(LINK_RESUME, peer, vector, positions);
}

static void ack(uint64_t peer, const char *vector, const char *positions)
{
    answer(LINK_ACK, peer, vector, positions);
}

static void closed(uint64_t peer, const char *stream, const char *vector,
                   enum link_close_reason reason, const char *greatest)
{
    struct link_msg m = {.type = LINK_CLOSE, .vector = vec(vector)};
    snprintf(m.stream, sizeof m.stream, "%s", stream);
    m.close.reason = reason;
    m.close.greatest = vec(greatest);
    outlet_receive(o, peer, &m, now);
}

/* A heartbeat that lists one session, or none (vector NULL). */
static void beat(uint64_t peer, const char *vector, const char *next, const char *acked)
{
    struct link_heartbeat_session s = {.stream = "cam"};
    struct link_msg m = {.type = LINK_HEARTBEAT};
    m.heartbeat.incarnation = 100 + peer;
    if (vector) {
        s.vector = vec(vector);
        s.at = at(next);
        s.acked = at(acked);
        m.heartbeat.sessions = &s;
        m.heartbeat.nsessions = 1;
    }
    outlet_receive(o, peer, &m, now);
}

static void tick(int64_t ms)
{
    for (; ms > 0; ms -= 50) {
        now += 50 * MS;
        outlet_tick(o, now);
    }
}

static int put(struct outlet_stream *s, char letter, unsigned track, bool key)
{
    struct link_format *f = format_of(letter, 1);
    uint64_t n = outlet_next_seq(s, track);
    struct link_item it = frame_of(f, track, n, key, (int64_t)n * 10 * MS, 8);
    link_format_unref(&f);
    return outlet_put(o, s, &it, now);
}

static void put_n(char letter, unsigned track, unsigned n)
{
    while (n--)
        ck_assert_int_eq(put(cam, letter, track, false), 0);
}

static void put_gap(unsigned track, uint64_t numbers)
{
    struct link_item it = {
        .gap = true, .track = (uint8_t)track, .last = numbers - 1, .reason = LINK_GAP_SOURCE};
    ck_assert_int_eq(outlet_put(o, cam, &it, now), 0);
}

/* A source with one stream whose session is open on peer 1, nothing said yet. */
static void opened(const char *tracks, const struct outlet_window *w, bool live,
                   const char *positions)
{
    start(true, false);
    cam = add("cam", tracks, w, live);
    hello(1, "a");
    resume(1, "1.1", positions);
    trace();
}

/* ---- the rules, by their numbers in proto/README.md ---- */

START_TEST(rule_3_a_new_number_for_every_open)
{
    start(true, false);
    cam = add("cam", "r", &roomy, false);
    hello(1, "a"); /* new owner */
    said("1 Open 1.1");
    hello_as(1, "a", 500); /* restarted behind the same connection */
    said("1 Open 1.2");
    hello_as(2, "a", 500); /* reconnected */
    said("2 Open 1.3");
    outlet_peer_gone(o, 2, now);
    hello(3, "b"); /* another owner after none */
    said("3 Open 1.4");
    resume(3, "1.4", "0+8");
    hello(3, "b"); /* what was open is opened anew */
    said("resumed 0+8; 3 Open 1.5");
}
END_TEST

START_TEST(rule_3_a_relay_may_begin_at_one_under_a_greater_vector)
{
    start(false, false);
    hello(1, "a");
    relay_open("cam", "1.1", "r", NULL);
    hello(1, "a");
    relay_open("cam", "1.2", "r", NULL);
    said("1 Open 1.1.1; 1 Open 1.1.2; 1 Open 1.2.1");
}
END_TEST

START_TEST(rule_6_answers_are_matched)
{
    start(true, false);
    cam = add("cam", "r", &roomy, false);
    put_n('r', 1, 3);
    hello(1, "a");
    hello(1, "a");
    hello(2, "zzz");
    trace();
    resume(1, "1.1", "0+8");   /* of the session before */
    resume(1, "1.3", "0+8");   /* of none */
    resume(1, "1.2.1", "0+8"); /* of another hop */
    resume(2, "1.2", "0+8");   /* from another instance */
    silence();
    ck_assert(!outlet_stream_is_open(cam));
    resume(1, "1.2", "0+8");
    said("resumed 0+8; 1 Frame 1.2 t1#0 format 1; 1 Frame 1.2 t1#1; 1 Frame 1.2 t1#2");
    ack(1, "1.1", "2+8");
    ack(2, "1.2", "2+8");
    closed(1, "cam", "1.1", LINK_CLOSE_FENCED, "9");
    closed(2, "cam", "1.2", LINK_CLOSE_FENCED, "9");
    silence();
    ck_assert_uint_eq(outlet_stream_stats(cam).held_items, 3);
}
END_TEST

START_TEST(rule_7_any_hello_of_the_owner_ends_its_session)
{
    opened("r", &roomy, false, "0+8");
    put_n('r', 1, 3);
    trace();
    hello(1, "a");
    put_n('r', 1, 1);
    said("1 Open 1.2"); /* nothing is sent into a session that is not answered yet */
    resume(1, "1.2", "2+8");
    said("resumed 2+8; 1 Frame 1.2 t1#2 format 1; 1 Frame 1.2 t1#3");
}
END_TEST

START_TEST(rule_8_heartbeats_carry_positions)
{
    opened("ra", &roomy, false, "0+8,0+8");
    put_n('r', 1, 3);
    trace();
    tick(250);
    said("1 Heartbeat [cam 1.1 3+0,0+0]");
}
END_TEST

START_TEST(rule_8_open_again_when_two_heartbeats_lack_the_session)
{
    start(true, false);
    cam = add("cam", "r", &roomy, false);
    hello(1, "a");
    trace();
    beat(1, NULL, NULL, NULL); /* the Open may be on its way */
    silence();
    beat(1, NULL, NULL, NULL);
    said("1 Open 1.2");
}
END_TEST

START_TEST(rule_8_open_again_when_two_heartbeats_lack_a_frame)
{
    opened("r", &roomy, false, "0+8");
    put_n('r', 1, 3);
    tick(250);
    trace();
    beat(1, "1.1", "2+0", "0+8"); /* one frame may be on its way */
    silence();
    beat(1, "1.1", "2+0", "0+8");
    silence();
    beat(1, "1.1", "2+0", "0+8");
    said("1 Open 1.2");
}
END_TEST

START_TEST(rule_8_an_inlet_that_comes_on_is_left_alone)
{
    opened("r", &roomy, false, "0+64");
    put_n('r', 1, 10);
    tick(250);
    trace();
    for (char next[] = "0+0"; next[0] <= '9'; next[0]++)
        beat(1, "1.1", next, "0+64");
    silence();
}
END_TEST

START_TEST(rule_8_open_again_when_the_answer_was_lost)
{
    start(true, false);
    cam = add("cam", "r", &roomy, false);
    hello(1, "a");
    trace();
    beat(1, "1.1", "", ""); /* asking: it waits for its own answer */
    beat(1, "1.1", "", "");
    beat(1, "1.1", "", "");
    silence();
    beat(1, "1.1", "0+0", "0+8"); /* open there, so its Resume was lost */
    beat(1, "1.1", "0+0", "0+8");
    said("1 Open 1.2");
}
END_TEST

START_TEST(rule_8_a_heartbeat_makes_up_for_a_lost_ack)
{
    opened("r", &roomy, false, "0+8");
    put_n('r', 1, 3);
    trace();
    beat(1, "1.1", "3+0", "2+9");
    said("acked 2+9");
    ck_assert_uint_eq(outlet_stream_stats(cam).held_items, 1);
}
END_TEST

START_TEST(a_heartbeat_tells_no_backlog_and_leaves_the_last)
{
    opened("r", &roomy, false, "0+8");
    put_n('r', 1, 3);
    trace();
    ack(1, "1.1", "1+8@1500/9000");
    said("acked 1+8@1500/9000");
    beat(1, "1.1", "3+0", "2+8");
    said("acked 2+8@1500/9000");
    ck_assert_uint_eq(outlet_stream_stats(cam).backlog_ms, 1500);
}
END_TEST

START_TEST(rule_9_a_new_epoch_above_the_one_that_fenced)
{
    opened("r", &roomy, false, "0+8");
    put_n('r', 1, 2);
    trace();
    closed(1, "cam", "1.1", LINK_CLOSE_FENCED, "41.3.1.1");
    said("1 Open 42.1; fenced by 41.3.1.1");
    resume(1, "42.1", "0+8");
    said("resumed 0+8; 1 Frame 42.1 t1#0 format 1; 1 Frame 42.1 t1#1");
}
END_TEST

START_TEST(rule_9_fenced_again_soon_stops)
{
    opened("r", &roomy, false, "0+8");
    closed(1, "cam", "1.1", LINK_CLOSE_FENCED, "41.3");
    now += 59000 * MS;
    trace();
    closed(1, "cam", "42.1", LINK_CLOSE_FENCED, "43.1");
    said("fenced by 43.1 stopped");
    hello(1, "a");
    hello(2, "b");
    put_n('r', 1, 1);
    silence();
}
END_TEST

START_TEST(rule_9_an_epoch_without_any_above_stops)
{
    opened("r", &roomy, false, "0+8");
    closed(1, "cam", "1.1", LINK_CLOSE_FENCED, "18446744073709551615.1");
    said("fenced by 18446744073709551615.1 stopped");
}
END_TEST

START_TEST(rule_9_fenced_again_late_goes_on)
{
    opened("r", &roomy, false, "0+8");
    closed(1, "cam", "1.1", LINK_CLOSE_FENCED, "41.3");
    now += 61000 * MS;
    trace();
    closed(1, "cam", "42.1", LINK_CLOSE_FENCED, "43.1");
    said("1 Open 44.1; fenced by 43.1");
}
END_TEST

START_TEST(rule_10_a_frame_that_was_sent_is_not_dropped)
{
    struct outlet_window w = {.frames = 3, .bytes = 1 << 20, .ns = 1000000 * MS};
    opened("r", &w, true, "0+64");
    put_n('r', 1, 6); /* the spare copies of 0 to 2 went */
    ck_assert_uint_eq(outlet_stream_stats(cam).held_items, 3);
    ck_assert_uint_eq(trace_count(trace(), "Gap"), 0);
    ack(1, "1.1", "6+64");
    put_n('r', 1, 1);
    said("acked 6+64; 1 Frame 1.1 t1#6");
    ck_assert_uint_eq(outlet_stream_stats(cam).gap_frames, 0);
}
END_TEST

START_TEST(rule_10_a_number_wanted_again_and_gone_becomes_a_gap)
{
    struct outlet_window w = {.frames = 3, .bytes = 1 << 20, .ns = 1000000 * MS};
    opened("r", &w, true, "0+64");
    put_n('r', 1, 6);
    hello(1, "a");
    trace();
    resume(1, "1.2", "1+64");
    said("resumed 1+64; 1 Gap 1.2 t1#1..2 window_full; 1 Frame 1.2 t1#3 format 1; "
         "1 Frame 1.2 t1#4; 1 Frame 1.2 t1#5");
}
END_TEST

START_TEST(rule_11_credit)
{
    opened("r", &roomy, false, "0+3");
    put_n('r', 1, 6);
    said("1 Frame 1.1 t1#0 format 1; 1 Frame 1.1 t1#1; 1 Frame 1.1 t1#2");
    ack(1, "1.1", "2+3");
    said("acked 2+3; 1 Frame 1.1 t1#3; 1 Frame 1.1 t1#4");
    ack(1, "1.1", "2+0"); /* credit may shrink, what was sent stays sent */
    ack(1, "1.1", "4+1");
    said("acked 2+0; acked 4+1");
    ack(1, "1.1", "5+1");
    said("acked 5+1; 1 Frame 1.1 t1#5");
}
END_TEST

START_TEST(rule_11_each_track_has_its_own_credit)
{
    opened("ra", &roomy, false, "0+1,0+0");
    put_n('r', 1, 2);
    put_n('a', 2, 2);
    said("1 Frame 1.1 t1#0 format 1");
    ack(1, "1.1", "0+1,0+2");
    said("acked 0+1,0+2; 1 Frame 1.1 t2#0 format 1; 1 Frame 1.1 t2#1");
}
END_TEST

START_TEST(rule_11_unsent_drops_wait_as_one_growing_range)
{
    struct outlet_window w = {.frames = 2, .bytes = 1 << 20, .ns = 1000000 * MS};
    opened("r", &w, true, "0+1");
    put_n('r', 1, 10);
    said("1 Frame 1.1 t1#0 format 1");
    ack(1, "1.1", "1+8");
    said("acked 1+8; 1 Gap 1.1 t1#1..7 window_full; 1 Frame 1.1 t1#8");
}
END_TEST

START_TEST(rule_12_after_a_gap_in_a_coded_source_on_with_a_key_frame)
{
    struct outlet_window w = {.frames = 4, .bytes = 1 << 20, .ns = 1000000 * MS};
    opened("c", &w, true, "0+0");
    for (unsigned i = 0; i < 10; i++) /* keys 0 4 8; 6 to 9 are held */
        ck_assert_int_eq(put(cam, 'c', 1, i % 4 == 0), 0);
    ack(1, "1.1", "0+64");
    said("acked 0+64; 1 Gap 1.1 t1#0..7 window_full; 1 Frame 1.1 t1#8 key format 1; "
         "1 Frame 1.1 t1#9");
}
END_TEST

START_TEST(rule_12_what_follows_joins_the_gap_until_a_key_frame_comes)
{
    struct outlet_window w = {.frames = 2, .bytes = 1 << 20, .ns = 1000000 * MS};
    opened("c", &w, true, "0+0");
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(put(cam, 'c', 1, i == 0), 0);
    ack(1, "1.1", "0+64");
    said("acked 0+64; 1 Gap 1.1 t1#0..3 window_full");
    put(cam, 'c', 1, false);
    put_gap(1, 2);
    put(cam, 'c', 1, false);
    said("1 Gap 1.1 t1#4 window_full; 1 Gap 1.1 t1#5..6 source; 1 Gap 1.1 t1#7 window_full");
    put(cam, 'c', 1, true);
    put(cam, 'c', 1, false);
    said("1 Frame 1.1 t1#8 key format 1; 1 Frame 1.1 t1#9");
}
END_TEST

START_TEST(rule_12_each_track_by_itself_and_raw_needs_no_key)
{
    static const struct {
        const char *tracks, *expect;
    } rows[] = {
        {"r", "acked 0+8; 1 Gap 1.1 t1#0..1 window_full; 1 Frame 1.1 t1#2 format 1; "
              "1 Frame 1.1 t1#3"},
        {"a", "acked 0+8; 1 Gap 1.1 t1#0..1 window_full; 1 Frame 1.1 t1#2 format 1; "
              "1 Frame 1.1 t1#3"},
        {"c", "acked 0+8; 1 Gap 1.1 t1#0..3 window_full"},
    };
    struct outlet_window w = {.frames = 2, .bytes = 1 << 20, .ns = 1000000 * MS};
    for (unsigned i = 0; i < 3; i++) {
        opened(rows[i].tracks, &w, true, "0+0");
        put_n(rows[i].tracks[0], 1, 4);
        ack(1, "1.1", "0+8");
        said(rows[i].expect);
        teardown();
    }
    opened("ca", &w, true, "0+0,0+8");
    put_n('c', 1, 4);
    put_n('a', 2, 2);
    trace();
    ack(1, "1.1", "0+8,0+8");
    said("acked 0+8,0+8; 1 Gap 1.1 t1#0..3 window_full"); /* audio was sent long before */
    put_n('a', 2, 1);
    said("1 Frame 1.1 t2#2");
}
END_TEST

/* ---- the state table, row by row ---- */

START_TEST(no_owner_and_a_usable_inlet_opens_there)
{
    start(true, false);
    cam = add("cam", "r", &roomy, false);
    put_n('r', 1, 1);
    silence();
    hello(4, "a");
    said("4 Open 1.1");
    outlet_peer_gone(o, 4, now);
    tick(100);
    silence();
}
END_TEST

START_TEST(a_stream_that_comes_later_opens_at_once)
{
    start(true, false);
    hello(4, "a");
    silence();
    cam = add("cam", "r", &roomy, false);
    said("4 Open 1.1");
}
END_TEST

START_TEST(opening_takes_resume_and_sends_again_from_its_position)
{
    opened("ra", &roomy, false, "0+64,0+64");
    put_n('r', 1, 4);
    put_n('a', 2, 4);
    hello(1, "a");
    trace();
    resume(1, "1.2", "2+64,3+64");
    said("resumed 2+64,3+64; 1 Frame 1.2 t1#2 format 1; 1 Frame 1.2 t1#3; "
         "1 Frame 1.2 t2#3 format 1");
    ck_assert_uint_eq(outlet_stream_stats(cam).held_items, 3); /* forgot what is below */
}
END_TEST

START_TEST(opening_of_a_source_makes_a_gap_of_what_is_gone)
{
    opened("r", &roomy, false, "0+64");
    put_n('r', 1, 4);
    ack(1, "1.1", "4+64");
    hello(1, "a");
    trace();
    resume(1, "1.2", "1+64"); /* the log lost data that it had acked */
    put_n('r', 1, 1);
    said("resumed 1+64; 1 Gap 1.2 t1#1..3 window_full; 1 Frame 1.2 t1#4 format 1");
}
END_TEST

START_TEST(opening_of_a_relay_that_no_longer_holds_asks_above)
{
    start(false, false);
    hello(1, "a");
    relay_open("cam", "1.1", "r", NULL);
    resume(1, "1.1.1", "0+8");
    put_n('r', 1, 3);
    ack(1, "1.1.1", "3+8");
    hello(1, "a");
    trace();
    resume(1, "1.1.2", "1+8");
    said("behind");
}
END_TEST

START_TEST(open_holds_and_sends_in_the_order_of_time)
{
    opened("ra", &roomy, false, "0+0,0+0");
    put_n('r', 1, 2); /* times 0, 10 ms */
    put_n('a', 2, 2);
    trace();
    ack(1, "1.1", "0+8,0+8");
    said("acked 0+8,0+8; 1 Frame 1.1 t1#0 format 1; 1 Frame 1.1 t2#0 format 1; 1 Frame 1.1 t1#1; "
         "1 Frame 1.1 t2#1");
}
END_TEST

START_TEST(open_ack_forgets_and_sends_what_credit_allows)
{
    opened("r", &roomy, false, "0+2");
    put_n('r', 1, 5);
    trace();
    ack(1, "1.1", "2+2");
    said("acked 2+2; 1 Frame 1.1 t1#2; 1 Frame 1.1 t1#3");
    ck_assert_uint_eq(outlet_stream_stats(cam).held_items, 3);
    ack(1, "1.1", "2+2"); /* nothing new */
    ack(1, "1.1", "1+2"); /* older: the position stays */
    silence();
    ck_assert_uint_eq(outlet_stream_stats(cam).held_items, 3);
}
END_TEST

START_TEST(a_send_that_is_refused_for_now_is_tried_at_the_next_tick)
{
    opened("r", &roomy, false, "0+8");
    busy = 3;
    put_n('r', 1, 2);
    outlet_tick(o, now);
    ck_assert_uint_eq(busy, 0);
    trace();
    outlet_tick(o, now);
    said("1 Frame 1.1 t1#0 format 1; 1 Frame 1.1 t1#1");
}
END_TEST

START_TEST(hello_of_another_moves_only_what_the_hash_gives_it)
{
    start(true, false);
    for (unsigned i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "cam%u", i);
        add(name, "r", &roomy, false);
    }
    hello(1, "a");
    ck_assert_uint_eq(trace_count(trace(), "1 Open"), 40);
    hello(2, "b");
    silence(); /* rate limit: they were opened a moment ago */
    now += 2100 * MS;
    hello(3, "b");
    const char *text = trace();
    unsigned moved = trace_count(text, "3 Open");
    ck_assert_uint_gt(moved, 8);
    ck_assert_uint_lt(moved, 32);
    ck_assert_uint_eq(trace_count(text, "moved"), moved); /* each old owner is told */
}
END_TEST

START_TEST(a_move_tells_the_old_owner_under_the_old_vector)
{
    start(true, false);
    hello(1, "a");
    cam = add("cam", "r", &roomy, false);
    now += 3000 * MS;
    trace();
    for (uint64_t peer = 2; peer < 20; peer++) { /* one of them has the greater hash */
        char name[16];
        snprintf(name, sizeof name, "b%llu", (unsigned long long)peer);
        hello(peer, name);
        char expect[64];
        snprintf(expect, sizeof expect, "%llu Open 1.2; 1 Close 1.1 moved",
                 (unsigned long long)peer);
        const char *text = trace();
        if (*text) {
            ck_assert_str_eq(text, expect);
            return;
        }
    }
    ck_abort_msg("no instance of 18 had the greater hash");
}
END_TEST

START_TEST(a_silent_owner_loses_its_streams)
{
    start(true, false);
    cam = add("cam", "r", &roomy, false);
    hello(1, "a");
    tick(500);
    trace();
    now += 100 * MS;
    hello(2, "b");
    const char *text = trace(); /* which of both has it is the hash's choice */
    uint64_t owner = strstr(text, "2 Open") ? 2 : 1;
    for (int i = 0; i < 10; i++) { /* the other one goes on */
        tick(200);
        beat(3 - owner, NULL, NULL, NULL);
    }
    char expect[32];
    snprintf(expect, sizeof expect, "%llu Open", (unsigned long long)(3 - owner));
    ck_assert_uint_ge(trace_count(trace(), expect), 1);
}
END_TEST

START_TEST(a_silent_instance_is_usable_again_with_its_next_heartbeat)
{
    start(true, false);
    cam = add("cam", "r", &roomy, false);
    hello(1, "a");
    tick(1300);
    trace();
    tick(1000);
    silence(); /* nobody there: no Open, no heartbeats */
    beat(1, NULL, NULL, NULL);
    said("1 Open 1.2");
}
END_TEST

START_TEST(an_owner_that_goes_in_the_middle_of_its_own_heartbeat_is_left)
{
    start(true, false);
    cam = add("cam", "r", &roomy, false);
    hello(1, "a");
    tick(1300);
    trace();
    unreachable = 1; /* its last words were still in the socket */
    beat(1, NULL, NULL, NULL);
    silence();
    unreachable = 0;
    beat(1, NULL, NULL, NULL);
    said("1 Hello \"\""); /* not known any more: who is it? */
}
END_TEST

START_TEST(an_owner_that_cannot_be_routed_to_is_left_at_once)
{
    static const char *const when[] = {"frame", "open", "close", "heartbeat", "ack"};
    for (unsigned i = 0; i < 5; i++) {
        opened("r", &roomy, false, "0+4");
        hello(2, "b");
        trace();
        unreachable = 1;
        if (i == 1)
            hello(1, "a");
        else if (i == 2)
            outlet_end(o, cam, now);
        else if (i == 3)
            tick(250);
        else if (i == 4) {
            unreachable = 0;
            put_n('r', 1, 6);
            trace();
            unreachable = 1;
            ack(1, "1.1", "2+4");
        } else
            put_n('r', 1, 1);
        const char *text = trace();
        ck_assert_msg(strstr(text, "2 Open"), "%s: %s", when[i], text);
        teardown();
    }
}
END_TEST

START_TEST(all_owners_gone_at_once_leaves_none)
{
    start(true, false);
    for (unsigned i = 0; i < 30; i++) {
        char name[16];
        snprintf(name, sizeof name, "cam%u", i);
        add(name, "r", &roomy, false);
    }
    hello(1, "a");
    hello(2, "b");
    hello(3, "c");
    outlet_peer_gone(o, 1, now);
    outlet_peer_gone(o, 3, now);
    unreachable = 2;
    trace();
    tick(300);
    silence();
}
END_TEST

START_TEST(an_instance_that_drains_loses_its_streams_and_gets_none)
{
    opened("r", &roomy, false, "0+8");
    hello(2, "b");
    trace();
    closed(1, "", "", LINK_CLOSE_DRAINING, "");
    said("2 Open 1.2");
    beat(1, NULL, NULL, NULL); /* still alive, still not usable */
    closed(2, "", "", LINK_CLOSE_DRAINING, "");
    silence();
    hello(1, "a"); /* a new process */
    said("1 Open 1.3");
}
END_TEST

START_TEST(fenced_relay_tells_its_stage)
{
    start(false, false);
    hello(1, "a");
    relay_open("cam", "1.1", "r", NULL);
    trace();
    closed(1, "cam", "1.1.1", LINK_CLOSE_FENCED, "2.1.1");
    said("fenced by 2.1.1");
}
END_TEST

START_TEST(anything_before_hello_is_answered_with_an_empty_hello)
{
    start(true, false);
    cam = add("cam", "r", &roomy, false);
    resume(9, "1.1", "0+8");
    ack(9, "1.1", "0+8");
    beat(9, "1.1", "0+8", "0+8");
    closed(9, "", "", LINK_CLOSE_DRAINING, "");
    said("9 Hello \"\"; 9 Hello \"\"; 9 Hello \"\"; 9 Hello \"\"");
}
END_TEST

START_TEST(resume_in_an_open_session_is_ignored)
{
    opened("r", &roomy, false, "0+8");
    put_n('r', 1, 3);
    trace();
    resume(1, "1.1", "1+8");
    silence();
    ck_assert_uint_eq(outlet_stream_stats(cam).held_items, 3);
}
END_TEST

/* ---- windows ---- */

START_TEST(window_is_bounded_in_frames_bytes_and_time)
{
    static const struct {
        struct outlet_window w;
        unsigned held;
    } rows[] = {
        {{.frames = 5, .bytes = 1 << 20, .ns = 1000000 * MS}, 5},
        {{.frames = 1000, .bytes = 56, .ns = 1000000 * MS}, 7},  /* frames of 8 bytes */
        {{.frames = 1000, .bytes = 1 << 20, .ns = 90 * MS}, 10}, /* one every 10 ms */
    };
    for (unsigned i = 0; i < 3; i++) {
        start(true, false);
        cam = add("cam", "r", &rows[i].w, true);
        put_n('r', 1, 50);
        ck_assert_uint_eq(outlet_stream_stats(cam).held_items, rows[i].held);
        teardown();
        start(true, false);
        cam = add("cam", "r", &rows[i].w, false); /* not live: the source waits */
        unsigned n = 0;
        for (; outlet_room(cam, 1); n++)
            put_n('r', 1, 1);
        ck_assert_uint_eq(n, rows[i].held);
        teardown();
    }
    start(true, false);
}
END_TEST

START_TEST(bytes_of_another_track_make_room_when_a_track_has_none)
{
    struct outlet_window w = {.frames = 1000, .bytes = 80, .ns = 1000000 * MS};
    start(true, false);
    cam = add("cam", "ra", &w, true);
    put_n('r', 1, 10);
    put_n('a', 2, 1);
    ck_assert_uint_eq(outlet_stream_stats(cam).held_items, 10);
    ck_assert_uint_eq(outlet_stream_stats(cam).held_bytes, 80);
}
END_TEST

START_TEST(a_frame_greater_than_the_window_is_still_taken)
{
    struct outlet_window w = {.frames = 1000, .bytes = 4, .ns = 1000000 * MS};
    opened("r", &w, true, "0+8");
    put_n('r', 1, 2);
    said("1 Frame 1.1 t1#0 format 1; 1 Frame 1.1 t1#1");
    ck_assert_uint_eq(outlet_stream_stats(cam).held_items, 1);
}
END_TEST

START_TEST(room_comes_back_with_acks)
{
    struct outlet_window w = {.frames = 2, .bytes = 1 << 20, .ns = 1000000 * MS};
    opened("r", &w, false, "0+8");
    put_n('r', 1, 2);
    ck_assert(!outlet_room(cam, 1));
    ack(1, "1.1", "1+8");
    ck_assert(outlet_room(cam, 1));
}
END_TEST

/* ---- who gets which stream ---- */

static uint64_t owner_of(const char *text, const char *name)
{
    char open[64];
    uint64_t owner = 0;
    snprintf(open, sizeof open, "Open %s ", name);
    for (const char *p = text; (p = strstr(p, open)); p++)
        owner = (uint64_t)(p[-2] - '0');
    return owner;
}

START_TEST(streams_spread_and_only_those_of_a_lost_instance_move)
{
    uint64_t before[90], count[4] = {0};
    char name[16];
    start(true, false);
    hello(1, "encoder-1");
    hello(2, "encoder-2");
    hello(3, "encoder-3");
    for (unsigned i = 0; i < 90; i++) {
        snprintf(name, sizeof name, "cam-%u", i);
        add(name, "r", &roomy, false);
        before[i] = owner_of(trace(), name);
        count[before[i]]++;
    }
    for (unsigned p = 1; p <= 3; p++)
        ck_assert_msg(count[p] >= 15, "instance %u has %llu of 90", p,
                      (unsigned long long)count[p]);
    outlet_peer_gone(o, 2, now);
    const char *text = trace();
    ck_assert_uint_eq(trace_count(text, "Open"), count[2]);
    for (unsigned i = 0; i < 90; i++) {
        snprintf(name, sizeof name, "cam-%u", i);
        ck_assert_int_eq(owner_of(text, name) != 0, before[i] == 2);
    }
}
END_TEST

START_TEST(an_instance_that_comes_back_gets_its_own_streams_again)
{
    uint64_t before[40];
    char name[16];
    start(true, false);
    hello(1, "encoder-1");
    hello(2, "encoder-2");
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "cam-%u", i);
        add(name, "r", &roomy, false);
        before[i] = owner_of(trace(), name);
    }
    outlet_peer_gone(o, 2, now);
    trace();
    now += 3000 * MS;
    hello(3, "encoder-2"); /* another connection, the same name */
    const char *all = trace();
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "cam-%u", i);
        ck_assert_uint_eq(owner_of(all, name), before[i] == 2 ? 3 : 0);
    }
}
END_TEST

START_TEST(sticky_streams_stay_until_their_owner_goes)
{
    start(true, true);
    for (unsigned i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "cam-%u", i);
        add(name, "r", &roomy, false);
    }
    hello(1, "uploader-1");
    ck_assert_uint_eq(trace_count(trace(), "1 Open"), 20);
    now += 10000 * MS;
    hello(2, "uploader-2");
    beat(1, NULL, NULL, NULL);
    outlet_tick(o, now);
    ck_assert_uint_eq(trace_count(trace(), "Open"), 0);
    closed(1, "", "", LINK_CLOSE_DRAINING, "");
    ck_assert_uint_eq(trace_count(trace(), "2 Open"), 20);
}
END_TEST

START_TEST(sticky_relay_keeps_the_owner_over_a_new_session)
{
    start(false, true);
    hello(1, "uploader-1");
    relay_open("cam", "1.1", "r", NULL);
    for (uint64_t p = 2; p < 9; p++) {
        char name[16];
        snprintf(name, sizeof name, "uploader-%llu", (unsigned long long)p);
        hello(p, name);
    }
    trace();
    relay_open("cam", "1.2", "r", NULL);
    said("1 Open 1.2.1");
}
END_TEST

/* ---- ends, formats, numbers ---- */

START_TEST(ended_follows_the_last_item_in_every_session)
{
    opened("r", &roomy, false, "0+1");
    put_n('r', 1, 2);
    outlet_end(o, cam, now);
    said("1 Frame 1.1 t1#0 format 1"); /* one is still to be sent */
    ack(1, "1.1", "1+1");
    said("acked 1+1; 1 Frame 1.1 t1#1; 1 Close 1.1 ended");
    ck_assert(!outlet_stream_done(cam));
    hello(1, "a");
    resume(1, "1.2", "1+8");
    said("1 Open 1.2 base t1=1; resumed 1+8; 1 Frame 1.2 t1#1 format 1; 1 Close 1.2 ended");
    ack(1, "1.2", "2+8");
    ck_assert(outlet_stream_done(cam));
    trace();
    put_n('r', 1, 1); /* it goes on after all */
    ck_assert(!outlet_stream_done(cam));
    said("1 Frame 1.2 t1#2");
    tick(250);
    said("1 Heartbeat [cam 1.2 3+0]"); /* and the end is not said again */
}
END_TEST

START_TEST(ended_is_said_again_with_heartbeats)
{
    opened("r", &roomy, false, "0+1");
    outlet_end(o, cam, now);
    said("1 Close 1.1 ended");
    tick(250);
    said("1 Heartbeat [cam 1.1 0+0]; 1 Close 1.1 ended");
}
END_TEST

START_TEST(a_new_format_goes_with_the_first_frame_that_has_it_and_opens_later_sessions)
{
    struct link_format *f = format_of('r', 2);
    struct link_item it = frame_of(f, 1, 0, true, 0, 8);
    opened("r", &roomy, false, "0+8");
    put_n('r', 1, 2);
    link_format_unref(&f);
    ck_assert_int_eq(outlet_put(o, cam, &it, now), 0);
    said("1 Frame 1.1 t1#0 format 1; 1 Frame 1.1 t1#1; 1 Frame 1.1 t1#2 key format 2");
    hello(1, "a");
    resume(1, "1.2", "1+8");
    said("1 Open 1.2; resumed 1+8; 1 Frame 1.2 t1#1 format 1; 1 Frame 1.2 t1#2 key format 2");
}
END_TEST

START_TEST(a_relay_refuses_numbers_out_of_order)
{
    static const uint64_t wrong[] = {1, 4, 6, UINT64_MAX};
    struct link_format *f = format_of('r', 1);
    start(false, false);
    hello(1, "a");
    relay_open("cam", "1.1", "r", "5");
    said("1 Open 1.1.1 base t1=5");
    resume(1, "1.1.1", "5+8");
    for (unsigned i = 0; i < 4; i++) {
        struct link_item it = frame_of(f, 1, wrong[i], true, 0, 1);
        ck_assert_int_eq(outlet_put(o, cam, &it, now), -EPROTO);
        ck_assert_ptr_null(it.payload);
    }
    for (unsigned track = 0; track < 5; track++) {
        struct link_item it = frame_of(f, track == 1 ? 2 : track, 5, true, 0, 1);
        ck_assert_int_eq(outlet_put(o, cam, &it, now), -EPROTO);
    }
    struct link_item it = frame_of(f, 1, 5, true, 0, 1);
    ck_assert_int_eq(outlet_put(o, cam, &it, now), 0);
    link_format_unref(&f);
}
END_TEST

START_TEST(a_gap_is_held_and_sent_again_like_a_frame)
{
    opened("r", &roomy, false, "0+8");
    put_n('r', 1, 1);
    put_gap(1, 4);
    said("1 Frame 1.1 t1#0 format 1; 1 Gap 1.1 t1#1..4 source");
    hello(1, "a");
    trace();
    resume(1, "1.2", "3+8"); /* in its middle */
    said("resumed 3+8; 1 Gap 1.2 t1#3..4 source");
    ack(1, "1.2", "5+8");
    ck_assert_uint_eq(outlet_stream_stats(cam).held_items, 0);
}
END_TEST

/* ---- hostile answers ---- */

START_TEST(hostile_answers_are_counted_and_ignored)
{
    static const char *const bad[] = {"4+8,0+8", "9223372036854775807+8,0+8", "0+8,1+8", "0+8", ""};
    for (unsigned i = 0; i < 5; i++) {
        start(true, false);
        cam = add("cam", "ra", &roomy, false);
        put_n('r', 1, 3);
        hello(1, "a");
        trace();
        resume(1, "1.1", bad[i]);
        silence();
        ck_assert_uint_eq(outlet_refused(o), 1);
        resume(1, "1.1", "0+8,0+8"); /* and the right one still counts */
        trace();
        ack(1, "1.1", bad[i]);
        silence();
        ck_assert_uint_eq(outlet_refused(o), 2);
        ck_assert_uint_eq(outlet_stream_stats(cam).held_items, 3);
        teardown();
    }
    start(true, false);
}
END_TEST

START_TEST(an_ack_of_what_was_not_sent_is_refused)
{
    opened("r", &roomy, false, "0+2");
    put_n('r', 1, 5);
    trace();
    ack(1, "1.1", "3+2");
    silence();
    ck_assert_uint_eq(outlet_refused(o), 1);
    ck_assert_uint_eq(outlet_stream_stats(cam).held_items, 5);
}
END_TEST

START_TEST(credit_without_end_is_bounded)
{
    opened("r", &roomy, false, "0+9223372036854775807");
    put_n('r', 1, 3);
    ack(1, "1.1", "2+9223372036854775807");
    put_n('r', 1, 1);
    ck_assert_uint_eq(trace_count(trace(), "Frame"), 4);
}
END_TEST

START_TEST(another_version_or_no_name_is_no_instance)
{
    struct link_msg m = {.type = LINK_HELLO, .hello = {.version = LINK_VERSION + 1}};
    start(true, false);
    cam = add("cam", "r", &roomy, false);
    strcpy(m.hello.instance, "a");
    outlet_receive(o, 1, &m, now);
    m.hello.version = LINK_VERSION;
    m.hello.instance[0] = '\0';
    outlet_receive(o, 1, &m, now);
    silence();
    ck_assert_uint_eq(outlet_refused(o), 2);
}
END_TEST

START_TEST(messages_for_the_other_end_are_refused)
{
    static const enum link_type types[] = {LINK_OPEN, LINK_FRAME, LINK_GAP, LINK_NONE};
    opened("r", &roomy, false, "0+8");
    for (unsigned i = 0; i < 4; i++) {
        struct link_msg m = {.type = types[i], .stream = "cam", .vector = vec("1.1")};
        outlet_receive(o, 1, &m, now);
    }
    closed(1, "cam", "1.1", LINK_CLOSE_MOVED, "");
    closed(1, "cam", "1.1", LINK_CLOSE_ENDED, "");
    silence();
    ck_assert_uint_eq(outlet_refused(o), 6);
    ck_assert(outlet_stream_is_open(cam));
}
END_TEST

START_TEST(a_heartbeat_of_another_process_is_refused)
{
    struct link_msg m = {.type = LINK_HEARTBEAT};
    opened("r", &roomy, false, "0+8");
    for (int i = 0; i < 5; i++) {
        m.heartbeat.incarnation = 4711;
        outlet_receive(o, 1, &m, now);
    }
    silence();
    ck_assert_uint_eq(outlet_refused(o), 5);
}
END_TEST

START_TEST(more_instances_than_the_bound_are_refused)
{
    start(true, false);
    for (uint64_t i = 1; i <= 1100; i++) {
        char name[16];
        snprintf(name, sizeof name, "i%llu", (unsigned long long)i);
        hello(i, name);
    }
    ck_assert_uint_eq(outlet_refused(o), 1100 - 1024);
}
END_TEST

static void fill(TCase *tc)
{
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, rule_3_a_new_number_for_every_open);
    tcase_add_test(tc, rule_3_a_relay_may_begin_at_one_under_a_greater_vector);
    tcase_add_test(tc, rule_6_answers_are_matched);
    tcase_add_test(tc, rule_7_any_hello_of_the_owner_ends_its_session);
    tcase_add_test(tc, rule_8_heartbeats_carry_positions);
    tcase_add_test(tc, rule_8_open_again_when_two_heartbeats_lack_the_session);
    tcase_add_test(tc, rule_8_open_again_when_two_heartbeats_lack_a_frame);
    tcase_add_test(tc, rule_8_an_inlet_that_comes_on_is_left_alone);
    tcase_add_test(tc, rule_8_open_again_when_the_answer_was_lost);
    tcase_add_test(tc, rule_8_a_heartbeat_makes_up_for_a_lost_ack);
    tcase_add_test(tc, a_heartbeat_tells_no_backlog_and_leaves_the_last);
    tcase_add_test(tc, rule_9_a_new_epoch_above_the_one_that_fenced);
    tcase_add_test(tc, rule_9_fenced_again_soon_stops);
    tcase_add_test(tc, rule_9_an_epoch_without_any_above_stops);
    tcase_add_test(tc, rule_9_fenced_again_late_goes_on);
    tcase_add_test(tc, rule_10_a_frame_that_was_sent_is_not_dropped);
    tcase_add_test(tc, rule_10_a_number_wanted_again_and_gone_becomes_a_gap);
    tcase_add_test(tc, rule_11_credit);
    tcase_add_test(tc, rule_11_each_track_has_its_own_credit);
    tcase_add_test(tc, rule_11_unsent_drops_wait_as_one_growing_range);
    tcase_add_test(tc, rule_12_after_a_gap_in_a_coded_source_on_with_a_key_frame);
    tcase_add_test(tc, rule_12_what_follows_joins_the_gap_until_a_key_frame_comes);
    tcase_add_test(tc, rule_12_each_track_by_itself_and_raw_needs_no_key);
    tcase_add_test(tc, no_owner_and_a_usable_inlet_opens_there);
    tcase_add_test(tc, a_stream_that_comes_later_opens_at_once);
    tcase_add_test(tc, opening_takes_resume_and_sends_again_from_its_position);
    tcase_add_test(tc, opening_of_a_source_makes_a_gap_of_what_is_gone);
    tcase_add_test(tc, opening_of_a_relay_that_no_longer_holds_asks_above);
    tcase_add_test(tc, open_holds_and_sends_in_the_order_of_time);
    tcase_add_test(tc, open_ack_forgets_and_sends_what_credit_allows);
    tcase_add_test(tc, a_send_that_is_refused_for_now_is_tried_at_the_next_tick);
    tcase_add_test(tc, hello_of_another_moves_only_what_the_hash_gives_it);
    tcase_add_test(tc, a_move_tells_the_old_owner_under_the_old_vector);
    tcase_add_test(tc, a_silent_owner_loses_its_streams);
    tcase_add_test(tc, a_silent_instance_is_usable_again_with_its_next_heartbeat);
    tcase_add_test(tc, an_owner_that_goes_in_the_middle_of_its_own_heartbeat_is_left);
    tcase_add_test(tc, an_owner_that_cannot_be_routed_to_is_left_at_once);
    tcase_add_test(tc, all_owners_gone_at_once_leaves_none);
    tcase_add_test(tc, an_instance_that_drains_loses_its_streams_and_gets_none);
    tcase_add_test(tc, fenced_relay_tells_its_stage);
    tcase_add_test(tc, anything_before_hello_is_answered_with_an_empty_hello);
    tcase_add_test(tc, resume_in_an_open_session_is_ignored);
    tcase_add_test(tc, window_is_bounded_in_frames_bytes_and_time);
    tcase_add_test(tc, bytes_of_another_track_make_room_when_a_track_has_none);
    tcase_add_test(tc, a_frame_greater_than_the_window_is_still_taken);
    tcase_add_test(tc, room_comes_back_with_acks);
    tcase_add_test(tc, streams_spread_and_only_those_of_a_lost_instance_move);
    tcase_add_test(tc, an_instance_that_comes_back_gets_its_own_streams_again);
    tcase_add_test(tc, sticky_streams_stay_until_their_owner_goes);
    tcase_add_test(tc, sticky_relay_keeps_the_owner_over_a_new_session);
    tcase_add_test(tc, ended_follows_the_last_item_in_every_session);
    tcase_add_test(tc, ended_is_said_again_with_heartbeats);
    tcase_add_test(tc, a_new_format_goes_with_the_first_frame_that_has_it_and_opens_later_sessions);
    tcase_add_test(tc, a_relay_refuses_numbers_out_of_order);
    tcase_add_test(tc, a_gap_is_held_and_sent_again_like_a_frame);
    tcase_add_test(tc, hostile_answers_are_counted_and_ignored);
    tcase_add_test(tc, an_ack_of_what_was_not_sent_is_refused);
    tcase_add_test(tc, credit_without_end_is_bounded);
    tcase_add_test(tc, another_version_or_no_name_is_no_instance);
    tcase_add_test(tc, messages_for_the_other_end_are_refused);
    tcase_add_test(tc, a_heartbeat_of_another_process_is_refused);
    tcase_add_test(tc, more_instances_than_the_bound_are_refused);
}

int main(void)
{
    log_init("test", LOG_NONE);
    return run_suite("link_outlet", fill);
}
