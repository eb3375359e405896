/* The muxer's process. In: coded access units of many streams. Out: the same items as Matroska
 * pieces, for the uploader. Relies on relay (links, numbers, resuming from the log) and mux
 * (everything about frames). May be dropped: a frame that no valid fragment can take; it becomes a
 * gap, is counted here and noted for people. Leaves durability to the uploader: what is held here
 * comes again from upstream. */
#include "muxer/stage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/dirs.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/relay.h"
#include "common/metrics.h"
#include "common/report.h"
#include "muxer/mux.h"

#define TICK_NS (50 * NS_PER_MS)
#define STREAMS_MAX 1024
#define QUIET_NS (10 * NS_PER_S)
/* A program that is gone for so long leaves its last fragment to be sent as it is. */
#define ORPHAN_NS (30 * NS_PER_S)
#define PROGRAM_VECTOR 2
/* More than so many items not acked: downstream stands still, and a track is silent for want of
 * credit. */
#define BACKLOG_ITEMS 32
/* What one look at the clock may add to patience: after a hang the tracks' frames are still in the
 * socket. */
#define PATIENCE_STEP_NS (2 * TICK_NS)
#define NOTE_NS (15 * NS_PER_S) /* how long a fault stays noted after it was last seen */

/* A stream that was here once; what mux remembers of it outlives its sessions. */
struct stream {
    TAILQ_ENTRY(stream) entry;
    struct muxer *muxer;
    struct conf_stream fallback; /* when the config does not know it */
    const char *name;
    const struct conf *held; /* mux borrows from it */
    bool stale;              /* the config changed: another takes its place with the next session */
    int64_t quiet_since_ns;  /* not in the config: frames_in has not moved since then */
    uint64_t quiet_frames;
    struct mux *mux;
    struct relay_stream *session; /* NULL: none */
    bool ended;
    int64_t orphan_since_ns; /* its program is not connected; 0: it is */
    int64_t patience_ns, looked_ns;
    struct mux_stats told; /* when the last note was made */
    char note[256];
    int64_t noted_ns;
};

struct muxer {
    struct stage *stage;
    struct relay *relay;
    struct event *tick;
    TAILQ_HEAD(, stream) streams;
    unsigned nstreams;
};

/* ---- streams ---- */

static struct stream *find(struct muxer *x, const char *name)
{
    struct stream *s;
    TAILQ_FOREACH (s, &x->streams, entry)
        if (!s->stale && strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

static int put(void *arg, struct link_item *item)
{
    struct stream *s = arg;
    if (!s->session) {
        link_item_fini(item);
        return -ENOTCONN;
    }
    return relay_put(s->session, item);
}

static const struct mux_ops mux_ops = {.put = put};

static const struct conf_stream *conf_of(struct stream *s, const char *name)
{
    const struct conf_stream *c = conf_stream(s->muxer->stage->conf, name);
    s->fallback.name = xstrdup(name);
    if (c)
        return c;
    log_warn(
        "muxer.stream.unknown",
        "stream=%s cause=\"not in the configuration of this process\" effect=\"defaults, no tags\"",
        name);
    s->fallback.timecode_scale_us = 1000;
    s->fallback.absolute = true;
    s->fallback.fragment.duration_ms = 2000;
    return &s->fallback;
}

static void stream_free(struct muxer *x, struct stream *s)
{
    TAILQ_REMOVE(&x->streams, s, entry);
    x->nstreams--;
    mux_destroy(&s->mux);
    conf_release(&s->held);
    free(s->fallback.name);
    free(s);
}

/* Makes room by forgetting a stream that has no session. */
static void make_room(struct muxer *x)
{
    struct stream *s;
    if (x->nstreams < STREAMS_MAX)
        return;
    TAILQ_FOREACH (s, &x->streams, entry)
        if (!s->session) {
            report_forget(x->stage->report, s->name);
            stream_free(x, s);
            return;
        }
}

/* What people put into the stream outlives a change of its settings. */
static void take_metadata(struct muxer *x, struct stream *s)
{
    struct stream *old;
    TAILQ_FOREACH (old, &x->streams, entry)
        if (old->stale && strcmp(old->name, s->name) == 0)
            mux_take_metadata(s->mux, old->mux);
}

static struct stream *stream_new(struct muxer *x, const char *name)
{
    struct stream *s = xcalloc(1, sizeof *s);
    make_room(x);
    s->muxer = x;
    s->held = conf_hold(x->stage->conf);
    s->mux = mux_create(conf_of(s, name), &mux_ops, s);
    s->name = s->fallback.name;
    take_metadata(x, s);
    TAILQ_INSERT_TAIL(&x->streams, s, entry);
    x->nstreams++;
    return s;
}

/* Time as far as it counts as waiting for a silent track. */
static int64_t patience(struct stream *s)
{
    int64_t now = clock_mono_ns(), step = now - s->looked_ns;
    s->looked_ns = now;
    if (step > PATIENCE_STEP_NS)
        step = PATIENCE_STEP_NS;
    if (s->session && relay_stream_stats(s->session).held_items <= BACKLOG_ITEMS)
        s->patience_ns += step;
    return s->patience_ns;
}

/* ---- from the relay ---- */

static void on_begin(void *arg, struct relay_stream *rs, const struct link_track *tracks,
                     unsigned ntracks, const struct link_positions *at, void **user)
{
    struct muxer *x = arg;
    struct stream *s = find(x, relay_stream_name(rs));

    if (!s)
        s = stream_new(x, relay_stream_name(rs));
    *user = s;
    s->session = rs;
    s->ended = false;
    s->looked_ns = clock_mono_ns();
    mux_begin(s->mux, relay_stream_epoch(rs), tracks, ntracks, at);
    log_info("muxer.session", "stream=%s tracks=%u epoch=%llu", s->name, ntracks,
             (unsigned long long)relay_stream_epoch(rs));
}

/* A session that the relay has already ended needs no breaking. */
static void check(struct stream *s, int r)
{
    if (r < 0 && s->session)
        relay_break(s->session);
}

static void on_item(void *arg, struct relay_stream *rs, void *user, struct link_item *item)
{
    struct stream *s = user;
    (void)arg;
    (void)rs;
    s->ended = false;
    check(s, mux_item(s->mux, item, patience(s)));
}

static void on_ended(void *arg, struct relay_stream *rs, void *user)
{
    struct stream *s = user;
    int r = mux_flush(s->mux, patience(s));
    (void)arg;
    check(s, r);
    if (r == 0 && s->session == rs) {
        s->ended = true;
        relay_end(rs);
    }
}

static void on_drop(void *arg, struct relay_stream *rs, void *user)
{
    struct stream *s = user;
    (void)arg;
    (void)rs;
    s->session = NULL;
    mux_drop(s->mux);
}

static const struct relay_ops relay_ops = {
    .begin = on_begin, .item = on_item, .ended = on_ended, .drop = on_drop};

/* A program that was killed ends nothing: what it began would wait for it for ever. */
static void end_orphan(struct muxer *x, struct stream *s, int64_t now)
{
    bool program = s->session && relay_stream_vector(s->session)->n == PROGRAM_VECTOR;
    if (!program || relay_stream_is_fed(s->session))
        s->orphan_since_ns = 0;
    else if (!s->orphan_since_ns)
        s->orphan_since_ns = now;
    if (!s->orphan_since_ns || s->ended || now - s->orphan_since_ns < ORPHAN_NS)
        return;
    log_info("muxer.orphan", "stream=%s away_s=%lld effect=\"its last fragment is sent as it is\"",
             s->name, (long long)(ORPHAN_NS / NS_PER_S));
    on_ended(x, s->session, s);
}

/* A stream that is not in the config and gives nothing has left. */
static bool is_quiet(struct stream *s, int64_t now)
{
    uint64_t frames = mux_stats(s->mux)->frames_in;
    if (conf_stream(s->muxer->stage->conf, s->name) || frames != s->quiet_frames ||
        (s->orphan_since_ns && !s->ended) || !s->quiet_since_ns) {
        s->quiet_frames = frames;
        s->quiet_since_ns = now;
    }
    return now - s->quiet_since_ns > QUIET_NS;
}

static void forget_old(struct muxer *x)
{
    struct stream *s, *next;
    for (s = TAILQ_FIRST(&x->streams); s; s = next) {
        next = TAILQ_NEXT(s, entry);
        bool left = is_quiet(s, clock_mono_ns());
        if (left && s->session)
            relay_forget(s->session); /* on_drop */
        if (left)
            report_forget(x->stage->report, s->name);
        if (left || (s->stale && !s->session))
            stream_free(x, s);
    }
}

/* With other settings the stream begins a session of its own; what is held here comes again. */
static void on_stream(struct stage *st, const char *name)
{
    struct muxer *x = st->state;
    struct stream *s = find(x, name);
    if (!s || !conf_stream(st->conf, name))
        return;
    s->stale = true;
    if (s->session)
        relay_break(s->session);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct muxer *x = arg;
    struct stream *s;
    (void)fd;
    (void)what;
    TAILQ_FOREACH (s, &x->streams, entry)
        end_orphan(x, s, clock_mono_ns());
    forget_old(x);
    TAILQ_FOREACH (s, &x->streams, entry)
        if (s->session)
            check(s, mux_tick(s->mux, patience(s)));
}

/* ---- reports ---- */

static const char *advice(const struct mux_stats *now, const struct mux_stats *before)
{
    static const struct {
        enum link_gap_reason reason;
        const char *text;
    } table[] = {
        {LINK_GAP_FRAGMENT_LIMIT, "no key frame for 20 s or 50 MB, frames left out: set the "
                                  "camera's key-frame interval below 10 s"},
        {LINK_GAP_TIMESTAMP, "timestamps went back, or tracks lie more than 3 s apart, frames left "
                             "out: check the camera's clock and the load of this machine"},
        {LINK_GAP_NO_KEY_FRAME, "frames that no key frame precedes were left out: normal at a "
                                "start; else set the camera's key-frame interval below 10 s"},
    };
    if (now->reasons[LINK_GAP_FORMAT] != before->reasons[LINK_GAP_FORMAT])
        return now->why;
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++)
        if (now->reasons[table[i].reason] != before->reasons[table[i].reason])
            return table[i].text;
    if (now->silent != before->silent)
        return "a track of the stream is silent, fragments go on without it: check the camera's "
               "audio and video settings";
    return NULL;
}

static void note(struct stream *s, const struct mux_stats *st)
{
    const char *text = advice(st, &s->told);
    int64_t now = clock_mono_ns();

    if (text) {
        if (strcmp(s->note, text) != 0)
            log_warn("muxer.gap", "stream=%s dropped=%llu cause=\"%s\"", s->name,
                     (unsigned long long)(st->dropped - s->told.dropped), text);
        snprintf(s->note, sizeof s->note, "%s", text);
        s->noted_ns = now;
    } else if (s->note[0] && now - s->noted_ns > NOTE_NS) {
        s->note[0] = '\0';
    }
    s->told = *st;
}

static void report_stream(struct report *r, struct stream *s)
{
    const struct mux_stats *st = mux_stats(s->mux);
    const char *state = !s->session     ? "waiting"
                        : s->ended      ? "ended"
                        : st->frames_in ? "live"
                                        : "waiting";

    struct metrics *m = report_metrics(r, s->name);
    metrics_set(m, METRIC_FRAMES_IN, (double)st->frames_in);
    metrics_set(m, METRIC_FRAMES_OUT, (double)st->frames_out);
    metrics_set(m, METRIC_BYTES_OUT, (double)st->bytes_out);
    metrics_set(m, METRIC_FRAMES_DROPPED, (double)st->dropped);
    metrics_set(m, METRIC_FRAGMENTS, (double)st->fragments);
    metrics_set(m, METRIC_SEGMENTS, (double)st->segments);
    if (s->session) {
        struct outlet_stats held = relay_stream_stats(s->session);
        metrics_set(m, METRIC_WINDOW_FRAMES, (double)held.held_items);
        metrics_set(m, METRIC_WINDOW_BYTES, (double)held.held_bytes);
        metrics_set(m, METRIC_WINDOW_AGE, clock_age_s(held.oldest_ns));
    }
    note(s, st);
    report_state(r, s->name, state, s->note);
}

static void sample(struct stage *st)
{
    struct muxer *x = st->state;
    struct stream *s;
    TAILQ_FOREACH (s, &x->streams, entry)
        if (!s->stale)
            report_stream(st->report, s);
    metrics_set(report_metrics(st->report, NULL), METRIC_REFUSED, (double)relay_refused(x->relay));
}

/* ---- commands ---- */

/* "metadata": kept for a stream that is not here yet, too: it may move to this muxer. */
static int command(struct stage *st, const struct report_command *c)
{
    struct muxer *x = st->state;
    if (strcmp(c->verb, "metadata") != 0 || !c->stream)
        return -ENOTSUP;
    struct stream *s = find(x, c->stream);
    if (!s && !conf_stream(st->conf, c->stream))
        return -ENOENT;
    if (!s)
        s = stream_new(x, c->stream);
    int r = mux_metadata(s->mux, c->name, c->value, c->persistent);
    if (r < 0)
        log_warn("muxer.metadata", "stream=%s name=\"%.128s\" error=\"%s\"", s->name, c->name,
                 r == -ENOSPC ? "ten items a fragment are the limit" : strerror(-r));
    else
        log_info("muxer.metadata", "stream=%s name=\"%s\" persistent=%d", s->name, c->name,
                 c->persistent);
    return r;
}

/* ---- the process ---- */

static void teardown(struct stage *st)
{
    struct muxer *x = st->state;
    struct stream *s;
    if (!x)
        return;
    relay_destroy(&x->relay, st->draining);
    if (x->tick)
        event_free(x->tick);
    while ((s = TAILQ_FIRST(&x->streams)))
        stream_free(x, s);
    free(x);
    st->state = NULL;
}

static int prepare(struct stage *st)
{
    char *sinks = xasprintf("%s/" CONF_SINKS, st->conf->run);
    int r = dirs_make(sinks, 0775);

    if (r < 0)
        log_error("muxer.sinks", "path=%s error=\"%s\" (make it writable, or set 'run')", sinks,
                  strerror(-r));
    free(sinks);
    return r;
}

/* The link is all, and the sockets of programs beside the pipeline. */
static void needs(const struct stage *st, const struct conf *conf, struct sandbox *needs)
{
    char *sinks = xasprintf("%s/" CONF_SINKS, conf->run);

    sandbox_allow(needs, sinks, LANDLOCK_READ);
    free(sinks);
}

static int setup(struct stage *st)
{
    struct timeval every = {.tv_usec = TICK_NS / 1000};
    struct muxer *x = xcalloc(1, sizeof *x);
    struct relay_conf conf = {.connect = st->conf->muxer.connect,
                              .listen = st->conf->muxer.listen,
                              .instance = st->instance,
                              .sticky = true,
                              .link = &st->conf->link};
    int r;

    TAILQ_INIT(&x->streams);
    x->stage = st;
    st->state = x;
    r = relay_create(st->base, &conf, &relay_ops, x, &x->relay);
    if (r == 0) {
        x->tick = event_new(st->base, -1, EV_PERSIST, on_tick, x);
        if (!x->tick || event_add(x->tick, &every) < 0)
            r = -ENOMEM;
    }
    if (r < 0) {
        teardown(st);
        return r;
    }
    stage_ready(st);
    return 0;
}

/* Nothing to finish: what is held here is in the window above. */
static void drain(struct stage *st)
{
    stage_quit(st, 0);
}

const struct stage_ops muxer_stage = {
    .name = "muxer",
    .summary = "makes Matroska fragments of coded frames",
    .prepare = prepare,
    .needs = needs,
    .setup = setup,
    .drain = drain,
    .teardown = teardown,
    .stream = on_stream,
    .sample = sample,
    .command = command,
};
