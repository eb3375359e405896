/* The life of a stream's source: connecting, losing it, trying again, its end.
 * Relies on connection.h for the pipeline. Leaves its tracks to stream_settle.c. */
#include "capture/stream_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/log.h"
#include "common/report.h"

#define ITEMS_A_TURN 64
#define RETRY_FIRST_MS 50u /* a blip: tried again almost at once */
#define RETRY_MIN_MS 250u
#define RETRY_MAX_MS 4000u
#define NEWS_NS (10 * NS_PER_S)     /* another cause of the same loss is told after so long */
#define LASTED_NS (2 * NS_PER_S)    /* after a shorter connection the next try is not at once */
#define SHORT_NS (5 * NS_PER_S / 2) /* so much less than a file says it holds is too little */

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

void stream_source_fail(struct stream *s, const char *cause, const char *what_to_do)
{
    char note[2 * PULL_CAUSE_MAX + 8];

    log_error("capture.failed", "stream=%s source=%s cause=\"%s\" what_to_do=\"%s\"", s->conf->name,
              s->ops ? s->ops->name : "none", cause, what_to_do);
    snprintf(note, sizeof note, "%s; %s", cause, what_to_do);
    say(s, "failed", note);
    s->phase = FAILED;
}

void stream_source_disconnect(struct stream *s)
{
    if (s->readable)
        event_free(s->readable);
    s->readable = NULL;
    event_del(s->due);
    if (s->pull)
        pull_unref(&s->pull);
    connection_stop(&s->connection);
    stream_settle_forget(s);
}

void stream_source_finish(struct stream *s, enum stream_phase phase)
{
    stream_frames_flush(s);
    stream_source_disconnect(s);
    s->phase = phase;
    if (s->out)
        outlet_end(s->capture->outlet, s->out, clock_mono_ns());
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    stream_source_pump(arg);
}

void stream_source_connect(struct stream *s)
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
        stream_source_lost(s, why, "");
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

void stream_source_lost(struct stream *s, const char *cause, const char *what_to_do)
{
    char note[NOTE_MAX];
    int64_t wait = retry_ns(s);

    if (s->pull)
        stream_frames_flush(s);
    stream_source_disconnect(s);
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
    stream_frames_flush(s);
    stream_source_disconnect(s);
    anchor_connect(&s->anchor, true);
    stream_source_connect(s);
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
        stream_source_lost(s, "the source ended the stream", s->ops->advice);
    } else if (s->conf->source.loop && s->taken) {
        begin_again(s);
    } else {
        stream_source_finish(s, ENDED);
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
        stream_source_finish(s, FAILED);
        stream_source_fail(s, st->cause, what);
    } else {
        stream_source_lost(s, st->cause, what);
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

void stream_source_pump(struct stream *s)
{
    struct pull_state st;
    bool empty;

    if (!s->pull || (s->phase != CONNECTING && s->phase != RUNNING))
        return;
    pull_clear_fd(s->pull);
    pull_state(s->pull, &st);
    if (s->phase == CONNECTING) {
        if (stream_settle(s, &st))
            went_live(s, &st);
        else if (s->phase == CONNECTING && st.failed)
            stream_source_lost(s, st.cause, st.what_to_do[0] ? st.what_to_do : s->ops->advice);
        else if (s->phase == CONNECTING && st.ended && !st.failed)
            stream_source_lost(s, "no frame that could be used came", s->ops->advice);
        if (s->phase != RUNNING)
            return;
    }
    stream_settle_late(s, &st);
    empty = stream_frames_take(s, ITEMS_A_TURN);
    if (s->taken && s->failures)
        s->failures = clock_mono_ns() - s->live_mono_ns < LASTED_NS;
    if (empty && st.failed)
        source_broke(s, &st);
    else if (empty && st.ended)
        source_ended(s);
}

void stream_source_check(struct stream *s, int64_t now)
{
    struct pull_state st;
    int64_t last, limit = s->conf->source.timeout_s * NS_PER_S;
    char cause[64];

    pull_state(s->pull, &st);
    last = st.last_mono_ns > s->began_mono_ns ? st.last_mono_ns : s->began_mono_ns;
    if (!s->ops->endless) {
        if (s->phase == CONNECTING && !st.any && now - last > START_NS)
            stream_source_lost(s, "no media came", s->ops->advice);
        return;
    }
    if (now - last > limit)
        snprintf(cause, sizeof cause, "no data for %u s", s->conf->source.timeout_s);
    else if (s->phase == RUNNING && s->has_video && now - s->video_mono_ns > 2 * limit)
        snprintf(cause, sizeof cause, "sound, but no picture for %u s",
                 2 * s->conf->source.timeout_s);
    else
        return;
    stream_source_lost(s, cause, s->ops->advice);
}
