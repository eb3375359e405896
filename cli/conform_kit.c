/* The kit's sockets, a ROUTER above the stage and DEALERs below it, its time, and a record of all
 * that was said. Relies on raw ZeroMQ and link_wire. Leaves what is said to conform_above.c and
 * conform_below.c, what should happen when to the rules. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "cli/conform_private.h"
#include "common/link_wire.h"
#include "common/mem.h"

#define AWAIT_MS 5000
#define BEAT_NS (200 * NS_PER_MS)
#define TURN_MS 10

bool conform_fail(struct conform_kit *k, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(k->why, sizeof k->why, fmt, ap);
    va_end(ap);
    return false;
}

void conform_fault(struct conform_kit *k, const char *fmt, ...)
{
    va_list ap;
    if (k->fault[0])
        return;
    va_start(ap, fmt);
    vsnprintf(k->fault, sizeof k->fault, fmt, ap);
    va_end(ap);
}

int64_t conform_deadline(const struct conform_kit *k)
{
    return clock_mono_ns() + (int64_t)(AWAIT_MS * k->slow) * NS_PER_MS;
}

/* ---- sockets ---- */

static void *open_one(struct conform_kit *k, int type)
{
    int none = 0, back = 20;
    void *s = zmq_socket(k->zmq, type);
    zmq_setsockopt(s, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(s, ZMQ_SNDHWM, &none, sizeof none);
    zmq_setsockopt(s, ZMQ_RCVHWM, &none, sizeof none);
    zmq_setsockopt(s, ZMQ_RECONNECT_IVL, &back, sizeof back);
    return s;
}

static void open_above(struct conform_kit *k)
{
    if (!(k->stage & CONFORM_INLET))
        return;
    k->router = open_one(k, ZMQ_ROUTER);
    int tries = 0; /* libzmq gives an address back some time after the close */
    while (zmq_bind(k->router, k->above) < 0 && errno == EADDRINUSE && tries++ < 200)
        zmq_poll(NULL, 0, TURN_MS);
}

static void open_below(struct conform_kit *k, unsigned i)
{
    if (!(k->stage & CONFORM_OUTLET))
        return;
    k->dealers[i] = open_one(k, ZMQ_DEALER);
    zmq_connect(k->dealers[i], k->below);
}

void conform_drop_inlet(struct conform_kit *k, unsigned i)
{
    if (k->dealers[i])
        zmq_close(k->dealers[i]);
    k->dealers[i] = NULL;
    k->hello_said[i] = false;
    open_below(k, i);
}

void conform_open_sockets(struct conform_kit *k)
{
    open_above(k);
    for (unsigned i = 0; i < CONFORM_INLETS; i++)
        open_below(k, i);
}

static void close_above(struct conform_kit *k)
{
    if (k->router)
        zmq_close(k->router);
    k->router = NULL;
    k->peer_len = 0;
}

void conform_close_sockets(struct conform_kit *k)
{
    close_above(k);
    for (unsigned i = 0; i < CONFORM_INLETS; i++) {
        if (k->dealers[i])
            zmq_close(k->dealers[i]);
        k->dealers[i] = NULL;
        k->hello_said[i] = false;
    }
}

void conform_cut_above(struct conform_kit *k)
{
    close_above(k);
    open_above(k);
}

/* ---- sending ---- */

static void send_parts(void *socket, const void *const *parts, const size_t *lens, unsigned n)
{
    for (unsigned i = 0; socket && i < n; i++)
        zmq_send(socket, parts[i], lens[i], (i + 1 < n ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT);
}

static void *socket_of(struct conform_kit *k, enum conform_side side)
{
    return side == CONFORM_ABOVE ? k->router : k->dealers[0];
}

void conform_send_raw(struct conform_kit *k, enum conform_side side, const void *const *parts,
                      const size_t *lens, unsigned n)
{
    const void *all[8] = {k->peer};
    size_t sizes[8] = {k->peer_len};
    unsigned first = side == CONFORM_ABOVE;
    if (first && !k->peer_len)
        return;
    for (unsigned i = 0; i < n; i++) {
        all[first + i] = parts[i];
        sizes[first + i] = lens[i];
    }
    send_parts(socket_of(k, side), all, sizes, first + n);
}

static void send_to(struct conform_kit *k, enum conform_side side, unsigned inlet,
                    const struct link_msg *msg)
{
    struct blob *header = link_wire_encode(msg);
    struct blob *payload = msg->type == LINK_FRAME ? msg->item.item.payload : NULL;
    const void *parts[] = {k->peer, header->data, payload ? payload->data : NULL};
    const size_t lens[] = {k->peer_len, header->len, payload ? payload->len : 0};
    unsigned n = payload ? 3 : 2;
    if (side == CONFORM_BELOW)
        send_parts(k->dealers[inlet], parts + 1, lens + 1, n - 1);
    else if (k->peer_len)
        send_parts(k->router, parts, lens, n);
    blob_unref(&header);
}

void conform_send_above(struct conform_kit *k, const struct link_msg *msg)
{
    send_to(k, CONFORM_ABOVE, 0, msg);
}

void conform_send_below(struct conform_kit *k, unsigned inlet, const struct link_msg *msg)
{
    send_to(k, CONFORM_BELOW, inlet, msg);
}

void conform_hello(struct conform_kit *k, unsigned i)
{
    struct link_msg m = {.type = LINK_HELLO};
    m.hello.version = LINK_VERSION;
    snprintf(m.hello.instance, sizeof m.hello.instance, "conform-%u", i);
    m.hello.incarnation = k->incarnation + i;
    m.hello.connection = 1;
    k->hello_said[i] = true;
    conform_send_below(k, i, &m);
}

/* ---- receiving ---- */

struct parts {
    zmq_msg_t part[4];
    unsigned n;
};

static bool receive(void *socket, struct parts *p)
{
    int more = 1;
    p->n = 0;
    while (more) {
        zmq_msg_t spare, *at = p->n < 4 ? &p->part[p->n] : &spare;
        zmq_msg_init(at);
        if (zmq_msg_recv(at, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(at);
            return false;
        }
        more = zmq_msg_more(at);
        if (p->n < 4)
            p->n++;
        else
            zmq_msg_close(at);
    }
    return true;
}

static void take(struct conform_kit *k, enum conform_side side, unsigned inlet, struct parts *p)
{
    unsigned h = side == CONFORM_ABOVE; /* the part of the header */
    struct heard *e;
    const char *why = "no header, or more than a header and a payload";

    if (k->nheard == CONFORM_HEARD_MAX)
        return;
    e = &k->heard[k->nheard];
    *e = (struct heard){.side = side, .inlet = inlet, .at_ns = clock_mono_ns()};
    struct blob *payload =
        p->n == h + 2 ? blob_copy(zmq_msg_data(&p->part[h + 1]), zmq_msg_size(&p->part[h + 1]))
                      : NULL;
    if (p->n < h + 1 || p->n > h + 2 ||
        link_wire_decode(zmq_msg_data(&p->part[h]), zmq_msg_size(&p->part[h]), payload, &e->msg,
                         &why) < 0) {
        conform_fault(k, "sent what is no message of the contract: %s", why);
        blob_unref(&payload);
        return;
    }
    if (e->msg.type != LINK_FRAME)
        blob_unref(&payload);
    k->nheard++;
    if (side == CONFORM_ABOVE)
        conform_above_heard(k, &e->msg, zmq_msg_data(&p->part[0]), zmq_msg_size(&p->part[0]));
    else
        conform_below_heard(k, inlet, &e->msg);
}

static void read_all(struct conform_kit *k, enum conform_side side, unsigned inlet, void *socket)
{
    struct parts p;
    while (socket && receive(socket, &p)) {
        take(k, side, inlet, &p);
        for (unsigned i = 0; i < p.n; i++)
            zmq_msg_close(&p.part[i]);
    }
}

/* ---- time ---- */

static void beat(struct conform_kit *k)
{
    int64_t now = clock_mono_ns();
    if (now - k->beat_ns < BEAT_NS)
        return;
    k->beat_ns = now;
    if (k->peer_len && !k->above_mute)
        conform_above_beat(k);
    for (unsigned i = 0; i < CONFORM_INLETS; i++)
        if (k->hello_said[i] && !k->mute[i])
            conform_below_beat(k, i);
}

void conform_turn(struct conform_kit *k)
{
    zmq_pollitem_t items[1 + CONFORM_INLETS];
    int n = 0;
    if (k->router)
        items[n++] = (zmq_pollitem_t){.socket = k->router, .events = ZMQ_POLLIN};
    for (unsigned i = 0; i < CONFORM_INLETS; i++)
        if (k->dealers[i])
            items[n++] = (zmq_pollitem_t){.socket = k->dealers[i], .events = ZMQ_POLLIN};
    zmq_poll(items, n, TURN_MS);
    read_all(k, CONFORM_ABOVE, 0, k->router);
    for (unsigned i = 0; i < CONFORM_INLETS; i++)
        read_all(k, CONFORM_BELOW, i, k->dealers[i]);
    beat(k);
}

void conform_pump(struct conform_kit *k, int ms)
{
    int64_t end = clock_mono_ns() + ms * NS_PER_MS;
    do
        conform_turn(k);
    while (clock_mono_ns() < end);
}

bool conform_until(struct conform_kit *k, bool (*fn)(struct conform_kit *))
{
    int64_t end = conform_deadline(k);
    while (!fn(k)) {
        if (clock_mono_ns() > end)
            return false;
        conform_turn(k);
    }
    return true;
}

struct heard *conform_heard(struct conform_kit *k, enum conform_side side, enum link_type type,
                            const char *stream)
{
    for (unsigned i = 0; i < k->nheard; i++) {
        struct heard *h = &k->heard[i];
        if (h->taken || h->side != side || h->msg.type != type ||
            (stream && strcmp(h->msg.stream, stream) != 0))
            continue;
        h->taken = true;
        return h;
    }
    return NULL;
}

struct heard *conform_await(struct conform_kit *k, enum conform_side side, enum link_type type,
                            const char *stream)
{
    int64_t end = conform_deadline(k);
    struct heard *h;
    while (!(h = conform_heard(k, side, type, stream)) && clock_mono_ns() < end)
        conform_turn(k);
    return h;
}

void conform_reset(struct conform_kit *k)
{
    if (!k->heard)
        k->heard = xcalloc(CONFORM_HEARD_MAX, sizeof *k->heard);
    for (unsigned i = 0; i < k->nsessions; i++)
        if (k->peer_len)
            conform_close_stream(k, &k->sessions[i], LINK_CLOSE_MOVED);
    k->nsessions = 0;
    for (unsigned i = 0; i < k->nheard; i++)
        link_msg_fini(&k->heard[i].msg);
    k->nheard = 0;
    if (k->stage != CONFORM_CAPTURE)
        conform_forget_logs(k);
    for (unsigned i = 0; i < k->nlogs; i++)
        k->logs[i].hidden = false;
    k->fault[0] = k->why[0] = '\0';
    k->answers = k->acks = true;
    k->above_mute = false;
    memset(k->mute, 0, sizeof k->mute);
    k->start_at = 0;
    k->credit = CONFORM_CREDIT;
}
