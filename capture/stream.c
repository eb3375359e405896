/* One stream from its source to the link.
 * Relies on connection.c for the pipeline, track.c for payloads, anchor.c for time.
 * Leaves the window and the numbers of frames to the outlet. */
#include "capture/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "capture/anchor.h"
#include "capture/connection.h"
#include "capture/epoch.h"
#include "capture/source.h"
#include "capture/track.h"
#include "common/clock.h"
#include "common/fragmenter.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/report.h"

#define LEAVE_NS (10 * NS_PER_S) /* what is held of a stream that left has so long to be acked */
#define NOTE_MAX (SOURCE_WHY_MAX + 2 * PULL_CAUSE_MAX)
#define ITEMS_A_TURN 64
#define SETTLE_NS (2 * NS_PER_S) /* how long tracks may let others wait before the set is fixed */
#define NOTE_NS (5 * NS_PER_S)   /* how often the time reached is noted beside the epoch */
#define START_NS                                                                                   \
    (10 * NS_PER_S)        /* a file that gives nothing, an announced video that does not come */
#define RETRY_FIRST_MS 50u /* a blip: tried again almost at once */
#define RETRY_MIN_MS 250u
#define RETRY_MAX_MS 4000u
#define NEWS_NS (10 * NS_PER_S)     /* another cause of the same loss is told after so long */
#define REST_NS NS_PER_S            /* without a source for longer: what it gave is finished */
#define LASTED_NS (2 * NS_PER_S)    /* after a shorter connection the next try is not at once */
#define OTHER_TRIES 3u              /* with fewer tracks than before, until that is believed */
#define SHORT_NS (5 * NS_PER_S / 2) /* so much less than a file says it holds is too little */
#define SETTLING_AUDIO 64u          /* buffers of sound kept while video has no key frame yet */
#define GIVE_TRACKS "give H.264, H.265, AAC or raw tracks"

enum phase {
    WAITING,    /* for the next attempt */
    CONNECTING, /* pipeline started, tracks not known yet */
    RUNNING,
    ENDED,  /* the source came to its end */
    FAILED, /* it never can work */
    STOPPED /* draining */
};

struct stream {
    struct capture *capture;
    const struct conf *held; /* conf is in it */
    const struct conf_stream *conf;
    int64_t leave_mono_ns; /* when it left the config; 0: it has not */
    const struct source_ops *ops;
    uint64_t epoch, reached_ms, noted;
    enum phase phase;

    struct connection *connection;
    struct pull *pull; /* of the connection, borrowed */
    struct track candidate[PULL_TRACKS_MAX];
    unsigned ncandidates;
    int map[PULL_TRACKS_MAX]; /* candidate to track, -1: left out */
    bool waits;               /* source can wait: no overflow, outlet_room() is asked */

    struct outlet_stream *out; /* NULL until the tracks are fixed by the first connection */
    struct track track[LINK_TRACKS_MAX];
    unsigned ntracks;
    bool has_video;
    struct anchor anchor;
    struct fragmenter fragmenter;

    bool paced, pace_set;
    int64_t pace_mono_ns, pace_dts_ns;
    struct event *due, *readable;

    unsigned failures, odd; /* tries in a row: failed, with fewer tracks than there should be */
    int64_t began_mono_ns, retry_mono_ns, note_mono_ns, ready_mono_ns, live_mono_ns;
    int64_t lost_mono_ns;
    int64_t video_mono_ns; /* last picture of this connection */
    uint64_t taken;        /* frames in this connection */
    uint64_t frames_in, frames_out, video_frames, bytes_out, reconnects;
    bool ever_connected, lost, rested;
    int64_t first_ns, last_ns; /* times of the source seen in this connection, of all its tracks */
    bool seen_any, said_short;
    char said_note[NOTE_MAX]; /* the same trouble is logged once */
    int64_t said_mono_ns;
    const struct pull_item *current; /* while track_take() runs */
};

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void lost_connection(struct stream *s, const char *cause, const char *what_to_do);

static void say(struct stream *s, const char *state, const char *note)
{
    report_state(s->capture->stage->report, s->conf->name, state, note);
}

/* Where the source is. An RTSP address is checked to be without login. */
static const char *place(const struct stream *s)
{
    const struct conf_source *c = &s->conf->source;

    return c->url ? c->url : c->path ? c->path : c->device ? c->device : "-";
}

/* ---- towards the link ---- */

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

static bool is_raw(const struct link_format *f)
{
    return f->codec == LINK_CODEC_RAW_VIDEO || f->codec == LINK_CODEC_RAW_AUDIO;
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
    if (!is_raw(t->format))
        fragmenter_mark(&s->fragmenter, &s->conf->fragment, s->has_video, &item);
    s->frames_in++;
    s->frames_out++;
    s->video_frames += t->format->video;
    s->bytes_out += out->payload->len;
    outlet_put(s->capture->outlet, s->out, &item, clock_mono_ns());
}

/* ---- the set of tracks ---- */

static void leave_out(struct stream *s, unsigned i, const char *why)
{
    pull_refuse(s->pull, pull_name(s->pull, i), why);
    s->map[i] = -1;
}

static void meet_candidates(struct stream *s, const struct pull_state *st)
{
    for (; s->ncandidates < st->ntracks; s->ncandidates++) {
        unsigned i = s->ncandidates;
        track_init(&s->candidate[i], pull_kind(s->pull, i), pull_name(s->pull, i),
                   s->ops->trust_dts, st->live);
        s->map[i] = 0;
    }
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

static void drop_head(struct stream *s, unsigned i)
{
    struct pull_item *item = pull_take(s->pull, i);

    if (!item)
        return;
    note_source_time(s, item);
    pull_item_free(item);
}

/* Whether candidate i has a first buffer to begin with; throws away those before it. */
static bool candidate_ready(struct stream *s, unsigned i, bool live)
{
    struct track *t = &s->candidate[i];
    const struct pull_item *head;
    const char *why;

    while (live && t->kind == PULL_AUDIO && pull_count(s->pull, i) > SETTLING_AUDIO)
        drop_head(s, i);
    while ((head = pull_head(s->pull, i))) {
        switch (track_look(t, head, &why)) {
        case TRACK_READY:
            return true;
        case TRACK_REFUSE:
            leave_out(s, i, why);
            return false;
        case TRACK_SKIP:
            drop_head(s, i);
            t->lead_in++;
            break;
        }
    }
    return false;
}

/* Tracks come video first, then sound; three at most. */
static void choose(struct stream *s, const bool *ready)
{
    static const enum pull_kind order[] = {PULL_VIDEO, PULL_AUDIO, PULL_DATA};
    unsigned n = 0;

    for (unsigned k = 0; k < 3; k++)
        for (unsigned i = 0; i < s->ncandidates; i++) {
            if (s->map[i] < 0 || s->candidate[i].kind != order[k])
                continue;
            if (!ready[i]) {
                leave_out(s, i, "no data came from it when the stream began");
            } else if (n == LINK_TRACKS_MAX) {
                leave_out(s, i, "a stream carries 3 tracks; this one is too many");
            } else {
                s->track[n] = s->candidate[i];
                memset(&s->candidate[i], 0, sizeof s->candidate[i]);
                if (!s->waits) /* a camera was joined in the middle: nothing was captured yet */
                    s->track[n].lead_in = 0;
                s->has_video = s->has_video || order[k] == PULL_VIDEO;
                s->map[i] = (int)n++;
            }
        }
    s->ntracks = n;
}

static void announce(struct stream *s)
{
    const struct conf_window *w = &s->conf->window;
    const struct outlet_window window = {
        .frames = w->frames, .bytes = (uint64_t)w->megabytes << 20, .ns = w->seconds * NS_PER_S};
    struct link_track tracks[LINK_TRACKS_MAX];
    /* The test pattern stands for a camera: in real time, it does not wait. */
    bool live = !s->waits || (s->ops == &source_test && s->paced);

    for (unsigned i = 0; i < s->ntracks; i++) {
        tracks[i] = (struct link_track){.track = (uint8_t)(i + 1), .format = s->track[i].format};
        log_info("capture.track",
                 "stream=%s track=%u name=%s codec=%s layout=%s size=%ux%u rate=%u "
                 "channels=%u",
                 s->conf->name, i + 1, s->track[i].name, link_codec_name(s->track[i].format->codec),
                 s->track[i].format->layout, s->track[i].format->width, s->track[i].format->height,
                 s->track[i].format->sample_rate, s->track[i].format->channels);
    }
    if (live)
        s->waits = false;
    s->out = outlet_source_add(s->capture->outlet, s->conf->name, s->epoch, tracks, s->ntracks,
                               &window, live, clock_mono_ns());
    outlet_stream_set_user(s->out, s);
}

/* The stream's track for candidate i of a later connection: of its kind, in the same order, and not
 * taken by another candidate. */
static int find_track(const struct stream *s, unsigned i)
{
    bool taken;

    for (unsigned k = 0; k < s->ntracks; k++) {
        taken = s->track[k].kind != s->candidate[i].kind;
        for (unsigned j = 0; j < i; j++)
            taken = taken || s->map[j] == (int)k;
        if (!taken)
            return (int)k;
    }
    return -1;
}

static void match_from(struct stream *s, unsigned first)
{
    for (unsigned i = first; i < s->ncandidates; i++) {
        s->map[i] = find_track(s, i);
        if (s->map[i] < 0)
            leave_out(s, i, "the stream began without it; restart capture to take it in");
    }
}

static void match(struct stream *s)
{
    match_from(s, 0);
    for (unsigned k = 0; k < s->ntracks; k++)
        track_connect(&s->track[k]);
}

/* Tracks that join while frames flow. */
static void match_late(struct stream *s, const struct pull_state *st)
{
    unsigned first = s->ncandidates;

    meet_candidates(s, st);
    match_from(s, first);
}

static void forget_candidates(struct stream *s)
{
    for (unsigned i = 0; i < s->ncandidates; i++)
        track_fini(&s->candidate[i]);
    s->ncandidates = 0;
}

/* Whether the tracks that are ready may begin without the others. */
static bool may_begin(struct stream *s, const struct pull_state *st, const bool *ready)
{
    int64_t now = clock_mono_ns();
    unsigned n = 0, waiting = 0;
    bool video_waits = false;

    for (unsigned i = 0; i < s->ncandidates; i++) {
        if (s->map[i] < 0)
            continue;
        n += ready[i];
        if (!ready[i] && !pull_track_ended(s->pull, i)) {
            waiting++;
            video_waits = video_waits || s->candidate[i].kind == PULL_VIDEO;
        }
    }
    if (!n)
        return false;
    if (!s->ready_mono_ns)
        s->ready_mono_ns = now;
    if (st->complete && !waiting)
        return true;
    if (st->video_missing && now - s->ready_mono_ns < START_NS)
        return false;
    return !video_waits && now - s->ready_mono_ns > SETTLE_NS;
}

static bool has_candidate(const struct stream *s)
{
    for (unsigned i = 0; i < s->ncandidates; i++)
        if (s->map[i] >= 0)
            return true;
    return false;
}

static void fail_for_good(struct stream *s, const char *cause, const char *what_to_do)
{
    char note[2 * PULL_CAUSE_MAX + 8];

    log_error("capture.failed", "stream=%s source=%s cause=\"%s\" what_to_do=\"%s\"", s->conf->name,
              s->ops ? s->ops->name : "none", cause, what_to_do);
    snprintf(note, sizeof note, "%s; %s", cause, what_to_do);
    say(s, "failed", note);
    s->phase = FAILED;
}

static void disconnect(struct stream *s);

static bool has_kind(const struct stream *s, enum pull_kind kind)
{
    for (unsigned i = 0; i < s->ncandidates; i++)
        if (s->map[i] >= 0 && s->candidate[i].kind == kind)
            return true;
    return false;
}

/* A camera that starts may describe itself wrongly once, or not give all that it announced. What is
 * less than the stream had, or than a camera should have, is believed after a few tries; that video
 * which was there has gone is not. Returns true when another try is due. */
static bool is_less(const struct stream *s)
{
    bool video = has_kind(s, PULL_VIDEO), had_audio = false;

    if (!s->ops->endless)
        return false;
    if (!has_candidate(s) || (s->has_video && !video))
        return true;
    for (unsigned k = 0; k < s->ntracks; k++)
        had_audio = had_audio || s->track[k].kind == PULL_AUDIO;
    return s->odd < OTHER_TRIES && (!video || (had_audio && !has_kind(s, PULL_AUDIO)));
}

/* The tracks of the first connection become the stream's. */
static bool settle_first(struct stream *s, const struct pull_state *st)
{
    bool ready[PULL_TRACKS_MAX] = {false};

    for (unsigned i = 0; i < s->ncandidates; i++)
        ready[i] = s->map[i] >= 0 && candidate_ready(s, i, st->live);
    if (st->complete && !s->ops->endless && !has_candidate(s)) {
        fail_for_good(s, st->refused[0] ? st->refused : "the source has no video or audio",
                      GIVE_TRACKS);
        disconnect(s);
        return false;
    }
    if (!may_begin(s, st, ready))
        return false;
    s->waits = !st->live;
    s->paced = s->paced && s->waits;
    choose(s, ready);
    announce(s);
    return true;
}

/* Returns true when the connection's tracks are known and frames may flow. */
static bool settle(struct stream *s, const struct pull_state *st)
{
    int64_t age = clock_mono_ns() - s->began_mono_ns;
    int64_t patience = 2 * (int64_t)s->conf->source.timeout_s * NS_PER_S;

    if (!connection_started(s->connection))
        return false;
    meet_candidates(s, st);
    if ((st->complete || (s->ncandidates && age > patience)) && is_less(s)) {
        s->odd++;
        lost_connection(s, st->refused[0] ? st->refused : "the camera offers less than it should",
                        GIVE_TRACKS);
        return false;
    }
    if (!s->out)
        return settle_first(s, st);
    if ((!st->complete && age < SETTLE_NS) || !st->any)
        return false;
    match(s);
    return true;
}

/* ---- frames ---- */

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
                drop_head(s, i);
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
        leave_out(s, i, why);
    } else if (t->formats != formats && t->formats > 1) {
        log_info("capture.format", "stream=%s track=%s number=%llu size=%ux%u", s->conf->name,
                 t->name, (unsigned long long)t->formats, t->format->width, t->format->height);
    }
    s->current = NULL;
    s->taken++;
    pull_item_free(item);
}

/* Takes what is there and due. Returns true when nothing is left in the queues. */
static bool take_all(struct stream *s, unsigned limit)
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

/* ---- the connection ---- */

static void disconnect(struct stream *s)
{
    if (s->readable)
        event_free(s->readable);
    s->readable = NULL;
    event_del(s->due);
    if (s->pull)
        pull_unref(&s->pull);
    connection_stop(&s->connection);
    forget_candidates(s);
}

static void flush_tracks(struct stream *s)
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

static void finish(struct stream *s, enum phase phase)
{
    flush_tracks(s);
    disconnect(s);
    s->phase = phase;
    if (s->out)
        outlet_end(s->capture->outlet, s->out, clock_mono_ns());
}

static void connect_now(struct stream *s)
{
    char why[SOURCE_WHY_MAX] = "the source does not start";
    int rc;

    s->phase = CONNECTING;
    s->began_mono_ns = clock_mono_ns();
    s->ready_mono_ns = 0;
    s->taken = 0;
    s->seen_any = false;
    rc = connection_start(s->ops, s->conf, s->ever_connected, &s->connection, why);
    if (rc) {
        lost_connection(s, why, "");
        return;
    }
    s->pull = pull_ref(connection_pull(s->connection));
    s->readable =
        event_new(s->capture->stage->base, pull_fd(s->pull), EV_READ | EV_PERSIST, on_readable, s);
    if (s->readable)
        event_add(s->readable, NULL);
    if (!s->ever_connected)
        say(s, "connecting", "");
}

/* Almost at once, then 0.25 s doubling to 4 s; each a quarter shorter or longer, so that cameras
 * lost together do not come back together. */
static int64_t retry_ns(struct stream *s)
{
    unsigned ms = RETRY_FIRST_MS;

    if (s->failures)
        ms = s->failures < 5 ? RETRY_MIN_MS << (s->failures - 1) : RETRY_MAX_MS;
    s->failures++;
    return (ms - ms / 4 + arc4random_uniform(ms / 2 + 1)) * NS_PER_MS;
}

/* A first failure, or another cause than the one logged last. Causes may take turns (who notices
 * first that a camera is silent is chance), so others wait NEWS_NS. */
static bool is_news(struct stream *s, const char *note)
{
    int64_t now = clock_mono_ns();

    if (s->failures > 1 && (strcmp(note, s->said_note) == 0 || now - s->said_mono_ns < NEWS_NS))
        return false;
    snprintf(s->said_note, sizeof s->said_note, "%s", note);
    s->said_mono_ns = now;
    return true;
}

static void lost_connection(struct stream *s, const char *cause, const char *what_to_do)
{
    char note[NOTE_MAX];
    int64_t wait = retry_ns(s);

    if (s->pull)
        flush_tracks(s);
    disconnect(s);
    anchor_connect(&s->anchor, false);
    s->pace_set = false;
    s->reconnects += s->phase == RUNNING;
    if (!s->lost)
        s->lost_mono_ns = clock_mono_ns();
    s->lost = true;
    s->phase = WAITING;
    s->retry_mono_ns = clock_mono_ns() + wait;
    snprintf(note, sizeof note, "%s%s%s; tried again by itself", cause, what_to_do[0] ? "; " : "",
             what_to_do);
    if (is_news(s, note))
        log_warn("capture.source.lost", "stream=%s source=%s at=%s cause=\"%s%s%s\" retry_ms=%lld",
                 s->conf->name, s->ops->name, place(s), cause, what_to_do[0] ? "; " : "",
                 what_to_do, (long long)(wait / NS_PER_MS));
    say(s, "connecting", note);
}

static void begin_again(struct stream *s)
{
    flush_tracks(s);
    disconnect(s);
    anchor_connect(&s->anchor, true);
    connect_now(s);
}

/* Demuxers take the end of a file that was cut, or sizes in it that cannot be, for its end. Their
 * duration is what the file says of itself. */
static void check_whole(struct stream *s, char *note, size_t size)
{
    int64_t want = connection_duration_ns(s->connection), got = s->last_ns - s->first_ns;

    note[0] = '\0';
    if (s->ops != &source_file || !s->seen_any || want <= 0 || want - got < SHORT_NS)
        return;
    snprintf(note, size, "the file ends at %.1f s of %.1f s: it is cut or damaged; %s",
             (double)got / NS_PER_S, (double)want / NS_PER_S, s->ops->advice);
    if (!s->said_short)
        log_warn("capture.source.short", "stream=%s source=%s at=%s cause=\"%s\"", s->conf->name,
                 s->ops->name, place(s), note);
    s->said_short = true;
}

static void source_ended(struct stream *s)
{
    char note[NOTE_MAX];

    check_whole(s, note, sizeof note);
    if (s->ops->endless) {
        lost_connection(s, "the source ended the stream", s->ops->advice);
    } else if (s->conf->source.loop && s->taken) {
        begin_again(s);
    } else {
        finish(s, ENDED);
        log_info("capture.ended", "stream=%s frames=%llu", s->conf->name,
                 (unsigned long long)s->frames_out);
        say(s, "ended", note);
    }
}

/* The pipeline reported an error and everything before it was taken. */
static void source_broke(struct stream *s, const struct pull_state *st)
{
    const char *what = st->what_to_do[0] ? st->what_to_do : s->ops->advice;

    if (s->waits && s->taken) { /* a file that is damaged further on */
        finish(s, FAILED);
        fail_for_good(s, st->cause, what);
    } else {
        lost_connection(s, st->cause, what);
    }
}

static void went_live(struct stream *s, const struct pull_state *st)
{
    s->phase = RUNNING;
    s->live_mono_ns = s->video_mono_ns = clock_mono_ns();
    s->odd = 0;
    if (s->lost)
        log_info("capture.source.back", "stream=%s source=%s", s->conf->name, s->ops->name);
    s->lost = s->rested = false;
    s->ever_connected = true;
    say(s, "live", st->refused);
}

static void pump(struct stream *s)
{
    struct pull_state st;
    bool empty;

    if (!s->pull || (s->phase != CONNECTING && s->phase != RUNNING))
        return;
    pull_clear_fd(s->pull);
    pull_state(s->pull, &st);
    if (s->phase == CONNECTING) {
        if (settle(s, &st))
            went_live(s, &st);
        else if (s->phase == CONNECTING && st.failed)
            lost_connection(s, st.cause, st.what_to_do[0] ? st.what_to_do : s->ops->advice);
        else if (s->phase == CONNECTING && st.ended && !st.failed)
            lost_connection(s, "no frame that could be used came", s->ops->advice);
        if (s->phase != RUNNING)
            return;
    }
    match_late(s, &st);
    empty = take_all(s, ITEMS_A_TURN);
    if (s->taken && s->failures)
        s->failures = clock_mono_ns() - s->live_mono_ns < LASTED_NS;
    if (empty && st.failed)
        source_broke(s, &st);
    else if (empty && st.ended)
        source_ended(s);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    pump(arg);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    pump(arg);
}

/* ---- for the stage ---- */

static bool is_paced(const struct conf_source *c)
{
    return c->realtime && (c->type == CONF_SOURCE_TEST || c->type == CONF_SOURCE_FILE ||
                           c->type == CONF_SOURCE_LAUNCH);
}

static int take_epoch(struct stream *s)
{
    int rc = epoch_next(s->capture->epoch_dir, s->conf->name, clock_wall_ns() / NS_PER_MS,
                        &s->epoch, &s->reached_ms);

    if (rc)
        log_error("capture.epoch",
                  "stream=%s file=%s/%s.epoch error=\"%s\" what_to_do=\"make the "
                  "directory writable; a damaged file: write a number of milliseconds later than "
                  "any before into it\"",
                  s->conf->name, s->capture->epoch_dir, s->conf->name, strerror(-rc));
    s->noted = s->epoch;
    return rc;
}

int stream_create(struct capture *c, const struct conf_stream *conf, struct stream **out)
{
    struct stream *s = xcalloc(1, sizeof *s);
    int rc;

    s->capture = c;
    s->held = conf_hold(c->stage->conf);
    s->conf = conf;
    s->ops = source_find(conf->source.type);
    rc = take_epoch(s);
    if (!rc && !(s->due = event_new(c->stage->base, -1, 0, on_due, s)))
        rc = -ENOMEM;
    if (rc) {
        conf_release(&s->held);
        free(s);
        return rc;
    }
    s->paced = is_paced(&conf->source);
    anchor_init(&s->anchor, (int64_t)s->reached_ms * NS_PER_MS, NS_PER_MS,
                s->ops && s->ops->liveness == SOURCE_LIVE);
    *out = s;
    if (s->ops)
        connect_now(s);
    else
        fail_for_good(s, "the stream has no source", "give it a source in the config");
    return 0;
}

void stream_destroy(struct stream **sp)
{
    struct stream *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    disconnect(s);
    for (unsigned i = 0; i < s->ntracks; i++)
        track_fini(&s->track[i]);
    if (s->out)
        outlet_stream_set_user(s->out, NULL);
    event_free(s->due);
    conf_release(&s->held);
    free(s);
}

void stream_remove(struct stream **s)
{
    struct outlet_stream *out = (*s)->out;
    (*s)->out = NULL;
    outlet_source_remove((*s)->capture->outlet, &out, clock_mono_ns());
    stream_destroy(s);
}

/* So that a later start is above every time given out, also with a clock that went back or a file
 * that ran faster than real time. */
static void note_time(struct stream *s, int64_t now)
{
    uint64_t reached = (uint64_t)(anchor_last(&s->anchor) / NS_PER_MS) + 1, epoch;

    if (!s->out || now - s->note_mono_ns < NOTE_NS)
        return;
    s->note_mono_ns = now;
    epoch = outlet_stream_vector(s->out).v[0];
    if (epoch > reached)
        reached = epoch;
    if (reached <= s->noted)
        return;
    s->noted = reached;
    epoch_note(s->capture->epoch_dir, s->conf->name, reached);
}

static void check_silence(struct stream *s, int64_t now)
{
    struct pull_state st;
    int64_t last, limit = s->conf->source.timeout_s * NS_PER_S;
    char cause[64];

    pull_state(s->pull, &st);
    last = st.last_mono_ns > s->began_mono_ns ? st.last_mono_ns : s->began_mono_ns;
    if (!s->ops->endless) {
        if (s->phase == CONNECTING && !st.any && now - last > START_NS)
            lost_connection(s, "no media came", s->ops->advice);
        return;
    }
    if (now - last > limit)
        snprintf(cause, sizeof cause, "no data for %u s", s->conf->source.timeout_s);
    else if (s->phase == RUNNING && s->has_video && now - s->video_mono_ns > 2 * limit)
        snprintf(cause, sizeof cause, "sound, but no picture for %u s",
                 2 * s->conf->source.timeout_s);
    else
        return;
    lost_connection(s, cause, s->ops->advice);
}

/* A camera that is gone may never come back: what it gave last is not to wait for what it gives
 * next. The stages below put out and finish what they hold, up to the archive; frames that come
 * later go on in the same session. */
static void rest(struct stream *s)
{
    s->rested = true;
    s->fragmenter.cut = true;
    outlet_end(s->capture->outlet, s->out, clock_mono_ns());
}

void stream_tick(struct stream *s)
{
    int64_t now = clock_mono_ns();

    if (s->out && s->lost && !s->rested && now - s->lost_mono_ns > REST_NS)
        rest(s);

    if (s->phase == WAITING && now >= s->retry_mono_ns)
        connect_now(s);
    if (s->phase == CONNECTING || s->phase == RUNNING)
        pump(s);
    if (s->phase == CONNECTING || s->phase == RUNNING)
        check_silence(s, now);
    note_time(s, now);
}

void stream_wake(struct stream *s)
{
    if (s->waits && s->readable && s->phase == RUNNING)
        event_active(s->readable, EV_READ, 0);
}

void stream_fenced(struct stream *s, bool stopped)
{
    s->note_mono_ns = 0;
    note_time(s, clock_mono_ns());
    if (!stopped)
        return;
    disconnect(s);
    fail_for_good(s, "another capture serves this stream",
                  "stop one of them, or give it another stream name");
}

void stream_end(struct stream *s)
{
    if (s->phase == RUNNING && !s->waits && !s->paced)
        take_all(s, UINT32_MAX);
    s->note_mono_ns = 0;
    note_time(s, clock_mono_ns() + NOTE_NS);
    if (s->phase == RUNNING || s->phase == CONNECTING || s->phase == WAITING)
        finish(s, STOPPED);
}

void stream_leave(struct stream *s)
{
    s->leave_mono_ns = clock_mono_ns();
    stream_end(s);
}

bool stream_gone(const struct stream *s)
{
    bool late = s->leave_mono_ns && clock_mono_ns() - s->leave_mono_ns > LEAVE_NS;
    if (late && !stream_done(s))
        log_warn("capture.left",
                 "stream=%s held=%llu (left the config while nobody took its last "
                 "frames: they are lost)",
                 s->conf->name, (unsigned long long)outlet_stream_stats(s->out).held_items);
    return late || (s->leave_mono_ns && stream_done(s));
}

bool stream_done(const struct stream *s)
{
    return !s->out || outlet_stream_done(s->out);
}

void stream_report(struct stream *s)
{
    struct metrics *m = report_metrics(s->capture->stage->report, s->conf->name);
    struct outlet_stats stats = {0};

    if (s->out)
        stats = outlet_stream_stats(s->out);
    metrics_set(m, METRIC_FRAMES_IN, (double)s->frames_in);
    metrics_set(m, METRIC_FRAMES_OUT, (double)s->frames_out);
    metrics_set(m, METRIC_VIDEO_FRAMES, (double)s->video_frames);
    metrics_set(m, METRIC_BYTES_OUT, (double)s->bytes_out);
    metrics_set(m, METRIC_FRAMES_DROPPED, (double)stats.gap_frames);
    metrics_set(m, METRIC_WINDOW_FRAMES, (double)stats.held_items);
    metrics_set(m, METRIC_WINDOW_BYTES, (double)stats.held_bytes);
    metrics_set(m, METRIC_WINDOW_AGE, clock_age_s(stats.oldest_ns));
    metrics_set(m, METRIC_RECONNECTS, (double)s->reconnects);
    metrics_set(m, METRIC_TIME_CORRECTIONS, (double)s->anchor.corrections);
}

int stream_force_key(struct stream *s)
{
    bool coded = false;

    for (unsigned k = 0; k < s->ntracks; k++)
        coded = coded || (s->track[k].format->video && !is_raw(s->track[k].format));
    if (!coded || s->phase != RUNNING || s->ops == &source_file)
        return -ENOTSUP;
    connection_force_key(s->connection);
    return 0;
}

const char *stream_name(const struct stream *s)
{
    return s->conf->name;
}
