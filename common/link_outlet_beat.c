/* An outlet's time: heartbeats, silent peers, and whether the inlet has what was sent.
 * Relies on the caller's clock. Leaves the next owner to link_outlet_owner.c. */
#include "common/link_outlet_private.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define STRIKES 2 /* heartbeats that must show the same lack before a new Open */

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
        struct link_vector v = outlet_stream_vector(s);
        for (unsigned i = 0; i < msg->heartbeat.nsessions && !mine; i++)
            if (link_vector_cmp(&msg->heartbeat.sessions[i].vector, &v) == 0 &&
                strcmp(msg->heartbeat.sessions[i].stream, s->name) == 0)
                mine = &msg->heartbeat.sessions[i];
        s->strikes = lacks(s, mine) ? s->strikes + 1 : 0;
        if (s->strikes >= STRIKES) {
            log_info("link.open_again", "stream=%s peer=%s cause=\"it has not what was sent\"",
                     s->name, p->instance);
            outlet_owner_open(s, p, now);
        } else if (mine && s->state == OPEN && outlet_covers(s, &mine->acked)) {
            struct link_positions at = mine->acked; /* which tells no backlog */
            at.backlog_ms = s->backlog_ms;
            at.backlog_bytes = s->backlog_bytes;
            outlet_ack(o, s, &at, now);
        }
    }
}

void outlet_heartbeat(struct outlet *o, struct link_peer *p, const struct link_msg *msg,
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
            outlet_owner_move(s, now);
        if (link_peers_find(&o->peers, id) != p) /* gone again, found on sending */
            return;
    }
    check_positions(o, p, msg, now);
}

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
        hs->vector = outlet_stream_vector(s);
        if (s->state != OPEN)
            continue;
        EACH_TRACK (s, t) {
            hs->at.tracks |= (uint8_t)(1u << (t->number - 1));
            hs->at.next[t->number - 1] = t->sent;
            t->sent_at_beat = t->sent;
        }
    }
    outlet_send(o, p, &msg, now);
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
            outlet_send_close(s, s->owner, LINK_CLOSE_ENDED, outlet_stream_vector(s), now);
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
        outlet_owner_leave(o, p, now);
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
        outlet_owner_move(s, now);
        if (s->blocked)
            outlet_send_due(s, now);
    }
    if (now - o->beat_ns >= o->conf.heartbeat_ns) {
        o->beat_ns = now;
        beat_all(o, now);
    }
}
