/* Tracks from caps. Relies on GStreamer's typed fields. Leaves warnings to uplink.c. */
#include "capture/kvpipesink/caps.h"

#include <errno.h>
#include <string.h>

#define PRIVATE_MAX_BYTES (1u << 20)
#define WAVEFORMATEX_BYTES 18
#define WAVE_ALAW 6
#define WAVE_MULAW 7

static int take_codec_data(struct caps_track *t, const GstStructure *s)
{
    const GValue *value = gst_structure_get_value(s, "codec_data");
    GstBuffer *buffer = value && GST_VALUE_HOLDS_BUFFER(value) ? gst_value_get_buffer(value) : NULL;
    gsize bytes = buffer ? gst_buffer_get_size(buffer) : 0;

    if (bytes == 0 || bytes > PRIVATE_MAX_BYTES)
        return -EINVAL;
    t->codec_private = g_malloc(bytes);
    t->track.codec_private = t->codec_private;
    t->track.codec_private_bytes = gst_buffer_extract(buffer, 0, t->codec_private, bytes);
    return 0;
}

static uint32_t positive(const GstStructure *s, const char *field)
{
    int n = 0;
    return gst_structure_get_int(s, field, &n) && n > 0 ? (uint32_t)n : 0;
}

static int read_video(struct caps_track *t, const GstStructure *s, const char **why)
{
    bool h264 = gst_structure_has_name(s, "video/x-h264");
    int num = 0, den = 0;

    t->track.codec = h264 ? KVPIPE_H264 : KVPIPE_H265;
    t->codec_id = h264 ? "V_MPEG4/ISO/AVC" : "V_MPEGH/ISO/HEVC";
    t->content_type = h264 ? "video/h264" : "video/h265";
    t->track.width = positive(s, "width");
    t->track.height = positive(s, "height");
    if (gst_structure_get_fraction(s, "framerate", &num, &den) && num > 0 && den > 0) {
        t->track.rate_num = (uint32_t)num;
        t->track.rate_den = (uint32_t)den;
    }
    if (g_strcmp0(gst_structure_get_string(s, "stream-format"), "byte-stream") == 0)
        return 0; /* parameter sets are in the stream */
    *why = "the caps have no usable codec_data; put h264parse or h265parse in front of kvpipesink";
    return take_codec_data(t, s);
}

static int read_aac(struct caps_track *t, const GstStructure *s, const char **why)
{
    t->track.codec = KVPIPE_AAC;
    t->codec_id = "A_AAC";
    t->content_type = "audio/aac";
    *why = "the caps have no usable codec_data; put aacparse in front of kvpipesink";
    return take_codec_data(t, s);
}

static void put_le(guint8 *at, uint32_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (guint8)(value >> (8 * i));
}

/* A WAVEFORMATEX, as kvssink writes it. */
static int read_g711(struct caps_track *t, const GstStructure *s)
{
    bool alaw = gst_structure_has_name(s, "audio/x-alaw");
    guint8 *wave = g_malloc0(WAVEFORMATEX_BYTES);

    put_le(wave, alaw ? WAVE_ALAW : WAVE_MULAW, 2);
    put_le(wave + 2, t->track.channels, 2);
    put_le(wave + 4, t->track.sample_rate, 4);
    put_le(wave + 8, t->track.sample_rate * t->track.channels, 4);
    put_le(wave + 12, t->track.channels, 2);
    put_le(wave + 14, 8, 2);
    t->track.codec = KVPIPE_OTHER;
    t->track.codec_id = t->codec_id = "A_MS/ACM";
    t->content_type = alaw ? "audio/alaw" : "audio/mulaw";
    t->track.codec_private = t->codec_private = wave;
    t->track.codec_private_bytes = WAVEFORMATEX_BYTES;
    return 0;
}

int caps_read(const GstCaps *caps, struct caps_track *out, const char **why)
{
    const GstStructure *s = gst_caps_get_structure(caps, 0);

    memset(out, 0, sizeof *out);
    if (g_str_has_prefix(gst_structure_get_name(s), "video/"))
        return read_video(out, s, why);
    out->track.sample_rate = positive(s, "rate");
    out->track.channels = positive(s, "channels");
    if (gst_structure_has_name(s, "audio/mpeg"))
        return read_aac(out, s, why);
    return read_g711(out, s);
}

void caps_fini(struct caps_track *t)
{
    g_free(t->codec_private);
    memset(t, 0, sizeof *t);
}
