/* What enters: cameras, files, patterns. What leaves: numbered frames of each stream over the link,
 * raw or coded. What may be dropped: what a live source gives while the window is full, always as a
 * counted gap. Relies on stream.c for each source, common/link_outlet for windows, acks, fencing.
 * Leaves everything after the link to other stages. */
#include "capture/stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <gst/gst.h>

#include "capture/stream.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/report.h"

#define TICK_MS 100
#define DRAIN_NS (2500 * NS_PER_MS)

/* ---- from the link ---- */

static void on_acked(void *arg, struct outlet_stream *s, const struct link_positions *at)
{
    struct stream *stream = outlet_stream_user(s);

    if (stream)
        stream_wake(stream);
}

static void on_fenced(void *arg, struct outlet_stream *s, const struct link_vector *greatest,
                      bool stopped)
{
    struct stream *stream = outlet_stream_user(s);

    if (stream)
        stream_fenced(stream, stopped);
}

static const struct outlet_ops link_ops = {
    .resumed = on_acked,
    .acked = on_acked,
    .fenced = on_fenced,
};

/* ---- life ---- */

static struct stream *find(const struct capture *c, const char *name)
{
    for (unsigned i = 0; i < c->nstreams; i++)
        if (strcmp(stream_name(c->streams[i]), name) == 0)
            return c->streams[i];
    return NULL;
}

static int add_streams(struct capture *c)
{
    const struct conf *conf = c->stage->conf;
    int rc = 0;

    for (unsigned i = 0; i < conf->streams_count && rc == 0; i++) {
        if (conf->streams[i].source.type == CONF_SOURCE_EXTERNAL ||
            !stage_serves(c->stage, conf->streams[i].name) || find(c, conf->streams[i].name))
            continue;
        c->streams = xrealloc(c->streams, (c->nstreams + 1) * sizeof *c->streams);
        rc = stream_create(c, &conf->streams[i], &c->streams[c->nstreams]);
        c->nstreams += rc == 0;
    }
    return rc;
}

/* Streams that have left the config make room, also for one of the same name. */
static void let_go(struct capture *c)
{
    unsigned kept = 0, before = c->nstreams;

    for (unsigned i = 0; i < before; i++) {
        if (!c->drain_mono_ns && stream_gone(c->streams[i])) {
            if (!conf_stream(c->stage->conf, stream_name(c->streams[i])))
                report_forget(c->stage->report, stream_name(c->streams[i]));
            stream_remove(&c->streams[i]);
        } else {
            c->streams[kept++] = c->streams[i];
        }
    }
    c->nstreams = kept;
    if (kept < before && add_streams(c) < 0)
        stage_quit(c->stage, 1); /* said in the log: a restart tries again */
}

static void on_stream(struct stage *st, const char *name)
{
    struct capture *c = st->state;
    struct stream *s = find(c, name);

    if (s)
        stream_leave(s);
    else if (add_streams(c) < 0)
        stage_quit(st, 1);
}

static bool all_done(const struct capture *c)
{
    for (unsigned i = 0; i < c->nstreams; i++)
        if (!stream_done(c->streams[i]))
            return false;
    return true;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct capture *c = arg;

    for (unsigned i = 0; i < c->nstreams; i++)
        stream_tick(c->streams[i]);
    let_go(c);
    if (c->drain_mono_ns && (all_done(c) || clock_mono_ns() - c->drain_mono_ns > DRAIN_NS))
        stage_quit(c->stage, 0);
}

static void silence_gst(GstDebugCategory *category, GstDebugLevel level, const gchar *file,
                        const gchar *function, gint line, GObject *object, GstDebugMessage *message,
                        gpointer arg)
{
}

/* GStreamer's own lines may hold addresses with passwords; whoever sets GST_DEBUG asked for them.
 */
static int prepare(struct stage *st)
{
    gst_init(NULL, NULL);
    if (!getenv("GST_DEBUG")) {
        gst_debug_remove_log_function(NULL);
        gst_debug_add_log_function(silence_gst, NULL, NULL);
    }
    return 0;
}

static void source_needs(const struct conf_source *source, struct sandbox *needs)
{
    switch (source->type) {
    case CONF_SOURCE_FILE:
        sandbox_allow_file(needs, source->path);
        break;
    case CONF_SOURCE_RTSP:
        sandbox_allow_file(needs, source->credentials_file);
        needs->calls.network = SYSCALL_INET;
        break;
    case CONF_SOURCE_V4L2: /* a camera that comes back is another node: all of /dev */
        sandbox_allow(needs, "/dev", LANDLOCK_READ | LANDLOCK_DEVICE);
        break;
    case CONF_SOURCE_LIBCAMERA: /* runs what tunes a camera as a program of its own */
        sandbox_allow(needs, "/dev", LANDLOCK_READ | LANDLOCK_DEVICE);
        needs->calls.exec = true;
        break;
    case CONF_SOURCE_LAUNCH: /* whatever its owner wrote */
        needs->any_file = needs->calls.exec = true;
        needs->calls.network = SYSCALL_ANY;
        break;
    default:
        break;
    }
}

static void needs(const struct stage *st, const struct conf *conf, struct sandbox *needs)
{
    char *epochs = xasprintf("%s/capture", conf->run);

    needs->calls.any = true;
    sandbox_allow(needs, epochs, LANDLOCK_READ | LANDLOCK_WRITE);
    for (unsigned i = 0; i < conf->streams_count; i++)
        if (stage_serves(st, conf->streams[i].name))
            source_needs(&conf->streams[i].source, needs);
    free(epochs);
}

static int setup(struct stage *st)
{
    const struct timeval tick = {.tv_usec = TICK_MS * 1000};
    struct capture *c = xcalloc(1, sizeof *c);
    int rc;

    st->state = c;
    c->stage = st;
    c->epoch_dir = xasprintf("%s/capture", st->conf->run);
    rc = link_server_create(st->base, st->conf->capture.listen, &st->conf->link, true, &link_ops, c,
                            &c->server);
    if (rc)
        return rc;
    c->outlet = link_server_outlet(c->server);
    rc = add_streams(c);
    if (rc)
        return rc;
    c->tick = event_new(st->base, -1, EV_PERSIST, on_tick, c);
    if (!c->tick || event_add(c->tick, &tick) < 0)
        return -ENOMEM;
    stage_ready(st);
    return 0;
}

static void drain(struct stage *st)
{
    struct capture *c = st->state;

    c->drain_mono_ns = clock_mono_ns();
    for (unsigned i = 0; i < c->nstreams; i++)
        stream_end(c->streams[i]);
}

static void teardown(struct stage *st)
{
    struct capture *c = st->state;

    if (!c)
        return;
    for (unsigned i = 0; i < c->nstreams; i++)
        stream_destroy(&c->streams[i]);
    if (c->tick)
        event_free(c->tick);
    if (c->server)
        link_server_destroy(&c->server, true);
    free(c->streams);
    free(c->epoch_dir);
    free(c);
    st->state = NULL;
}

static void sample(struct stage *st)
{
    struct capture *c = st->state;

    for (unsigned i = 0; i < c->nstreams; i++)
        stream_report(c->streams[i]);
    metrics_set(report_metrics(st->report, NULL), METRIC_REFUSED,
                (double)link_server_refused(c->server));
}

/* "keyframe": of the stream, all streams without a name. The encoder stage answers for raw ones. */
static int command(struct stage *st, const struct report_command *asked)
{
    struct capture *c = st->state;
    int rc = -ENOTSUP;

    if (strcmp(asked->verb, "keyframe") != 0)
        return -ENOTSUP;
    for (unsigned i = 0; i < c->nstreams; i++)
        if (!asked->stream || strcmp(asked->stream, stream_name(c->streams[i])) == 0)
            rc = stream_force_key(c->streams[i]) == 0 ? 0 : rc;
    return rc;
}

const struct stage_ops capture_stage = {
    .name = "capture",
    .summary = "takes video and sound from cameras, files or a test pattern",
    .prepare = prepare,
    .needs = needs,
    .setup = setup,
    .drain = drain,
    .teardown = teardown,
    .stream = on_stream,
    .sample = sample,
    .command = command,
};
