/* The H.264 encoders that kvpipe knows, in the order in which `auto` tries them.
 * Relies on GStreamer; a property that an element's version does not have is left out.
 * Leaves it to probe.c to find out which one works. */
#include "encoder/candidate.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

#define ANY_GOP 600
#define ONE_THREAD_PIXELS                                                                          \
    (1920ull * 1080 * 30) /* a second: what one core encodes with some room                        \
                           */

static void set(GstElement *e, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void set(GstElement *e, const char *name, const char *fmt, ...)
{
    char value[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    if (g_object_class_find_property(G_OBJECT_GET_CLASS(e), name))
        gst_util_set_object_arg(G_OBJECT(e), name, value);
    else
        log_debug("encoder.property.missing", "element=%s property=%s",
                  GST_OBJECT_NAME(gst_element_get_factory(e)), name);
}

/* Frames between key frames at which the encoder itself would make one: twice the wanted distance,
 * as each is asked for. */
static unsigned gop(const struct conf_video *conf, const struct link_format *in)
{
    uint64_t frames = in->rate_num && in->rate_den
                          ? 2ull * conf->keyframe_ms * in->rate_num / (1000ull * in->rate_den)
                          : ANY_GOP;

    return frames < 2 ? 2 : frames > 100000 ? 100000 : (unsigned)frames;
}

static void set_nvenc(GstElement *e, const struct conf_video *conf, const struct link_format *in)
{
    set(e, "preset", "low-latency-hq");
    set(e, "rc-mode", "cbr");
    set(e, "bitrate", "%u", conf->bitrate_kbps);
    set(e, "gop-size", "%u", gop(conf, in));
    set(e, "bframes", "0");
    set(e, "rc-lookahead", "0");
    set(e, "zerolatency", "true");
    set(e, "aud", "false");
}

static void set_va(GstElement *e, const struct conf_video *conf, const struct link_format *in)
{
    set(e, "rate-control", "cbr");
    set(e, "bitrate", "%u", conf->bitrate_kbps);
    set(e, "key-int-max", "%u", gop(conf, in));
    set(e, "b-frames", "0");
    set(e, "aud", "false");
}

static void set_vaapi(GstElement *e, const struct conf_video *conf, const struct link_format *in)
{
    set(e, "rate-control", "cbr");
    set(e, "bitrate", "%u", conf->bitrate_kbps);
    set(e, "keyframe-period", "%u", gop(conf, in));
    set(e, "max-bframes", "0");
}

static void set_v4l2(GstElement *e, const struct conf_video *conf, const struct link_format *in)
{
    set(e, "extra-controls",
        "controls,video_bitrate_mode=1,video_bitrate=%u,video_gop_size=%u,h264_i_frame_period=%u,"
        "video_b_frames=0,repeat_sequence_header=1",
        conf->bitrate_kbps * 1000, gop(conf, in), gop(conf, in));
}

static void set_qsv(GstElement *e, const struct conf_video *conf, const struct link_format *in)
{
    set(e, "rate-control", "cbr");
    set(e, "bitrate", "%u", conf->bitrate_kbps);
    set(e, "gop-size", "%u", gop(conf, in));
    set(e, "b-frames", "0");
    set(e, "low-latency", "true");
}

/* Without slices a frame costs less, but frame threads would each hold one back: so one thread
 * while one core is enough, slices above. Key frames come when asked for, not at scene cuts. */
static void set_x264(GstElement *e, const struct conf_video *conf, const struct link_format *in)
{
    uint64_t rate = in->rate_den ? in->rate_num / in->rate_den : 30;
    bool slices = (uint64_t)in->width * in->height * rate > ONE_THREAD_PIXELS;

    set(e, "tune", "zerolatency");
    set(e, "speed-preset", "%s", conf->preset);
    set(e, "bitrate", "%u", conf->bitrate_kbps);
    set(e, "vbv-buf-capacity", "1000");
    set(e, "key-int-max", "%u", gop(conf, in));
    set(e, "bframes", "0");
    set(e, "aud", "false");
    set(e, "option-string", "scenecut=0:sliced-threads=%d:threads=%d", slices, slices ? 4 : 1);
}

static void set_openh264(GstElement *e, const struct conf_video *conf, const struct link_format *in)
{
    set(e, "usage-type", "camera");
    set(e, "rate-control", "bitrate");
    set(e, "bitrate", "%u", conf->bitrate_kbps * 1000);
    set(e, "gop-size", "%u", gop(conf, in));
    set(e, "scene-change-detection", "false");
    set(e, "enable-frame-skip", "false");
    set(e, "multi-thread", "1");
    set(e, "complexity", "low");
}

static const struct candidate candidates[] = {
    {"nvenc", "nvh264enc", "{ NV12, I420 }", true, 1000, set_nvenc},
    {"vaapi", "vah264enc", "{ NV12 }", true, 1000, set_va},
    {"vaapi", "vaapih264enc", "{ NV12, I420 }", true, 1000, set_vaapi},
    {"v4l2", "v4l2h264enc", "{ NV12, I420 }", true, 0, set_v4l2},
    {"qsv", "qsvh264enc", "{ NV12 }", true, 1000, set_qsv},
    {"x264", "x264enc", "{ I420, NV12 }", false, 1000, set_x264},
    {"openh264", "openh264enc", "{ I420 }", false, 1, set_openh264},
};

int candidate_set_bitrate(const struct candidate *c, GstElement *e, uint32_t kbps)
{
    GParamSpec *p =
        c->bitrate_unit ? g_object_class_find_property(G_OBJECT_GET_CLASS(e), "bitrate") : NULL;

    if (!p || !(p->flags & GST_PARAM_MUTABLE_PLAYING))
        return -ENOTSUP;
    set(e, "bitrate", "%llu", (unsigned long long)kbps * 1000 / c->bitrate_unit);
    return 0;
}

const struct candidate *candidate_get(const char *name, unsigned i)
{
    bool all = strcmp(name, "auto") == 0;

    for (unsigned k = 0; k < G_N_ELEMENTS(candidates); k++) {
        if ((all || strcmp(candidates[k].name, name) == 0) && i-- == 0)
            return &candidates[k];
    }
    return NULL;
}

const char *candidate_profiles(const struct candidate *c, const char *profile)
{
    bool exact = strcmp(c->name, "x264") == 0;

    if (strcmp(profile, "high") == 0)
        return exact ? "high" : "{ high, main, constrained-baseline, baseline }";
    if (strcmp(profile, "main") == 0)
        return exact ? "main" : "{ main, constrained-baseline, baseline }";
    return "{ constrained-baseline, baseline }";
}
