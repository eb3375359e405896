/* One stream in the encoder: coded tracks pass at once, raw ones go through their raw_track.
 * Relies on raw_track, probe and fragmenter.
 * Leaves sessions to stage.c. */
#include "encoder/encoder_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fragmenter.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "encoder/adapt.h"
#include "encoder/hold.h"
#include "encoder/raw_track.h"

#define IDLE_NS (10 * NS_PER_S)
#define BUSY_NS (2 * NS_PER_S) /* more pictures are expected for so long after one came in */

struct side { /* a track */
    struct encoder_stream *stream;
    struct raw_track *raw; /* NULL while nothing raw came */
    bool video, ended, failed;
    int64_t taken_ns; /* when its newest frame came in */
    char note[512];
};

struct encoder_stream {
    struct event_base *base;
    const char *name;
    const struct conf_stream *conf;
    struct probe *probe;
    const struct codec_ops *codec;
    struct histogram *encode_times;
    const struct encoder_stream_ops *ops;
    void *arg, *user;
    struct side sides[LINK_TRACKS_MAX];
    struct fragmenter fragmenter;
    struct hold hold;
    int64_t now_ns;
    bool session, broken, ending, has_video;
    struct adapt adapt;
    bool fixed_said; /* that the encoder keeps its bitrate */
    int64_t idle_ns;
    struct encoder_stream_stats stats;
    char said[600];
};

static void say_state(struct encoder_stream *s)
{
    const char *state = s->session ? "live" : "waiting", *note = "";
    char both[600];

    for (unsigned i = LINK_TRACKS_MAX; i-- > 0;) {
        if (s->sides[i].note[0] && !s->sides[i].failed)
            note = s->sides[i].note;
    }
    for (unsigned i = LINK_TRACKS_MAX; i-- > 0;) {
        if (s->sides[i].failed) {
            state = "failed";
            note = s->sides[i].note;
        }
    }
    snprintf(both, sizeof both, "%s %s", state, note);
    if (strcmp(both, s->said) == 0)
        return;
    snprintf(s->said, sizeof s->said, "%s", both);
    s->ops->state(s->arg, s, state, note);
}

/* ---- from raw tracks ---- */

static void emit(struct encoder_stream *s, struct link_item *item)
{
    if (!item->gap) {
        s->stats.frames_out++;
        s->stats.bytes_out += item->payload ? item->payload->len : 0;
    }
    s->ops->put(s->arg, s, item);
}

/* True while raw pictures are in an encoder, or may still come. */
static bool is_busy(const struct encoder_stream *s)
{
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        const struct side *side = &s->sides[i];
        if (side->raw && side->video && !side->ended && !side->failed &&
            (raw_track_stats(side->raw).held > 0 || s->now_ns - side->taken_ns < BUSY_NS))
            return true;
    }
    return false;
}

static void release(struct encoder_stream *s)
{
    struct link_item item;
    bool busy = is_busy(s);

    while (hold_pop(&s->hold, busy, &item))
        emit(s, &item);
}

static void on_put(void *arg, struct link_item *item)
{
    struct side *side = arg;
    struct encoder_stream *s = side->stream;

    if (!s->session || s->broken) {
        link_item_fini(item);
        return;
    }
    if (!item->gap)
        fragmenter_mark(&s->fragmenter, &s->conf->fragment, s->has_video, item);
    if (side->video) {
        if (!item->gap)
            hold_picture(&s->hold, item->dts_ns);
        emit(s, item);
    } else {
        hold_push(&s->hold, item);
    }
    release(s);
}

static void maybe_ended(struct encoder_stream *s)
{
    if (!s->ending || !s->session || s->broken)
        return;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        if (s->sides[i].raw && !s->sides[i].ended)
            return;
    }
    release(s); /* nobody is busy any more */
    s->ending = false;
    s->fragmenter.cut = true;
    s->ops->ended(s->arg, s);
}

static void on_ended(void *arg)
{
    struct side *side = arg;

    side->ended = true;
    maybe_ended(side->stream);
}

static void on_broken(void *arg)
{
    struct side *side = arg;
    struct encoder_stream *s = side->stream;

    if (!s->session || s->broken)
        return;
    s->broken = true;
    s->ops->broken(s->arg, s);
}

static void on_note(void *arg, bool failed, const char *text)
{
    struct side *side = arg;

    side->failed = failed;
    snprintf(side->note, sizeof side->note, "%s", text);
    say_state(side->stream);
}

static const struct probe_result *on_choose(void *arg, const struct link_format *format)
{
    struct side *side = arg;

    return probe_ask(side->stream->probe, &side->stream->conf->video, format);
}

static void on_rechoose(void *arg, const struct link_format *format)
{
    struct side *side = arg;

    probe_forget(side->stream->probe, &side->stream->conf->video, format);
}

static const struct raw_track_ops track_ops = {
    .put = on_put,
    .ended = on_ended,
    .broken = on_broken,
    .note = on_note,
    .choose = on_choose,
    .rechoose = on_rechoose,
};

/* ---- sessions ---- */

static void raw_begin(struct side *side)
{
    struct encoder_stream *s = side->stream;
    struct raw_track_conf conf = {.base = s->base,
                                  .stream = s->name,
                                  .conf = s->conf,
                                  .codec = s->codec,
                                  .encode_times = s->encode_times};

    if (side->raw)
        return;
    side->raw = raw_track_create(&conf, &track_ops, side);
    raw_track_set_bitrate(side->raw, s->adapt.kbps);
}

static void raw_end(struct side *side)
{
    struct raw_track_stats stats;

    if (!side->raw)
        return;
    stats = raw_track_stats(side->raw);
    side->stream->stats.dropped += stats.swallowed + stats.refused;
    raw_track_destroy(&side->raw);
    side->failed = false;
    side->note[0] = '\0';
}

void encoder_stream_begin(struct encoder_stream *s, const struct link_track *tracks,
                          unsigned ntracks)
{
    memset(&s->fragmenter, 0, sizeof s->fragmenter);
    hold_reset(&s->hold);
    s->has_video = false;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        s->sides[i].ended = false;
        if (s->sides[i].raw)
            raw_track_reset(s->sides[i].raw);
    }
    for (unsigned i = 0; i < ntracks; i++) {
        const struct link_format *f = tracks[i].format;

        if (!f || tracks[i].track < 1 || tracks[i].track > LINK_TRACKS_MAX)
            continue;
        s->has_video |= f->video || link_codec_is_video(f->codec);
        s->sides[tracks[i].track - 1].video = f->codec == LINK_CODEC_RAW_VIDEO;
        s->sides[tracks[i].track - 1].taken_ns = s->now_ns;
        if (link_codec_is_raw(f->codec))
            raw_begin(&s->sides[tracks[i].track - 1]);
    }
    s->session = true;
    s->broken = s->ending = false;
    say_state(s);
}

void encoder_stream_item(struct encoder_stream *s, struct link_item *item, int64_t now_ns)
{
    struct side *side;

    if (!s->session || s->broken || item->track < 1 || item->track > LINK_TRACKS_MAX ||
        (!item->gap && !item->format)) {
        link_item_fini(item);
        return;
    }
    s->now_ns = now_ns;
    side = &s->sides[item->track - 1];
    side->taken_ns = now_ns;
    if (!item->gap) {
        s->stats.frames_in++;
        s->ending = false;
        if (link_codec_is_raw(item->format->codec)) {
            side->video = item->format->codec == LINK_CODEC_RAW_VIDEO;
            raw_begin(side);
        }
    }
    if (side->raw) {
        side->ended = false;
        raw_track_take(side->raw, item, now_ns);
        return;
    }
    hold_push(&s->hold, item);
    release(s);
}

void encoder_stream_end(struct encoder_stream *s, int64_t now_ns)
{
    s->now_ns = now_ns;
    s->ending = true;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        if (s->sides[i].raw)
            raw_track_end(s->sides[i].raw, now_ns);
    }
    maybe_ended(s);
}

void encoder_stream_drop(struct encoder_stream *s, int64_t now_ns)
{
    s->session = s->ending = false;
    s->idle_ns = s->now_ns = now_ns;
    hold_reset(&s->hold);
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        if (s->sides[i].raw)
            raw_track_reset(s->sides[i].raw);
    }
    say_state(s);
}

int encoder_stream_force_key(struct encoder_stream *s)
{
    int rc = -ENOTSUP;

    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        if (s->session && s->sides[i].raw && s->sides[i].video) {
            raw_track_force_key(s->sides[i].raw);
            rc = 0;
        }
    }
    return rc;
}

void encoder_stream_tick(struct encoder_stream *s, int64_t now_ns)
{
    s->now_ns = now_ns;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        if (!s->sides[i].raw)
            continue;
        if (s->session)
            raw_track_tick(s->sides[i].raw, now_ns);
        else if (now_ns - s->idle_ns > IDLE_NS)
            raw_end(&s->sides[i]);
    }
    if (s->session && !s->broken)
        release(s);
}

/* Returns -ENOTSUP when no encoder took it, though one runs. */
static int set_bitrate(struct encoder_stream *s, uint32_t kbps)
{
    int rc = 0;

    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        if (s->sides[i].raw && s->sides[i].video && raw_track_set_bitrate(s->sides[i].raw, kbps))
            rc = -ENOTSUP;
    }
    return rc;
}

void encoder_stream_backlog(struct encoder_stream *s, uint64_t backlog_ms, uint64_t backlog_bytes,
                            int64_t now_ns)
{
    uint32_t before = s->adapt.kbps;

    if (!adapt_feed(&s->adapt, backlog_ms, backlog_bytes, now_ns))
        return;
    log_info("encoder.adapt",
             "stream=%s from_kbps=%u to_kbps=%u backlog_ms=%llu backlog_bytes=%llu", s->name,
             before, s->adapt.kbps, (unsigned long long)backlog_ms,
             (unsigned long long)backlog_bytes);
    if (set_bitrate(s, s->adapt.kbps) < 0 && !s->fixed_said) {
        s->fixed_said = true;
        log_warn("encoder.adapt.fixed",
                 "stream=%s cause=\"this encoder takes a bitrate only at its start\" "
                 "effect=\"the bitrate changes when the encoder begins anew\" do=\"choose another "
                 "video.encoder, or a lower video.bitrate_kbps\"",
                 s->name);
    }
}

struct encoder_stream_stats encoder_stream_stats(const struct encoder_stream *s)
{
    struct encoder_stream_stats stats = s->stats;

    stats.bitrate_kbps = s->has_video ? s->adapt.kbps : 0;

    for (unsigned i = LINK_TRACKS_MAX; i-- > 0;) {
        struct raw_track_stats raw;

        if (!s->sides[i].raw)
            continue;
        raw = raw_track_stats(s->sides[i].raw);
        stats.dropped += raw.swallowed + raw.refused;
        stats.queued += raw.held;
    }
    return stats;
}

static struct adapt_conf adapt_conf_of(const struct conf_stream *conf)
{
    const struct conf_video *v = &conf->video;
    int64_t fragment_ms = fragmenter_longest_ms(&conf->fragment, v->keyframe_ms);

    return (struct adapt_conf){.bitrate_kbps = v->bitrate_kbps,
                               .min_kbps = v->adapt.min_bitrate_kbps,
                               .backlog_ms = v->adapt.backlog_s * UINT64_C(1000),
                               .look_ns = 2 * fragment_ms * NS_PER_MS,
                               .restore_ns = v->adapt.restore_s * NS_PER_S};
}

struct encoder_stream *encoder_stream_create(struct event_base *base, const char *name,
                                             const struct conf_stream *conf, struct probe *probe,
                                             const struct codec_ops *codec, struct metrics *metrics,
                                             const struct encoder_stream_ops *ops, void *arg)
{
    struct adapt_conf adapt = adapt_conf_of(conf);
    struct encoder_stream *s = xcalloc(1, sizeof *s);

    s->base = base;
    s->name = name;
    s->conf = conf;
    s->probe = probe;
    s->codec = codec;
    s->encode_times = metrics_histogram(metrics, METRIC_ENCODE);
    s->ops = ops;
    s->arg = arg;
    adapt_init(&s->adapt, &adapt);
    hold_init(&s->hold);
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        s->sides[i].stream = s;
    return s;
}

void encoder_stream_destroy(struct encoder_stream **ps)
{
    struct encoder_stream *s = *ps;

    *ps = NULL;
    if (!s)
        return;
    s->session = false;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        raw_end(&s->sides[i]);
    hold_reset(&s->hold);
    free(s);
}

const char *encoder_stream_name(const struct encoder_stream *s)
{
    return s->name;
}

void encoder_stream_set_user(struct encoder_stream *s, void *user)
{
    s->user = user;
}

void *encoder_stream_user(const struct encoder_stream *s)
{
    return s->user;
}
