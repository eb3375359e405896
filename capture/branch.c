/* From a source's pad to the loop: framing, conversion, queue, sink.
 * Relies on GStreamer's parsers, depayloaders and converters.
 * Leaves the reading of formats to format.c. */
#include "capture/branch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define H26X_FRAMES 300u
#define RAW_VIDEO_FRAMES 8u
#define AUDIO_FRAMES 300u

/* pull.c cuts byte streams into access units itself: h264parse leaves units out before the first
 * SPS and adds delimiters. It is for what neither is a byte stream nor comes in access units. */
#define H26X(kind)                                                                                 \
    "capsfilter caps=\"" kind ",stream-format=byte-stream;" kind                                   \
    ",stream-format={avc,avc3,hvc1,hev1},alignment=au\""
#define H26X_PARSE(kind, parser)                                                                   \
    parser " config-interval=0 ! " kind ",stream-format=byte-stream,alignment=au"
/* In units, too: the depayloader would cut a picture where parameter sets stand between slices. */
#define H26X_DEPAY(kind, depay) depay " ! " kind ",stream-format=byte-stream,alignment=nal"
#define AAC_PARSE "aacparse ! audio/mpeg,framed=true,stream-format={raw,adts}"
#define RAW_VIDEO "videoconvert ! video/x-raw,format={I420,NV12}"
#define RAW_AUDIO                                                                                  \
    "audioconvert ! audioresample ! audio/x-raw,format={S16LE,F32LE},layout=interleaved,"          \
    "channels=[1,2],rate={48000,44100,32000,24000,22050,16000,12000,11025,8000}"

struct recipe {
    enum pull_kind kind;
    unsigned frames;
    const char *line; /* elements between pad and queue; "" for none */
};

static bool has(const GstStructure *s, const char *field, const char *value)
{
    const char *text = gst_structure_get_string(s, field);

    return text && strcmp(text, value) == 0;
}

/* What cannot be had as a byte stream or in length-prefixed access units needs a parser. */
static bool needs_parser(const GstStructure *s)
{
    const char *form = gst_structure_get_string(s, "stream-format");
    const char *alignment = gst_structure_get_string(s, "alignment");

    if (form)
        return strcmp(form, "byte-stream") != 0 && ((alignment && strcmp(alignment, "au") != 0) ||
                                                    !gst_structure_has_field(s, "codec_data"));
    return !gst_structure_has_field(s, "stream-format");
}

static bool rtp_recipe(const GstStructure *s, struct recipe *r)
{
    static const struct {
        const char *encoding;
        struct recipe recipe;
    } known[] = {
        {"H264", {PULL_VIDEO, H26X_FRAMES, H26X_DEPAY("video/x-h264", "rtph264depay")}},
        {"H265", {PULL_VIDEO, H26X_FRAMES, H26X_DEPAY("video/x-h265", "rtph265depay")}},
        {"MPEG4-GENERIC", {PULL_AUDIO, AUDIO_FRAMES, "rtpmp4gdepay"}},
        {"MP4A-LATM", {PULL_AUDIO, AUDIO_FRAMES, "rtpmp4adepay"}},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (has(s, "encoding-name", known[i].encoding)) {
            *r = known[i].recipe;
            return true;
        }
    return false;
}

static bool choose(const GstStructure *s, struct recipe *r)
{
    const char *name = gst_structure_get_name(s);
    int version = 0;

    if (strcmp(name, "application/x-rtp") == 0)
        return rtp_recipe(s, r);
    if (strcmp(name, "video/x-h264") == 0)
        *r = (struct recipe){PULL_VIDEO, H26X_FRAMES,
                             needs_parser(s) ? H26X_PARSE("video/x-h264", "h264parse")
                                             : H26X("video/x-h264")};
    else if (strcmp(name, "video/x-h265") == 0)
        *r = (struct recipe){PULL_VIDEO, H26X_FRAMES,
                             needs_parser(s) ? H26X_PARSE("video/x-h265", "h265parse")
                                             : H26X("video/x-h265")};
    else if (strcmp(name, "video/x-raw") == 0)
        *r = (struct recipe){PULL_VIDEO, RAW_VIDEO_FRAMES, RAW_VIDEO};
    else if (strcmp(name, "audio/x-raw") == 0)
        *r = (struct recipe){PULL_AUDIO, AUDIO_FRAMES, RAW_AUDIO};
    else if (strcmp(name, "audio/mpeg") == 0 && gst_structure_get_int(s, "mpegversion", &version) &&
             version != 1)
        *r = (struct recipe){PULL_AUDIO, AUDIO_FRAMES,
                             gst_structure_has_field(s, "codec_data") ? "" : AAC_PARSE};
    else
        return false;
    return true;
}

static void say_unsupported(struct pull *pull, const char *name, const GstStructure *s)
{
    char why[200];
    const char *codec = s ? gst_structure_get_name(s) : "unknown";
    int version = 0;

    if (s && strcmp(codec, "application/x-rtp") == 0)
        codec = gst_structure_get_string(s, "encoding-name");
    else if (s && gst_structure_get_int(s, "mpegversion", &version) && version == 1)
        codec = "audio/mpeg (MP3)";
    snprintf(why, sizeof why,
             "codec %.60s is not supported; set the camera or convert the file to H.264 or H.265 "
             "with AAC",
             codec ? codec : "unknown");
    pull_refuse(pull, name, why);
}

static GstElement *add(GstBin *bin, GstElement *element)
{
    gst_bin_add(bin, element);
    gst_element_sync_state_with_parent(element);
    return element;
}

static void throw_away(GstBin *bin, GstPad *pad)
{
    GstElement *sink = gst_element_factory_make("fakesink", NULL);
    GstPad *sink_pad;

    if (!sink)
        return;
    g_object_set(sink, "sync", FALSE, "async", FALSE, NULL);
    add(bin, sink);
    sink_pad = gst_element_get_static_pad(sink, "sink");
    gst_pad_link(pad, sink_pad);
    gst_object_unref(sink_pad);
}

/* The elements of the recipe and a queue: at least 5 s, so that a track that waits lets the demuxer
 * go on with the others. */
static GstElement *make_bin(const struct recipe *r, GError **error)
{
    const char *queue = r->frames == RAW_VIDEO_FRAMES
                            ? "queue max-size-buffers=2 max-size-bytes=0 max-size-time=0"
                            : "queue max-size-buffers=0 max-size-bytes=67108864 "
                              "max-size-time=6000000000";
    char *line = xasprintf("%s%s%s ! fakesink name=end sync=false async=false", r->line,
                           r->line[0] ? " ! " : "", queue);
    GstElement *bin = gst_parse_bin_from_description(line, TRUE, error);

    free(line);
    return bin;
}

static int attach_end(GstElement *bin, const struct recipe *r, struct pull *pull, const char *name,
                      bool copy)
{
    GstElement *end = gst_bin_get_by_name(GST_BIN(bin), "end");
    GstPad *pad = gst_element_get_static_pad(end, "sink");
    int rc = pull_attach(pull, pad, r->kind, name, copy, r->frames);

    gst_object_unref(pad);
    gst_object_unref(end);
    return rc;
}

static void join(GstBin *pipeline, GstPad *pad, const struct recipe *r, struct pull *pull,
                 bool copy)
{
    GError *error = NULL;
    GstElement *bin = make_bin(r, &error);
    const char *name = GST_PAD_NAME(pad);
    GstPad *sink_pad;

    if (strcmp(name, "src") == 0) /* says nothing */
        name = r->kind == PULL_VIDEO ? "video" : "audio";
    if (!bin || error) {
        pull_refuse(pull, name, error ? error->message : "a GStreamer element is missing");
        g_clear_error(&error);
        if (bin)
            gst_object_unref(gst_object_ref_sink(bin));
        throw_away(pipeline, pad);
        return;
    }
    if (attach_end(bin, r, pull, name, copy) < 0) {
        pull_refuse(pull, name, "a stream carries 3 tracks; this one is too many");
        gst_object_unref(gst_object_ref_sink(bin));
        throw_away(pipeline, pad);
        return;
    }
    add(pipeline, bin);
    sink_pad = gst_element_get_static_pad(bin, "sink");
    if (gst_pad_link(pad, sink_pad) != GST_PAD_LINK_OK)
        pull_fail(pull, "the track's format does not fit any of ours", "see the track's codec");
    gst_object_unref(sink_pad);
}

void branch_join(GstBin *pipeline, GstPad *pad, struct pull *pull, bool copy)
{
    GstCaps *caps = gst_pad_get_current_caps(pad);
    const GstStructure *s;
    struct recipe r;

    if (!caps)
        caps = gst_pad_query_caps(pad, NULL);
    s = caps && !gst_caps_is_any(caps) && !gst_caps_is_empty(caps) ? gst_caps_get_structure(caps, 0)
                                                                   : NULL;
    if (s && choose(s, &r)) {
        join(pipeline, pad, &r, pull, copy);
    } else {
        say_unsupported(pull, GST_PAD_NAME(pad), s);
        throw_away(pipeline, pad);
    }
    if (caps)
        gst_caps_unref(caps);
}

struct dynamic {
    struct pull *pull;
    bool copy;
};

static void on_pad_added(GstElement *source, GstPad *pad, gpointer arg)
{
    struct dynamic *d = arg;
    GstObject *parent = gst_object_get_parent(GST_OBJECT(source));

    if (!parent)
        return;
    if (GST_PAD_IS_SRC(pad))
        branch_join(GST_BIN(parent), pad, d->pull, d->copy);
    pull_joined(d->pull);
    gst_object_unref(parent);
}

static void on_no_more_pads(GstElement *source, gpointer arg)
{
    struct dynamic *d = arg;

    pull_complete(d->pull);
}

static void free_dynamic(gpointer arg, GClosure *closure)
{
    struct dynamic *d = arg;

    pull_unref(&d->pull);
    free(d);
}

void branch_join_dynamic(GstElement *source, struct pull *pull, bool copy)
{
    struct dynamic *d = xcalloc(1, sizeof *d);

    d->pull = pull_ref(pull);
    d->copy = copy;
    g_signal_connect_data(source, "pad-added", G_CALLBACK(on_pad_added), d, free_dynamic, 0);
    g_signal_connect(source, "no-more-pads", G_CALLBACK(on_no_more_pads), d);
}
