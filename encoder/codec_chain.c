/* The elements of a codec on GStreamer, linked.
 * Relies on candidate for the video encoder. Leaves data, threads and states to codec_gst.c. */
#include "encoder/codec_chain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <gst/audio/audio.h>
#include <gst/video/video.h>

#include "encoder/candidate.h"
#include "encoder/codec_accepts.h"

#define OUTPUTS_MAX 256 /* then the encoder's thread waits for the loop */

static GstElement *add(struct codec_chain *c, const char *factory, const char *name, char *why)
{
    GstElement *e = gst_element_factory_make(factory, name);

    if (!e) {
        snprintf(why, 256, "GStreamer has no element %s here (plugin or device missing)", factory);
        return NULL;
    }
    gst_bin_add(GST_BIN(c->pipeline), e);
    return e;
}

static int chain(GstElement **last, GstElement *e)
{
    if (!e || !gst_element_link(*last, e))
        return -ENODEV;
    *last = e;
    return 0;
}

static int chain_caps(struct codec_chain *c, GstElement **last, const char *text, char *why)
{
    GstElement *e = add(c, "capsfilter", NULL, why);
    GstCaps *caps = gst_caps_from_string(text);

    if (e)
        g_object_set(e, "caps", caps, NULL);
    gst_caps_unref(caps);
    return chain(last, e);
}

static bool listed(const char *formats, const char *layout)
{
    char word[48];

    snprintf(word, sizeof word, " %s,", layout);
    if (strstr(formats, word))
        return true;
    snprintf(word, sizeof word, " %s }", layout);
    return strstr(formats, word) != NULL;
}

static int chain_video(struct codec_chain *c, const struct codec_conf *conf, GstElement *last,
                       char *why)
{
    const struct link_format *in = conf->input;
    const struct candidate *cand = conf->candidate;
    bool odd = in->width % 2 || in->height % 2;
    GstElement *encoder = NULL;
    char caps[256];
    int rc = 0;

    if (!listed(cand->formats, in->layout))
        rc = chain(&last, add(c, "videoconvert", NULL, why));
    if (rc == 0 && odd) /* 4:2:0 has no odd sides */
        rc = chain(&last, add(c, "videoscale", NULL, why));
    snprintf(caps, sizeof caps, "video/x-raw,format=(string)%s,width=%u,height=%u", cand->formats,
             in->width & ~1u, in->height & ~1u);
    if (rc == 0)
        rc = chain_caps(c, &last, caps, why);
    if (rc == 0)
        rc = chain(&last, encoder = add(c, cand->element, "encoder", why));
    if (rc == 0)
        cand->set(encoder, conf->video, in);
    c->encoder = encoder;
    snprintf(caps, sizeof caps, "video/x-h264,profile=(string)%s",
             candidate_profiles(cand, conf->video->profile));
    if (rc == 0 && cand->parse)
        rc = chain_caps(c, &last, caps, why);
    if (rc == 0 && cand->parse) {
        GstElement *parse = add(c, "h264parse", NULL, why);

        rc = chain(&last, parse);
        if (rc == 0)
            gst_util_set_object_arg(G_OBJECT(parse), "config-interval", "-1");
    }
    snprintf(caps + strlen(caps), sizeof caps - strlen(caps),
             ",stream-format=byte-stream,alignment=au");
    if (rc == 0)
        rc = chain_caps(c, &last, caps, why);
    return rc ? rc : chain(&last, c->sink);
}

/* Frames an encoder gives before the first whose window ends in block 0 and 1: the decoder's output
 * of what is numbered like block n then is block n, so sound stays in step with the picture and
 * runs on over a takeover. */
static const struct {
    const char *element;
    unsigned priming;
} aac_encoders[] = {{"avenc_aac", 1}, {"fdkaacenc", 2}, {"voaacenc", 2}};

static int chain_audio(struct codec_chain *c, const struct codec_conf *conf, GstElement *last,
                       char *why)
{
    GstElement *encoder = NULL;
    char bitrate[32], caps[128];
    int rc = chain(&last, add(c, "audioconvert", NULL, why));

    snprintf(caps, sizeof caps, "audio/x-raw,channels=%u,rate=%u",
             conf->input->channels > 2 ? 2 : conf->input->channels, conf->input->sample_rate);
    if (rc == 0)
        rc = chain_caps(c, &last, caps, why);
    for (unsigned i = 0; i < G_N_ELEMENTS(aac_encoders) && !encoder; i++) {
        encoder = gst_element_factory_make(aac_encoders[i].element, "encoder");
        c->priming = aac_encoders[i].priming;
    }
    if (!encoder) {
        snprintf(why, 256, "no AAC encoder: install gstreamer1.0-libav");
        return -ENODEV;
    }
    snprintf(bitrate, sizeof bitrate, "%u", conf->audio->bitrate_kbps * 1000);
    gst_util_set_object_arg(G_OBJECT(encoder), "bitrate", bitrate);
    gst_bin_add(GST_BIN(c->pipeline), encoder);
    if (rc == 0)
        rc = chain(&last, encoder);
    if (rc == 0)
        rc = chain_caps(c, &last, "audio/mpeg,mpegversion=4,stream-format=raw", why);
    return rc ? rc : chain(&last, c->sink);
}

static GstCaps *input_caps(const struct link_format *f)
{
    GstVideoInfo video;
    GstCaps *caps;

    if (f->codec == LINK_CODEC_RAW_VIDEO)
        return codec_accepts_video_info(f, &video) ? gst_video_info_to_caps(&video) : NULL;
    caps = gst_caps_new_simple("audio/x-raw", "format", G_TYPE_STRING, f->layout, "layout",
                               G_TYPE_STRING, "interleaved", "rate", G_TYPE_INT,
                               (int)f->sample_rate, "channels", G_TYPE_INT, (int)f->channels, NULL);
    if (f->channels > 1)
        gst_caps_set_simple(caps, "channel-mask", GST_TYPE_BITMASK,
                            gst_audio_channel_get_fallback_mask((int)f->channels), NULL);
    return caps;
}

static int add_ends(struct codec_chain *c, const struct codec_conf *conf, char *why)
{
    GstCaps *caps = input_caps(conf->input);

    c->src = add(c, "appsrc", "in", why);
    c->sink = add(c, "appsink", "out", why);
    if (!c->src || !c->sink || !caps) {
        g_clear_pointer(&caps, gst_caps_unref);
        return -ENODEV;
    }
    g_object_set(c->src, "caps", caps, "format", GST_FORMAT_TIME, "block", FALSE, "max-bytes",
                 (guint64)0, NULL);
    gst_caps_unref(caps);
    g_object_set(c->sink, "sync", FALSE, "async", FALSE, "max-buffers", (guint)OUTPUTS_MAX,
                 "enable-last-sample", FALSE, "qos", FALSE, NULL);
    return 0;
}

int codec_chain_build(struct codec_chain *c, const struct codec_conf *conf, char *why)
{
    int rc = add_ends(c, conf, why);

    if (rc == 0)
        rc = conf->input->codec == LINK_CODEC_RAW_VIDEO ? chain_video(c, conf, c->src, why)
                                                        : chain_audio(c, conf, c->src, why);
    if (rc && !why[0])
        snprintf(why, 256, "the encoder does not take this format or profile");
    return rc;
}

static bool load(const char *name)
{
    GstElement *e = gst_element_factory_make(name, NULL);

    if (e)
        gst_object_unref(gst_object_ref_sink(e));
    return e != NULL;
}

void codec_chain_load(bool audio)
{
    static const char *const parts[] = {"appsrc", "appsink", "capsfilter", "videoconvert"};

    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++)
        load(parts[i]);
    if (audio) {
        load("audioconvert");
        for (unsigned i = 0; i < G_N_ELEMENTS(aac_encoders); i++)
            if (load(aac_encoders[i].element))
                break; /* one is enough */
    }
}
