/* What the codec on GStreamer takes in: codec_gst_accepts() of codec.h, and the formats as
 * GStreamer says them. Relies on link.h. Pure. Leaves pipelines to codec_gst.c. */
#ifndef KVPIPE_ENCODER_CODEC_ACCEPTS_H
#define KVPIPE_ENCODER_CODEC_ACCEPTS_H

#include <stdbool.h>

#include <gst/video/video.h>

#include "common/link.h"

/* Raw video's format in GStreamer's terms, with default strides. False for a layout it does not
 * know. */
bool codec_accepts_video_info(const struct link_format *f, GstVideoInfo *info);

#endif
