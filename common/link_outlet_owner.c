/* Which peer owns a stream of an outlet, and going over to another.
 * Relies on link_peers for the choice. Leaves Hello and heartbeats to link_outlet.c and
 * link_outlet_beat.c. */
#include "common/link_outlet_private.h"

#include <stdlib.h>

#include "common/clock.h"

#define MOVE_AFTER_NS (2 * NS_PER_S) /* a stream moves to a new instance at most so often */

/* Rule 3: every Open carries a number never used before. */
void outlet_owner_open(struct outlet_stream *s, struct link_peer *p, int64_t now)
{
    struct link_msg msg = {.type = LINK_OPEN};

    s->own++;
    s->owner = p;
    s->state = OPENING;
    s->strikes = 0;
    s->blocked = s->ended_sent = false;
    s->moved_ns = now;
    outlet_send_address(&msg, s);
    EACH_TRACK (s, t) {
        t->format_sent = 0;
        msg.open.tracks[msg.open.ntracks++] =
            (struct link_track){.track = t->number, .base = t->acked, .format = t->format};
    }
    outlet_send(s->outlet, p, &msg, now); /* unreachable: another owner is chosen in there */
}

void outlet_owner_choose(struct outlet_stream *s, int64_t now)
{
    if (s->state == STOPPED)
        return;
    struct link_peer *p = link_peers_best(&s->outlet->peers, s->name);
    if (p) {
        outlet_owner_open(s, p, now);
        return;
    }
    s->owner = NULL;
    s->state = NO_OWNER;
}

void outlet_owner_leave(struct outlet *o, struct link_peer *p, int64_t now)
{
    struct outlet_stream *s;
    p->usable = false;
    TAILQ_FOREACH (s, &o->streams, entry)
        if (s->owner == p)
            outlet_owner_choose(s, now);
}

void outlet_peer_gone(struct outlet *o, uint64_t id, int64_t now)
{
    struct link_peer *p = link_peers_find(&o->peers, id);
    if (!p)
        return;
    link_peers_remove(&o->peers, p); /* first: choosing anew may find other peers gone, too */
    outlet_owner_leave(o, p, now);
    free(p);
}

void outlet_owner_move(struct outlet_stream *s, int64_t now)
{
    struct link_peer *best = link_peers_best(&s->outlet->peers, s->name), *old = s->owner;
    uint64_t old_id;

    if (!best || best == old || s->state == STOPPED)
        return;
    if (old && (s->outlet->conf.sticky || now - s->moved_ns < MOVE_AFTER_NS))
        return;
    struct link_vector v = outlet_stream_vector(s);
    old_id = old ? old->id : 0;
    outlet_owner_open(s, best, now);
    if (old_id && (old = link_peers_find(&s->outlet->peers, old_id)))
        outlet_send_close(s, old, LINK_CLOSE_MOVED, v, now);
}
