/* What a track's payloads are.
 * Relies on caps and media/'s parsers; all bytes are checked by those.
 * Leaves numbers of formats, and key-frame waiting, to track.c. */
#include "capture/format.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <gst/audio/audio.h>

#include "media/aac.h"
#include "media/h264.h"
#include "media/h265.h"

#define CONFIG_MAX_BYTES 65536u

static struct blob *codec_data(const GstStructure *s)
{
    const GValue *value = gst_structure_get_value(s, "codec_data");
    GstBuffer *buffer = value && GST_VALUE_HOLDS_BUFFER(value) ? gst_value_get_buffer(value) : NULL;
    struct blob *blob = NULL;
    GstMapInfo map;

    if (!buffer || gst_buffer_get_size(buffer) > CONFIG_MAX_BYTES ||
        !gst_buffer_map(buffer, &map, GST_MAP_READ))
        return NULL;
    if (map.size)
        blob = blob_copy(map.data, map.size);
    gst_buffer_unmap(buffer, &map);
    return blob;
}

static void read_size_and_rate(struct link_format *f, const GstStructure *s)
{
    int width = 0, height = 0, num = 0, den = 0;

    gst_structure_get_int(s, "width", &width);
    gst_structure_get_int(s, "height", &height);
    if (width > 0 && height > 0) {
        f->width = (uint32_t)width;
        f->height = (uint32_t)height;
    }
    if (gst_structure_get_fraction(s, "framerate", &num, &den) && num > 0 && den > 0) {
        f->rate_num = (uint32_t)num;
        f->rate_den = (uint32_t)den;
    }
}

#define H264_BASELINE 66 /* profile_idc: it has no B slices */

static void fill_from_h264(struct format_facts *facts, struct link_format *f, const struct nal *nal)
{
    struct h264_sps sps;

    if (h264_parse_sps(nal, &sps) < 0)
        return;
    f->width = sps.width;
    f->height = sps.height;
    facts->reorder = sps.has_bitstream_restriction ? sps.num_reorder_frames : 0;
    facts->in_order = sps.profile_idc == H264_BASELINE || sps.poc_type == 2 ||
                      (sps.has_bitstream_restriction && !sps.num_reorder_frames);
}

static void fill_from_h265(struct format_facts *facts, struct link_format *f, const struct nal *nal)
{
    struct h265_sps sps;

    if (h265_parse_sps(nal, &sps) < 0)
        return;
    f->width = sps.width;
    f->height = sps.height;
    facts->reorder = sps.num_reorder_pics;
    facts->in_order = !sps.num_reorder_pics;
}

static int read_h264_config(struct format_facts *out)
{
    struct h264_avcc avcc;

    if (h264_parse_avcc(out->format->config->data, out->format->config->len, &avcc) < 0)
        return -EBADMSG;
    out->length_size = avcc.length_size;
    if (avcc.sets.nsps)
        fill_from_h264(out, out->format, &avcc.sets.sps[0]);
    return 0;
}

static int read_h265_config(struct format_facts *out)
{
    struct h265_hvcc hvcc;

    if (h265_parse_hvcc(out->format->config->data, out->format->config->len, &hvcc) < 0)
        return -EBADMSG;
    out->length_size = hvcc.length_size;
    if (hvcc.sets.nsps)
        fill_from_h265(out, out->format, &hvcc.sets.sps[0]);
    return 0;
}

static int from_h26x(const GstStructure *s, struct format_facts *out, const char **why)
{
    const char *form = gst_structure_get_string(s, "stream-format");
    bool h264 = gst_structure_has_name(s, "video/x-h264");
    struct link_format *f = out->format;

    f->codec = h264 ? LINK_CODEC_H264 : LINK_CODEC_H265;
    f->video = true;
    read_size_and_rate(f, s);
    out->avcc = form && strcmp(form, "byte-stream") != 0;
    snprintf(f->layout, sizeof f->layout, "%s", out->avcc ? "avcc" : "annexb");
    if (!out->avcc)
        return 0; /* the config comes with the first key frame */
    f->config = codec_data(s);
    if (f->config && (h264 ? read_h264_config(out) : read_h265_config(out)) == 0)
        return 0;
    *why = "the codec's configuration record is missing or damaged; write the file anew";
    return -ENOTSUP;
}

static void fill_from_aac(struct link_format *f, const struct aac_config *c, unsigned channels)
{
    f->sample_rate = c->sample_rate;
    f->channels = c->channels ? c->channels : channels;
}

static int from_aac(const GstStructure *s, struct format_facts *out, const char **why)
{
    const char *form = gst_structure_get_string(s, "stream-format");
    struct link_format *f = out->format;
    struct aac_config config;
    int channels = 0;

    f->codec = LINK_CODEC_AAC;
    snprintf(f->layout, sizeof f->layout, "raw");
    if (form && strcmp(form, "adts") == 0) {
        out->adts = true;
        return 0;
    }
    f->config = codec_data(s);
    if (!f->config || aac_parse_config(f->config->data, f->config->len, &config) < 0) {
        *why = "the AAC configuration is missing or damaged; write the file anew";
        return -ENOTSUP;
    }
    gst_structure_get_int(s, "channels", &channels);
    fill_from_aac(f, &config, channels > 0 ? (unsigned)channels : 0);
    return 0;
}

static int from_raw_video(const GstCaps *caps, struct format_facts *out, const char **why)
{
    struct link_format *f = out->format;

    if (!gst_video_info_from_caps(&out->video, caps) ||
        (GST_VIDEO_INFO_FORMAT(&out->video) != GST_VIDEO_FORMAT_I420 &&
         GST_VIDEO_INFO_FORMAT(&out->video) != GST_VIDEO_FORMAT_NV12) ||
        GST_VIDEO_INFO_SIZE(&out->video) > LINK_PAYLOAD_MAX) {
        *why = "raw video must be I420 or NV12; add 'videoconvert ! video/x-raw,format=I420'";
        return -ENOTSUP;
    }
    f->codec = LINK_CODEC_RAW_VIDEO;
    f->video = true;
    snprintf(f->layout, sizeof f->layout, "%s", GST_VIDEO_INFO_NAME(&out->video));
    read_size_and_rate(f, gst_caps_get_structure(caps, 0));
    return 0;
}

static int from_raw_audio(const GstCaps *caps, struct format_facts *out, const char **why)
{
    struct link_format *f = out->format;
    GstAudioInfo info;

    if (!gst_audio_info_from_caps(&info, caps) ||
        (GST_AUDIO_INFO_FORMAT(&info) != GST_AUDIO_FORMAT_S16LE &&
         GST_AUDIO_INFO_FORMAT(&info) != GST_AUDIO_FORMAT_F32LE) ||
        GST_AUDIO_INFO_LAYOUT(&info) != GST_AUDIO_LAYOUT_INTERLEAVED ||
        GST_AUDIO_INFO_CHANNELS(&info) > 2 || GST_AUDIO_INFO_RATE(&info) < 8000) {
        *why = "raw audio must be interleaved S16LE or F32LE with at most 2 channels";
        return -ENOTSUP;
    }
    f->codec = LINK_CODEC_RAW_AUDIO;
    snprintf(f->layout, sizeof f->layout, "%s", GST_AUDIO_INFO_NAME(&info));
    f->sample_rate = (uint32_t)GST_AUDIO_INFO_RATE(&info);
    f->channels = (uint32_t)GST_AUDIO_INFO_CHANNELS(&info);
    out->sample_bytes = (size_t)GST_AUDIO_INFO_BPF(&info);
    return 0;
}

static int by_name(const GstCaps *caps, struct format_facts *out, const char **why)
{
    const GstStructure *s = gst_caps_get_structure(caps, 0);
    const char *name = gst_structure_get_name(s);
    int version = 0;

    if (strcmp(name, "video/x-h264") == 0 || strcmp(name, "video/x-h265") == 0)
        return from_h26x(s, out, why);
    if (strcmp(name, "video/x-raw") == 0)
        return from_raw_video(caps, out, why);
    if (strcmp(name, "audio/x-raw") == 0)
        return from_raw_audio(caps, out, why);
    if (strcmp(name, "audio/mpeg") == 0 && gst_structure_get_int(s, "mpegversion", &version) &&
        version != 1)
        return from_aac(s, out, why);
    *why = "the codec is not supported; give H.264, H.265, AAC, raw video or raw audio";
    return -ENOTSUP;
}

int format_from_caps(const GstCaps *caps, struct format_facts *out, const char **why)
{
    int rc = -ENOTSUP;

    memset(out, 0, sizeof *out);
    *why = "the source does not say what the track is";
    out->format = link_format_new();
    if (caps && gst_caps_get_size(caps) > 0)
        rc = by_name(caps, out, why);
    if (rc)
        format_fini(out);
    return rc;
}

void format_fini(struct format_facts *f)
{
    link_format_unref(&f->format);
    memset(f, 0, sizeof *f);
}

/* A new format like the one that the caps gave, with `config`. */
static struct link_format *with_config(const struct link_format *from, const struct buf *config)
{
    struct link_format *f = link_format_new();

    f->codec = from->codec;
    f->video = from->video;
    memcpy(f->layout, from->layout, sizeof f->layout);
    f->width = from->width;
    f->height = from->height;
    f->rate_num = from->rate_num;
    f->rate_den = from->rate_den;
    f->config = blob_copy(config->data, config->len);
    return f;
}

static struct link_format *h264_format(struct format_facts *facts, const uint8_t *data, size_t len,
                                       struct buf *b)
{
    struct h264_parameter_sets sets;
    struct link_format *f;

    if (h264_find_parameter_sets(data, len, &sets) < 0 || !sets.nsps || !sets.npps ||
        h264_build_avcc(b, sets.sps, sets.nsps, sets.pps, sets.npps) < 0)
        return NULL;
    f = with_config(facts->format, b);
    fill_from_h264(facts, f, &sets.sps[0]);
    return f;
}

static struct link_format *h265_format(struct format_facts *facts, const uint8_t *data, size_t len,
                                       struct buf *b)
{
    struct h265_parameter_sets sets;
    struct link_format *f;

    if (h265_find_parameter_sets(data, len, &sets) < 0 || !sets.nvps || !sets.nsps || !sets.npps ||
        h265_build_hvcc(b, &sets) < 0)
        return NULL;
    f = with_config(facts->format, b);
    fill_from_h265(facts, f, &sets.sps[0]);
    return f;
}

struct link_format *format_from_annexb(struct format_facts *facts, const uint8_t *data, size_t len)
{
    struct link_format *f;
    struct buf b;

    buf_init(&b, CONFIG_MAX_BYTES);
    f = facts->format->codec == LINK_CODEC_H264 ? h264_format(facts, data, len, &b)
                                                : h265_format(facts, data, len, &b);
    buf_fini(&b);
    return f;
}

struct link_format *format_from_adts(const struct format_facts *facts, const uint8_t *data,
                                     size_t len, size_t *header_bytes)
{
    struct link_format *f = NULL;
    struct aac_adts adts;
    struct buf b;

    if (aac_parse_adts(data, len, &adts) < 0 || adts.frame_bytes != len || adts.blocks != 1 ||
        adts.header_bytes >= len)
        return NULL;
    buf_init(&b, CONFIG_MAX_BYTES);
    if (aac_build_config(&b, &adts.config) == 0) {
        f = with_config(facts->format, &b);
        fill_from_aac(f, &adts.config, 0);
        *header_bytes = adts.header_bytes;
    }
    buf_fini(&b);
    return f;
}

bool format_is_key(const struct format_facts *f, const uint8_t *data, size_t len)
{
    if (f->format->codec == LINK_CODEC_H264)
        return h264_is_idr(data, len, f->avcc, f->length_size);
    if (f->format->codec == LINK_CODEC_H265)
        return h265_is_irap(data, len, f->avcc, f->length_size);
    return true;
}
