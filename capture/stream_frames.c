/* A stream's frames from the source's queues to the link, in the order of time, paced where the
 * source runs ahead. Relies on track.h for payloads, anchor.h for time. Leaves the window and the
 * numbers of frames to the outlet. */
#include "capture/stream_private.h"

#include <event2/event.h>

#include "common/log.h"

static void put_gap(struct stream *s, unsigned index, uint64_t *count, enum link_gap_reason reason)
{
    struct link_item gap = {
        .gap = true, .track = (uint8_t)(index + 1), .reason = reason, .seq = 0, .last = *count - 1};

    if (!*count || !s->out)
        return;
    log_info("capture.gap", "stream=%s track=%s frames=%llu reason=%s", s->conf->name,
             s->track[index].name, (unsigned long long)*count, link_gap_reason_name(reason));
    s->frames_in += *count;
    *count = 0;
    outlet_put(s->capture->outlet, s->out, &gap, clock_mono_ns());
}

static void put_gaps(struct stream *s, unsigned index)
{
    put_gap(s, index, &s->track[index].lost, LINK_GAP_SOURCE);
    put_gap(s, index, &s->track[index].lead_in, LINK_GAP_NO_KEY_FRAME);
}

static void start_pace(struct stream *s, int64_t dts_ns)
{
    if (s->pace_set)
        return;
    s->pace_set = true;
    s->pace_mono_ns = clock_mono_ns();
    s->pace_dts_ns = dts_ns;
}

static void on_payload(void *arg, struct track *t, const struct track_out *out)
{
    struct stream *s = arg;
    unsigned index = (unsigned)(t - s->track);
    int64_t now = clock_wall_ns();
    /* A source that runs ahead and is paced here counts as captured when it is due. */
    int64_t captured = s->waits || s->paced || !s->current ? now : s->current->wall_ns;
    struct link_item item = {.key = out->key,
                             .track = (uint8_t)(index + 1),
                             .duration_ns = out->duration_ns,
                             .captured_ns = captured,
                             .format = link_format_ref(t->format),
                             .payload = out->payload};

    put_gaps(s, index);
    anchor_map(&s->anchor, index, out->pts_ns, out->dts_ns, out->duration_ns, captured,
               &item.pts_ns, &item.dts_ns);
    start_pace(s, item.dts_ns);
    if (!link_codec_is_raw(t->format->codec))
        fragmenter_mark(&s->fragmenter, &s->conf->fragment, s->has_video, &item);
    s->frames_in++;
    s->frames_out++;
    s->video_frames += t->format->video;
    s->bytes_out += out->payload->len;
    outlet_put(s->capture->outlet, s->out, &item, clock_mono_ns());
}

static void note_source_time(struct stream *s, const struct pull_item *item)
{
    int64_t t = item->pts_ns != PULL_NONE ? item->pts_ns : item->dts_ns;

    if (t == PULL_NONE)
        return;
    if (!s->seen_any || t < s->first_ns)
        s->first_ns = t;
    if (!s->seen_any || t > s->last_ns)
        s->last_ns = t;
    s->seen_any = true;
}

void stream_frames_drop(struct stream *s, unsigned i)
{
    struct pull_item *item = pull_take(s->pull, i);

    if (!item)
        return;
    note_source_time(s, item);
    pull_item_free(item);
}

static int64_t order_ns(const struct pull_item *item)
{
    return item->dts_ns != PULL_NONE ? item->dts_ns : item->pts_ns;
}

/* The candidate whose head comes next in time, -1 for none that may be taken now. */
static int next_candidate(struct stream *s)
{
    int best = -1;
    int64_t best_ns = 0;

    for (unsigned i = 0; i < s->ncandidates; i++) {
        const struct pull_item *head;
        if (s->map[i] < 0) {
            while (pull_head(s->pull, i))
                stream_frames_drop(s, i);
            continue;
        }
        head = pull_head(s->pull, i);
        if (!head || (s->waits && !outlet_room(s->out, (unsigned)s->map[i] + 1)))
            continue;
        if (best < 0 || order_ns(head) < best_ns) {
            best = (int)i;
            best_ns = order_ns(head);
        }
    }
    return best;
}

/* How long the item must wait for its time; 0 when it is due. */
static int64_t early_ns(const struct stream *s, unsigned i)
{
    const struct pull_item *head = pull_head(s->pull, i);
    int64_t dts, due;

    if (!s->paced || !s->pace_set || order_ns(head) == PULL_NONE ||
        !anchor_peek(&s->anchor, (unsigned)s->map[i], order_ns(head), &dts))
        return 0;
    due = s->pace_mono_ns + (dts - s->pace_dts_ns) - clock_mono_ns();
    return due > 0 ? due : 0;
}

static void wait_ns(struct stream *s, int64_t ns)
{
    const struct timeval tv = {.tv_sec = ns / NS_PER_S, .tv_usec = ns % NS_PER_S / 1000 + 1};

    event_add(s->due, &tv);
}

static void take(struct stream *s, unsigned i)
{
    struct pull_item *item = pull_take(s->pull, i);
    struct track *t = &s->track[s->map[i]];
    uint64_t formats = t->formats;
    const char *why;

    note_source_time(s, item);
    if (t->kind == PULL_VIDEO)
        s->video_mono_ns = clock_mono_ns();
    s->current = item;
    if (track_take(t, item, on_payload, s, &why) < 0) {
        if (s->reconnects) /* the pull of a later connection says nothing */
            log_warn("capture.track.refused", "stream=%s track=%s cause=\"%s\"", s->conf->name,
                     t->name, why);
        stream_settle_refuse(s, i, why);
    } else if (t->formats != formats && t->formats > 1) {
        log_info("capture.format", "stream=%s track=%s number=%llu size=%ux%u", s->conf->name,
                 t->name, (unsigned long long)t->formats, t->format->width, t->format->height);
    }
    s->current = NULL;
    s->taken++;
    pull_item_free(item);
}

bool stream_frames_take(struct stream *s, unsigned limit)
{
    bool empty = true;
    int i = -1;

    while (limit-- && (i = next_candidate(s)) >= 0) {
        int64_t early = early_ns(s, (unsigned)i);
        if (early > 0) {
            wait_ns(s, early);
            return false;
        }
        take(s, (unsigned)i);
    }
    for (unsigned k = 0; k < s->ncandidates; k++)
        empty = empty && !pull_head(s->pull, k);
    if (!empty && i >= 0)
        event_active(s->readable, EV_READ, 0);
    return empty;
}

void stream_frames_flush(struct stream *s)
{
    for (unsigned i = 0; i < s->ncandidates; i++) {
        unsigned index = (unsigned)s->map[i];
        if (!s->out || s->map[i] < 0)
            continue;
        s->track[index].lost += pull_lost(s->pull, i);
        track_flush(&s->track[index], on_payload, s);
        put_gaps(s, index);
    }
}
