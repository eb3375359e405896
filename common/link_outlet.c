/* The upstream end of a link as a pure state machine.
 * Relies on link.h and link_window. Each stream is with no owner, opening (Open sent) or open
 * (Resume came). Leaves sockets to link_socket.c. */
#include "common/link_outlet.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/clock.h"
#include "common/link_peers.h"
#include "common/link_window.h"
#include "common/log.h"
#include "common/mem.h"

#define CREDIT_MAX 65536             /* numbers; more than any stage can want */
#define MOVE_AFTER_NS (2 * NS_PER_S) /* a stream moves to a new instance at most so often */
#define FENCED_AGAIN_NS (60 * NS_PER_S)
#define STRIKES 2 /* heartbeats that must show the same lack before a new Open */

enum state { NO_OWNER, OPENING, OPEN, STOPPED };

struct track {
    uint8_t number;             /* 0: slot not used */
    struct link_format *format; /* as announced in Open: the newest put, at first the caller's */
    struct link_window window;
    uint64_t sent, acked,
        limit;            /* next number to send; position acked; numbers below limit may be sent */
    uint64_t format_sent; /* in this session; 0 none */
    bool need_key;        /* coded source: what follows cannot be decoded until a key frame comes */
    uint64_t sent_at_beat,
        told; /* position checks: sent at the last heartbeat, and what the inlet had then */
};

struct outlet_stream {
    TAILQ_ENTRY(outlet_stream) entry;
    struct outlet *outlet;
    char name[LINK_NAME_MAX + 1];
    enum state state;
    struct link_vector prefix; /* source: the epoch; relay: the vector of the inlet's session */
    uint64_t own;              /* this hop's number, raised for every Open */
    struct link_peer *owner;
    struct track tracks[LINK_TRACKS_MAX];
    struct outlet_window bound;
    bool live, ended, ended_sent, blocked;
    int64_t moved_ns, fenced_ns;
    unsigned strikes;
    uint64_t backlog_ms, backlog_bytes; /* as the owner told last */
    struct outlet_stats stats;
    void *user;
};

struct outlet {
    struct outlet_conf conf;
    struct outlet_ops ops;
    void *arg;
    struct link_peers peers;
    TAILQ_HEAD(, outlet_stream) streams;
    int64_t beat_ns, tick_ns;
    uint64_t refused;
};

#define EACH_TRACK(s, t)                                                                           \
    for (struct track *t = (s)->tracks; t < (s)->tracks + LINK_TRACKS_MAX; t++)                    \
        if (t->number)

static void pump(struct outlet_stream *s, int64_t now);

struct outlet *outlet_create(const struct outlet_conf *conf, const struct outlet_ops *ops,
                             void *arg)
{
    struct outlet *o = xcalloc(1, sizeof *o);
    o->conf = *conf;
    o->ops = *ops;
    o->arg = arg;
    link_peers_init(&o->peers);
    TAILQ_INIT(&o->streams);
    return o;
}

void outlet_destroy(struct outlet **out)
{
    struct outlet *o = *out;
    *out = NULL;
    if (!o)
        return;
    for (struct outlet_stream *s; (s = TAILQ_FIRST(&o->streams));)
        outlet_stream_remove(o, &s);
    link_peers_fini(&o->peers);
    free(o);
}

/* ---- owners ---- */

static struct link_vector vector_of(const struct outlet_stream *s)
{
    return link_vector_append(&s->prefix, s->own);
}

static void set_name(struct link_msg *msg, const struct outlet_stream *s)
{
    memcpy(msg->stream, s->name, sizeof s->name);
    msg->vector = vector_of(s);
}

static int send_to(struct outlet *o, struct link_peer *p, const struct link_msg *msg, int64_t now)
{
    int r = o->ops.send(o->ops.send_arg, p->id, msg);
    if (r == -EHOSTUNREACH)
        outlet_peer_gone(o, p->id, now);
    return r;
}

/* Rule 3: every Open carries a number never used before. */
static void open_on(struct outlet_stream *s, struct link_peer *p, int64_t now)
{
    struct link_msg msg = {.type = LINK_OPEN};

    s->own++;
    s->owner = p;
    s->state = OPENING;
    s->strikes = 0;
    s->blocked = s->ended_sent = false;
    s->moved_ns = now;
    set_name(&msg, s);
    EACH_TRACK (s, t) {
        t->format_sent = 0;
        msg.open.tracks[msg.open.ntracks++] =
            (struct link_track){.track = t->number, .base = t->acked, .format = t->format};
    }
    send_to(s->outlet, p, &msg, now); /* unreachable: another owner is chosen in there */
}

static void choose(struct outlet_stream *s, int64_t now)
{
    if (s->state == STOPPED)
        return;
    struct link_peer *p = link_peers_best(&s->outlet->peers, s->name);
    if (p) {
        open_on(s, p, now);
        return;
    }
    s->owner = NULL;
    s->state = NO_OWNER;
}

static void leave_peer(struct outlet *o, struct link_peer *p, int64_t now)
{
    struct outlet_stream *s;
    p->usable = false;
    TAILQ_FOREACH (s, &o->streams, entry)
        if (s->owner == p)
            choose(s, now);
}

void outlet_peer_gone(struct outlet *o, uint64_t id, int64_t now)
{
    struct link_peer *p = link_peers_find(&o->peers, id);
    if (!p)
        return;
    link_peers_remove(&o->peers, p); /* first: choosing anew may find other peers gone, too */
    leave_peer(o, p, now);
    free(p);
}

static void send_close(struct outlet_stream *s, struct link_peer *p, enum link_close_reason why,
                       struct link_vector vector, int64_t now)
{
    struct link_msg msg = {.type = LINK_CLOSE};
    set_name(&msg, s);
    msg.vector = vector;
    msg.close.reason = why;
    send_to(s->outlet, p, &msg, now);
}

/* A better instance is there: go over, unless the stream went over a moment ago. */
static void move_if_better(struct outlet_stream *s, int64_t now)
{
    struct link_peer *best = link_peers_best(&s->outlet->peers, s->name), *old = s->owner;
    uint64_t old_id;

    if (!best || best == old || s->state == STOPPED)
        return;
    if (old && (s->outlet->conf.sticky || now - s->moved_ns < MOVE_AFTER_NS))
        return;
    struct link_vector v = vector_of(s);
    old_id = old ? old->id : 0;
    open_on(s, best, now);
    if (old_id && (old = link_peers_find(&s->outlet->peers, old_id)))
        send_close(s, old, LINK_CLOSE_MOVED, v, now);
}

/* ---- what goes down ---- */

static int send_frame(struct outlet_stream *s, struct track *t, const struct link_item *it,
                      int64_t now)
{
    struct link_msg msg = {.type = LINK_FRAME};
    set_name(&msg, s);
    msg.item.item = *it;
    msg.item.format_number = it->format->number;
    msg.item.new_format = t->format_sent == it->format->number ? NULL : it->format;
    int r = send_to(s->outlet, s->owner, &msg, now);
    if (r == 0) {
        t->format_sent = it->format->number;
        s->stats.sent_frames++;
        s->stats.sent_bytes += it->payload->len;
    }
    return r;
}

static int send_gap(struct outlet_stream *s, struct track *t, uint64_t first, uint64_t last,
                    enum link_gap_reason why, int64_t now)
{
    struct link_msg msg = {.type = LINK_GAP};
    set_name(&msg, s);
    msg.item.item = (struct link_item){
        .gap = true, .track = t->number, .seq = first, .last = last, .reason = why};
    int r = send_to(s->outlet, s->owner, &msg, now);
    if (r == 0)
        s->stats.gap_frames += last - first + 1;
    return r;
}

/* Rule 12: what is left of a coded source after a loss begins with a key frame; what cannot be
 * decoded joins the gap. */
static void widen_to_key(struct outlet_stream *s, struct track *t)
{
    struct link_item *it;
    if (!s->outlet->conf.source)
        return;
    while ((it = link_window_oldest(&t->window)) && !it->gap && it->format->video &&
           it->format->codec != LINK_CODEC_RAW_VIDEO && !it->key)
        link_window_drop(&t->window);
    t->need_key =
        t->window.len == 0 && t->format->video && t->format->codec != LINK_CODEC_RAW_VIDEO;
}

/* Sends the next number of a track. Returns 0 or the send's error; a session that ended meanwhile
 * is seen by the caller. */
static int send_next(struct outlet_stream *s, struct track *t, int64_t now)
{
    uint64_t to;
    int r;

    if (t->sent < t->window.low) {
        widen_to_key(s, t);
        to = t->window.low - 1;
        r = send_gap(s, t, t->sent, to, LINK_GAP_WINDOW_FULL, now);
    } else {
        const struct link_item *it = link_window_find(&t->window, t->sent);
        assert(it);
        to = it->last;
        r = it->gap ? send_gap(s, t, t->sent, to, it->reason, now) : send_frame(s, t, it, now);
    }
    if (r == 0)
        t->sent = to + 1;
    return r;
}

static int64_t next_dts(struct track *t)
{
    const struct link_item *it =
        t->sent < t->window.low ? NULL : link_window_find(&t->window, t->sent);
    return it && !it->gap ? it->dts_ns : INT64_MIN;
}

/* The track whose next number is the earliest, among those that may send: tracks leave in the order
 * of time. */
static struct track *earliest(struct outlet_stream *s)
{
    struct track *best = NULL;
    int64_t least = 0;
    EACH_TRACK (s, t) {
        if (t->sent >= t->window.next || t->sent >= t->limit)
            continue;
        int64_t dts = next_dts(t);
        if (!best || dts < least) {
            best = t;
            least = dts;
        }
    }
    return best;
}

static bool all_sent(struct outlet_stream *s)
{
    EACH_TRACK (s, t)
        if (t->sent < t->window.next)
            return false;
    return true;
}

static void pump(struct outlet_stream *s, int64_t now)
{
    uint64_t session = s->own;
    struct track *t;

    s->blocked = false;
    while (s->state == OPEN && s->own == session && (t = earliest(s))) {
        if (send_next(s, t, now) == -EAGAIN) {
            s->blocked = true;
            return;
        }
    }
    if (s->state == OPEN && s->ended && !s->ended_sent && all_sent(s)) {
        s->ended_sent = true;
        send_close(s, s->owner, LINK_CLOSE_ENDED, vector_of(s), now);
    }
}

/* ---- what comes up ---- */

static bool covers(const struct outlet_stream *s, const struct link_positions *at)
{
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        if (s->tracks[i].number && !(at->tracks & (1u << i)))
            return false;
    return true;
}

static bool acked(struct outlet_stream *s, const struct link_positions *at)
{
    bool moved = false;
    EACH_TRACK (s, t) {
        unsigned i = t->number - 1u;
        uint64_t credit = at->credit[i] < CREDIT_MAX ? at->credit[i] : CREDIT_MAX;
        if (at->next[i] > t->acked) {
            t->acked = at->next[i];
            link_window_forget(&t->window, t->acked);
            moved = true;
        }
        if (t->acked + credit != t->limit) {
            t->limit = t->acked + credit;
            moved = true;
        }
    }
    return moved;
}

/* An answer may name no number that was not sent (Ack) or not captured (Resume of a source). */
static bool beyond(const struct outlet_stream *s, const struct link_positions *at, bool resume)
{
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        const struct track *t = &s->tracks[i];
        if (!t->number)
            continue;
        bool fresh = !s->outlet->conf.source && t->window.len == 0 && t->sent == 0 &&
                     t->acked == t->window.next;
        if (at->next[i] > (resume ? t->window.next : t->sent) && !(resume && fresh))
            return true;
    }
    return false;
}

static void on_resume(struct outlet *o, struct outlet_stream *s, const struct link_msg *msg,
                      int64_t now)
{
    const struct link_positions *at = &msg->positions;

    if (s->state != OPENING)
        return;
    if (!covers(s, at) || beyond(s, at, true)) {
        o->refused++;
        LOG_WARN_FEW("link.resume_refused",
                     "stream=%s cause=\"positions that were never sent or tracks missing\"",
                     s->name);
        return;
    }
    s->state = OPEN;
    bool behind = false;
    EACH_TRACK (s, t) {
        uint64_t next = at->next[t->number - 1];
        if (!o->conf.source && next < t->window.low)
            behind = true;
        if (t->acked > next)
            t->acked = next; /* the log lost data: what is not held any more becomes a Gap */
        t->sent = next;
        t->sent_at_beat = next;
        t->told = next;
    }
    if (behind) {
        s->state = OPENING;
        if (o->ops.behind)
            o->ops.behind(o->arg, s);
        return;
    }
    acked(s, at);
    uint64_t session = s->own;
    if (o->ops.resumed)
        o->ops.resumed(o->arg, s, at);
    if (s->own == session)
        pump(s, now);
}

static void on_ack(struct outlet *o, struct outlet_stream *s, const struct link_positions *at,
                   int64_t now)
{
    if (s->state != OPEN)
        return;
    if (!covers(s, at) || beyond(s, at, false)) {
        o->refused++;
        LOG_WARN_FEW("link.ack_refused",
                     "stream=%s cause=\"positions that were never sent or tracks missing\"",
                     s->name);
        return;
    }
    bool told = at->backlog_ms != s->backlog_ms || at->backlog_bytes != s->backlog_bytes;
    s->backlog_ms = at->backlog_ms;
    s->backlog_bytes = at->backlog_bytes;
    if (!acked(s, at) && !told)
        return;
    if (o->ops.acked)
        o->ops.acked(o->arg, s, at);
    pump(s, now);
}

static void on_fenced(struct outlet *o, struct outlet_stream *s, const struct link_vector *greatest,
                      int64_t now)
{
    uint64_t above = greatest->n ? greatest->v[0] : 0;
    bool again = s->fenced_ns && now - s->fenced_ns < FENCED_AGAIN_NS;

    if (!o->conf.source) {
        if (o->ops.fenced)
            o->ops.fenced(o->arg, s, greatest, false);
        return;
    }
    s->fenced_ns = now;
    if (above >=
        INT64_MAX) /* no clock was ever there: a damaged or hostile peer, and no room above */
        again = true;
    if (again) {
        s->state = STOPPED;
        s->owner = NULL;
    } else {
        s->prefix.v[0] = (above > s->prefix.v[0] ? above : s->prefix.v[0]) + 1;
        s->own = 0;
        choose(s, now);
    }
    if (o->ops.fenced)
        o->ops.fenced(o->arg, s, greatest, again);
}

static void on_close(struct outlet *o, struct link_peer *p, const struct link_msg *msg, int64_t now)
{
    if (msg->close.reason == LINK_CLOSE_DRAINING) {
        p->draining = true;
        leave_peer(o, p, now);
        return;
    }
    struct outlet_stream *s = outlet_stream_find(o, msg->stream);
    if (msg->close.reason != LINK_CLOSE_FENCED) {
        o->refused++;
        return;
    }
    if (!s || s->owner != p || (s->state != OPENING && s->state != OPEN))
        return;
    struct link_vector mine = vector_of(s);
    if (link_vector_cmp(&msg->vector, &mine) == 0)
        on_fenced(o, s, &msg->close.greatest, now);
}

/* Rule 8: twice the inlet has not what was sent before: Open again. */
static bool lacks(struct outlet_stream *s, const struct link_heartbeat_session *hs)
{
    bool lacking = false;

    if (!hs)
        return true;
    if (!hs->at.tracks) /* asking: it waits for its own answer */
        return s->state == OPEN;
    if (s->state == OPENING)
        return true;
    EACH_TRACK (s, t) {
        uint64_t has = hs->at.next[t->number - 1];
        if (has < t->sent_at_beat && has == t->told)
            lacking = true;
        t->told = has;
    }
    return lacking;
}

static void check_positions(struct outlet *o, struct link_peer *p, const struct link_msg *msg,
                            int64_t now)
{
    struct outlet_stream *s;
    uint64_t id = p->id;

    TAILQ_FOREACH (s, &o->streams, entry) {
        if (link_peers_find(&o->peers, id) != p)
            return;
        if (s->owner != p || (s->state != OPENING && s->state != OPEN))
            continue;
        const struct link_heartbeat_session *mine = NULL;
        struct link_vector v = vector_of(s);
        for (unsigned i = 0; i < msg->heartbeat.nsessions && !mine; i++)
            if (link_vector_cmp(&msg->heartbeat.sessions[i].vector, &v) == 0 &&
                strcmp(msg->heartbeat.sessions[i].stream, s->name) == 0)
                mine = &msg->heartbeat.sessions[i];
        s->strikes = lacks(s, mine) ? s->strikes + 1 : 0;
        if (s->strikes >= STRIKES) {
            log_info("link.open_again", "stream=%s peer=%s cause=\"it has not what was sent\"",
                     s->name, p->instance);
            open_on(s, p, now);
        } else if (mine && s->state == OPEN && covers(s, &mine->acked)) {
            struct link_positions at = mine->acked; /* which tells no backlog */
            at.backlog_ms = s->backlog_ms;
            at.backlog_bytes = s->backlog_bytes;
            on_ack(o, s, &at, now);
        }
    }
}

static void on_hello(struct outlet *o, uint64_t id, const struct link_msg *msg, int64_t now)
{
    struct outlet_stream *s;
    struct link_peer *p, *old;

    if (msg->hello.version != LINK_VERSION || !msg->hello.instance[0]) {
        o->refused++;
        LOG_WARN_FEW(
            "link.hello_refused",
            "peer=%s version=%u cause=\"this side speaks version %d; run stages of one release\"",
            msg->hello.instance, msg->hello.version, LINK_VERSION);
        return;
    }
    old = link_peers_find_instance(&o->peers, msg->hello.instance, id); /* restarted, reconnected */
    p = link_peers_find(&o->peers, id);
    if (!p && !(p = link_peers_add(&o->peers, id))) {
        o->refused++;
        return;
    }
    strcpy(p->instance, msg->hello.instance);
    p->incarnation = msg->hello.incarnation;
    p->heard_ns = now;
    p->usable = true;
    p->draining = false;
    uint64_t old_id = old ? old->id : 0;
    TAILQ_FOREACH (s, &o->streams, entry) {
        if (link_peers_find(&o->peers, id) != p) /* gone already, found on sending */
            break;
        if (s->owner && (s->owner == p || s->owner->id == old_id))
            open_on(s, p, now);
        else
            move_if_better(s, now);
    }
    if (old_id)
        outlet_peer_gone(o, old_id, now);
}

static void on_heartbeat(struct outlet *o, struct link_peer *p, const struct link_msg *msg,
                         int64_t now)
{
    struct outlet_stream *s;

    if (p->incarnation != msg->heartbeat.incarnation) {
        o->refused++;
        return;
    }
    if (!p->usable && !p->draining) {
        uint64_t id = p->id;
        p->usable = true;
        TAILQ_FOREACH (s, &o->streams, entry)
            move_if_better(s, now);
        if (link_peers_find(&o->peers, id) != p) /* gone again, found on sending */
            return;
    }
    check_positions(o, p, msg, now);
}

/* Rule 6: an answer counts only with exactly the current vector, from the owner. */
static struct outlet_stream *answered(struct outlet *o, struct link_peer *p,
                                      const struct link_msg *msg)
{
    struct outlet_stream *s = outlet_stream_find(o, msg->stream);
    if (!s || s->owner != p)
        return NULL;
    struct link_vector mine = vector_of(s);
    return link_vector_cmp(&msg->vector, &mine) == 0 ? s : NULL;
}

void outlet_receive(struct outlet *o, uint64_t id, const struct link_msg *msg, int64_t now)
{
    struct link_peer *p = link_peers_find(&o->peers, id);
    struct outlet_stream *s;

    if (msg->type == LINK_HELLO) {
        on_hello(o, id, msg, now);
        return;
    }
    if (!p) { /* a missed connection event: ask who it is */
        struct link_msg ask = {.type = LINK_HELLO};
        ask.hello.version = LINK_VERSION;
        ask.hello.incarnation = o->conf.incarnation;
        o->ops.send(o->ops.send_arg, id, &ask);
        return;
    }
    p->heard_ns = now;
    switch (msg->type) {
    case LINK_RESUME:
        if ((s = answered(o, p, msg)))
            on_resume(o, s, msg, now);
        break;
    case LINK_ACK:
        if ((s = answered(o, p, msg)))
            on_ack(o, s, &msg->positions, now);
        break;
    case LINK_HEARTBEAT:
        on_heartbeat(o, p, msg, now);
        break;
    case LINK_CLOSE:
        on_close(o, p, msg, now);
        break;
    default:
        o->refused++;
        LOG_WARN_FEW("link.refused", "peer=%s type=%s cause=\"not for this end of a link\"",
                     p->instance, link_type_name(msg->type));
    }
}

/* ---- time ---- */

static void beat(struct outlet *o, struct link_peer *p, int64_t now)
{
    struct link_msg msg = {.type = LINK_HEARTBEAT};
    struct outlet_stream *s;
    unsigned n = 0;

    TAILQ_FOREACH (s, &o->streams, entry)
        n += s->owner == p;
    msg.heartbeat.incarnation = o->conf.incarnation;
    msg.heartbeat.sessions = xcalloc(n, sizeof *msg.heartbeat.sessions);
    TAILQ_FOREACH (s, &o->streams, entry) {
        if (s->owner != p)
            continue;
        struct link_heartbeat_session *hs = &msg.heartbeat.sessions[msg.heartbeat.nsessions++];
        memcpy(hs->stream, s->name, sizeof hs->stream);
        hs->vector = vector_of(s);
        if (s->state != OPEN)
            continue;
        EACH_TRACK (s, t) {
            hs->at.tracks |= (uint8_t)(1u << (t->number - 1));
            hs->at.next[t->number - 1] = t->sent;
            t->sent_at_beat = t->sent;
        }
    }
    send_to(o, p, &msg, now);
    free(msg.heartbeat.sessions);
}

static void beat_all(struct outlet *o, int64_t now)
{
    struct outlet_stream *s;
    uint64_t ids[LINK_PEERS_MAX];
    unsigned n = link_peers_usable(&o->peers, INT64_MAX, ids);
    struct link_peer *p;

    for (unsigned i = 0; i < n; i++)
        if ((p = link_peers_find(&o->peers, ids[i])))
            beat(o, p, now);
    TAILQ_FOREACH (s, &o->streams, entry)
        if (s->ended_sent && s->state == OPEN && s->owner)
            send_close(s, s->owner, LINK_CLOSE_ENDED, vector_of(s), now);
}

static void drop_silent(struct outlet *o, int64_t now)
{
    uint64_t ids[LINK_PEERS_MAX];
    unsigned n = link_peers_usable(&o->peers, now - o->conf.silence_ns, ids);
    struct link_peer *p;

    for (unsigned i = 0; i < n; i++) {
        if (!(p = link_peers_find(&o->peers,
                                  ids[i]))) /* found gone while streams of another moved */
            continue;
        log_warn("link.peer_silent", "peer=%s silent_ms=%lld effect=\"its streams move on\"",
                 p->instance, (long long)((now - p->heard_ns) / NS_PER_MS));
        leave_peer(o, p, now);
    }
}

void outlet_tick(struct outlet *o, int64_t now)
{
    struct outlet_stream *s, *next;
    struct link_peer *p;

    /* This process itself stood still: what peers sent meanwhile is not read yet, so they are not
     * silent. */
    if (o->tick_ns && now - o->tick_ns > o->conf.silence_ns / 2)
        TAILQ_FOREACH (p, &o->peers.list, entry)
            p->heard_ns = now;
    o->tick_ns = now;
    drop_silent(o, now);
    for (s = TAILQ_FIRST(&o->streams); s; s = next) {
        next = TAILQ_NEXT(s, entry);
        move_if_better(s, now);
        if (s->blocked)
            pump(s, now);
    }
    if (now - o->beat_ns >= o->conf.heartbeat_ns) {
        o->beat_ns = now;
        beat_all(o, now);
    }
}

/* ---- streams ---- */

static struct outlet_stream *add(struct outlet *o, const char *name,
                                 const struct link_track *tracks, unsigned ntracks)
{
    struct outlet_stream *s = xcalloc(1, sizeof *s);

    assert(strlen(name) <= LINK_NAME_MAX && ntracks && ntracks <= LINK_TRACKS_MAX);
    s->outlet = o;
    strcpy(s->name, name);
    for (unsigned i = 0; i < ntracks; i++) {
        struct track *t = &s->tracks[tracks[i].track - 1];
        t->number = tracks[i].track;
        t->format = link_format_ref(tracks[i].format);
        t->acked = tracks[i].base;
        link_window_reset(&t->window, tracks[i].base);
    }
    TAILQ_INSERT_TAIL(&o->streams, s, entry);
    return s;
}

struct outlet_stream *outlet_source_add(struct outlet *o, const char *name, uint64_t epoch,
                                        const struct link_track *tracks, unsigned ntracks,
                                        const struct outlet_window *window, bool live, int64_t now)
{
    struct outlet_stream *s = add(o, name, tracks, ntracks);
    s->prefix = (struct link_vector){.n = 1, .v = {epoch}};
    s->bound = *window;
    s->live = live;
    choose(s, now);
    return s;
}

struct outlet_stream *outlet_relay_open(struct outlet *o, const char *name,
                                        const struct link_vector *vector,
                                        const struct link_track *tracks, unsigned ntracks,
                                        int64_t now)
{
    struct outlet_stream *old = outlet_stream_find(o, name);
    struct link_peer *owner = old ? old->owner : NULL;

    outlet_stream_remove(o, &old);
    struct outlet_stream *s = add(o, name, tracks, ntracks);
    s->prefix = *vector;
    if (o->conf.sticky && owner && owner->usable && !owner->draining)
        open_on(s, owner, now);
    else
        choose(s, now);
    return s;
}

void outlet_source_remove(struct outlet *o, struct outlet_stream **stream, int64_t now)
{
    struct outlet_stream *s = *stream;
    if (s && s->owner && (s->state == OPENING || s->state == OPEN))
        send_close(s, s->owner, LINK_CLOSE_MOVED, vector_of(s), now);
    outlet_stream_remove(o, stream);
}

void outlet_stream_remove(struct outlet *o, struct outlet_stream **stream)
{
    struct outlet_stream *s = *stream;
    *stream = NULL;
    if (!s)
        return;
    TAILQ_REMOVE(&o->streams, s, entry);
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        link_format_unref(&s->tracks[i].format);
        link_window_fini(&s->tracks[i].window);
    }
    free(s);
}

struct outlet_stream *outlet_stream_find(struct outlet *o, const char *name)
{
    struct outlet_stream *s;
    TAILQ_FOREACH (s, &o->streams, entry)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

static bool over(const struct outlet_stream *s, const struct track *t)
{
    struct link_window *w = (struct link_window *)&t->window;
    uint64_t bytes = 0;

    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        bytes += s->tracks[i].window.bytes;
    if (w->len >= s->bound.frames || bytes >= s->bound.bytes)
        return true;
    const struct link_item *a = link_window_oldest(w), *b = link_window_newest(w);
    return a && !a->gap && !b->gap && b->dts_ns - a->dts_ns >= s->bound.ns;
}

/* The window of a live source is full: the oldest copy of this track goes, or of the track with
 * most bytes when this one has none. Rule 10: whether that is a loss is decided only when the
 * outlet comes to the number. */
static void make_room(struct outlet_stream *s, struct track *t)
{
    while (over(s, t)) {
        struct track *most = t;
        for (unsigned i = 0; i < LINK_TRACKS_MAX && !t->window.len; i++)
            if (s->tracks[i].window.bytes > most->window.bytes)
                most = &s->tracks[i];
        if (!most->window.len)
            return;
        link_window_drop(&most->window);
    }
}

int outlet_put(struct outlet *o, struct outlet_stream *s, struct link_item *item, int64_t now)
{
    struct track *t =
        item->track >= 1 && item->track <= LINK_TRACKS_MAX ? &s->tracks[item->track - 1] : NULL;

    if (!t || !t->number || (!o->conf.source && item->seq != t->window.next)) {
        link_item_fini(item);
        return -EPROTO;
    }
    if (o->conf.source) {
        uint64_t count = item->gap ? item->last - item->seq : 0;
        item->seq = t->window.next;
        item->last = item->seq + count;
        if (s->live)
            make_room(s, t);
    }
    s->ended = s->ended_sent = false;
    if (!item->gap && item->format != t->format) {
        link_format_unref(&t->format);
        t->format = link_format_ref(item->format);
    }
    if (t->need_key && !item->gap && !item->key) { /* joins the gap that waits to be sent */
        t->window.next = t->window.low = item->last + 1;
        link_item_fini(item);
    } else {
        t->need_key = t->need_key && item->gap;
        link_window_push(&t->window, item);
    }
    if (s->state == OPEN)
        pump(s, now);
    return 0;
}

void outlet_end(struct outlet *o, struct outlet_stream *s, int64_t now)
{
    (void)o;
    s->ended = true;
    s->ended_sent = false;
    pump(s, now);
}

bool outlet_room(const struct outlet_stream *s, unsigned track)
{
    return !over(s, &s->tracks[track - 1]);
}

uint64_t outlet_next_seq(const struct outlet_stream *s, unsigned track)
{
    return s->tracks[track - 1].window.next;
}

const char *outlet_stream_name(const struct outlet_stream *s)
{
    return s->name;
}

struct link_vector outlet_stream_vector(const struct outlet_stream *s)
{
    return vector_of(s);
}

bool outlet_stream_is_open(const struct outlet_stream *s)
{
    return s->state == OPEN;
}

bool outlet_stream_done(const struct outlet_stream *s)
{
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        if (s->tracks[i].number && s->tracks[i].acked < s->tracks[i].window.next)
            return false;
    return s->ended && s->ended_sent;
}

struct outlet_stats outlet_stream_stats(const struct outlet_stream *s)
{
    struct outlet_stats stats = s->stats;
    stats.open = s->state == OPEN;
    stats.backlog_ms = s->backlog_ms;
    stats.backlog_bytes = s->backlog_bytes;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        stats.held_items += s->tracks[i].window.len;
        stats.held_bytes += s->tracks[i].window.bytes;
        const struct link_item *oldest = link_window_oldest(&s->tracks[i].window);
        if (oldest && oldest->captured_ns &&
            (!stats.oldest_ns || oldest->captured_ns < stats.oldest_ns))
            stats.oldest_ns = oldest->captured_ns;
    }
    return stats;
}

void *outlet_stream_user(const struct outlet_stream *s)
{
    return s->user;
}

void outlet_stream_set_user(struct outlet_stream *s, void *user)
{
    s->user = user;
}

uint64_t outlet_refused(const struct outlet *o)
{
    return o->refused;
}
