/* A pattern and a tone: frame n has the time n / rate, and shows n in its picture.
 * Relies on videotestsrc and audiotestsrc, which run ahead; stream_frames.c paces them.
 * Leaves real time to stream_frames.c. */
#include "capture/source.h"

#include <stdio.h>
#include <string.h>

#include <gst/video/video.h>

#include "capture/stamp.h"

#define AUDIO_RATE 48000u

static GstPadProbeReturn on_frame(GstPad *pad, GstPadProbeInfo *info, gpointer arg)
{
    GstBuffer *buffer = gst_buffer_make_writable(GST_PAD_PROBE_INFO_BUFFER(info));
    GstCaps *caps = gst_pad_get_current_caps(pad);
    GstVideoFrame frame;
    GstVideoInfo video;

    GST_PAD_PROBE_INFO_DATA(info) = buffer;
    if (caps && gst_video_info_from_caps(&video, caps) &&
        gst_video_frame_map(&frame, &video, buffer, GST_MAP_READWRITE)) {
        stamp_write(GST_VIDEO_FRAME_PLANE_DATA(&frame, 0),
                    (size_t)GST_VIDEO_FRAME_PLANE_STRIDE(&frame, 0),
                    (unsigned)GST_VIDEO_FRAME_WIDTH(&frame),
                    (unsigned)GST_VIDEO_FRAME_HEIGHT(&frame), GST_BUFFER_OFFSET(buffer));
        gst_video_frame_unmap(&frame);
    }
    if (caps)
        gst_caps_unref(caps);
    return GST_PAD_PROBE_OK;
}

static void stamp_frames(GstElement *pipeline)
{
    GstElement *pattern = gst_bin_get_by_name(GST_BIN(pipeline), "pattern");
    GstPad *pad = gst_element_get_static_pad(pattern, "src");

    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, on_frame, NULL, NULL);
    gst_object_unref(pad);
    gst_object_unref(pattern);
}

/* Audio as long as the video: the last block ends at or after the last frame. */
static long long audio_blocks(const struct conf_source *c)
{
    if (!c->frames)
        return -1;
    return (long long)((c->frames * AUDIO_RATE + c->rate * 1024u - 1) / (c->rate * 1024u));
}

static int build(const struct conf_stream *conf, GstElement *pipeline, struct pull *pull, char *why)
{
    const struct conf_source *c = &conf->source;
    char line[512];
    int rc;

    snprintf(line, sizeof line,
             "videotestsrc name=pattern pattern=smpte75 horizontal-speed=2 num-buffers=%lld ! "
             "capsfilter caps=video/x-raw,format=I420,width=%u,height=%u,framerate=%u/1",
             c->frames ? (long long)c->frames : -1LL, c->width, c->height, c->rate);
    rc = source_add_line(pipeline, pull, line, false, why);
    if (rc)
        return rc;
    stamp_frames(pipeline);
    if (c->audio) {
        snprintf(line, sizeof line,
                 "audiotestsrc wave=sine freq=440 volume=0.3 samplesperbuffer=1024 "
                 "num-buffers=%lld ! "
                 "capsfilter caps=audio/x-raw,format=S16LE,layout=interleaved,rate=%u,channels=2",
                 audio_blocks(c), AUDIO_RATE);
        rc = source_add_line(pipeline, pull, line, false, why);
    }
    pull_complete(pull);
    return rc;
}

const struct source_ops source_test = {
    .name = "test",
    .advice = "install gstreamer1.0-plugins-base",
    .liveness = SOURCE_WAITS,
    .build = build,
};
