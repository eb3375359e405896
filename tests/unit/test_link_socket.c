/* The link over real sockets, against fakes that speak raw ZeroMQ: what they do wrong is counted
 * and refused, everybody else is served. Relies on link_trace.h; over ipc:// and tcp://.
 * Leaves rules to test_link_outlet.c and test_link_inlet.c. */
#include "common/link_socket.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "common/clock.h"
#include "common/link_wire.h"
#include "common/log.h"
#include "tests/unit/link_trace.h"
#include "tests/unit/loopback.h"
#include "tests/unit/scratch.h"

#define DEADLINE_NS (20 * NS_PER_S)

static struct event_base *base;
static struct event *poller;
static void *ctx;
static char dir[64], address[96];
static struct link_server *server;
static struct link_client *client;
static struct outlet_stream *cam;
static struct link_format *format;
static uint64_t durable; /* what the fake log of our own inlet has */
static unsigned breaks;  /* timer turns, for fairness */
static const struct conf_link conf = {.heartbeat_ms = 50, .silence_ms = 2000, .resolve_ms = 60000};
static const struct outlet_window window = {.frames = 1000, .bytes = 1 << 28, .ns = NS_PER_S * 60};

/* ---- fakes ---- */

struct fake {
    void *zmq;
    bool router, deaf;
    uint8_t id[256];
    size_t id_len;
    uint8_t *payload;
    size_t payload_len;
};
static struct fake fakes[4];

static struct fake *fake_open(unsigned i, int type, bool bind)
{
    struct fake *f = &fakes[i];
    int zero = 0;
    f->zmq = zmq_socket(ctx, type);
    f->router = type == ZMQ_ROUTER;
    zmq_setsockopt(f->zmq, ZMQ_LINGER, &zero, sizeof zero);
    ck_assert_int_eq((bind ? zmq_bind : zmq_connect)(f->zmq, address), 0);
    return f;
}

static void fake_close(struct fake *f)
{
    if (f->zmq)
        zmq_close(f->zmq);
    free(f->payload);
    *f = (struct fake){0};
}

/* Sends up to three parts; a part of length SIZE_MAX is the end. */
static void fake_parts(struct fake *f, const void *a, size_t na, const void *b, size_t nb,
                       const void *c, size_t nc)
{
    if (f->router)
        ck_assert_int_ge(zmq_send(f->zmq, f->id, f->id_len, ZMQ_SNDMORE), 0);
    ck_assert_int_ge(zmq_send(f->zmq, a, na, nb == SIZE_MAX ? 0 : ZMQ_SNDMORE), 0);
    if (nb == SIZE_MAX)
        return;
    ck_assert_int_ge(zmq_send(f->zmq, b, nb, nc == SIZE_MAX ? 0 : ZMQ_SNDMORE), 0);
    if (nc != SIZE_MAX)
        ck_assert_int_ge(zmq_send(f->zmq, c, nc, 0), 0);
}

static void fake_bytes(struct fake *f, const void *a, size_t n)
{
    fake_parts(f, a, n, NULL, SIZE_MAX, NULL, SIZE_MAX);
}

static void fake_send(struct fake *f, const struct link_msg *m)
{
    struct blob *b = link_wire_encode(m), *p = m->type == LINK_FRAME ? m->item.item.payload : NULL;
    fake_parts(f, b->data, b->len, p ? p->data : NULL, p ? p->len : SIZE_MAX, NULL, SIZE_MAX);
    blob_unref(&b);
}

static void fake_heard(unsigned i, unsigned nparts, zmq_msg_t *parts)
{
    struct fake *f = &fakes[i];
    struct link_msg m;
    const char *why;
    unsigned first = f->router ? 1 : 0;
    struct blob *payload = NULL;
    if (f->router) {
        f->id_len = zmq_msg_size(&parts[0]);
        memcpy(f->id, zmq_msg_data(&parts[0]), f->id_len);
    }
    ck_assert_uint_gt(nparts, first);
    if (nparts > first + 1) {
        free(f->payload);
        f->payload_len = zmq_msg_size(&parts[first + 1]);
        f->payload = malloc(f->payload_len ? f->payload_len : 1);
        memcpy(f->payload, zmq_msg_data(&parts[first + 1]), f->payload_len);
        payload = blob_copy("", 0);
    }
    ck_assert_msg(link_wire_decode(zmq_msg_data(&parts[first]), zmq_msg_size(&parts[first]),
                                   payload, &m, &why) == 0,
                  "%s", why);
    if (m.type != LINK_HEARTBEAT)
        trace_msg(i, &m);
    link_msg_fini(&m);
}

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    breaks++;
    for (unsigned i = 0; i < 4; i++) {
        while (fakes[i].zmq && !fakes[i].deaf) {
            zmq_msg_t parts[4];
            unsigned n = 0;
            int more = 1;
            while (more && n < 4) {
                zmq_msg_init(&parts[n]);
                if (zmq_msg_recv(&parts[n], fakes[i].zmq, ZMQ_DONTWAIT) < 0)
                    break;
                more = zmq_msg_more(&parts[n++]);
            }
            if (!n)
                break;
            fake_heard(i, n, parts);
            while (n)
                zmq_msg_close(&parts[--n]);
        }
    }
}

/* ---- waiting: the loop turns until it is so, or the deadline passes ---- */

#define wait_until(condition)                                                                      \
    do {                                                                                           \
        int64_t end = clock_mono_ns() + DEADLINE_NS;                                               \
        while (!(condition)) {                                                                     \
            trace_text[trace_len] = '\0';                                                          \
            ck_assert_msg(clock_mono_ns() < end, "waited in vain for %s; heard: %s", #condition,   \
                          trace_text);                                                             \
            event_base_loop(base, EVLOOP_ONCE);                                                    \
        }                                                                                          \
    } while (0)

static bool heard(const char *what)
{
    trace_text[trace_len] = '\0';
    return strstr(trace_text, what);
}

/* Waits for it and forgets all that was said so far. */
#define wait_for(what)                                                                             \
    do {                                                                                           \
        wait_until(heard(what));                                                                   \
        trace_len = 0;                                                                             \
    } while (0)

/* ---- fixture ---- */

static void use(int transport)
{
    if (transport)
        snprintf(address, sizeof address, "tcp://127.0.0.1:%u", loopback_port());
    else
        snprintf(address, sizeof address, "ipc://%s/link", dir);
}

static void setup(void)
{
    struct timeval often = {.tv_usec = 2000};
    trace_len = 0;
    durable = 0;
    scratch_make(dir, sizeof dir, "link");
    base = event_base_new();
    ctx = zmq_ctx_new();
    poller = event_new(base, -1, EV_PERSIST, on_poll, NULL);
    event_add(poller, &often);
    format = format_of('r', 1);
}

static void teardown(void)
{
    char path[96];
    link_client_destroy(&client, false);
    link_server_destroy(&server, false);
    for (unsigned i = 0; i < 4; i++)
        fake_close(&fakes[i]);
    event_free(poller);
    event_base_free(base);
    zmq_ctx_term(ctx);
    link_format_unref(&format);
    snprintf(path, sizeof path, "%s/link", dir);
    unlink(path);
    rmdir(dir);
}

/* ---- our own ends ---- */

static void serve(uint64_t epoch)
{
    static const struct outlet_ops ops = {0};
    struct link_track t = {.track = 1, .format = format};
    int r;
    /* libzmq closes in its own thread: the address of a server before may be taken for a moment. */
    wait_until((r = link_server_create(base, address, &conf, LINK_SOURCE, &ops, NULL, &server)) !=
               -EADDRINUSE);
    ck_assert_int_eq(r, 0);
    cam = outlet_source_add(link_server_outlet(server), "cam", epoch, &t, 1, &window, false,
                            clock_mono_ns());
}

static void put_blob(struct blob *payload)
{
    struct link_item it = {
        .track = 1, .key = true, .format = link_format_ref(format), .payload = payload};
    ck_assert_int_eq(outlet_put(link_server_outlet(server), cam, &it, clock_mono_ns()), 0);
}

static void put_frame(void)
{
    put_blob(blob_copy("picture", 7));
}

static void on_open(void *arg, struct inlet_session *s, const struct link_msg *msg)
{
    struct link_positions p = {.tracks = 1, .next = {durable}, .credit = {8}};
    (void)arg, (void)msg;
    inlet_resume(link_client_inlet(client), s, &p);
}

static int on_item(void *arg, struct inlet_session *s, struct link_item *item)
{
    (void)arg;
    durable = item->last + 1;
    struct link_positions p = {.tracks = 1, .next = {durable}, .credit = {8}};
    tracef("item");
    trace_item(item);
    tracef(" %.*s; ", (int)(item->payload ? item->payload->len : 0),
           item->payload ? (const char *)item->payload->data : "");
    link_item_fini(item);
    inlet_ack(link_client_inlet(client), s, &p);
    return 0;
}

static void attend(const char *to)
{
    static const struct inlet_ops ops = {.open = on_open, .item = on_item};
    ck_assert_int_eq(link_client_create(base, to, &conf, "self", &ops, NULL, &client), 0);
}

/* ---- what fakes say ---- */

static void say_hello(struct fake *f, const char *instance, uint32_t version)
{
    struct link_msg m = {.type = LINK_HELLO};
    m.hello.version = version;
    snprintf(m.hello.instance, sizeof m.hello.instance, "%s", instance);
    m.hello.incarnation = 5;
    fake_send(f, &m);
}

static void say_positions(struct fake *f, enum link_type type, const char *vector,
                          const char *positions)
{
    struct link_msg m = {.type = type, .stream = "cam", .vector = vec(vector)};
    m.positions = at(positions);
    fake_send(f, &m);
}

static void say_open(struct fake *f, const char *vector)
{
    struct link_msg m = {.type = LINK_OPEN, .stream = "cam", .vector = vec(vector)};
    m.open.ntracks = 1;
    m.open.tracks[0] = (struct link_track){.track = 1, .format = format};
    fake_send(f, &m);
}

static void say_frame(struct fake *f, const char *vector, uint64_t seq, const char *payload)
{
    struct link_msg m = {.type = LINK_FRAME, .stream = "cam", .vector = vec(vector)};
    struct blob *b = blob_copy(payload, strlen(payload));
    m.item.item = (struct link_item){.track = 1, .seq = seq, .last = seq, .payload = b};
    m.item.format_number = 1;
    fake_send(f, &m);
    blob_unref(&b);
}

/* One message of each wrong kind. Returns how many. */
static unsigned say_garbage(struct fake *f)
{
    struct link_msg hello = {.type = LINK_HELLO};
    uint8_t *big = calloc(1, LINK_HEADER_MAX + 1);
    strcpy(hello.hello.instance, "a long enough name");
    struct blob *b = link_wire_encode(&hello);
    fake_bytes(f, "", 0);                                   /* empty */
    fake_parts(f, "", 0, "", 0, NULL, SIZE_MAX);            /* two of them */
    fake_parts(f, "", 0, "", 0, "", 0);                     /* three */
    fake_bytes(f, b->data, b->len / 2);                     /* truncated */
    fake_bytes(f, "\x7a\x00", 2);                           /* an unknown type */
    fake_bytes(f, "GET / HTTP/1.1\r\n\r\n", 18);            /* another protocol */
    fake_parts(f, b->data, b->len, "x", 1, NULL, SIZE_MAX); /* a payload too many */
    fake_parts(f, b->data, b->len, "x", 1, "y", 1);         /* and one more */
    fake_bytes(f, big, LINK_HEADER_MAX + 1);                /* too big */
    fake_bytes(f, "\x2a\x00", 2);                           /* a Gap without anything */
    free(big);
    blob_unref(&b);
    return 10;
}

/* A proper instance on fake 0, its session open under 1.1. */
static struct fake *proper(void)
{
    struct fake *f = fake_open(0, ZMQ_DEALER, false);
    say_hello(f, "good", LINK_VERSION);
    wait_for("0 Open 1.1");
    say_positions(f, LINK_RESUME, "1.1", "0+64");
    put_frame();
    wait_for("0 Frame 1.1 t1#0 key format 1");
    return f;
}

/* ---- the outlet's socket ---- */

START_TEST(garbage_is_counted_while_others_are_served)
{
    use(_i);
    serve(1);
    struct fake *good = proper(), *bad = fake_open(1, ZMQ_DEALER, false);
    unsigned n = say_garbage(bad);
    say_hello(bad, "bad", LINK_VERSION + 1);
    wait_until(link_server_refused(server) >= n + 1);
    ck_assert_uint_eq(link_server_refused(server), n + 1);
    put_frame();
    wait_for("0 Frame 1.1 t1#1");
    say_positions(good, LINK_ACK, "1.1", "2+64");
    wait_until(outlet_stream_stats(cam).held_items == 0);
}
END_TEST

START_TEST(garbage_from_the_owner_itself_does_not_end_its_session)
{
    use(_i);
    serve(1);
    struct fake *good = proper();
    unsigned n = say_garbage(good);
    wait_until(link_server_refused(server) == n);
    put_frame();
    wait_for("0 Frame 1.1 t1#1");
}
END_TEST

START_TEST(answers_twice_and_out_of_order_do_no_harm)
{
    use(_i);
    serve(1);
    struct fake *good = proper();
    for (int i = 0; i < 5; i++)
        put_frame();
    wait_for("t1#5");
    say_positions(good, LINK_RESUME, "1.1", "0+64");
    say_positions(good, LINK_ACK, "1.1", "4+64");
    say_positions(good, LINK_ACK, "1.1", "2+64");
    say_positions(good, LINK_ACK, "1.1", "4+64");
    say_positions(good, LINK_ACK, "1.1", "999+64"); /* never sent */
    wait_until(link_server_refused(server) == 1);
    ck_assert_uint_eq(outlet_stream_stats(cam).held_items, 2);
    put_frame();
    wait_for("0 Frame 1.1 t1#6");
}
END_TEST

START_TEST(a_part_above_the_limit_costs_its_own_connection_only)
{
    use(_i);
    serve(1);
    proper();
    struct fake *bad = fake_open(1, ZMQ_DEALER, false);
    size_t n = (size_t)LINK_PAYLOAD_MAX + 1;
    uint8_t *big = calloc(1, n);
    fake_parts(bad, "x", 1, big, n, NULL, SIZE_MAX);
    free(big);
    put_frame();
    wait_for("0 Frame 1.1 t1#1");
    say_hello(bad, "bad", LINK_VERSION); /* over the next connection it may try again */
    put_frame();
    wait_for("t1#2");
}
END_TEST

START_TEST(an_unknown_peer_is_asked_who_it_is)
{
    use(_i);
    serve(1);
    say_positions(fake_open(2, ZMQ_DEALER, false), LINK_ACK, "1.1", "0+8");
    wait_for("2 Hello \"\"");
}
END_TEST

START_TEST(an_owner_that_went_is_noticed_by_the_next_frame)
{
    use(_i);
    serve(1);
    struct fake *good = proper();
    fake_close(good);
    wait_until(({
        put_frame();
        !outlet_stream_is_open(cam);
    }));
    fake_open(0, ZMQ_DEALER, false);
    say_hello(&fakes[0], "good", LINK_VERSION);
    wait_for("0 Open 1.2");
}
END_TEST

static void count_free(void *arg)
{
    __atomic_add_fetch((unsigned *)arg, 1, __ATOMIC_SEQ_CST);
}

START_TEST(payload_is_not_copied_and_freed_after_the_ack)
{
    size_t n = 16 << 20;
    uint8_t *bytes = malloc(n);
    unsigned freed = 0;
    use(_i);
    serve(1);
    struct fake *good = proper();
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    struct blob *b = blob_wrap(bytes, n, count_free, &freed);
    put_blob(b);
    ck_assert_uint_ge(b->refs, 2); /* ZeroMQ holds the very same bytes beside the window */
    wait_for("0 Frame 1.1 t1#1");
    ck_assert_uint_eq(good->payload_len, n);
    ck_assert(memcmp(good->payload, bytes, n) == 0);
    ck_assert_uint_eq(__atomic_load_n(&freed, __ATOMIC_SEQ_CST), 0); /* it may be wanted again */
    say_positions(good, LINK_ACK, "1.1", "2+64");
    wait_until(__atomic_load_n(&freed, __ATOMIC_SEQ_CST) == 1);
    b = blob_wrap(bytes, n, count_free, &freed);
    put_blob(b);
    link_server_destroy(&server, false); /* closing frees, too, whatever was under way */
    ck_assert_uint_eq(__atomic_load_n(&freed, __ATOMIC_SEQ_CST), 2);
    free(bytes);
}
END_TEST

START_TEST(an_address_in_use_is_an_error)
{
    static const struct outlet_ops ops = {0};
    struct link_server *second = NULL;
    snprintf(address, sizeof address, "tcp://127.0.0.1:%u", loopback_port());
    serve(1);
    ck_assert_int_eq(link_server_create(base, address, &conf, LINK_SOURCE, &ops, NULL, &second),
                     -EADDRINUSE);
    ck_assert_int_lt(link_server_create(base, "nonsense", &conf, 0, &ops, NULL, &second), 0);
    ck_assert_ptr_null(second);
}
END_TEST

START_TEST(a_flood_leaves_others_their_turn)
{
    use(_i);
    serve(1);
    fake_open(1, ZMQ_DEALER, false);
    for (unsigned i = 0; i < 20000; i++)
        zmq_send(fakes[1].zmq, "garbage", 7, ZMQ_DONTWAIT);
    unsigned before = breaks, turns = 0;
    while (link_server_refused(server) < 1000 && turns < 100000) {
        event_base_loop(base, EVLOOP_ONCE);
        turns++;
    }
    ck_assert_uint_ge(turns, 4); /* 256 at a time, not all in one turn */
    wait_until(breaks > before);
}
END_TEST

/* ---- the inlet's sockets ---- */

/* A proper outlet on fake 0, session 1.1 open, frame 0 taken. */
static struct fake *proper_above(void)
{
    struct fake *f = fake_open(0, ZMQ_ROUTER, true);
    attend(address);
    wait_for("0 Hello \"self\"");
    say_open(f, "1.1");
    wait_for("0 Resume 1.1 0+8");
    say_frame(f, "1.1", 0, "zero");
    wait_for("item t1#0 zero");
    return f;
}

START_TEST(garbage_from_above_is_counted_and_the_session_goes_on)
{
    use(_i);
    struct fake *f = proper_above();
    unsigned n = say_garbage(f);
    struct link_msg ask = {.type = LINK_HELLO, .hello = {.version = LINK_VERSION + 1}};
    fake_send(f, &ask);
    wait_until(link_client_refused(client) == n + 1);
    say_frame(f, "1.1", 1, "one");
    wait_for("item t1#1 one");
}
END_TEST

START_TEST(frames_twice_or_out_of_order_are_asked_for_again_never_taken)
{
    use(_i);
    struct fake *f = proper_above();
    say_frame(f, "1.1", 0, "zero again");
    wait_for("0 Hello \"self\"");
    say_open(f, "1.2");
    wait_for("0 Resume 1.2 1+8");
    say_frame(f, "1.2", 2, "two before one");
    say_frame(f, "1.2", 1, "one after two");
    wait_for("0 Hello \"self\"");
    say_open(f, "1.3");
    wait_for("0 Resume 1.3 1+8");
    say_frame(f, "1.3", 1, "one");
    wait_for("item t1#1 one");
    ck_assert_uint_eq(durable, 2);
}
END_TEST

START_TEST(acks_of_one_turn_become_one_message)
{
    use(_i);
    struct fake *f = proper_above();
    for (uint64_t i = 1; i <= 50; i++)
        say_frame(f, "1.1", i, "x");
    wait_until(heard("Ack 1.1 51+8"));
    ck_assert_uint_lt(trace_count(trace(), "Ack"), 51);
}
END_TEST

START_TEST(drain_reaches_the_outlet_though_the_process_ends)
{
    use(_i);
    proper_above();
    link_client_destroy(&client, true);
    wait_for("0 Close draining");
}
END_TEST

START_TEST(two_outlets_are_served_and_one_that_misbehaves_harms_nobody)
{
    char both[200];
    use(1);
    fake_open(0, ZMQ_ROUTER, true);
    snprintf(both, sizeof both, "%s ", address);
    use(0);
    fake_open(1, ZMQ_ROUTER, true);
    snprintf(both + strlen(both), sizeof both - strlen(both), "%s", address);
    attend(both);
    wait_until(heard("0 Hello \"self\"") && heard("1 Hello \"self\""));
    trace_len = 0;
    say_garbage(&fakes[1]);
    say_open(&fakes[0], "1.1");
    wait_for("0 Resume 1.1 0+8");
    say_frame(&fakes[0], "1.1", 0, "zero");
    wait_for("item t1#0 zero");
}
END_TEST

START_TEST(an_address_that_is_none_is_an_error)
{
    static const struct inlet_ops ops = {.open = on_open, .item = on_item};
    ck_assert_int_eq(link_client_create(base, "udp://x:1", &conf, "self", &ops, NULL, &client),
                     -EINVAL);
    ck_assert_ptr_null(client);
}
END_TEST

/* ---- both ends ---- */

START_TEST(an_outlet_that_restarts_gets_hello_and_the_stream_goes_on)
{
    use(_i);
    serve(1);
    attend(address);
    put_frame();
    wait_for("item t1#0 key picture");
    put_frame();
    wait_for("item t1#1 key picture");
    wait_until(outlet_stream_stats(cam).held_items == 0); /* acked */
    link_server_destroy(&server, false);
    serve(2); /* a new epoch; its log begins anew */
    durable = 0;
    put_frame();
    wait_for("item t1#0 key picture");
    wait_until(outlet_stream_stats(cam).held_items == 0);
}
END_TEST

START_TEST(an_inlet_that_restarts_goes_on_where_its_log_ends)
{
    use(_i);
    serve(1);
    attend(address);
    put_frame();
    wait_for("item t1#0 key picture");
    link_client_destroy(&client, false);
    put_frame();
    put_frame();
    attend(address);
    wait_for("item t1#2 key picture");
    ck_assert_uint_eq(durable, 3);
    wait_until(outlet_stream_stats(cam).held_items == 0);
}
END_TEST

START_TEST(one_outlet_under_two_names_is_served_over_one_of_them)
{
    char both[240];
    snprintf(address, sizeof address, "tcp://127.0.0.1:%u", loopback_port());
    unsigned port = (unsigned)atoi(strrchr(address, ':') + 1);
    serve(1);
    snprintf(both, sizeof both, "tcp://127.0.0.1:%u tcp://127.0.0.2:%u", port, port);
    link_server_destroy(&server, false);
    snprintf(address, sizeof address, "tcp://*:%u", port);
    serve(1);
    attend(both);
    put_frame();
    wait_for("item t1#0 key picture");
    /* A second of heartbeats without a new Open: neither takes it from the other. */
    struct link_vector settled = {0};
    unsigned last = breaks;
    wait_until(({
        struct link_vector v = outlet_stream_vector(cam);
        if (link_vector_cmp(&v, &settled) != 0) {
            settled = v;
            last = breaks;
        }
        breaks - last > 300;
    }));
    put_frame();
    wait_for("item t1#1 key picture");
}
END_TEST

static void fill(TCase *tc)
{
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, garbage_is_counted_while_others_are_served, 0, 2);
    tcase_add_loop_test(tc, garbage_from_the_owner_itself_does_not_end_its_session, 0, 2);
    tcase_add_loop_test(tc, answers_twice_and_out_of_order_do_no_harm, 0, 2);
    tcase_add_loop_test(tc, a_part_above_the_limit_costs_its_own_connection_only, 0, 2);
    tcase_add_loop_test(tc, an_unknown_peer_is_asked_who_it_is, 0, 2);
    tcase_add_loop_test(tc, an_owner_that_went_is_noticed_by_the_next_frame, 0, 2);
    tcase_add_loop_test(tc, payload_is_not_copied_and_freed_after_the_ack, 0, 2);
    tcase_add_test(tc, an_address_in_use_is_an_error);
    tcase_add_loop_test(tc, a_flood_leaves_others_their_turn, 0, 2);
    tcase_add_loop_test(tc, garbage_from_above_is_counted_and_the_session_goes_on, 0, 2);
    tcase_add_loop_test(tc, frames_twice_or_out_of_order_are_asked_for_again_never_taken, 0, 2);
    tcase_add_loop_test(tc, acks_of_one_turn_become_one_message, 0, 2);
    tcase_add_loop_test(tc, drain_reaches_the_outlet_though_the_process_ends, 0, 2);
    tcase_add_test(tc, two_outlets_are_served_and_one_that_misbehaves_harms_nobody);
    tcase_add_test(tc, an_address_that_is_none_is_an_error);
    tcase_add_loop_test(tc, an_outlet_that_restarts_gets_hello_and_the_stream_goes_on, 0, 2);
    tcase_add_loop_test(tc, an_inlet_that_restarts_goes_on_where_its_log_ends, 0, 2);
    tcase_add_test(tc, one_outlet_under_two_names_is_served_over_one_of_them);
}

int main(void)
{
    log_init("test", LOG_NONE);
    return run_suite("link_socket", fill);
}
