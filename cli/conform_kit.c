/* The kit's two ends: a ROUTER above the stage, DEALERs below it, and a record of all that was
 * said. Relies on raw ZeroMQ and link_wire; what no stage may ever do is noted as a fault here.
 * Leaves what should happen when to the rules. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "cli/conform.h"
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

/* The first of them counts. */
static void fault(struct conform_kit *k, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void fault(struct conform_kit *k, const char *fmt, ...)
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

/* ---- above ---- */

static struct conform_session *session_of(struct conform_kit *k, const char *stream)
{
    for (unsigned i = 0; i < k->nsessions; i++)
        if (strcmp(k->sessions[i].stream, stream) == 0)
            return &k->sessions[i];
    return NULL;
}

/* True when the positions are exactly of the tracks that were opened: the kit opens one. */
static bool names_its_track(const struct link_positions *p)
{
    return p->tracks == 1;
}

static void note_position(struct conform_kit *k, const struct link_msg *m)
{
    struct conform_session *s = session_of(k, m->stream);
    if (!s || link_vector_cmp(&s->vector, &m->vector) != 0) {
        if (s && m->vector.n != s->vector.n)
            fault(k, "%s has a vector of %u numbers, Open had %u", link_type_name(m->type),
                  m->vector.n, s->vector.n);
        return;
    }
    if (!names_its_track(&m->positions))
        fault(k, "%s names other tracks than the Open", link_type_name(m->type));
    if (m->type == LINK_RESUME && s->answered)
        fault(k, "a second Resume for one Open");
    if (m->type == LINK_ACK && m->positions.next[0] > s->next.next[0])
        fault(k, "Ack of %llu, but only numbers below %llu were sent",
              (unsigned long long)m->positions.next[0], (unsigned long long)s->next.next[0]);
    if (m->type == LINK_RESUME) {
        s->answered = true;
        s->next = m->positions;
    }
    s->limit = m->positions.next[0] + m->positions.credit[0];
}

static void heard_above(struct conform_kit *k, const struct link_msg *m, const uint8_t *id,
                        size_t len)
{
    bool same = k->peer_len == len && memcmp(k->peer, id, len) == 0;
    if (m->type == LINK_HELLO) {
        memcpy(k->peer, id, len);
        k->peer_len = len;
        k->peer_incarnation = m->hello.incarnation;
        memcpy(k->peer_instance, m->hello.instance, sizeof k->peer_instance);
    } else if (!same) {
        return; /* of a connection before this one: allowed, and ignored */
    } else if (m->type == LINK_RESUME || m->type == LINK_ACK) {
        note_position(k, m);
    } else if (m->type == LINK_OPEN || m->type == LINK_FRAME || m->type == LINK_GAP) {
        fault(k, "%s goes up", link_type_name(m->type));
    }
}

/* ---- below ---- */

struct conform_log *conform_log(struct conform_kit *k, const char *stream)
{
    for (unsigned i = 0; i < k->nlogs; i++)
        if (!stream || strcmp(k->logs[i].stream, stream) == 0)
            return &k->logs[i];
    return NULL;
}

static void send_positions(struct conform_kit *k, struct conform_log *l, enum link_type type,
                           const struct link_vector *vector)
{
    struct link_msg m = {.type = type, .vector = *vector, .positions = l->at};
    strcpy(m.stream, l->stream);
    conform_send_below(k, l->inlet, &m);
}

void conform_ack(struct conform_kit *k, struct conform_log *l, const struct link_vector *vector,
                 uint64_t next, uint64_t credit)
{
    struct link_msg m = {.type = LINK_ACK, .vector = *vector, .positions = l->at};
    strcpy(m.stream, l->stream);
    m.positions.next[0] = next;
    m.positions.credit[0] = credit;
    if (link_vector_cmp(vector, &l->vector) == 0)
        l->at = m.positions;
    conform_send_below(k, l->inlet, &m);
}

void conform_resume(struct conform_kit *k, struct conform_log *l, uint64_t next, uint64_t credit)
{
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        l->at.next[i] = i ? l->at.next[i] : next;
        l->at.credit[i] = i ? k->credit : credit;
        l->came[i] = l->at.next[i];
    }
    l->resumed = next;
    l->open = true;
    send_positions(k, l, LINK_RESUME, &l->vector);
}

static void on_open(struct conform_kit *k, unsigned inlet, const struct link_msg *m)
{
    struct conform_log *l = conform_log(k, m->stream);
    if (!l && k->nlogs < sizeof k->logs / sizeof *k->logs) {
        l = &k->logs[k->nlogs++];
        *l = (struct conform_log){0};
        strcpy(l->stream, m->stream);
        for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
            l->at.next[i] = k->start_at;
            l->at.credit[i] = k->credit;
        }
    }
    if (!l)
        return;
    if (link_vector_cmp(&m->vector, &l->vector) <= 0)
        fault(k, "Open of %s with a vector that is not greater than the one before", m->stream);
    if (m->vector.n && l->vector.n && m->vector.v[0] > l->vector.v[0])
        memset(l->at.next, 0, sizeof l->at.next); /* an epoch begins at 0 */
    l->vector = m->vector;
    l->inlet = inlet;
    l->open = l->ended = false;
    l->before = l->nitems;
    l->at.tracks = 0;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        link_format_unref(&l->formats[i]);
    for (unsigned i = 0; i < m->open.ntracks; i++) {
        unsigned t = m->open.tracks[i].track - 1u;
        l->at.tracks |= (uint8_t)(1u << t);
        if (l->at.next[t] < m->open.tracks[i].base)
            l->at.next[t] = m->open.tracks[i].base;
        l->came[t] = l->at.next[t];
    }
    if (k->answers && !k->mute[inlet])
        conform_resume(k, l, l->at.next[0], k->credit);
}

static void keep(struct conform_log *l, const struct link_item *item)
{
    l->items = xrealloc(l->items, (l->nitems + 1) * sizeof *l->items);
    l->items[l->nitems++] = link_item_ref(item);
}

static void on_item(struct conform_kit *k, unsigned inlet, const struct link_msg *m)
{
    const struct link_item *it = &m->item.item;
    struct conform_log *l = conform_log(k, m->stream);
    unsigned t = it->track - 1u;

    if (!l || l->inlet != inlet || link_vector_cmp(&m->vector, &l->vector) != 0)
        return; /* of a session before this one: on its way still */
    if (!l->open)
        fault(k, "%s of %s before its Resume", link_type_name(m->type), m->stream);
    if (!(l->at.tracks & 1u << t))
        fault(k, "%s of track %u, which Open did not name", link_type_name(m->type), it->track);
    if (it->seq != l->came[t])
        fault(k, "%s %llu of track %u, but %llu is next", link_type_name(m->type),
              (unsigned long long)it->seq, it->track, (unsigned long long)l->came[t]);
    if (!it->gap && it->seq >= l->at.next[t] + l->at.credit[t])
        fault(k, "frame %llu of track %u is beyond position %llu + credit %llu",
              (unsigned long long)it->seq, it->track, (unsigned long long)l->at.next[t],
              (unsigned long long)l->at.credit[t]);
    if (m->item.new_format) {
        link_format_unref(&l->formats[t]);
        l->formats[t] = link_format_ref(m->item.new_format);
    }
    if (!it->gap && (!l->formats[t] || l->formats[t]->number != m->item.format_number))
        fault(k, "frame %llu has format %llu, which was not announced in its session",
              (unsigned long long)it->seq, (unsigned long long)m->item.format_number);
    l->came[t] = it->last + 1;
    l->ended = false;
    keep(l, it);
    if (k->acks && !k->mute[inlet]) {
        l->at.next[t] = l->came[t];
        send_positions(k, l, LINK_ACK, &l->vector);
    }
}

static void heard_below(struct conform_kit *k, unsigned inlet, const struct link_msg *m)
{
    if (m->type == LINK_HELLO && !m->hello.instance[0]) {
        if (k->hello_said[inlet])
            conform_hello(k, inlet);
    } else if (m->type == LINK_HELLO || m->type == LINK_RESUME || m->type == LINK_ACK) {
        fault(k, "%s goes down", link_type_name(m->type));
    } else if (!k->hello_said[inlet]) {
        fault(k, "%s before any Hello", link_type_name(m->type));
    } else if (m->type == LINK_OPEN) {
        on_open(k, inlet, m);
    } else if (m->type == LINK_FRAME || m->type == LINK_GAP) {
        on_item(k, inlet, m);
    } else if (m->type == LINK_CLOSE && conform_log(k, m->stream)) {
        struct conform_log *l = conform_log(k, m->stream);
        if (m->close.reason == LINK_CLOSE_ENDED && link_vector_cmp(&m->vector, &l->vector) == 0)
            l->ended = true;
        if (m->close.reason == LINK_CLOSE_MOVED && link_vector_cmp(&m->vector, &l->vector) == 0)
            l->open = false;
    }
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
        fault(k, "sent what is no message of the contract: %s", why);
        blob_unref(&payload);
        return;
    }
    if (e->msg.type != LINK_FRAME)
        blob_unref(&payload);
    k->nheard++;
    if (side == CONFORM_ABOVE)
        heard_above(k, &e->msg, zmq_msg_data(&p->part[0]), zmq_msg_size(&p->part[0]));
    else
        heard_below(k, inlet, &e->msg);
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

static void beat_above(struct conform_kit *k)
{
    struct link_msg m = {.type = LINK_HEARTBEAT};
    struct link_heartbeat_session list[sizeof k->sessions / sizeof *k->sessions] = {0};
    m.heartbeat.incarnation = k->incarnation;
    m.heartbeat.sessions = list;
    for (unsigned i = 0; i < k->nsessions; i++) {
        const struct conform_session *s = &k->sessions[i];
        struct link_heartbeat_session *h = &list[m.heartbeat.nsessions];
        if (s->hidden)
            continue;
        strcpy(h->stream, s->stream);
        h->vector = s->vector;
        if (s->answered)
            h->at = s->next;
        m.heartbeat.nsessions++;
    }
    conform_send_above(k, &m);
}

static void beat_below(struct conform_kit *k, unsigned inlet)
{
    struct link_msg m = {.type = LINK_HEARTBEAT};
    struct link_heartbeat_session list[sizeof k->logs / sizeof *k->logs] = {0};
    m.heartbeat.incarnation = k->incarnation + inlet;
    m.heartbeat.sessions = list;
    for (unsigned i = 0; i < k->nlogs; i++) {
        struct conform_log *l = &k->logs[i];
        struct link_heartbeat_session *h = &list[m.heartbeat.nsessions];
        if (l->inlet != inlet || l->hidden || !l->vector.n)
            continue;
        strcpy(h->stream, l->stream);
        h->vector = l->vector;
        if (l->open) {
            h->at = h->acked = l->at;
            memcpy(h->at.next, l->came, sizeof h->at.next);
        }
        m.heartbeat.nsessions++;
    }
    conform_send_below(k, inlet, &m);
}

static void beat(struct conform_kit *k)
{
    int64_t now = clock_mono_ns();
    if (now - k->beat_ns < BEAT_NS)
        return;
    k->beat_ns = now;
    if (k->peer_len && !k->above_mute)
        beat_above(k);
    for (unsigned i = 0; i < CONFORM_INLETS; i++)
        if (k->hello_said[i] && !k->mute[i])
            beat_below(k, i);
}

static void turn(struct conform_kit *k)
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
        turn(k);
    while (clock_mono_ns() < end);
}

bool conform_until(struct conform_kit *k, bool (*fn)(struct conform_kit *))
{
    int64_t end = conform_deadline(k);
    while (!fn(k)) {
        if (clock_mono_ns() > end)
            return false;
        turn(k);
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
        turn(k);
    return h;
}

void conform_forget_logs(struct conform_kit *k)
{
    for (unsigned i = 0; i < k->nlogs; i++) {
        struct conform_log *l = &k->logs[i];
        for (unsigned t = 0; t < LINK_TRACKS_MAX; t++)
            link_format_unref(&l->formats[t]);
        for (unsigned n = 0; n < l->nitems; n++)
            link_item_fini(&l->items[n]);
        free(l->items);
    }
    k->nlogs = 0;
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

/* ---- streams of the kit above ---- */

struct conform_session *conform_open(struct conform_kit *k, const char *stream, uint64_t g,
                                     uint64_t base)
{
    struct conform_session *s = session_of(k, stream);
    struct link_msg m = {.type = LINK_OPEN};
    unsigned numbers = k->stage == CONFORM_UPLOADER ? 4 : k->stage == CONFORM_MUXER ? 3 : 2;

    if (!s)
        s = &k->sessions[k->nsessions++];
    *s = (struct conform_session){.vector = {.n = numbers}};
    snprintf(s->stream, sizeof s->stream, "%s", stream);
    for (unsigned i = 0; i < numbers; i++)
        s->vector.v[i] = 1;
    s->vector.v[0] = (uint64_t)(k->t0_ns / NS_PER_MS);
    s->vector.v[numbers - 1] = g;
    m.vector = s->vector;
    strcpy(m.stream, s->stream);
    m.open.ntracks = 1;
    m.open.tracks[0] = (struct link_track){.track = 1, .base = base, .format = conform_format(k)};
    conform_send_above(k, &m);
    link_format_unref(&m.open.tracks[0].format);
    return s;
}

struct conform_session *conform_opened(struct conform_kit *k, const char *stream, uint64_t g,
                                       uint64_t base)
{
    struct conform_session *s = conform_open(k, stream, g, base);
    if (conform_await(k, CONFORM_ABOVE, LINK_RESUME, stream) && s->answered)
        return s;
    conform_fail(k, "Open of %s is not answered by a Resume with its vector", stream);
    return NULL;
}

struct conform_session *conform_begun(struct conform_kit *k, const char *stream, uint64_t g)
{
    struct conform_session *s = conform_opened(k, stream, g, 0);
    if (!s)
        return NULL;
    conform_frame(k, s, 0);
    return conform_safe(k, s, 1) ? s : NULL;
}

void conform_frame_as(struct conform_kit *k, struct conform_session *s,
                      const struct link_vector *vector, uint64_t seq)
{
    struct link_msg m = {.type = LINK_FRAME, .vector = *vector};
    strcpy(m.stream, s->stream);
    m.item.item = conform_item(k, seq);
    m.item.format_number = 1;
    m.item.new_format = conform_format(k);
    m.item.item.format = link_format_ref(m.item.new_format);
    if (s->formatted)
        link_format_unref(&m.item.new_format);
    conform_send_above(k, &m);
    link_msg_fini(&m);
}

void conform_frame(struct conform_kit *k, struct conform_session *s, uint64_t seq)
{
    int64_t end = conform_deadline(k);
    while (s->answered && seq >= s->limit && clock_mono_ns() < end)
        turn(k);
    if (s->answered && seq >= s->limit)
        fault(k, "it gives no credit for frame %llu", (unsigned long long)seq);
    conform_frame_as(k, s, &s->vector, seq);
    s->formatted = true;
    s->next.next[0] = seq + 1;
}

void conform_gap(struct conform_kit *k, struct conform_session *s, uint64_t first, uint64_t last,
                 enum link_gap_reason reason)
{
    struct link_msg m = {.type = LINK_GAP, .vector = s->vector};
    strcpy(m.stream, s->stream);
    m.item.item =
        (struct link_item){.gap = true, .track = 1, .seq = first, .last = last, .reason = reason};
    conform_send_above(k, &m);
    s->next.next[0] = last + 1;
}

void conform_close_stream(struct conform_kit *k, struct conform_session *s,
                          enum link_close_reason reason)
{
    struct link_msg m = {.type = LINK_CLOSE, .vector = s->vector};
    strcpy(m.stream, s->stream);
    m.close.reason = reason;
    conform_send_above(k, &m);
}

bool conform_safe(struct conform_kit *k, struct conform_session *s, uint64_t n)
{
    int64_t end = conform_deadline(k);
    uint64_t best = 0;
    for (unsigned i = 0; best < n && clock_mono_ns() < end;) {
        for (; i < k->nheard; i++) {
            const struct heard *h = &k->heard[i];
            if (h->side == CONFORM_ABOVE && h->msg.type == LINK_ACK &&
                strcmp(h->msg.stream, s->stream) == 0 &&
                link_vector_cmp(&h->msg.vector, &s->vector) == 0 && h->msg.positions.next[0] > best)
                best = h->msg.positions.next[0];
        }
        if (best < n)
            turn(k);
    }
    return best >= n ||
           conform_fail(k, "frames below %llu were sent, only those below %llu were acked",
                        (unsigned long long)n, (unsigned long long)best);
}
