/* The H.264 encoders that kvpipe knows, in the order in which `auto` tries them, and how each is
 * set up for live video. Relies on GStreamer. No B-frames, no lookahead, a key frame only when it
 * is asked for, constant bit rate. Leaves it to probe.c to find out which one works. */
#ifndef KVPIPE_ENCODER_CANDIDATE_H
#define KVPIPE_ENCODER_CANDIDATE_H

#include <stdbool.h>

#include <gst/gst.h>

#include "common/conf.h"
#include "common/link.h"

struct candidate {
    const char *name;      /* in the configuration */
    const char *element;   /* GStreamer's */
    const char *formats;   /* raw layouts it is given, GStreamer list; another one is converted */
    bool parse;            /* h264parse puts SPS and PPS in front of every key frame */
    unsigned bitrate_unit; /* of its property "bitrate", in bit/s; 0: it has none */
    void (*set)(GstElement *e, const struct conf_video *conf, const struct link_format *input);
};

/* Changes the bitrate of an encoder that may be running. Returns 0, or -ENOTSUP when it cannot be
 * changed while it runs. */
int candidate_set_bitrate(const struct candidate *c, GstElement *e, uint32_t kbps);
/* The i-th for this name, "auto" being all of them in order; NULL past the end. */
const struct candidate *candidate_get(const char *name, unsigned i);
/* What the H.264 caps must ask for: profiles from the wanted one down. Returns a literal. */
const char *candidate_profiles(const struct candidate *c, const char *profile);

#endif
