/* The upstream end of a link as a pure state machine: what comes up, message by message.
 * Relies on link.h and link_outlet_private.h. Each stream is with no owner, opening (Open sent) or
 * open (Resume came). Leaves sockets to link_socket.c. */
#include "common/link_outlet_private.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define CREDIT_MAX 65536 /* numbers; more than any stage can want */
#define FENCED_AGAIN_NS (60 * NS_PER_S)

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

/* ---- positions ---- */

bool outlet_covers(const struct outlet_stream *s, const struct link_positions *at)
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
        const struct outlet_track *t = &s->tracks[i];
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
    if (!outlet_covers(s, at) || beyond(s, at, true)) {
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
        outlet_send_due(s, now);
}

void outlet_ack(struct outlet *o, struct outlet_stream *s, const struct link_positions *at,
                int64_t now)
{
    if (s->state != OPEN)
        return;
    if (!outlet_covers(s, at) || beyond(s, at, false)) {
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
    outlet_send_due(s, now);
}

/* ---- messages ---- */

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
        outlet_owner_choose(s, now);
    }
    if (o->ops.fenced)
        o->ops.fenced(o->arg, s, greatest, again);
}

static void on_close(struct outlet *o, struct link_peer *p, const struct link_msg *msg, int64_t now)
{
    if (msg->close.reason == LINK_CLOSE_DRAINING) {
        p->draining = true;
        outlet_owner_leave(o, p, now);
        return;
    }
    struct outlet_stream *s = outlet_stream_find(o, msg->stream);
    if (msg->close.reason != LINK_CLOSE_FENCED) {
        o->refused++;
        return;
    }
    if (!s || s->owner != p || (s->state != OPENING && s->state != OPEN))
        return;
    struct link_vector mine = outlet_stream_vector(s);
    if (link_vector_cmp(&msg->vector, &mine) == 0)
        on_fenced(o, s, &msg->close.greatest, now);
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
            outlet_owner_open(s, p, now);
        else
            outlet_owner_move(s, now);
    }
    if (old_id)
        outlet_peer_gone(o, old_id, now);
}

/* Rule 6: an answer counts only with exactly the current vector, from the owner. */
static struct outlet_stream *answered(struct outlet *o, struct link_peer *p,
                                      const struct link_msg *msg)
{
    struct outlet_stream *s = outlet_stream_find(o, msg->stream);
    if (!s || s->owner != p)
        return NULL;
    struct link_vector mine = outlet_stream_vector(s);
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
            outlet_ack(o, s, &msg->positions, now);
        break;
    case LINK_HEARTBEAT:
        outlet_heartbeat(o, p, msg, now);
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

uint64_t outlet_refused(const struct outlet *o)
{
    return o->refused;
}
