/* Where video comes from: one file per kind of source, each filling a GStreamer pipeline whose
 * tracks end in a pull. Relies on branch.h.
 * Leaves reconnection, time and the link to stream.h. */
#ifndef KVPIPE_CAPTURE_SOURCE_H
#define KVPIPE_CAPTURE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include <gst/gst.h>

#include "capture/pull.h"
#include "common/conf.h"

#define SOURCE_WHY_MAX 512

enum source_liveness {
    SOURCE_WAITS, /* can wait: nothing is lost when the window is full */
    SOURCE_LIVE,  /* goes on whatever happens here */
    SOURCE_ASK,   /* known when the pipeline has started */
};

struct source_ops {
    const char *name;
    const char *advice;            /* what to do when it fails, when nothing better is known */
    enum source_liveness liveness; /* of the pipeline */
    bool endless;                  /* its end is a lost connection */
    bool trust_dts;                /* decode times come from a container */
    /* Fills the pipeline and joins its tracks to the pull (dynamic ones later, then
     * pull_complete()). Must not block. Returns 0, -EINVAL/-ENOENT with the cause and what to do in
     * `why`. */
    int (*build)(const struct conf_stream *conf, GstElement *pipeline, struct pull *pull,
                 char *why);
};

extern const struct source_ops source_test, source_file, source_rtsp, source_v4l2, source_libcamera,
    source_launch;

/* The ops of a configured source; NULL for CONF_SOURCE_NONE. */
const struct source_ops *source_find(enum conf_source_type type);
/* Makes an element and adds it to the pipeline. NULL with a line in `why` that names the package.
 */
GstElement *source_add_element(GstElement *pipeline, const char *factory, char *why);
/* Adds a bin of the launch line, its open end being the "src" pad, and joins that to the pull.
 * Returns 0, or -EINVAL with the cause in `why`. */
int source_add_line(GstElement *pipeline, struct pull *pull, const char *line, bool copy,
                    char *why);

#endif
