/* What enters: raw or coded frames of any stream that capture gives to this process. What leaves:
 * one coded frame for each, same track, number and times. Nothing is dropped here except what no
 * encoder can take: that becomes a counted gap. Relies on relay for sessions, encoder_stream for
 * the work, probe for the choice of encoder. Leaves windows, acks and fencing to the relay. */
#include "encoder/stage.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>
#include <gst/gst.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/relay.h"
#include "common/metrics.h"
#include "common/report.h"
#include "encoder/encoder_stream.h"
#include "encoder/probe.h"

#define HEAPS 2
#define TICK_MS 250
#define RAW_VIDEO_ITEMS 48
#define RAW_VIDEO_BYTES (192ull << 20)
#define RAW_AUDIO_ITEMS 128
#define SETTLE_MS 500

struct entry { /* a stream that was here at least once */
    TAILQ_ENTRY(entry) link;
    char *name;
    const struct conf *held; /* the stream's settings are in it */
    struct encoder_stream *stream;
    bool stale; /* the config changed: another takes its place with the next session */
};

struct encoder {
    struct stage *stage;
    struct relay *relay;
    struct probe *probe;
    struct event *tick;
    TAILQ_HEAD(, entry) entries;
};

/* For a stream that this process's copy of the config does not know yet. */
static struct conf_stream unknown = {
    .video = {.encoder = "auto",
              .bitrate_kbps = 2000,
              .keyframe_ms = 2000,
              .profile = "main",
              .preset = "veryfast"},
    .audio = {.bitrate_kbps = 96},
    .fragment = {.by = CONF_FRAGMENT_KEYFRAME, .duration_ms = 2000},
};

/* ---- from the streams ---- */

static void on_put(void *arg, struct encoder_stream *s, struct link_item *item)
{
    relay_put(encoder_stream_user(s), item);
}

static void on_stream_ended(void *arg, struct encoder_stream *s)
{
    relay_end(encoder_stream_user(s));
}

static void on_broken(void *arg, struct encoder_stream *s)
{
    relay_break(encoder_stream_user(s));
}

static void on_state(void *arg, struct encoder_stream *s, const char *state, const char *note)
{
    struct encoder *e = arg;

    report_state(e->stage->report, encoder_stream_name(s), state, note);
}

static const struct encoder_stream_ops stream_ops = {
    .put = on_put,
    .ended = on_stream_ended,
    .broken = on_broken,
    .state = on_state,
};

/* ---- from the relay ---- */

static struct encoder_stream *stream_get(struct encoder *e, const char *name)
{
    const struct conf_stream *conf = conf_stream(e->stage->conf, name);
    struct entry *entry;

    TAILQ_FOREACH (entry, &e->entries, link) {
        if (!entry->stale && strcmp(entry->name, name) == 0)
            return entry->stream;
    }
    if (!conf)
        log_warn("encoder.stream.unknown", "stream=%s effect=\"default settings are used\"", name);
    entry = xcalloc(1, sizeof *entry);
    entry->name = xstrdup(name);
    entry->held = conf_hold(e->stage->conf);
    entry->stream = encoder_stream_create(
        e->stage->base, entry->name, conf ? conf : &unknown, e->probe, &codec_gst,
        report_metrics(e->stage->report, entry->name), &stream_ops, e);
    TAILQ_INSERT_TAIL(&e->entries, entry, link);
    return entry->stream;
}

static void entry_free(struct encoder *e, struct entry *entry)
{
    TAILQ_REMOVE(&e->entries, entry, link);
    encoder_stream_destroy(&entry->stream);
    conf_release(&entry->held);
    free(entry->name);
    free(entry);
}

static void on_begin(void *arg, struct relay_stream *rs, const struct link_track *tracks,
                     unsigned ntracks, const struct link_positions *at, void **user)
{
    struct encoder_stream *s = stream_get(arg, relay_stream_name(rs));

    encoder_stream_set_user(s, rs);
    encoder_stream_begin(s, tracks, ntracks);
    log_debug("encoder.session.begin", "stream=%s", encoder_stream_name(s));
    *user = s;
}

static void on_item(void *arg, struct relay_stream *rs, void *user, struct link_item *item)
{
    encoder_stream_item(user, item, clock_mono_ns());
}

static void on_ended(void *arg, struct relay_stream *rs, void *user)
{
    encoder_stream_end(user, clock_mono_ns());
}

static void on_drop(void *arg, struct relay_stream *rs, void *user)
{
    encoder_stream_drop(user, clock_mono_ns());
    encoder_stream_set_user(user, NULL);
}

static const struct relay_ops relay_ops = {
    .begin = on_begin,
    .item = on_item,
    .ended = on_ended,
    .drop = on_drop,
};

/* Raw frames are big: what may be on its way is bounded in bytes too. */
static uint64_t credit(const struct link_format *f)
{
    uint64_t bytes, items;

    if (f->codec == LINK_CODEC_RAW_AUDIO)
        return RAW_AUDIO_ITEMS;
    if (f->codec != LINK_CODEC_RAW_VIDEO)
        return 0;
    bytes = (uint64_t)f->width * f->height * 3 / 2;
    items = bytes ? RAW_VIDEO_BYTES / bytes : RAW_VIDEO_ITEMS;
    return items > RAW_VIDEO_ITEMS ? RAW_VIDEO_ITEMS : items < 4 ? 4 : items;
}

/* ---- the stage ---- */

/* A stream of the config is kept for its counters when it left, another one is not. */
static void forget_unknown(struct encoder *e)
{
    struct entry *entry, *next;

    for (entry = TAILQ_FIRST(&e->entries); entry; entry = next) {
        next = TAILQ_NEXT(entry, link);
        bool known = conf_stream(e->stage->conf, entry->name) != NULL;
        if (encoder_stream_user(entry->stream) || (known && !entry->stale))
            continue;
        if (!known)
            report_forget(e->stage->report, entry->name);
        entry_free(e, entry);
    }
}

static void tell_backlog(struct encoder_stream *s, int64_t now_ns)
{
    struct relay_stream *rs = encoder_stream_user(s);
    struct outlet_stats below = rs ? relay_stream_stats(rs) : (struct outlet_stats){0};

    if (below.open)
        encoder_stream_backlog(s, below.backlog_ms, below.backlog_bytes, now_ns);
}

static void tick(struct encoder *e)
{
    int64_t now = clock_mono_ns();
    struct entry *entry;

    TAILQ_FOREACH (entry, &e->entries, link) {
        encoder_stream_tick(entry->stream, now);
        tell_backlog(entry->stream, now);
    }
    forget_unknown(e);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    tick(arg);
}

static void on_probed(void *arg)
{
    tick(arg);
}

/* Sizes that the config tells are tried now, so that the first frame does not wait. */
static void probe_ahead(struct encoder *e)
{
    const struct conf *conf = e->stage->conf;

    for (unsigned i = 0; i < conf->streams_count; i++) {
        const struct conf_stream *s = &conf->streams[i];
        bool raw = s->source.type == CONF_SOURCE_TEST || s->source.type == CONF_SOURCE_V4L2 ||
                   s->source.type == CONF_SOURCE_LIBCAMERA;
        struct link_format format = {.width = s->source.width,
                                     .height = s->source.height,
                                     .rate_num = s->source.rate,
                                     .rate_den = 1};

        if (raw && stage_serves(e->stage, s->name) && format.width >= 16 && format.height >= 16 &&
            format.width <= 8192 && format.height <= 8192)
            probe_ask(e->probe, &s->video, &format);
    }
}

static bool may_have_raw_audio(const struct conf_source *s)
{
    switch (s->type) {
    case CONF_SOURCE_TEST:
    case CONF_SOURCE_V4L2:
        return s->audio;
    case CONF_SOURCE_LAUNCH:
        return strstr(s->line, "audio") != NULL; /* so the appsink is called */
    case CONF_SOURCE_FILE:
        return true;
    default:
        return false;
    }
}

/* So that the first frame does not wait. */
static void preload(const struct stage *st)
{
    const struct conf *conf = st->conf;
    bool audio = false;

    for (unsigned i = 0; i < conf->streams_count; i++)
        audio = audio || (stage_serves(st, conf->streams[i].name) &&
                          may_have_raw_audio(&conf->streams[i].source));
    codec_gst_preload(audio);
}

/* Each new session is new threads. The C library would give them up to eight heaps a core, each of
 * which keeps what was once used. */
static int prepare(struct stage *st)
{
    GError *error = NULL;

    mallopt(M_ARENA_MAX, HEAPS);
    if (gst_init_check(NULL, NULL, &error))
        return 0;
    log_error("encoder.gstreamer", "error=\"%s\"", error ? error->message : "unknown");
    g_clear_error(&error);
    return -ENODEV;
}

/* Raw frames come in, coded ones go out: nothing of it is in files. */
static void needs(const struct stage *st, const struct conf *conf, struct sandbox *needs)
{
    needs->calls.any = true;
}

static int setup_relay(struct encoder *e)
{
    const struct conf *conf = e->stage->conf;
    struct relay_conf relay = {
        .connect = conf->encoder.connect,
        .listen = conf->encoder.listen,
        .instance = e->stage->instance,
        .link = &conf->link,
        .credit = credit,
    };

    return relay_create(e->stage->base, &relay, &relay_ops, e, &e->relay);
}

static void teardown(struct stage *st)
{
    struct encoder *e = st->state;

    if (!e)
        return;
    relay_destroy(&e->relay, false);
    while (!TAILQ_EMPTY(&e->entries))
        entry_free(e, TAILQ_FIRST(&e->entries));
    probe_destroy(&e->probe);
    if (e->tick)
        event_free(e->tick);
    codec_gst_settle(SETTLE_MS);
    free(e);
    st->state = NULL;
}

static int setup(struct stage *st)
{
    struct timeval every = {.tv_usec = TICK_MS * 1000};
    struct encoder *e = xcalloc(1, sizeof *e);
    int rc;

    e->stage = st;
    st->state = e;
    TAILQ_INIT(&e->entries);
    preload(st);
    rc = probe_create(st->base, on_probed, e, &e->probe);
    if (rc == 0) {
        probe_ahead(e);
        rc = setup_relay(e);
    }
    if (rc) {
        teardown(st);
        return rc;
    }
    e->tick = event_new(st->base, -1, EV_PERSIST, on_tick, e);
    event_add(e->tick, &every);
    stage_ready(st);
    return 0;
}

/* With other settings the stream begins a session of its own, with a key frame; what its encoder
 * still holds comes again from above. */
static void on_stream(struct stage *st, const char *name)
{
    struct encoder *e = st->state;
    struct entry *entry;

    TAILQ_FOREACH (entry, &e->entries, link) {
        if (entry->stale || strcmp(entry->name, name) != 0 || !conf_stream(st->conf, name))
            continue;
        entry->stale = true;
        if (encoder_stream_user(entry->stream))
            relay_break(encoder_stream_user(entry->stream));
    }
    preload(st);
    probe_ahead(e);
}

/* Nothing to finish: capture still has every frame and gives the streams to another encoder at
 * once. */
static void drain(struct stage *st)
{
    struct encoder *e = st->state;

    relay_destroy(&e->relay, true);
    stage_quit(st, 0);
}

static void sample(struct stage *st)
{
    struct encoder *e = st->state;
    struct entry *entry;

    if (e->relay)
        metrics_set(report_metrics(st->report, NULL), METRIC_REFUSED,
                    (double)relay_refused(e->relay));
    TAILQ_FOREACH (entry, &e->entries, link) {
        if (entry->stale)
            continue;
        struct encoder_stream_stats n = encoder_stream_stats(entry->stream);
        struct relay_stream *rs = encoder_stream_user(entry->stream);
        struct metrics *m = report_metrics(st->report, entry->name);
        struct outlet_stats held = rs ? relay_stream_stats(rs) : (struct outlet_stats){0};

        metrics_set(m, METRIC_FRAMES_IN, (double)n.frames_in);
        metrics_set(m, METRIC_FRAMES_OUT, (double)n.frames_out);
        metrics_set(m, METRIC_BYTES_OUT, (double)n.bytes_out);
        metrics_set(m, METRIC_FRAMES_DROPPED, (double)n.dropped);
        metrics_set(m, METRIC_WINDOW_FRAMES, (double)held.held_items);
        metrics_set(m, METRIC_WINDOW_BYTES, (double)held.held_bytes);
        metrics_set(m, METRIC_WINDOW_AGE, clock_age_s(held.oldest_ns));
        metrics_set(m, METRIC_ENCODE_QUEUE, n.queued);
        metrics_set(m, METRIC_BITRATE, n.bitrate_kbps);
    }
}

/* "keyframe": the next frame of the stream (all streams without a name) becomes a key frame. */
static int command(struct stage *st, const struct report_command *c)
{
    struct encoder *e = st->state;
    struct entry *entry;
    int rc = -ENOTSUP;

    if (strcmp(c->verb, "keyframe") != 0)
        return -ENOTSUP;
    TAILQ_FOREACH (entry, &e->entries, link) {
        if (c->stream && strcmp(c->stream, entry->name) != 0)
            continue;
        if (encoder_stream_force_key(entry->stream) == 0) {
            log_info("encoder.keyframe", "stream=%s", entry->name);
            rc = 0;
        } else if (encoder_stream_user(entry->stream)) {
            log_info("encoder.keyframe.coded",
                     "stream=%s cause=\"its video comes coded: capture asks whoever codes it\"",
                     entry->name);
        }
    }
    return rc;
}

const struct stage_ops encoder_stage = {
    .name = "encoder",
    .summary = "turns raw frames into H.264 and AAC, passes coded tracks through",
    .prepare = prepare,
    .needs = needs,
    .setup = setup,
    .drain = drain,
    .teardown = teardown,
    .stream = on_stream,
    .sample = sample,
    .command = command,
};
