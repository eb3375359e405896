/* Which raw formats can be encoded.
 * Relies on GStreamer's tables of video and audio formats.
 * Leaves the choice of an encoder to probe.c. */
#include "encoder/codec_accepts.h"

#include <gst/audio/audio.h>
#include <gst/gst.h>

#include "encoder/codec.h"

#define SIDE_MIN 16
#define SIDE_MAX 8192

bool codec_accepts_video_info(const struct link_format *f, GstVideoInfo *info)
{
    GstVideoFormat format = gst_video_format_from_string(f->layout);

    if (format <= GST_VIDEO_FORMAT_ENCODED)
        return false;
    if (!gst_video_info_set_format(info, format, f->width, f->height))
        return false;
    if (f->rate_num && f->rate_den && f->rate_num <= 1000000 && f->rate_den <= 1000000 &&
        f->rate_num / f->rate_den <= 1000) {
        info->fps_n = (int)f->rate_num;
        info->fps_d = (int)f->rate_den;
    }
    return true;
}

static bool aac_rate(uint32_t rate)
{
    static const uint32_t rates[] = {96000, 88200, 64000, 48000, 44100, 32000, 24000,
                                     22050, 16000, 12000, 11025, 8000,  7350};

    for (unsigned i = 0; i < G_N_ELEMENTS(rates); i++) {
        if (rate == rates[i])
            return true;
    }
    return false;
}

static const char *accepts_video(const struct link_format *f, size_t len)
{
    GstVideoInfo info;

    if (f->width < SIDE_MIN || f->height < SIDE_MIN || f->width > SIDE_MAX || f->height > SIDE_MAX)
        return "picture size is not within 16 to 8192";
    if (!codec_accepts_video_info(f, &info))
        return "sample layout is not known";
    if (info.size > LINK_PAYLOAD_MAX)
        return "picture is above 64 MiB";
    if (len != info.size)
        return "payload is not one picture of the format's size";
    return NULL;
}

static const char *accepts_audio(const struct link_format *f, size_t len)
{
    GstAudioFormat format = gst_audio_format_from_string(f->layout);
    size_t bytes;

    if (format <= GST_AUDIO_FORMAT_ENCODED)
        return "sample layout is not known";
    if (!aac_rate(f->sample_rate))
        return "sample rate is none of AAC's";
    if (f->channels < 1 || f->channels > 8)
        return "channels are not within 1 to 8";
    bytes =
        (size_t)GST_AUDIO_FORMAT_INFO_WIDTH(gst_audio_format_get_info(format)) / 8 * f->channels;
    if (len == 0 || len % bytes || len / bytes > CODEC_AUDIO_SAMPLES)
        return "payload is not a block of at most 1024 samples";
    return NULL;
}

const char *codec_gst_accepts(const struct link_format *f, size_t len)
{
    if (f->codec == LINK_CODEC_RAW_VIDEO)
        return accepts_video(f, len);
    if (f->codec == LINK_CODEC_RAW_AUDIO)
        return accepts_audio(f, len);
    return "codec is not raw";
}
