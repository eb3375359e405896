/* A stream of libkvpipe as the thread of the loop sees it: what is queued goes to the outlet, what
 * the link tells goes to the caller.
 * Relies on common/link_outlet for window, numbers, acks and fencing.
 * Leaves times and fragments to kvpipe_stream.c. */
#include <stdlib.h>
#include <string.h>

#include "capture/epoch.h"
#include "capture/libkvpipe/kvpipe_private.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define NOTE_NS (5 * NS_PER_S)     /* how often the time reached is noted beside the epoch */
#define BACKLOG_NS NS_PER_S        /* how often the backlog is told */
#define HEARD_NS (100 * NS_PER_MS) /* who answers so long after a message has read it */

static void tell(struct kvpipe_stream *s, const struct kvpipe_event *event)
{
    if (s->event)
        s->event(s->arg, s, event);
}

/* ---- what is held ---- */

static void held_push(struct held *h, uint64_t seq, int64_t pts_ns)
{
    if (h->head && h->head + h->len == h->room) {
        memmove(h->at, h->at + h->head, h->len * sizeof *h->at);
        h->head = 0;
    }
    if (h->len == h->room) {
        h->room = h->room ? 2 * h->room : 256;
        h->at = xrealloc(h->at, h->room * sizeof *h->at);
    }
    h->at[h->head + h->len++] = (struct held_frame){.seq = seq, .pts_ns = pts_ns};
}

/* Lets go of what lies below `next`; false: nothing did. */
static bool held_pop(struct held *h, uint64_t next, int64_t *pts_ns)
{
    bool any = false;
    while (h->len && h->at[h->head].seq < next) {
        *pts_ns = h->at[h->head++].pts_ns;
        h->len--;
        any = true;
    }
    if (!h->len)
        h->head = 0;
    return any;
}

/* ---- towards the link ---- */

static void add(struct kvpipe_stream *s)
{
    struct link_track tracks[LINK_TRACKS_MAX];

    pthread_mutex_lock(&s->kvpipe->lock);
    for (unsigned i = 0; i < s->ntracks; i++)
        tracks[i] =
            (struct link_track){.track = (uint8_t)(i + 1), .format = link_format_ref(s->format[i])};
    if (s->life == STREAM_NEW)
        s->life = STREAM_LIVE;
    pthread_mutex_unlock(&s->kvpipe->lock);
    s->out = outlet_source_add(s->kvpipe->outlet, s->name, s->epoch, tracks, s->ntracks, &s->window,
                               !s->can_wait, clock_mono_ns());
    outlet_stream_set_user(s->out, s);
    for (unsigned i = 0; i < s->ntracks; i++)
        link_format_unref(&tracks[i].format);
}

static void put(struct kvpipe_stream *s, struct link_item *item)
{
    unsigned i = item->track - 1u;
    if (!item->gap)
        held_push(&s->held[i], outlet_next_seq(s->out, item->track), item->pts_ns);
    outlet_put(s->kvpipe->outlet, s->out, item, clock_mono_ns());
}

static bool take_one(struct kvpipe_stream *s)
{
    pthread_mutex_lock(&s->kvpipe->lock);
    struct queued *q = TAILQ_FIRST(&s->queue);
    if (q && s->can_wait && !outlet_room(s->out, q->item.track))
        q = NULL;
    if (q) {
        TAILQ_REMOVE(&s->queue, q, entry);
        s->queued--;
        s->queued_bytes -= q->item.payload ? q->item.payload->len : 0;
        pthread_cond_broadcast(&s->kvpipe->changed);
    }
    pthread_mutex_unlock(&s->kvpipe->lock);
    if (!q)
        return false;
    put(s, &q->item);
    free(q);
    return true;
}

/* ---- towards the caller ---- */

static void refresh(struct kvpipe_stream *s, const struct outlet_stats *now)
{
    uint64_t next = 0, held = 0;
    for (unsigned i = 0; i < s->ntracks; i++) {
        next += outlet_next_seq(s->out, i + 1);
        held += s->held[i].len;
    }
    pthread_mutex_lock(&s->kvpipe->lock);
    s->stats.connected = now->open;
    s->stats.held_frames = held;
    s->stats.held_bytes = now->held_bytes;
    s->stats.lost_frames = now->gap_frames;
    s->stats.stored_frames = next - held > now->gap_frames ? next - held - now->gap_frames : 0;
    s->stats.backlog_ms = now->backlog_ms;
    s->stats.backlog_bytes = now->backlog_bytes;
    pthread_mutex_unlock(&s->kvpipe->lock);
}

static void tell_backlog(struct kvpipe_stream *s, const struct outlet_stats *now)
{
    int64_t at = clock_mono_ns();
    if (at - s->backlog_mono_ns < BACKLOG_NS ||
        (now->backlog_ms == s->told_backlog_ms && now->backlog_bytes == s->told_backlog_bytes))
        return;
    s->backlog_mono_ns = at;
    s->told_backlog_ms = now->backlog_ms;
    s->told_backlog_bytes = now->backlog_bytes;
    tell(s, &(struct kvpipe_event){.type = KVPIPE_BACKLOG,
                                   .backlog_ms = now->backlog_ms,
                                   .backlog_bytes = now->backlog_bytes});
}

static void tell_news(struct kvpipe_stream *s)
{
    struct outlet_stats now = outlet_stream_stats(s->out);

    refresh(s, &now);
    if (now.open != s->connected) {
        s->connected = now.open;
        tell(s, &(struct kvpipe_event){.type = s->connected ? KVPIPE_CONNECTED : KVPIPE_WAITING});
    }
    if (now.gap_frames > s->told_lost) {
        uint64_t frames = now.gap_frames - s->told_lost;
        s->told_lost = now.gap_frames;
        tell(s, &(struct kvpipe_event){.type = KVPIPE_LOST, .frames = frames});
    }
    tell_backlog(s, &now);
}

void kvpipe_stream_acked(struct kvpipe_stream *s, const struct link_positions *at)
{
    for (unsigned i = 0; i < s->ntracks; i++) {
        int64_t pts_ns;
        if (at->tracks & (1u << i) && held_pop(&s->held[i], at->next[i], &pts_ns))
            tell(s, &(struct kvpipe_event){
                        .type = KVPIPE_STORED, .track = i + 1, .stored_pts_ns = pts_ns});
    }
    kvpipe_wake(s->kvpipe); /* there may be room; not from within the outlet's own call */
}

void kvpipe_stream_fenced(struct kvpipe_stream *s, bool stopped)
{
    s->note_mono_ns = 0;
    if (!stopped)
        return;
    log_error("kvpipe.replaced",
              "stream=%s cause=\"another program or capture serves this stream\" what_to_do=\"stop "
              "one of them, or give it another stream name\"",
              s->name);
    pthread_mutex_lock(&s->kvpipe->lock);
    s->replaced = true;
    pthread_cond_broadcast(&s->kvpipe->changed);
    pthread_mutex_unlock(&s->kvpipe->lock);
    tell(s, &(struct kvpipe_event){.type = KVPIPE_REPLACED});
}

/* ---- a turn ---- */

/* All is stored, and the muxer knows that nothing follows, so that the last fragment ends: it has
 * been heard since. One that died meanwhile is told again by a new one. Where nobody ever was,
 * there is nothing to tell. */
static bool is_done(struct kvpipe_stream *s)
{
    if (!s->ended)
        return false;
    if (!outlet_stream_done(s->out)) {
        s->done_ns = 0;
        return !s->connected && !s->stats.held_frames && !s->stats.stored_frames;
    }
    if (!s->done_ns)
        s->done_ns = clock_mono_ns();
    return outlet_stream_heard_ns(s->out) > s->done_ns + HEARD_NS;
}

static void note_time(struct kvpipe_stream *s)
{
    int64_t now = clock_mono_ns();
    if (s->note_mono_ns && now - s->note_mono_ns < NOTE_NS)
        return;
    s->note_mono_ns = now;
    pthread_mutex_lock(&s->kvpipe->lock);
    int64_t last_ns = frame_times_last(&s->times);
    pthread_mutex_unlock(&s->kvpipe->lock);
    epoch_reach(s->kvpipe->folder, s->name, outlet_stream_vector(s->out).v[0], last_ns, &s->noted);
}

static void let_go(struct kvpipe_stream *s)
{
    struct kvpipe *k = s->kvpipe;
    s->note_mono_ns = 0;
    note_time(s);
    outlet_stream_set_user(s->out, NULL);
    outlet_source_remove(k->outlet, &s->out, clock_mono_ns());
    pthread_mutex_lock(&k->lock);
    LIST_REMOVE(s, entry);
    s->life = STREAM_GONE;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
}

static enum stream_life life_of(struct kvpipe_stream *s, bool *empty)
{
    pthread_mutex_lock(&s->kvpipe->lock);
    enum stream_life life = s->life;
    *empty = TAILQ_EMPTY(&s->queue);
    pthread_mutex_unlock(&s->kvpipe->lock);
    return life;
}

void kvpipe_stream_turn(struct kvpipe_stream *s)
{
    bool empty;

    if (!s->out)
        add(s);
    while (take_one(s))
        ;
    note_time(s);
    tell_news(s);
    enum stream_life life = life_of(s, &empty);
    if (life == STREAM_ENDING && empty && !s->ended) {
        s->ended = true;
        outlet_end(s->kvpipe->outlet, s->out, clock_mono_ns());
    }
    if (life == STREAM_LEAVING || is_done(s))
        let_go(s); /* the last of it: it may be freed now */
}
