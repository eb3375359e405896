/* One stream from its source to the link: what the stage asks of it, its epoch, its reports.
 * Relies on stream_private.h. Leaves the source's life to stream_source.c, frames to
 * stream_frames.c. */
#include "capture/stream_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "capture/epoch.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/report.h"

#define LEAVE_NS (10 * NS_PER_S) /* what is held of a stream that left has so long to be acked */
#define NOTE_NS (5 * NS_PER_S)   /* how often the time reached is noted beside the epoch */
#define REST_NS NS_PER_S         /* without a source for longer: what it gave is finished */

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    stream_source_pump(arg);
}

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
        stream_source_connect(s);
    else
        stream_source_fail(s, "the stream has no source", "give it a source in the config");
    return 0;
}

void stream_destroy(struct stream **sp)
{
    struct stream *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    stream_source_disconnect(s);
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

static void note_time(struct stream *s, int64_t now)
{
    if (!s->out || now - s->note_mono_ns < NOTE_NS)
        return;
    s->note_mono_ns = now;
    epoch_reach(s->capture->epoch_dir, s->conf->name, outlet_stream_vector(s->out).v[0],
                anchor_last(&s->anchor), &s->noted);
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
        stream_source_connect(s);
    if (s->phase == CONNECTING || s->phase == RUNNING)
        stream_source_pump(s);
    if (s->phase == CONNECTING || s->phase == RUNNING)
        stream_source_check(s, now);
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
    stream_source_disconnect(s);
    stream_source_fail(s, "another capture serves this stream",
                       "stop one of them, or give it another stream name");
}

void stream_end(struct stream *s)
{
    if (s->phase == RUNNING && !s->waits && !s->paced)
        stream_frames_take(s, UINT32_MAX);
    s->note_mono_ns = 0;
    note_time(s, clock_mono_ns() + NOTE_NS);
    if (s->phase == RUNNING || s->phase == CONNECTING || s->phase == WAITING)
        stream_source_finish(s, STOPPED);
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
        coded =
            coded || (s->track[k].format->video && !link_codec_is_raw(s->track[k].format->codec));
    if (!coded || s->phase != RUNNING || s->ops == &source_file)
        return -ENOTSUP;
    connection_force_key(s->connection);
    return 0;
}

const char *stream_name(const struct stream *s)
{
    return s->conf->name;
}
