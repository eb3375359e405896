/* A capture for kvpipe that shares nothing with it but link.proto: pictures of one device into one
 * stream. Written from proto/README.md; the numbers in the comments are its sections.
 * Relies on libzmq and protobuf-c, one thread and one poll. Leaves the device to device.c and keys
 * to keys.c. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "device.h"
#include "keys.h"
#include "link.pb-c.h"

#define MS INT64_C(1000000)
#define HEARTBEAT_NS (250 * MS) /* 13 */
#define SILENCE_NS (1000 * MS)
#define STRIKES 2
#define WINDOW 600 /* pictures that are held until they are safe: half a minute */
#define PEERS 16
#define HEADER_MAX (1u << 20) /* 14 */
#define DRAIN_NS (3000 * MS)

typedef Kvpipe__Link__Envelope envelope;

/* An instance below: who said Hello, and over which connection. */
struct peer {
    uint8_t id[256];
    size_t id_len; /* 0: the slot is free */
    char instance[129];
    uint64_t incarnation;
    int64_t heard_ns;
    bool usable;
};

/* A number of the window: a picture, or a gap when the device lost it. */
struct held {
    zmq_msg_t picture;
    bool gap;
    int64_t pts_ns;
};

static struct {
    void *zmq, *router, *zap;
    struct device device;
    const char *stream;
    uint64_t incarnation, refused;
    int64_t anchor_wall_ns, anchor_mono_ns, beat_ns, tick_ns;
    struct peer peers[PEERS];
    /* the stream */
    uint64_t epoch, g; /* the vector (3) */
    struct peer *owner;
    bool open;             /* the Resume came */
    bool announced;        /* the session knows the format */
    uint64_t low, next;    /* numbers that are held: low to next - 1 */
    uint64_t sent;         /* the next number to be sent */
    uint64_t acked, limit; /* safe below; what may be sent */
    uint64_t told, sent_at_beat;
    unsigned strikes, fenced; /* rule 8; Close(FENCED) so far */
    int64_t fenced_ns;
    struct held window[WINDOW];
} c;

static volatile sig_atomic_t leaving;

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "capture-device ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A wall clock that never steps: anchored once (11). */
static int64_t steady_wall_ns(void)
{
    return c.anchor_wall_ns + now_ns(CLOCK_MONOTONIC) - c.anchor_mono_ns;
}

/* ---- the epoch (rule 9): greater at every start, on the disk before it is used ---- */

static int store_epoch(const char *path, uint64_t epoch)
{
    char draft[4096], text[32];
    int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)epoch);
    snprintf(draft, sizeof draft, "%s.new", path);
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool ok = fd >= 0 && write(fd, text, (size_t)n) == n && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok && rename(draft, path) == 0 ? 0 : -1;
}

/* Takes an epoch above the stored one and above `over`. */
static int new_epoch(uint64_t over)
{
    const char *run = getenv("KVPIPE_RUN");
    char path[4000], text[32] = "";
    snprintf(path, sizeof path, "%s/%.256s.device-epoch", run && *run ? run : ".", c.stream);
    FILE *f = fopen(path, "re");
    uint64_t stored = f && fgets(text, sizeof text, f) ? strtoull(text, NULL, 10) : 0;
    if (f)
        fclose(f);
    c.epoch = (uint64_t)(now_ns(CLOCK_REALTIME) / MS);
    if (c.epoch <= stored)
        c.epoch = stored + 1;
    if (c.epoch <= over)
        c.epoch = over + 1;
    if (store_epoch(path, c.epoch) == 0)
        return 0;
    say("cannot store the epoch in %s: %s; make KVPIPE_RUN a folder that can be written", path,
        strerror(errno));
    return -1;
}

/* ---- sending ---- */

static void leave_peer(struct peer *p);

/* Sends a header and, of a frame, its picture, which is shared and not copied. */
static bool send_to(struct peer *p, envelope *e, zmq_msg_t *picture)
{
    uint8_t *bytes = malloc(kvpipe__link__envelope__get_packed_size(e));
    size_t len = kvpipe__link__envelope__pack(e, bytes);
    bool ok = zmq_send(c.router, p->id, p->id_len, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
              zmq_send(c.router, bytes, len, (picture ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT) >= 0;
    int err = ok ? 0 : errno;
    free(bytes);
    if (ok && picture) {
        zmq_msg_t copy;
        zmq_msg_init(&copy);
        zmq_msg_copy(&copy, picture);
        ok = zmq_msg_send(&copy, c.router, ZMQ_DONTWAIT) >= 0;
        if (!ok)
            zmq_msg_close(&copy);
    }
    if (!ok && err == EHOSTUNREACH)
        p->usable = false; /* tick() finds another owner */
    return ok;
}

static void vector_of(Kvpipe__Link__Vector *v, uint64_t numbers[2])
{
    kvpipe__link__vector__init(v);
    numbers[0] = c.epoch;
    numbers[1] = c.g;
    v->n = numbers;
    v->n_n = 2;
}

static void format_of(Kvpipe__Link__Format *f)
{
    kvpipe__link__format__init(f);
    f->number = 1;
    f->codec = KVPIPE__LINK__CODEC__CODEC_RAW_VIDEO;
    f->layout = "I420";
    f->width = c.device.width;
    f->height = c.device.height;
    f->rate_num = c.device.rate;
    f->rate_den = 1;
}

/* The usable instance with the greatest hash has the stream (6). */
static struct peer *choose(void)
{
    struct peer *best = NULL;
    uint64_t most = 0;
    for (struct peer *p = c.peers; p < c.peers + PEERS; p++) {
        uint64_t h = 1469598103934665603u;
        for (const char *s = c.stream; *s; s++)
            h = (h ^ (uint8_t)*s) * 1099511628211u;
        for (const char *s = p->instance; *s; s++)
            h = (h ^ (uint8_t)*s) * 1099511628211u;
        if (p->usable && (!best || h > most)) {
            best = p;
            most = h;
        }
    }
    return best;
}

static void open_on(struct peer *p)
{
    envelope e = KVPIPE__LINK__ENVELOPE__INIT;
    Kvpipe__Link__Open open = KVPIPE__LINK__OPEN__INIT;
    Kvpipe__Link__Vector vector;
    Kvpipe__Link__Format format;
    Kvpipe__Link__Track track = KVPIPE__LINK__TRACK__INIT, *tracks[] = {&track};
    uint64_t numbers[2];

    c.owner = p;
    c.open = c.announced = false;
    c.strikes = 0;
    if (!p)
        return;
    c.g++; /* rule 3: a new number for every Open */
    vector_of(&vector, numbers);
    format_of(&format);
    track.track = 1;
    track.video = true;
    track.format = &format;
    track.from = c.acked;
    open.stream = (char *)c.stream;
    open.vector = &vector;
    open.tracks = tracks;
    open.n_tracks = 1;
    e.body_case = KVPIPE__LINK__ENVELOPE__BODY_OPEN;
    e.open = &open;
    send_to(p, &e, NULL);
}

static bool send_gap(uint64_t first, uint64_t last, Kvpipe__Link__GapReason reason)
{
    envelope e = KVPIPE__LINK__ENVELOPE__INIT;
    Kvpipe__Link__Gap gap = KVPIPE__LINK__GAP__INIT;
    Kvpipe__Link__Vector vector;
    uint64_t numbers[2];

    vector_of(&vector, numbers);
    gap.stream = (char *)c.stream;
    gap.vector = &vector;
    gap.track = 1;
    gap.first = first;
    gap.last = last;
    gap.reason = reason;
    e.body_case = KVPIPE__LINK__ENVELOPE__BODY_GAP;
    e.gap = &gap;
    return send_to(c.owner, &e, NULL);
}

static bool send_frame(uint64_t seq)
{
    struct held *h = &c.window[seq % WINDOW];
    envelope e = KVPIPE__LINK__ENVELOPE__INIT;
    Kvpipe__Link__Frame f = KVPIPE__LINK__FRAME__INIT;
    Kvpipe__Link__Vector vector;
    Kvpipe__Link__Format format;
    uint64_t numbers[2];

    vector_of(&vector, numbers);
    format_of(&format);
    f.stream = (char *)c.stream;
    f.vector = &vector;
    f.track = 1;
    f.seq = seq;
    f.key = true; /* every raw picture is */
    f.pts_ns = f.dts_ns = f.captured_ns = h->pts_ns;
    f.duration_ns = 1000000000 / c.device.rate;
    f.format = format.number;
    f.new_format = c.announced ? NULL : &format;
    e.body_case = KVPIPE__LINK__ENVELOPE__BODY_FRAME;
    e.frame = &f;
    return send_to(c.owner, &e, &h->picture) && (c.announced = true);
}

/* Sends what may be sent. Rule 10: what is not held any more becomes a gap only here, when its turn
 * comes. */
static void pump(void)
{
    while (c.open && c.sent < c.next) {
        bool lost = c.sent < c.low;
        bool gap = lost || c.window[c.sent % WINDOW].gap;
        uint64_t last = lost ? c.low - 1 : c.sent;
        if (!gap && c.sent >= c.limit)
            return;
        if (!(gap ? send_gap(c.sent, last,
                             lost ? KVPIPE__LINK__GAP_REASON__GAP_WINDOW_FULL
                                  : KVPIPE__LINK__GAP_REASON__GAP_SOURCE)
                  : send_frame(c.sent)))
            return;
        c.sent = last + 1;
    }
}

/* The device is gone for now: what is below completes what it has (4). Said again with each
 * heartbeat, as it might be lost. */
static void send_ended(void)
{
    envelope e = KVPIPE__LINK__ENVELOPE__INIT;
    Kvpipe__Link__Close m = KVPIPE__LINK__CLOSE__INIT;
    Kvpipe__Link__Vector vector;
    uint64_t numbers[2];

    if (!c.open || c.sent < c.next)
        return;
    vector_of(&vector, numbers);
    m.stream = (char *)c.stream;
    m.vector = &vector;
    m.reason = KVPIPE__LINK__CLOSE_REASON__CLOSE_ENDED;
    e.body_case = KVPIPE__LINK__ENVELOPE__BODY_CLOSE;
    e.close = &m;
    send_to(c.owner, &e, NULL);
}

/* ---- the window ---- */

static void drop_below(uint64_t number)
{
    for (; c.low < number && c.low < c.next; c.low++)
        if (!c.window[c.low % WINDOW].gap)
            zmq_msg_close(&c.window[c.low % WINDOW].picture);
}

static struct held *push(void)
{
    if (c.next - c.low == WINDOW)
        drop_below(c.low + 1); /* live: the oldest copy goes */
    return &c.window[c.next++ % WINDOW];
}

static void on_device(void)
{
    struct held new = {.pts_ns = steady_wall_ns()};
    zmq_msg_init_size(&new.picture, device_picture_bytes(&c.device));
    int lost = device_read(&c.device, zmq_msg_data(&new.picture));
    if (lost < 0) {
        zmq_msg_close(&new.picture);
        return;
    }
    for (int i = 0; i < lost; i++) /* numbered, so that nothing is lost in silence (16) */
        *push() = (struct held){.gap = true};
    *push() = new;
    pump();
}

/* A new epoch begins with number 0 and what is captured from now on. */
static int begin(uint64_t over)
{
    drop_below(c.next);
    c.low = c.next = c.sent = c.acked = c.limit = c.g = 0;
    return new_epoch(over);
}

/* ---- what comes from below (6) ---- */

static struct peer *peer_of(const uint8_t *id, size_t len)
{
    for (struct peer *p = c.peers; p < c.peers + PEERS; p++)
        if (p->id_len == len && memcmp(p->id, id, len) == 0)
            return p;
    return NULL;
}

static struct peer *slot_for(const char *instance)
{
    struct peer *oldest = c.peers;
    for (struct peer *p = c.peers; p < c.peers + PEERS; p++) {
        if (p->id_len && strcmp(p->instance, instance) == 0)
            return p; /* restarted or reconnected: the new connection takes the place of the old */
        if (!p->id_len || (oldest->id_len && p->heard_ns < oldest->heard_ns))
            oldest = p;
    }
    if (oldest == c.owner)
        open_on(NULL);
    return oldest;
}

static bool on_hello(const uint8_t *id, size_t len, const Kvpipe__Link__Hello *m)
{
    if (m->version != 1 || !*m->instance || strlen(m->instance) > 128 || !m->incarnation)
        return false;
    struct peer *p = slot_for(m->instance);
    memcpy(p->id, id, len);
    p->id_len = len;
    snprintf(p->instance, sizeof p->instance, "%s", m->instance);
    p->incarnation = m->incarnation;
    p->heard_ns = now_ns(CLOCK_MONOTONIC);
    p->usable = true;
    if (!c.owner || c.owner == p)
        open_on(c.owner ? p : choose());
    return true;
}

static void ask(const uint8_t *id, size_t len)
{
    struct peer stranger = {.id_len = len};
    envelope e = KVPIPE__LINK__ENVELOPE__INIT;
    Kvpipe__Link__Hello hello = KVPIPE__LINK__HELLO__INIT;
    memcpy(stranger.id, id, len);
    hello.version = 1;
    hello.incarnation = c.incarnation;
    e.body_case = KVPIPE__LINK__ENVELOPE__BODY_HELLO;
    e.hello = &hello;
    send_to(&stranger, &e, NULL);
}

/* Rule 6: an answer counts only from the owner and with exactly the vector. */
static bool is_mine(const struct peer *p, const char *stream, const Kvpipe__Link__Vector *v)
{
    return p == c.owner && strcmp(stream, c.stream) == 0 && v && v->n_n == 2 &&
           v->n[0] == c.epoch && v->n[1] == c.g;
}

static bool take_positions(size_t n, Kvpipe__Link__Position *const *at, bool resume)
{
    if (n != 1 || at[0]->track != 1 || at[0]->next > (resume ? c.next : c.sent) ||
        at[0]->credit > INT64_MAX)
        return false;
    if (resume)
        c.sent = c.told = at[0]->next;
    if (at[0]->next > c.acked)
        c.acked = at[0]->next;
    c.limit = at[0]->next + (at[0]->credit < 65536 ? at[0]->credit : 65536);
    drop_below(at[0]->next);
    c.open = true;
    pump();
    return true;
}

/* Rule 8: whether the owner lacks what was sent before this heartbeat and the one before. */
static bool lacks(const Kvpipe__Link__SessionPosition *s)
{
    if (!s)
        return true;
    if (!s->n_positions)
        return c.open;
    uint64_t has = s->positions[0]->next, before = c.told;
    c.told = has;
    return !c.open || (has < c.sent_at_beat && has == before);
}

static bool on_heartbeat(struct peer *p, const Kvpipe__Link__Heartbeat *m)
{
    const Kvpipe__Link__SessionPosition *mine = NULL;
    if (m->incarnation != p->incarnation)
        return false;
    p->usable = true;
    if (p != c.owner)
        return true;
    for (size_t i = 0; i < m->n_sessions; i++)
        if (is_mine(p, m->sessions[i]->stream, m->sessions[i]->vector))
            mine = m->sessions[i];
    c.strikes = lacks(mine) ? c.strikes + 1 : 0;
    if (c.strikes >= STRIKES)
        open_on(p);
    else if (mine && c.open && mine->n_acked)
        return take_positions(mine->n_acked, mine->acked, false);
    return true;
}

static void leave_peer(struct peer *p)
{
    p->usable = false;
    if (p == c.owner)
        open_on(choose());
}

static bool on_close(struct peer *p, const Kvpipe__Link__Close *m)
{
    int64_t now = now_ns(CLOCK_MONOTONIC);
    if (m->reason == KVPIPE__LINK__CLOSE_REASON__CLOSE_DRAINING) {
        leave_peer(p);
        return true;
    }
    if (m->reason != KVPIPE__LINK__CLOSE_REASON__CLOSE_FENCED)
        return false;
    if (!is_mine(p, m->stream, m->vector))
        return true;
    if (!m->greatest || !m->greatest->n_n || m->greatest->n[0] >= INT64_MAX ||
        (c.fenced++ && now - c.fenced_ns < 60000 * MS)) {
        say("stream=%s: another capture has this stream; stopped", c.stream);
        leaving = 1;
        return true;
    }
    c.fenced_ns = now;
    uint64_t over = m->greatest->n[0] > c.epoch ? m->greatest->n[0] : c.epoch;
    if (begin(over) < 0)
        leaving = 1;
    else
        open_on(c.owner);
    return true;
}

static bool on_message(struct peer *p, const envelope *e)
{
    p->heard_ns = now_ns(CLOCK_MONOTONIC);
    switch (e->body_case) {
    case KVPIPE__LINK__ENVELOPE__BODY_RESUME:
        return c.open || !is_mine(p, e->resume->stream, e->resume->vector) ||
               take_positions(e->resume->n_positions, e->resume->positions, true);
    case KVPIPE__LINK__ENVELOPE__BODY_ACK:
        return !c.open || !is_mine(p, e->ack->stream, e->ack->vector) ||
               take_positions(e->ack->n_positions, e->ack->positions, false);
    case KVPIPE__LINK__ENVELOPE__BODY_HEARTBEAT:
        return on_heartbeat(p, e->heartbeat);
    case KVPIPE__LINK__ENVELOPE__BODY_CLOSE:
        return on_close(p, e->close);
    default:
        return false;
    }
}

static void take(const uint8_t *id, size_t id_len, zmq_msg_t *header, int parts)
{
    bool ok = parts == 2 && zmq_msg_size(header) <= HEADER_MAX;
    envelope *e =
        ok ? kvpipe__link__envelope__unpack(NULL, zmq_msg_size(header), zmq_msg_data(header))
           : NULL;
    struct peer *p = peer_of(id, id_len);
    if (!e || e->body_case == KVPIPE__LINK__ENVELOPE__BODY__NOT_SET)
        ok = false;
    else if (e->body_case == KVPIPE__LINK__ENVELOPE__BODY_HELLO)
        ok = on_hello(id, id_len, e->hello);
    else if (!p)
        ask(id, id_len);
    else
        ok = on_message(p, e);
    if (!ok && ++c.refused <= 20)
        say("refused a message (%d parts, %zu bytes)", parts, zmq_msg_size(header));
    if (e)
        kvpipe__link__envelope__free_unpacked(e, NULL);
}

/* Reads one whole message. Returns false when none waits. */
static bool receive(void)
{
    uint8_t id[256];
    size_t id_len = 0;
    zmq_msg_t part, header;
    int more = 1, parts = 0;
    zmq_msg_init(&header);
    while (more) {
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, c.router, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&part);
            zmq_msg_close(&header);
            return false;
        }
        more = zmq_msg_more(&part);
        if (parts == 0 && zmq_msg_size(&part) <= sizeof id)
            memcpy(id, zmq_msg_data(&part), id_len = zmq_msg_size(&part));
        else if (parts == 1)
            zmq_msg_move(&header, &part);
        zmq_msg_close(&part);
        parts++;
    }
    take(id, id_len, &header, parts);
    zmq_msg_close(&header);
    return true;
}

/* ---- time ---- */

static void beat(struct peer *p)
{
    envelope e = KVPIPE__LINK__ENVELOPE__INIT;
    Kvpipe__Link__Heartbeat m = KVPIPE__LINK__HEARTBEAT__INIT;
    Kvpipe__Link__SessionPosition s = KVPIPE__LINK__SESSION_POSITION__INIT, *sessions[] = {&s};
    Kvpipe__Link__Position at = KVPIPE__LINK__POSITION__INIT, *positions[] = {&at};
    Kvpipe__Link__Vector vector;
    uint64_t numbers[2];

    vector_of(&vector, numbers);
    at.track = 1;
    at.next = c.sent_at_beat = c.sent;
    s.stream = (char *)c.stream;
    s.vector = &vector;
    s.positions = positions;
    s.n_positions = c.open;
    m.incarnation = c.incarnation;
    m.sessions = sessions;
    m.n_sessions = p == c.owner;
    e.body_case = KVPIPE__LINK__ENVELOPE__BODY_HEARTBEAT;
    e.heartbeat = &m;
    send_to(p, &e, NULL);
}

static void tick(void)
{
    int64_t now = now_ns(CLOCK_MONOTONIC);
    bool stood_still = c.tick_ns && now - c.tick_ns > SILENCE_NS / 2;
    c.tick_ns = now;
    for (struct peer *p = c.peers; p < c.peers + PEERS; p++) {
        if (stood_still)
            p->heard_ns = now;
        if (p->usable && now - p->heard_ns > SILENCE_NS) {
            say("peer=%s is silent", p->instance);
            leave_peer(p);
        }
    }
    if (!c.owner || !c.owner->usable)
        open_on(choose());
    if (now - c.beat_ns < HEARTBEAT_NS)
        return;
    c.beat_ns = now;
    for (struct peer *p = c.peers; p < c.peers + PEERS; p++)
        if (p->usable)
            beat(p);
    pump();
    if (leaving)
        send_ended();
}

static void run(void)
{
    int64_t end = 0;
    while (!end || (now_ns(CLOCK_MONOTONIC) < end && c.acked < c.next)) {
        zmq_pollitem_t items[] = {{.socket = c.router, .events = ZMQ_POLLIN},
                                  {.fd = c.device.fd, .events = end ? 0 : ZMQ_POLLIN},
                                  {.socket = c.zap, .events = ZMQ_POLLIN}};
        zmq_poll(items, c.zap ? 3 : 2, 50);
        for (int i = 0; i < 256 && receive(); i++)
            ;
        if (!end)
            on_device();
        if (c.zap)
            keys_answer(c.zap, "encoder");
        tick();
        if (leaving && !end) {
            end = now_ns(CLOCK_MONOTONIC) + DRAIN_NS; /* what is held still goes */
            send_ended();
        }
    }
}

static void on_signal(int sig)
{
    (void)sig;
    leaving = 1;
}

static int open_socket(const char *address)
{
    int one = 1, none = 0, linger = 100;
    const char *keys = getenv("KVPIPE_KEYS");
    c.zmq = zmq_ctx_new();
    c.router = zmq_socket(c.zmq, ZMQ_ROUTER);
    zmq_setsockopt(c.router, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
    zmq_setsockopt(c.router, ZMQ_SNDHWM, &none, sizeof none); /* 17: the credit bounds it */
    zmq_setsockopt(c.router, ZMQ_RCVHWM, &none, sizeof none);
    zmq_setsockopt(c.router, ZMQ_LINGER, &linger, sizeof linger);
    if (keys && *keys && strncmp(address, "tcp://", 6) == 0 &&
        keys_serve(c.zmq, c.router, keys, "capture", &c.zap) < 0)
        return -1;
    if (zmq_bind(c.router, address) == 0)
        return 0;
    say("cannot listen at %s: %s", address, zmq_strerror(errno));
    return -1;
}

int main(void)
{
    const char *address = getenv("KVPIPE_LISTEN"), *streams = getenv("KVPIPE_STREAMS");
    static char name[257];

    if (!address || !*address || !streams || !*streams) {
        say("expected KVPIPE_LISTEN=ADDRESS and KVPIPE_STREAMS=NAME in the environment");
        return 2;
    }
    snprintf(name, sizeof name, "%.*s", (int)strcspn(streams, " "), streams);
    c.stream = name; /* one device, one stream: the first */
    c.anchor_wall_ns = now_ns(CLOCK_REALTIME);
    c.anchor_mono_ns = now_ns(CLOCK_MONOTONIC);
    if (getrandom(&c.incarnation, sizeof c.incarnation, 0) < 0 || begin(0) < 0)
        return 1;
    c.incarnation |= 1;
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    signal(SIGPIPE, SIG_IGN);
    if (device_open(&c.device) < 0 || open_socket(address) < 0)
        return 1;
    say("stream=%s epoch=%llu listen=%s", c.stream, (unsigned long long)c.epoch, address);
    run();
    say("stream=%s epoch=%llu numbers=%llu safe=%llu", c.stream, (unsigned long long)c.epoch,
        (unsigned long long)c.next, (unsigned long long)c.acked);
    drop_below(c.next);
    device_close(&c.device);
    if (c.zap)
        zmq_close(c.zap);
    zmq_close(c.router);
    zmq_ctx_term(c.zmq);
    return 0;
}
