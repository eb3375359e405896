/* The elements of a codec on GStreamer: appsrc ! (convert) ! encoder ! (h264parse) ! appsink.
 * Relies on candidate for the video encoder. Leaves data, threads and states to codec_gst.c. */
#ifndef KVPIPE_ENCODER_CODEC_CHAIN_H
#define KVPIPE_ENCODER_CODEC_CHAIN_H

#include <stdbool.h>

#include <gst/gst.h>

#include "encoder/codec.h"

struct codec_chain {
    GstElement *pipeline;             /* the caller's; owns the rest */
    GstElement *src, *sink, *encoder; /* encoder: video */
    unsigned
        priming; /* audio: frames the encoder gives before the first that belongs to an input */
};

/* Fills c->pipeline and sets the rest. Returns 0, or a negative errno with the reason in why[256],
 * which comes in empty; what was made by then goes with the pipeline. */
int codec_chain_build(struct codec_chain *c, const struct codec_conf *conf, char *why);
/* Loads the plugins of it, those of sound where that may come. Blocks. */
void codec_chain_load(bool audio);

#endif
