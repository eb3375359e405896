/* The element kvpipesink. Relies on GStreamer. */
#ifndef KVPIPE_CAPTURE_KVPIPESINK_KVPIPESINK_H
#define KVPIPE_CAPTURE_KVPIPESINK_KVPIPESINK_H

#include <gst/gst.h>

G_DECLARE_FINAL_TYPE(KvpipeSink, kvpipesink, KVPIPE, SINK, GstElement)

#endif
