/* One life of a source's pipeline.
 * Relies on gst_element_call_async() for what may block.
 * Leaves the question when to connect to stream_source.c. */
#include "capture/connection.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <gst/video/video.h>

#include "common/mem.h"

struct connection { /* shared by the loop and the starting thread */
    _Atomic unsigned refs;
    _Atomic bool started, stopped;
    const struct source_ops *ops;
    struct pull *pull;
    GstElement *pipeline;
};

static void release(struct connection *c)
{
    if (atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    pull_unref(&c->pull);
    gst_object_unref(c->pipeline);
    free(c);
}

static void drop_ref(gpointer arg)
{
    release(arg);
}

static void start(GstElement *pipeline, gpointer arg)
{
    struct connection *c = arg;
    GstStateChangeReturn paused, playing;

    if (atomic_load(&c->stopped))
        return;
    paused = gst_element_set_state(pipeline, GST_STATE_PAUSED);
    if (c->ops->liveness == SOURCE_ASK)
        pull_set_live(c->pull, paused == GST_STATE_CHANGE_NO_PREROLL);
    playing = paused == GST_STATE_CHANGE_FAILURE
                  ? paused
                  : gst_element_set_state(pipeline, GST_STATE_PLAYING);
    if (playing == GST_STATE_CHANGE_FAILURE)
        pull_fail(c->pull, "the source does not start", c->ops->advice);
    atomic_store(&c->started, true);
    if (atomic_load(&c->stopped))
        gst_element_set_state(pipeline, GST_STATE_NULL);
}

static void stop(GstElement *pipeline, gpointer arg)
{
    gst_element_set_state(pipeline, GST_STATE_NULL);
}

int connection_start(const struct source_ops *ops, const struct conf_stream *conf, bool again,
                     struct connection **out, char *why)
{
    struct connection *c = xcalloc(1, sizeof *c);
    int rc;

    *out = NULL;
    c->refs = 1;
    c->ops = ops;
    c->pull = pull_new(conf->name, again);
    c->pipeline = gst_object_ref_sink(gst_pipeline_new(NULL));
    if (!c->pull) {
        snprintf(why, SOURCE_WHY_MAX, "too many open files; raise the limit (ulimit -n)");
        release(c);
        return -EMFILE;
    }
    pull_watch_bus(c->pull, c->pipeline, ops->advice);
    if (ops->liveness != SOURCE_ASK)
        pull_set_live(c->pull, ops->liveness == SOURCE_LIVE);
    rc = ops->build(conf, c->pipeline, c->pull, why);
    if (rc) {
        connection_stop(&c);
        return rc;
    }
    atomic_fetch_add(&c->refs, 1);
    gst_element_call_async(c->pipeline, start, c, drop_ref);
    *out = c;
    return 0;
}

struct pull *connection_pull(struct connection *c)
{
    return c->pull;
}

int64_t connection_duration_ns(struct connection *c)
{
    gint64 duration = 0;

    return gst_element_query_duration(c->pipeline, GST_FORMAT_TIME, &duration) ? duration : 0;
}

static void force_key(GstElement *pipeline, gpointer arg)
{
    gst_element_send_event(
        pipeline, gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, TRUE, 0));
}

void connection_force_key(struct connection *c)
{
    gst_element_call_async(c->pipeline, force_key, NULL, NULL);
}

bool connection_started(const struct connection *c)
{
    return atomic_load(&c->started);
}

void connection_stop(struct connection **cp)
{
    struct connection *c = *cp;

    *cp = NULL;
    if (!c)
        return;
    atomic_store(&c->stopped, true);
    pull_close(c->pull);
    atomic_fetch_add(&c->refs, 1);
    gst_element_call_async(c->pipeline, stop, c, drop_ref);
    release(c);
}
