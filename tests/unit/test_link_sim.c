/* The whole chain capture, encoders, muxers, uploader over a simulated network with faults at
 * random moments. Relies on the real outlet, inlet, relay and wire code; sockets and clock are
 * simulated, so a seed repeats a run exactly. Leaves real sockets to test_link_socket.c and real
 * processes to tests/pipeline.
 *
 * RUNS=n SEED=first in the environment: so many runs, from that seed. TRACE=1 prints each message
 * and fault; a run that fails is run again like that by itself. */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/link_wire.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/relay.h"
#include "tests/unit/claim.h"
#include "tests/unit/suite.h"

enum { C, E1, E2, M1, M2, U, NODES };
#define FRAMES 60
#define TRACKS 2
#define QUEUE 1024
#define CREDIT 9
#define RUNS 10000
#define RUNS_A_PROCESS 250
#define STREAM "cam"

struct payload { /* what a frame carries: who coded it, after which frame */
    uint64_t coder, predecessor;
};

struct wire_msg {
    struct blob *header, *payload;
};

struct channel {
    struct wire_msg q[QUEUE];
    unsigned head, len;
};

struct session { /* of E and M: one item is held back, as a real coder may */
    struct link_item held[TRACKS];
    uint64_t last[TRACKS], id;
    bool coded[TRACKS];
};

struct log_entry {
    bool gap;
    uint64_t first, last;
    struct payload payload;
    bool key;
};

struct node {
    int id;
    bool alive, hung;
    struct outlet *outlet;
    struct inlet *inlet;
    struct relay *relay;
    unsigned connection[NODES]; /* of the channel from this node down to another */
};

struct sim {
    struct node nodes[NODES];
    struct channel channels[NODES][NODES];
    int64_t now;
    unsigned seed;
    uint64_t epoch, incarnation, coder;
    bool two, live, coded;
    unsigned tracks;
    struct outlet_window window;
    /* capture */
    struct outlet_stream *source;
    struct link_format *formats[TRACKS];
    uint64_t captured[TRACKS];
    /* uploader: the log survives its crash, what is pending does not */
    struct log_entry log[TRACKS][FRAMES * 4], pending[TRACKS][FRAMES * 4];
    unsigned nlog[TRACKS], npending[TRACKS];
    struct link_vector fence;
    uint64_t log_epoch;
    struct inlet_session *session;
};

static struct sim *sim; /* callbacks of nodes need the world around them */
static bool tracing;
static unsigned *current_seed; /* shared with the processes that Check forks */

/* ---- what happens, for people ---- */

static const char *const node_names[] = {"C", "E1", "E2", "M1", "M2", "U"};

__attribute__((format(printf, 1, 2))) static void trace(const char *fmt, ...)
{
    va_list ap;
    if (!tracing)
        return;
    printf("%8.2f ", (double)sim->now / NS_PER_S);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

static void trace_positions(const struct link_positions *at)
{
    for (unsigned t = 0; t < TRACKS; t++)
        if (at->tracks >> t & 1)
            printf(" %u:%" PRIu64 "+%" PRIu64, t + 1, at->next[t], at->credit[t]);
}

static void trace_msg(int from, int to, const struct link_msg *m)
{
    if (!tracing)
        return;
    printf("%8.2f %s->%s %s", (double)sim->now / NS_PER_S, node_names[from], node_names[to],
           link_type_name(m->type));
    if (m->type == LINK_FRAME || m->type == LINK_GAP)
        printf(" %u:%" PRIu64 "..%" PRIu64 "%s", m->item.item.track, m->item.item.seq,
               m->item.item.last, m->item.item.key ? " key" : "");
    if (m->type == LINK_RESUME || m->type == LINK_ACK)
        trace_positions(&m->positions);
    if (m->type == LINK_CLOSE)
        printf(" reason %d", (int)m->close.reason);
    for (unsigned i = 0; i < m->vector.n; i++)
        printf("%s%" PRIu64, i ? "." : " [", m->vector.v[i]);
    printf("%s\n", m->vector.n ? "]" : "");
}

static unsigned rnd(unsigned n)
{
    return (unsigned)rand_r(&sim->seed) % n;
}

/* ---- network ---- */

static void channel_clear(struct channel *ch)
{
    while (ch->len) {
        struct wire_msg *m = &ch->q[ch->head];
        blob_unref(&m->header);
        blob_unref(&m->payload);
        ch->head = (ch->head + 1) % QUEUE;
        ch->len--;
    }
}

static void channel_put(struct channel *ch, const struct link_msg *msg)
{
    claim(ch->len < QUEUE);
    struct wire_msg *m = &ch->q[(ch->head + ch->len++) % QUEUE];
    m->header = link_wire_encode(msg);
    m->payload = msg->type == LINK_FRAME ? blob_ref(msg->item.item.payload) : NULL;
}

static int send_down(void *arg, uint64_t peer, const struct link_msg *msg)
{
    struct node *n = arg;
    unsigned to = peer & 0xff;
    if (!sim->nodes[to].alive || peer >> 8 != n->connection[to])
        return -EHOSTUNREACH;
    channel_put(&sim->channels[n->id][to], msg);
    return 0;
}

static void send_up(void *arg, unsigned link, const struct link_msg *msg)
{
    struct node *n = arg;
    if (sim->nodes[link].alive)
        channel_put(&sim->channels[n->id][link], msg);
}

static int64_t sim_now(void *arg)
{
    (void)arg;
    return sim->now;
}

static bool linked(int a, int b)
{
    if (!sim->two && (b == E2 || b == M2 || a == E2 || a == M2))
        return false;
    return (a == C && (b == E1 || b == E2)) || ((a == E1 || a == E2) && (b == M1 || b == M2)) ||
           ((a == M1 || a == M2) && b == U);
}

static struct inlet *inlet_of(int n)
{
    return sim->nodes[n].relay ? relay_inlet(sim->nodes[n].relay) : sim->nodes[n].inlet;
}

static struct outlet *outlet_of(int n)
{
    return sim->nodes[n].relay ? relay_outlet(sim->nodes[n].relay) : sim->nodes[n].outlet;
}

/* A connection from a down to b begins anew: nothing of the old one arrives. */
static void connect_again(int a, int b)
{
    channel_clear(&sim->channels[a][b]);
    channel_clear(&sim->channels[b][a]);
    sim->nodes[a].connection[b]++;
    if (sim->nodes[a].alive && sim->nodes[b].alive)
        inlet_link_up(inlet_of(b), (unsigned)a, sim->now);
}

static void deliver(int a, int b)
{
    struct channel *ch = &sim->channels[a][b];
    struct wire_msg m = ch->q[ch->head];
    struct link_msg msg;
    const char *why;

    ch->head = (ch->head + 1) % QUEUE;
    ch->len--;
    claim_msg(link_wire_decode(m.header->data, m.header->len, m.payload, &msg, &why) == 0, "%s",
              why);
    blob_unref(&m.header);
    trace_msg(a, b, &msg);
    if (linked(a, b))
        inlet_receive(inlet_of(b), (unsigned)a, &msg, sim->now);
    else
        outlet_receive(outlet_of(b), (uint64_t)a | (uint64_t)sim->nodes[b].connection[a] << 8, &msg,
                       sim->now);
    link_msg_fini(&msg);
}

/* ---- encoder and muxer ---- */

static void on_begin(void *arg, struct relay_stream *s, const struct link_track *tracks,
                     unsigned ntracks, const struct link_positions *at, void **user)
{
    struct session *ses = xcalloc(1, sizeof *ses);
    (void)arg, (void)s, (void)tracks, (void)ntracks, (void)at;
    ses->id = ++sim->coder;
    *user = ses;
}

static void code(struct session *ses, struct link_item *it)
{
    unsigned t = it->track - 1u;
    uint8_t *data;
    struct payload p = {.coder = ses->id, .predecessor = ses->last[t]};
    it->key = !ses->coded[t];
    ses->coded[t] = true;
    ses->last[t] = it->seq;
    blob_unref(&it->payload);
    it->payload = blob_new(sizeof p, &data);
    memcpy(data, &p, sizeof p);
}

static void on_item(void *arg, struct relay_stream *s, void *user, struct link_item *item)
{
    struct node *n = arg;
    struct session *ses = user;
    struct link_item *held = &ses->held[item->track - 1];
    bool encoder = (n->id == E1 || n->id == E2) && !sim->coded;

    if (encoder && !item->gap)
        code(ses, item);
    if (held->track) { /* the one before leaves first: numbers stay in order */
        struct link_item out = *held;
        *held = (struct link_item){0};
        relay_put(s, &out);
    }
    if (rnd(4) == 0 && !item->gap)
        *held = *item;
    else
        relay_put(s, item);
}

static void on_ended(void *arg, struct relay_stream *s, void *user)
{
    struct session *ses = user;
    (void)arg;
    for (unsigned t = 0; t < TRACKS; t++)
        if (ses->held[t].track) {
            struct link_item out = ses->held[t];
            ses->held[t] = (struct link_item){0};
            relay_put(s, &out);
        }
    relay_end(s);
}

static void on_drop(void *arg, struct relay_stream *s, void *user)
{
    struct session *ses = user;
    (void)arg, (void)s;
    for (unsigned t = 0; t < TRACKS; t++)
        link_item_fini(&ses->held[t]);
    free(ses);
}

/* ---- uploader ---- */

static uint64_t next_in(const struct log_entry *log, unsigned n, uint64_t from)
{
    return n ? log[n - 1].last + 1 : from;
}

static void u_sync(void)
{
    for (unsigned t = 0; t < TRACKS; t++) {
        memcpy(&sim->log[t][sim->nlog[t]], sim->pending[t],
               sim->npending[t] * sizeof *sim->pending[t]);
        sim->nlog[t] += sim->npending[t];
        sim->npending[t] = 0;
        claim(sim->nlog[t] < FRAMES * 3);
    }
}

static struct link_positions u_at(void)
{
    struct link_positions at = {0};
    for (unsigned t = 0; t < sim->tracks; t++) {
        at.tracks |= (uint8_t)(1u << t);
        at.next[t] = next_in(sim->log[t], sim->nlog[t], 0);
        at.credit[t] = CREDIT;
    }
    return at;
}

static void u_open(void *arg, struct inlet_session *s, const struct link_msg *msg)
{
    struct node *n = arg;
    u_sync(); /* rule 5 */
    if (msg->vector.v[0] > sim->log_epoch) {
        sim->log_epoch = msg->vector.v[0];
        memset(sim->nlog, 0, sizeof sim->nlog);
    }
    claim(link_vector_cmp(&msg->vector, &sim->fence) > 0);
    sim->fence = msg->vector; /* rule 2 */
    sim->session = s;
    struct link_positions at = u_at();
    inlet_resume(n->inlet, s, &at);
}

static int u_item(void *arg, struct inlet_session *s, struct link_item *item)
{
    unsigned t = item->track - 1u;
    uint64_t next =
        next_in(sim->pending[t], sim->npending[t], next_in(sim->log[t], sim->nlog[t], 0));
    struct log_entry e = {
        .gap = item->gap, .first = item->seq, .last = item->last, .key = item->key};

    (void)arg, (void)s;
    claim_msg(item->seq == next, "track %u: number %llu comes, the log expects %llu", t + 1,
              (unsigned long long)item->seq, (unsigned long long)next);
    claim_msg(item->gap || item->seq < next_in(sim->log[t], sim->nlog[t], 0) + CREDIT,
              "track %u: number %" PRIu64 " is beyond the credit", t + 1, item->seq);
    if (!item->gap)
        memcpy(&e.payload, item->payload->data, sizeof e.payload);
    sim->pending[t][sim->npending[t]++] = e;
    link_item_fini(item);
    return 0;
}

/* ---- nodes ---- */

static void start(int id)
{
    static const char *const names[] = {"capture", "encoder-1", "encoder-2",
                                        "muxer-1", "muxer-2",   "uploader"};
    static const struct relay_ops relay_ops = {
        .begin = on_begin, .item = on_item, .ended = on_ended, .drop = on_drop};
    static const struct outlet_ops source_ops = {.send = send_down};
    static const struct inlet_ops uploader_ops = {.send = send_up, .open = u_open, .item = u_item};
    static const struct conf_link link = {.heartbeat_ms = 250, .silence_ms = 1000};
    struct node *n = &sim->nodes[id];

    n->id = id;
    n->alive = true;
    n->hung = false;
    if (id == C) {
        struct outlet_conf oc = {.heartbeat_ns = 250 * NS_PER_MS,
                                 .silence_ns = NS_PER_S,
                                 .source = true,
                                 .incarnation = 1};
        struct outlet_ops ops = source_ops;
        struct link_track tracks[TRACKS];
        ops.send_arg = n;
        n->outlet = outlet_create(&oc, &ops, n);
        for (unsigned t = 0; t < sim->tracks; t++) {
            tracks[t] = (struct link_track){.track = (uint8_t)(t + 1), .format = sim->formats[t]};
            sim->captured[t] = 0;
        }
        sim->source = outlet_source_add(n->outlet, STREAM, ++sim->epoch, tracks, sim->tracks,
                                        &sim->window, sim->live, sim->now);
    } else if (id == U) {
        struct inlet_conf ic = {.instance = "uploader",
                                .incarnation = ++sim->incarnation,
                                .heartbeat_ns = 250 * NS_PER_MS};
        struct inlet_ops ops = uploader_ops;
        ops.send_arg = n;
        n->inlet = inlet_create(&ic, &ops, n);
        if (sim->fence.n)
            inlet_set_greatest(n->inlet, STREAM, &sim->fence);
        sim->session = NULL;
    } else {
        struct relay_conf rc = {
            .instance = names[id], .link = &link, .sticky = id == M1 || id == M2};
        struct relay_wire w = {send_down, send_up, sim_now, n, ++sim->incarnation};
        n->relay = relay_create_wired(&rc, &w, &relay_ops, n);
    }
    for (int other = 0; other < NODES; other++) {
        if (linked(other, id))
            connect_again(other, id);
        else if (linked(id, other))
            connect_again(id, other);
    }
}

static void crash(int id)
{
    struct node *n = &sim->nodes[id];
    trace("%s dies", node_names[id]);
    n->alive = n->hung = false;
    relay_destroy(&n->relay, false);
    outlet_destroy(&n->outlet);
    inlet_destroy(&n->inlet);
    if (id == C)
        sim->source = NULL;
    if (id == U) {
        memset(sim->npending, 0, sizeof sim->npending);
        sim->session = NULL;
    }
    for (int other = 0; other < NODES; other++) {
        channel_clear(&sim->channels[other][id]); /* what had left may still arrive: keep the other
                                                     way sometimes */
        if (rnd(2))
            channel_clear(&sim->channels[id][other]);
    }
}

/* An orderly end of an encoder or muxer: it says that it drains, and what it said arrives. */
static void hand_over(int id)
{
    struct node *n = &sim->nodes[id];
    trace("%s drains and ends", node_names[id]);
    inlet_drain(relay_inlet(n->relay));
    relay_destroy(&n->relay, false);
    n->alive = n->hung = false;
    for (int other = 0; other < NODES; other++)
        channel_clear(&sim->channels[other][id]);
}

static void capture(unsigned t)
{
    struct node *n = &sim->nodes[C];
    struct link_item it = {.track = (uint8_t)(t + 1), .pts_ns = (int64_t)sim->captured[t] * 1000};
    struct payload p = {.coder = 0, .predecessor = sim->captured[t] ? sim->captured[t] - 1 : 0};
    uint8_t *data;

    if (sim->captured[t] >= FRAMES || (!sim->live && !outlet_room(sim->source, t + 1)))
        return;
    it.dts_ns = it.pts_ns;
    it.key = t > 0 || !sim->coded || sim->captured[t] % 4 == 0;
    it.format = link_format_ref(sim->formats[t]);
    it.payload = blob_new(sizeof p, &data);
    memcpy(data, &p, sizeof p);
    claim(outlet_put(n->outlet, sim->source, &it, sim->now) == 0);
    sim->captured[t]++;
}

static bool all_captured(void)
{
    for (unsigned t = 0; t < sim->tracks; t++)
        if (sim->captured[t] < FRAMES)
            return false;
    return true;
}

static void step(void)
{
    sim->now += 20 * NS_PER_MS;
    for (unsigned k = 0; k < 60; k++) {
        int a = (int)rnd(NODES), b = (int)rnd(NODES);
        if (sim->nodes[b].alive && !sim->nodes[b].hung && sim->channels[a][b].len)
            deliver(a, b);
    }
    for (int i = 0; i < NODES; i++) {
        struct node *n = &sim->nodes[i];
        if (!n->alive || n->hung)
            continue;
        if (outlet_of(i))
            outlet_tick(outlet_of(i), sim->now);
        if (inlet_of(i))
            inlet_tick(inlet_of(i), sim->now);
    }
    if (sim->nodes[C].alive && !sim->nodes[C].hung)
        capture(rnd(sim->tracks));
    if (sim->nodes[U].alive && !sim->nodes[U].hung && rnd(2)) {
        u_sync();
        struct link_positions at = u_at();
        if (sim->session && inlet_session_is_open(sim->session))
            inlet_ack(sim->nodes[U].inlet, sim->session, &at);
    }
}

static void fault(bool capture_too)
{
    int i = (int)rnd(NODES), j = (int)rnd(NODES);

    if (!capture_too && i == C)
        i = U;
    if (!sim->two && (i == E2 || i == M2))
        return;
    switch (rnd(5)) {
    case 0:
        if (sim->nodes[i].alive)
            crash(i);
        break;
    case 1:
        if (sim->nodes[i].alive)
            sim->nodes[i].hung = true;
        trace("%s hangs", node_names[i]);
        break;
    case 2:
        trace("%s-%s is cut", node_names[i], node_names[j]);
        if (linked(i, j))
            connect_again(i, j);
        break;
    case 4:
        if (sim->nodes[i].alive && !sim->nodes[i].hung && sim->nodes[i].relay)
            hand_over(i);
        break;
    case 3: /* a message is lost and nobody is told */
        if (sim->channels[i][j].len) {
            trace("the newest message %s->%s is lost", node_names[i], node_names[j]);
            struct channel *ch = &sim->channels[i][j];
            ch->len--;
            struct wire_msg *m = &ch->q[(ch->head + ch->len) % QUEUE];
            blob_unref(&m->header);
            blob_unref(&m->payload);
        }
        break;
    }
}

static void recover(bool all)
{
    for (int i = 0; i < NODES; i++) {
        if (!sim->two && (i == E2 || i == M2))
            continue;
        if (!sim->nodes[i].alive && (all || rnd(20) == 0)) {
            trace("%s starts again", node_names[i]);
            start(i);
        }
        if (sim->nodes[i].hung && (all || rnd(60) == 0))
            sim->nodes[i].hung = false;
    }
}

static void setup(unsigned seed)
{
    sim = xcalloc(1, sizeof *sim);
    sim->seed = seed;
    sim->now = NS_PER_S;
    sim->two = rnd(2);
    sim->tracks = 1 + rnd(2);
    sim->coded = rnd(2);
    sim->live = rnd(2);
    sim->window =
        (struct outlet_window){.frames = rnd(2) ? FRAMES * 2 : 5, .bytes = 1 << 20, .ns = NS_PER_S};
    for (unsigned t = 0; t < sim->tracks; t++) {
        sim->formats[t] = link_format_new();
        sim->formats[t]->number = 1;
        sim->formats[t]->video = t == 0;
        sim->formats[t]->codec = t            ? LINK_CODEC_AAC
                                 : sim->coded ? LINK_CODEC_H264
                                              : LINK_CODEC_RAW_VIDEO;
    }
    for (int i = 0; i < NODES; i++)
        if (sim->two || (i != E2 && i != M2))
            start(i);
}

static void teardown(void)
{
    for (int i = 0; i < NODES; i++) {
        relay_destroy(&sim->nodes[i].relay, false);
        outlet_destroy(&sim->nodes[i].outlet);
        inlet_destroy(&sim->nodes[i].inlet);
        for (int j = 0; j < NODES; j++)
            channel_clear(&sim->channels[i][j]);
    }
    for (unsigned t = 0; t < TRACKS; t++)
        link_format_unref(&sim->formats[t]);
    free(sim);
    sim = NULL;
}

/* Each number once and rising, gaps only where the window was short, a delta right behind the frame
 * it was coded after. */
static void check_log(unsigned t)
{
    uint64_t next = 0;
    const struct log_entry *last = NULL;

    for (unsigned i = 0; i < sim->nlog[t]; i++) {
        const struct log_entry *e = &sim->log[t][i];
        claim(e->first == next);
        next = e->last + 1;
        claim_msg(!e->gap || sim->window.frames < FRAMES, "a gap though the window holds all");
        if (e->gap)
            continue;
        if (t == 0 && !e->key)
            claim_msg(last && last->last == e->payload.predecessor &&
                          last->payload.coder == e->payload.coder,
                      "frame %llu cannot be decoded", (unsigned long long)e->first);
        last = e;
    }
    ck_assert_uint_eq(next, FRAMES);
}

/* One schedule. Capture's own death, which ends an epoch, is among the faults of every third. */
static void run(unsigned seed)
{
    *current_seed = seed;
    setup(seed);
    unsigned faults = rnd(12);
    for (unsigned i = 0; i < 4000; i++) {
        step();
        if (faults && rnd(15) == 0) {
            fault(seed % 3 == 0);
            faults--;
        }
        recover(faults == 0 && i > 200);
        if (sim->nodes[C].alive && all_captured()) {
            outlet_end(sim->nodes[C].outlet, sim->source, sim->now);
            if (faults == 0 && outlet_stream_done(sim->source))
                break;
        }
    }
    u_sync();
    claim_msg(sim->source && outlet_stream_done(sim->source),
              "not everything was acked in the end");
    for (unsigned t = 0; t < sim->tracks; t++)
        check_log(t);
    teardown();
}

static unsigned first_seed, runs;

START_TEST(nothing_lost_nothing_twice_under_random_faults)
{
    unsigned end = (unsigned)(_i + 1) * RUNS_A_PROCESS;
    for (unsigned k = (unsigned)_i * RUNS_A_PROCESS; k < end && k < runs; k++)
        run(first_seed + k);
}
END_TEST

static unsigned from_environment(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

/* Runs the seed that failed once more, alone, with every message printed. */
static void replay(char *program)
{
    char seed[16];
    snprintf(seed, sizeof seed, "%u", *current_seed);
    printf("seed %u failed. Its messages, again with: SEED=%s RUNS=1 TRACE=1 %s\n", *current_seed,
           seed, program);
    fflush(stdout);
    setenv("SEED", seed, 1);
    setenv("RUNS", "1", 1);
    setenv("TRACE", "1", 1);
    execl(program, program, (char *)NULL);
}

int main(int argc, char **argv)
{
    unsigned slow = from_environment("KVPIPE_SLOW", 1); /* sanitizers */
    first_seed = from_environment("SEED", 0);
    runs = from_environment("RUNS", RUNS / (slow * slow));
    tracing = from_environment("TRACE", 0) != 0;
    current_seed =
        mmap(NULL, sizeof *current_seed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    log_init("test", LOG_NONE);
    Suite *s = suite_create("link_sim");
    TCase *tc = tcase_create("chain");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, nothing_lost_nothing_twice_under_random_faults, 0,
                        (int)((runs + RUNS_A_PROCESS - 1) / RUNS_A_PROCESS));
    suite_add_tcase(s, tc);
    if (tracing) /* the last lines are not lost with the process that ends there */
        setvbuf(stdout, NULL, _IOLBF, 0);
    int failed = suite_run(s);
    printf("%u schedules from seed %u\n", runs, first_seed);
    if (failed && !tracing)
        replay(argv[0]);
    return failed;
}
