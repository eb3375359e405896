/* Any GStreamer launch line whose appsinks are named video, audio and data.
 * Relies on gst_parse_launch. The appsinks mark places: data is taken in front of them.
 * Leaves conversion to the line: coded tracks pass as they are, raw ones must be I420/NV12,
 * S16LE/F32LE. */
#include "capture/source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <gst/app/gstappsink.h>

#define FRAMES 300u
#define VIDEO_FRAMES 64u

static int kind_of(const char *name)
{
    static const char *const names[] = {"video", "audio", "data"};

    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

static int attach(GstElement *sink, struct pull *pull, char *why)
{
    char *name = gst_element_get_name(sink);
    int kind = kind_of(name), rc = 0;
    GstPad *pad;

    if (kind < 0) {
        snprintf(why, SOURCE_WHY_MAX,
                 "an appsink is named '%.60s'; name appsinks video, audio or data", name);
        rc = -EINVAL;
    } else if (kind == PULL_DATA) {
        pull_refuse(pull, name, "no format for data tracks is defined yet; leave its appsink out");
    }
    g_object_set(sink, "sync", FALSE, "async", FALSE, NULL);
    if (!rc && kind != PULL_DATA) {
        pad = gst_element_get_static_pad(sink, "sink");
        rc = pull_attach(pull, pad, (enum pull_kind)kind, name, true,
                         kind == PULL_VIDEO ? VIDEO_FRAMES : FRAMES);
        gst_object_unref(pad);
    }
    g_free(name);
    return rc;
}

static int attach_all(GstBin *bin, struct pull *pull, char *why)
{
    GstIterator *it = gst_bin_iterate_all_by_element_factory_name(bin, "appsink");
    GValue value = G_VALUE_INIT;
    int rc = 0, n = 0;

    while (!rc && gst_iterator_next(it, &value) == GST_ITERATOR_OK) {
        rc = attach(g_value_get_object(&value), pull, why);
        n++;
        g_value_reset(&value);
    }
    g_value_unset(&value);
    gst_iterator_free(it);
    if (!rc && !n) {
        snprintf(why, SOURCE_WHY_MAX,
                 "source.line has no appsink; end its branches in 'appsink name=video' (or audio)");
        rc = -EINVAL;
    }
    return rc;
}

static int build(const struct conf_stream *conf, GstElement *pipeline, struct pull *pull, char *why)
{
    GError *error = NULL;
    GstElement *line = gst_parse_launch_full(
        conf->source.line, NULL, GST_PARSE_FLAG_FATAL_ERRORS | GST_PARSE_FLAG_PLACE_IN_BIN, &error);
    int rc;

    if (!line || error) {
        snprintf(why, SOURCE_WHY_MAX, "source.line: %.400s", error ? error->message : "empty");
        g_clear_error(&error);
        if (line)
            gst_object_unref(gst_object_ref_sink(line));
        return -EINVAL;
    }
    gst_bin_add(GST_BIN(pipeline), line);
    rc = attach_all(GST_BIN(line), pull, why);
    pull_complete(pull);
    return rc;
}

const struct source_ops source_launch = {
    .name = "launch",
    .advice = "try source.line with gst-launch-1.0",
    .liveness = SOURCE_ASK,
    .trust_dts = true,
    .build = build,
};
