/* Decodes one frame and codes it as JPEG.
 * Relies on GStreamer's appsrc, decodebin, jpegenc, appsink.
 * Leaves limits of memory and CPU to cmd_still.c. */
#include "cli/still_decode.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>

#define WAIT_NS (5 * GST_SECOND)
#define PUSHES 2 /* of the same frame: openh264dec gives a picture when the next one comes */

static GstCaps *caps_of(const struct still_frame *f)
{
    const char *type = NULL, *format = NULL;
    if (strcmp(f->codec_id, "V_MPEG4/ISO/AVC") == 0)
        type = "video/x-h264", format = "avc";
    else if (strcmp(f->codec_id, "V_MPEGH/ISO/HEVC") == 0)
        type = "video/x-h265", format = "hvc1";
    if (!type || !f->codec_private_len)
        return NULL;
    GstBuffer *config = gst_buffer_new_memdup(f->codec_private, f->codec_private_len);
    GstCaps *caps =
        gst_caps_new_simple(type, "stream-format", G_TYPE_STRING, format, "alignment",
                            G_TYPE_STRING, "au", "codec_data", GST_TYPE_BUFFER, config, NULL);
    gst_buffer_unref(config);
    return caps;
}

/* The picture with our comment behind its first two bytes. */
static int append(struct buf *jpeg, const GstMapInfo *map, int64_t wall_ms)
{
    char text[48];
    int n = snprintf(text, sizeof text, "kvpipe %lld", (long long)wall_ms);
    const uint8_t head[] = {0xff, 0xd8, 0xff, 0xfe, 0, (uint8_t)(n + 2)};
    if (map->size < 4 || map->data[0] != 0xff || map->data[1] != 0xd8)
        return -EBADMSG;
    if (buf_append(jpeg, head, sizeof head) < 0 || buf_append(jpeg, text, (size_t)n) < 0)
        return -ENOBUFS;
    return buf_append(jpeg, map->data + 2, map->size - 2);
}

static int take(GstElement *sink, int64_t wall_ms, struct buf *jpeg)
{
    GstSample *sample = gst_app_sink_try_pull_sample(GST_APP_SINK(sink), WAIT_NS);
    GstBuffer *buffer = sample ? gst_sample_get_buffer(sample) : NULL;
    GstMapInfo map;
    int r = -EBADMSG;
    if (buffer && gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        r = append(jpeg, &map, wall_ms);
        gst_buffer_unmap(buffer, &map);
    }
    if (sample)
        gst_sample_unref(sample);
    return r;
}

void still_decode_prepare(void)
{
    gst_init_check(NULL, NULL, NULL); /* still_decode says when it fails */
}

int still_decode(const struct still_frame *frame, int width, struct buf *jpeg)
{
    GstCaps *caps;
    char line[256];
    if (!gst_init_check(NULL, NULL, NULL) || !(caps = caps_of(frame)))
        return -ENOTSUP;
    snprintf(line, sizeof line,
             "appsrc name=in format=time ! decodebin ! videoconvert ! videoscale ! "
             "video/x-raw,width=%d,pixel-aspect-ratio=1/1 ! jpegenc quality=80 ! "
             "appsink name=out sync=false",
             width);
    GstElement *pipeline = gst_parse_launch(line, NULL);
    if (!pipeline) {
        gst_caps_unref(caps);
        return -ENOTSUP;
    }
    GstElement *in = gst_bin_get_by_name(GST_BIN(pipeline), "in");
    GstElement *out = gst_bin_get_by_name(GST_BIN(pipeline), "out");
    gst_app_src_set_caps(GST_APP_SRC(in), caps);
    gst_caps_unref(caps);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    for (int i = 0; i < PUSHES; i++) {
        GstBuffer *buffer = gst_buffer_new_memdup(frame->data, frame->len);
        GST_BUFFER_PTS(buffer) = i * GST_SECOND;
        gst_app_src_push_buffer(GST_APP_SRC(in), buffer);
    }
    gst_app_src_end_of_stream(GST_APP_SRC(in));
    int r = take(out, frame->wall_ms, jpeg);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(in);
    gst_object_unref(out);
    gst_object_unref(pipeline);
    return r;
}
