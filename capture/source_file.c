/* Files: MP4, MOV, Matroska, MPEG transport stream. Demuxers alone: no parser touches what is
 * whole. Relies on typefind and GStreamer's demuxers, which may read ahead; stream_frames.c paces.
 * Leaves looping to stream_source.c: a pass is a connection. */
#include "capture/source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/branch.h"

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_be32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Where the movie header's duration stands within a moov box: 0 for none (ISO 14496-12, 8.2.2). */
static size_t find_duration(const uint8_t *p, size_t len, uint32_t *timescale)
{
    for (size_t at = 8; at + 8 <= len;) {
        size_t size = be32(p + at);
        if (memcmp(p + at + 4, "mvhd", 4) == 0 && size >= 108 && at + size <= len &&
            p[at + 8] == 0) {
            *timescale = be32(p + at + 20);
            return at + 24;
        }
        if (size < 8 || size > len - at)
            break;
        at += size;
    }
    return 0;
}

/* qtdemux 1.22 ends at the movie's duration, but compares it with media time, which an edit list
 * (AAC priming, B-frame delay) puts behind: a track's last packets would be lost. A longer movie
 * keeps them; each track still ends with its samples. Not much longer: it takes a track below a
 * fifth of the movie for a preview and leaves it out. */
static void lengthen(uint8_t *moov, size_t len)
{
    uint32_t timescale = 0, duration;
    size_t at = find_duration(moov, len, &timescale);

    if (!at || !timescale)
        return;
    duration = be32(moov + at);
    if (duration && duration < UINT32_MAX / 2 && timescale < UINT32_MAX / 2)
        put_be32(moov + at, duration + (timescale < duration ? timescale : duration));
}

static GstPadProbeReturn on_read(GstPad *pad, GstPadProbeInfo *info, gpointer arg)
{
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    GstMapInfo map;
    uint8_t head[16];

    if (!buffer || gst_buffer_extract(buffer, 0, head, sizeof head) != sizeof head ||
        memcmp(head + 4, "moov", 4) != 0)
        return GST_PAD_PROBE_OK;
    buffer = gst_buffer_make_writable(buffer);
    GST_PAD_PROBE_INFO_DATA(info) = buffer;
    if (gst_buffer_map(buffer, &map, GST_MAP_READWRITE)) {
        lengthen(map.data, map.size);
        gst_buffer_unmap(buffer, &map);
    }
    return GST_PAD_PROBE_OK;
}

static const char *demuxer_for(const GstCaps *caps)
{
    static const struct {
        const char *media, *element;
    } known[] = {
        {"video/quicktime", "qtdemux"},   {"audio/x-m4a", "qtdemux"},
        {"application/x-3gp", "qtdemux"}, {"video/x-matroska", "matroskademux"},
        {"video/webm", "matroskademux"},  {"audio/x-matroska", "matroskademux"},
        {"video/mpegts", "tsdemux"},
    };
    const char *name = gst_structure_get_name(gst_caps_get_structure(caps, 0));

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i].media) == 0)
            return known[i].element;
    return NULL;
}

static void on_type(GstElement *typefind, guint probability, GstCaps *caps, gpointer arg)
{
    struct pull *pull = arg;
    GstElement *pipeline = GST_ELEMENT(gst_element_get_parent(typefind)), *demuxer;
    const char *factory = demuxer_for(caps);
    char cause[SOURCE_WHY_MAX];

    if (!pipeline)
        return;
    snprintf(cause, sizeof cause, "the file is %s",
             gst_structure_get_name(gst_caps_get_structure(caps, 0)));
    if (!factory) {
        pull_fail(pull, cause, "give mp4, mov, mkv or ts, or a launch line");
    } else if (!(demuxer = source_add_element(pipeline, factory, cause))) {
        pull_fail(pull, cause, "");
    } else {
        if (strcmp(factory, "matroskademux") ==
            0) /* its segments begin anew per track, in passing */
            pull_ignore_segments(pull);
        branch_join_dynamic(demuxer, pull, false);
        if (!gst_element_link(typefind, demuxer) || !gst_element_sync_state_with_parent(demuxer))
            pull_fail(pull, cause, "the demuxer does not start; check the file");
    }
    gst_object_unref(pipeline);
}

static void release(gpointer arg, GClosure *closure)
{
    struct pull *pull = arg;

    pull_unref(&pull);
}

static int check_path(const char *path, char *why)
{
    struct stat st;

    if (stat(path, &st) < 0 || access(path, R_OK) < 0) {
        int rc = -errno;
        snprintf(why, SOURCE_WHY_MAX, "cannot read '%.300s': %s; check source.path", path,
                 strerror(-rc));
        return rc;
    }
    if (S_ISREG(st.st_mode))
        return 0;
    snprintf(why, SOURCE_WHY_MAX, "'%.300s' is not a file; check source.path", path);
    return -EINVAL;
}

static int build(const struct conf_stream *conf, GstElement *pipeline, struct pull *pull, char *why)
{
    GstElement *file, *typefind;
    GstPad *pad;
    int rc = check_path(conf->source.path, why);

    if (rc)
        return rc;
    file = source_add_element(pipeline, "filesrc", why);
    typefind = source_add_element(pipeline, "typefind", why);
    if (!file || !typefind)
        return -ENOENT;
    g_object_set(file, "location", conf->source.path, NULL);
    pad = gst_element_get_static_pad(file, "src");
    gst_pad_add_probe(pad,
                      GST_PAD_PROBE_TYPE_PULL | GST_PAD_PROBE_TYPE_PUSH | GST_PAD_PROBE_TYPE_BUFFER,
                      on_read, NULL, NULL);
    gst_object_unref(pad);
    gst_element_link(file, typefind);
    g_signal_connect_data(typefind, "have-type", G_CALLBACK(on_type), pull_ref(pull), release, 0);
    return 0;
}

const struct source_ops source_file = {
    .name = "file",
    .advice = "check that the file is whole and is mp4, mov, mkv or ts",
    .liveness = SOURCE_WAITS,
    .trust_dts = true,
    .build = build,
};
