/* From caps to what the library calls a track. Relies on the negotiation with the pad templates
 * below: it lets through nothing else. Leaves the insides of codec_data to the muxer. */
#ifndef KVPIPE_CAPTURE_KVPIPESINK_CAPS_H
#define KVPIPE_CAPTURE_KVPIPESINK_CAPS_H

#include <gst/gst.h>

#include "capture/libkvpipe/kvpipe.h"

/* The first of each codec is what kvssink takes. */
#define CAPS_VIDEO                                                                                 \
    "video/x-h264, stream-format = (string) avc, alignment = (string) au; "                        \
    "video/x-h265, stream-format = (string) hvc1, alignment = (string) au; "                       \
    "video/x-h264, stream-format = (string) byte-stream, alignment = (string) au; "                \
    "video/x-h265, stream-format = (string) byte-stream, alignment = (string) au"
#define CAPS_AUDIO                                                                                 \
    "audio/mpeg, mpegversion = (int) 4, stream-format = (string) raw; "                            \
    "audio/x-alaw, channels = (int) { 1, 2 }, rate = (int) [ 8000, 192000 ]; "                     \
    "audio/x-mulaw, channels = (int) { 1, 2 }, rate = (int) [ 8000, 192000 ]"

struct caps_track {
    struct kvpipe_track track; /* its codec_private lies below */
    const char *codec_id;      /* Matroska's */
    const char *content_type;  /* "video/h264" */
    guint8 *codec_private;
};

/* Returns 0 (caps_fini), or -EINVAL with *why: static text, says what to do. */
int caps_read(const GstCaps *caps, struct caps_track *out, const char **why);
void caps_fini(struct caps_track *t);

#endif
