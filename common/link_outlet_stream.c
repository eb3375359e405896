/* The streams of an outlet and what it holds of each.
 * Relies on link_window. Leaves owners to link_outlet_owner.c and sending to link_outlet_send.c. */
#include "common/link_outlet_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

static struct outlet_stream *add(struct outlet *o, const char *name,
                                 const struct link_track *tracks, unsigned ntracks)
{
    struct outlet_stream *s = xcalloc(1, sizeof *s);

    assert(strlen(name) <= LINK_NAME_MAX && ntracks && ntracks <= LINK_TRACKS_MAX);
    s->outlet = o;
    strcpy(s->name, name);
    for (unsigned i = 0; i < ntracks; i++) {
        struct outlet_track *t = &s->tracks[tracks[i].track - 1];
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
    outlet_owner_choose(s, now);
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
        outlet_owner_open(s, owner, now);
    else
        outlet_owner_choose(s, now);
    return s;
}

void outlet_source_remove(struct outlet *o, struct outlet_stream **stream, int64_t now)
{
    struct outlet_stream *s = *stream;
    if (s && s->owner && (s->state == OPENING || s->state == OPEN))
        outlet_send_close(s, s->owner, LINK_CLOSE_MOVED, outlet_stream_vector(s), now);
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

static bool over(const struct outlet_stream *s, const struct outlet_track *t)
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
static void make_room(struct outlet_stream *s, struct outlet_track *t)
{
    while (over(s, t)) {
        struct outlet_track *most = t;
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
    struct outlet_track *t =
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
        outlet_send_due(s, now);
    return 0;
}

void outlet_end(struct outlet *o, struct outlet_stream *s, int64_t now)
{
    (void)o;
    s->ended = true;
    s->ended_sent = false;
    outlet_send_due(s, now);
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
    return link_vector_append(&s->prefix, s->own);
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

int64_t outlet_stream_heard_ns(const struct outlet_stream *s)
{
    return s->owner ? s->owner->heard_ns : 0;
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
