/* Cameras behind libcamera (Raspberry Pi and other boards with an image processor).
 * Relies on libcamerasrc, which a distribution may not have; frames are copied out of its pool.
 * Leaves the choice of an encoder to the encoder stage. */
#include "capture/source.h"

#include <errno.h>
#include <stdio.h>

#include "capture/branch.h"

static int build(const struct conf_stream *conf, GstElement *pipeline, struct pull *pull, char *why)
{
    const struct conf_source *c = &conf->source;
    GstElementFactory *factory = gst_element_factory_find("libcamerasrc");
    GstElement *bin;
    char line[256];
    int rc;

    if (!factory) {
        snprintf(why, SOURCE_WHY_MAX,
                 "GStreamer has no element libcamerasrc; install gstreamer1.0-libcamera");
        return -ENOENT;
    }
    gst_object_unref(factory);
    snprintf(
        line, sizeof line,
        "libcamerasrc name=camera ! capsfilter caps=video/x-raw,width=%u,height=%u,framerate=%u/1",
        c->width, c->height, c->rate);
    rc = source_add_line(pipeline, pull, line, true, why);
    if (rc)
        return rc;
    bin = gst_bin_get_by_name(GST_BIN(pipeline), "camera");
    if (bin && c->device && c->device[0])
        g_object_set(bin, "camera-name", c->device, NULL);
    g_clear_object(&bin);
    pull_complete(pull);
    return 0;
}

const struct source_ops source_libcamera = {
    .name = "libcamera",
    .advice = "check that 'cam --list' shows the camera, source.device, width, height and rate",
    .liveness = SOURCE_LIVE,
    .endless = true,
    .build = build,
};
