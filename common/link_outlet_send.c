/* What an outlet sends of its streams: frames and gaps within the credit, in the order of time.
 * Relies on link_window. Leaves the owner to link_outlet_owner.c and heartbeats to
 * link_outlet_beat.c. */
#include "common/link_outlet_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

void outlet_send_address(struct link_msg *msg, const struct outlet_stream *s)
{
    memcpy(msg->stream, s->name, sizeof s->name);
    msg->vector = outlet_stream_vector(s);
}

int outlet_send(struct outlet *o, struct link_peer *p, const struct link_msg *msg, int64_t now)
{
    int r = o->ops.send(o->ops.send_arg, p->id, msg);
    if (r == -EHOSTUNREACH)
        outlet_peer_gone(o, p->id, now);
    return r;
}

void outlet_send_close(struct outlet_stream *s, struct link_peer *p, enum link_close_reason why,
                       struct link_vector vector, int64_t now)
{
    struct link_msg msg = {.type = LINK_CLOSE};
    outlet_send_address(&msg, s);
    msg.vector = vector;
    msg.close.reason = why;
    outlet_send(s->outlet, p, &msg, now);
}

static int send_frame(struct outlet_stream *s, struct outlet_track *t, const struct link_item *it,
                      int64_t now)
{
    struct link_msg msg = {.type = LINK_FRAME};
    outlet_send_address(&msg, s);
    msg.item.item = *it;
    msg.item.format_number = it->format->number;
    msg.item.new_format = t->format_sent == it->format->number ? NULL : it->format;
    int r = outlet_send(s->outlet, s->owner, &msg, now);
    if (r == 0) {
        t->format_sent = it->format->number;
        s->stats.sent_frames++;
        s->stats.sent_bytes += it->payload->len;
    }
    return r;
}

static int send_gap(struct outlet_stream *s, struct outlet_track *t, uint64_t first, uint64_t last,
                    enum link_gap_reason why, int64_t now)
{
    struct link_msg msg = {.type = LINK_GAP};
    outlet_send_address(&msg, s);
    msg.item.item = (struct link_item){
        .gap = true, .track = t->number, .seq = first, .last = last, .reason = why};
    int r = outlet_send(s->outlet, s->owner, &msg, now);
    if (r == 0)
        s->stats.gap_frames += last - first + 1;
    return r;
}

/* Rule 12: what is left of a coded source after a loss begins with a key frame; what cannot be
 * decoded joins the gap. */
static void widen_to_key(struct outlet_stream *s, struct outlet_track *t)
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
static int send_next(struct outlet_stream *s, struct outlet_track *t, int64_t now)
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

static int64_t next_dts(struct outlet_track *t)
{
    const struct link_item *it =
        t->sent < t->window.low ? NULL : link_window_find(&t->window, t->sent);
    return it && !it->gap ? it->dts_ns : INT64_MIN;
}

/* The track whose next number is the earliest, among those that may send: tracks leave in the order
 * of time. */
static struct outlet_track *earliest(struct outlet_stream *s)
{
    struct outlet_track *best = NULL;
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

void outlet_send_due(struct outlet_stream *s, int64_t now)
{
    uint64_t session = s->own;
    struct outlet_track *t;

    s->blocked = false;
    while (s->state == OPEN && s->own == session && (t = earliest(s))) {
        if (send_next(s, t, now) == -EAGAIN) {
            s->blocked = true;
            return;
        }
    }
    if (s->state == OPEN && s->ended && !s->ended_sent && all_sent(s)) {
        s->ended_sent = true;
        outlet_send_close(s, s->owner, LINK_CLOSE_ENDED, outlet_stream_vector(s), now);
    }
}
