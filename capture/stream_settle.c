/* Which tracks a stream has: those of its first connection that are ready, and who is who in later
 * ones. Relies on track.h to judge first buffers. Leaves frames to stream_frames.c. */
#include "capture/stream_private.h"

#include <string.h>

#include "common/log.h"

#define SETTLE_NS (2 * NS_PER_S) /* how long tracks may let others wait before the set is fixed */
#define OTHER_TRIES 3u           /* with fewer tracks than before, until that is believed */
#define SETTLING_AUDIO 64u       /* buffers of sound kept while video has no key frame yet */
#define GIVE_TRACKS "give H.264, H.265, AAC or raw tracks"

void stream_settle_refuse(struct stream *s, unsigned i, const char *why)
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

/* Whether candidate i has a first buffer to begin with; throws away those before it. */
static bool candidate_ready(struct stream *s, unsigned i, bool live)
{
    struct track *t = &s->candidate[i];
    const struct pull_item *head;
    const char *why;

    while (live && t->kind == PULL_AUDIO && pull_count(s->pull, i) > SETTLING_AUDIO)
        stream_frames_drop(s, i);
    while ((head = pull_head(s->pull, i))) {
        switch (track_look(t, head, &why)) {
        case TRACK_READY:
            return true;
        case TRACK_REFUSE:
            stream_settle_refuse(s, i, why);
            return false;
        case TRACK_SKIP:
            stream_frames_drop(s, i);
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
                stream_settle_refuse(s, i, "no data came from it when the stream began");
            } else if (n == LINK_TRACKS_MAX) {
                stream_settle_refuse(s, i, "a stream carries 3 tracks; this one is too many");
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
            stream_settle_refuse(s, i,
                                 "the stream began without it; restart capture to take it in");
    }
}

static void match(struct stream *s)
{
    match_from(s, 0);
    for (unsigned k = 0; k < s->ntracks; k++)
        track_connect(&s->track[k]);
}

void stream_settle_late(struct stream *s, const struct pull_state *st)
{
    unsigned first = s->ncandidates;

    meet_candidates(s, st);
    match_from(s, first);
}

void stream_settle_forget(struct stream *s)
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
        stream_source_fail(s, st->refused[0] ? st->refused : "the source has no video or audio",
                           GIVE_TRACKS);
        stream_source_disconnect(s);
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

bool stream_settle(struct stream *s, const struct pull_state *st)
{
    int64_t age = clock_mono_ns() - s->began_mono_ns;
    int64_t patience = 2 * (int64_t)s->conf->source.timeout_s * NS_PER_S;

    if (!connection_started(s->connection))
        return false;
    meet_candidates(s, st);
    if ((st->complete || (s->ncandidates && age > patience)) && is_less(s)) {
        s->odd++;
        stream_source_lost(
            s, st->refused[0] ? st->refused : "the camera offers less than it should", GIVE_TRACKS);
        return false;
    }
    if (!s->out)
        return settle_first(s, st);
    if ((!st->complete && age < SETTLE_NS) || !st->any)
        return false;
    match(s);
    return true;
}
