/* V4L2 and USB cameras: raw video, or JPEG that is decoded here, with sound from ALSA if wanted.
 * Relies on v4l2src. The driver owns few buffers, so frames are copied out of them.
 * Leaves the choice of an encoder to the encoder stage. */
#include "capture/source.h"

#include <errno.h>
#include <stdio.h>

#include "capture/branch.h"

#define SIZE "width=%u,height=%u,framerate=%u/1"

static int set_caps(GstElement *filter, const struct conf_source *c)
{
    char text[256];
    GstCaps *caps;

    snprintf(text, sizeof text, "video/x-raw," SIZE ";image/jpeg," SIZE, c->width, c->height,
             c->rate, c->width, c->height, c->rate);
    caps = gst_caps_from_string(text);
    if (!caps)
        return -EINVAL;
    g_object_set(filter, "caps", caps, NULL);
    gst_caps_unref(caps);
    return 0;
}

static int build(const struct conf_stream *conf, GstElement *pipeline, struct pull *pull, char *why)
{
    const struct conf_source *c = &conf->source;
    GstElement *camera = source_add_element(pipeline, "v4l2src", why);
    GstElement *filter = source_add_element(pipeline, "capsfilter", why);
    GstElement *decode = source_add_element(pipeline, "decodebin", why);

    if (!camera || !filter || !decode)
        return -ENOENT;
    g_object_set(camera, "device", c->device, NULL);
    if (set_caps(filter, c) < 0 || !gst_element_link_many(camera, filter, decode, NULL)) {
        snprintf(why, SOURCE_WHY_MAX, "size or rate is not possible; check width, height, rate");
        return -EINVAL;
    }
    if (c->audio && source_add_line(pipeline, pull, "alsasrc", true, why) < 0)
        return -ENOENT;
    branch_join_dynamic(decode, pull, true);
    return 0;
}

const struct source_ops source_v4l2 = {
    .name = "v4l2",
    .advice = "check source.device, the access rights to it, and width, height and rate",
    .liveness = SOURCE_LIVE,
    .endless = true,
    .build = build,
};
