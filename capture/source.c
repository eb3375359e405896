/* What the kinds of sources have in common.
 * Relies on GStreamer's registry.
 * Leaves each kind to source_KIND.c. */
#include "capture/source.h"

#include <errno.h>
#include <stdio.h>

#include "capture/branch.h"

const struct source_ops *source_find(enum conf_source_type type)
{
    static const struct source_ops *const all[] = {
        [CONF_SOURCE_TEST] = &source_test,           [CONF_SOURCE_FILE] = &source_file,
        [CONF_SOURCE_RTSP] = &source_rtsp,           [CONF_SOURCE_V4L2] = &source_v4l2,
        [CONF_SOURCE_LIBCAMERA] = &source_libcamera, [CONF_SOURCE_LAUNCH] = &source_launch,
    };

    return (size_t)type < sizeof all / sizeof all[0] ? all[type] : NULL;
}

GstElement *source_add_element(GstElement *pipeline, const char *factory, char *why)
{
    GstElement *element = gst_element_factory_make(factory, NULL);

    if (!element) {
        snprintf(why, SOURCE_WHY_MAX,
                 "GStreamer has no element %s; install the plugin package that holds it", factory);
        return NULL;
    }
    gst_bin_add(GST_BIN(pipeline), element);
    return element;
}

int source_add_line(GstElement *pipeline, struct pull *pull, const char *line, bool copy, char *why)
{
    GError *error = NULL;
    GstElement *bin = gst_parse_bin_from_description(line, TRUE, &error);
    GstPad *pad = NULL;

    if (bin)
        gst_bin_add(GST_BIN(pipeline), bin);
    if (bin && !error)
        pad = gst_element_get_static_pad(bin, "src");
    if (!pad) {
        snprintf(why, SOURCE_WHY_MAX, "%s", error ? error->message : "no open end");
        g_clear_error(&error);
        return -EINVAL;
    }
    branch_join(GST_BIN(pipeline), pad, pull, copy);
    gst_object_unref(pad);
    return 0;
}
