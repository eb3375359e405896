/* One track of a stream: from buffers to payloads.
 * Relies on pull, format, blocks, dts.
 * Leaves absolute time and the link to stream.c. */
#include "capture/track.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"

#define LONGEST_HOLE_NS (10 * NS_PER_S) /* a longer one is a jump of the clock, not a loss */

void track_init(struct track *t, enum pull_kind kind, const char *name, bool trust_dts, bool live)
{
    memset(t, 0, sizeof *t);
    t->kind = kind;
    snprintf(t->name, sizeof t->name, "%s", name);
    t->trust_dts = trust_dts;
    t->live = live;
    track_connect(t);
}

void track_fini(struct track *t)
{
    link_format_unref(&t->format);
    format_fini(&t->facts);
    gst_clear_caps(&t->caps);
    blocks_fini(&t->blocks);
}

void track_connect(struct track *t)
{
    t->need_key = true;
    t->fill_dts = false;
    t->last_pts_ns = t->last_dts_ns = PULL_NONE;
    t->step_ns = 0;
}

/* Takes over the format; one that says the same as the current is forgotten. */
static void set_format(struct track *t, struct link_format *f)
{
    if (t->format && link_format_equal(t->format, f)) {
        link_format_unref(&f);
        return;
    }
    f->number = ++t->formats;
    link_format_unref(&t->format);
    t->format = f;
}

static bool is_h26x(const struct track *t)
{
    return t->facts.format->codec == LINK_CODEC_H264 || t->facts.format->codec == LINK_CODEC_H265;
}

static bool same_caps(const struct track *t, const struct pull_item *item)
{
    return t->caps && item->caps && t->facts.format &&
           (t->caps == item->caps || gst_caps_is_equal(t->caps, item->caps));
}

static int adopt_caps(struct track *t, const struct pull_item *item, const char **why)
{
    struct format_facts facts;
    int rc = format_from_caps(item->caps, &facts, why);

    if (rc)
        return rc;
    format_fini(&t->facts);
    t->facts = facts;
    gst_caps_replace(&t->caps, item->caps);
    if (facts.format->config || !is_h26x(t))
        if (!facts.adts)
            set_format(t, link_format_ref(facts.format));
    if (facts.format->codec == LINK_CODEC_RAW_AUDIO) {
        blocks_fini(&t->blocks);
        blocks_init(&t->blocks, facts.format->sample_rate, facts.sample_bytes);
    }
    t->cutting = facts.format->codec == LINK_CODEC_RAW_AUDIO;
    return 0;
}

/* Reads what the payload itself says of the format. Returns false when it cannot begin a track. */
static bool read_payload(struct track *t, const struct blob *payload, size_t *header_bytes)
{
    struct link_format *f;

    *header_bytes = 0;
    if (is_h26x(t)) {
        if (!format_is_key(&t->facts, payload->data, payload->len))
            return false;
        if (!t->facts.avcc && (f = format_from_annexb(&t->facts, payload->data, payload->len)))
            set_format(t, f);
        return t->format != NULL;
    }
    if (!t->facts.adts)
        return true;
    f = format_from_adts(&t->facts, payload->data, payload->len, header_bytes);
    if (f)
        set_format(t, f);
    return f != NULL;
}

enum track_verdict track_look(struct track *t, const struct pull_item *item, const char **why)
{
    struct blob *payload;
    size_t header;
    bool ready;

    if (!same_caps(t, item) && adopt_caps(t, item, why) < 0)
        return TRACK_REFUSE;
    payload = pull_blob(item->buffer, 0, 0);
    if (!payload)
        return TRACK_SKIP;
    ready = read_payload(t, payload, &header);
    blob_unref(&payload);
    return ready ? TRACK_READY : TRACK_SKIP;
}

static int64_t frame_ns(const struct track *t, const struct pull_item *item)
{
    const struct link_format *f = t->format ? t->format : t->facts.format;

    if (item->duration_ns > 0)
        return item->duration_ns;
    if (f->codec == LINK_CODEC_AAC && f->sample_rate)
        return 1024 * NS_PER_S / f->sample_rate;
    if (f->rate_num)
        return NS_PER_S * f->rate_den / f->rate_num;
    return t->step_ns > 0 ? t->step_ns : 40 * NS_PER_MS;
}

static int64_t decode_time(struct track *t, const struct pull_item *item, int64_t pts,
                           int64_t frame)
{
    if (!is_h26x(t) || t->facts.in_order)
        return pts; /* one that steps back is the source's fault, not a picture shown before others
                     */
    if (!t->fill_dts) {
        if (t->trust_dts && item->dts_ns != PULL_NONE && item->dts_ns <= pts)
            return item->dts_ns;
        t->fill_dts = true;
        dts_init(&t->dts, t->facts.reorder, frame);
    }
    return dts_next(&t->dts, pts);
}

static void read_times(struct track *t, const struct pull_item *item, struct track_out *out)
{
    int64_t frame = frame_ns(t, item), pts = item->pts_ns;

    if (pts == PULL_NONE)
        pts = item->dts_ns;
    if (pts == PULL_NONE)
        pts = t->last_pts_ns == PULL_NONE ? 0 : t->last_pts_ns + frame;
    out->pts_ns = pts;
    out->dts_ns = decode_time(t, item, pts, frame);
    out->duration_ns = frame;
    if (t->last_dts_ns != PULL_NONE && out->dts_ns > t->last_dts_ns)
        t->step_ns = out->dts_ns - t->last_dts_ns;
    t->last_pts_ns = pts;
    t->last_dts_ns = out->dts_ns;
}

/* The source says that something is missing: how many frames would have been in the hole? */
static uint64_t frames_in_hole(const struct track *t, const struct pull_item *item)
{
    int64_t frame, hole;

    if (!t->live || !item->discont || t->last_pts_ns == PULL_NONE || item->pts_ns == PULL_NONE)
        return 0;
    frame = frame_ns(t, item);
    hole = item->pts_ns - t->last_pts_ns - frame;
    if (hole < frame / 2 || hole > LONGEST_HOLE_NS)
        return 0;
    return (uint64_t)((hole + frame / 2) / frame);
}

static void count_losses(struct track *t, const struct pull_item *item)
{
    uint64_t lost = item->lost + frames_in_hole(t, item);

    t->lost += lost;
    if (lost && is_h26x(t))
        t->need_key = true;
}

static void damaged(struct track *t)
{
    t->lost++;
    t->damaged++;
    t->need_key = true;
}

static void take_coded(struct track *t, const struct pull_item *item, track_fn *fn, void *arg)
{
    struct track_out out = {.payload = pull_blob(item->buffer, 0, 0)};
    struct blob *whole;
    size_t header;

    if (!out.payload || out.payload->len > LINK_PAYLOAD_MAX) {
        blob_unref(&out.payload);
        damaged(t);
        return;
    }
    out.key = read_payload(t, out.payload, &header);
    if (t->facts.adts && out.key) {
        whole = out.payload;
        out.payload = pull_blob(item->buffer, header, whole->len - header);
        blob_unref(&whole);
    }
    if (!out.payload || (!is_h26x(t) && !out.key)) {
        blob_unref(&out.payload);
        damaged(t);
        return;
    }
    if (is_h26x(t) && t->need_key && !out.key) {
        t->lead_in++;
        blob_unref(&out.payload);
        return;
    }
    t->need_key = false;
    read_times(t, item, &out);
    fn(arg, t, &out);
}

static bool default_layout(const GstVideoInfo *info, GstBuffer *buffer)
{
    const GstVideoMeta *meta = gst_buffer_get_video_meta(buffer);

    if (gst_buffer_get_size(buffer) < GST_VIDEO_INFO_SIZE(info))
        return false;
    for (unsigned i = 0; meta && i < GST_VIDEO_INFO_N_PLANES(info); i++)
        if (meta->stride[i] != GST_VIDEO_INFO_PLANE_STRIDE(info, i) ||
            meta->offset[i] != GST_VIDEO_INFO_PLANE_OFFSET(info, i))
            return false;
    return true;
}

/* Lays the planes out with default strides. Returns NULL when the buffer is no such frame. */
static GstBuffer *relayout(const GstVideoInfo *info, GstBuffer *buffer)
{
    GstBuffer *out = gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(info), NULL);
    GstVideoFrame from, to;
    bool ok = false;

    if (!out || !gst_video_frame_map(&from, info, buffer, GST_MAP_READ)) {
        gst_clear_buffer(&out);
        return NULL;
    }
    if (gst_video_frame_map(&to, info, out, GST_MAP_WRITE)) {
        ok = gst_video_frame_copy(&to, &from);
        gst_video_frame_unmap(&to);
    }
    gst_video_frame_unmap(&from);
    if (!ok)
        gst_clear_buffer(&out);
    return out;
}

static void take_picture(struct track *t, const struct pull_item *item, track_fn *fn, void *arg)
{
    const GstVideoInfo *info = &t->facts.video;
    bool plain = default_layout(info, item->buffer);
    GstBuffer *buffer = plain ? gst_buffer_ref(item->buffer) : relayout(info, item->buffer);
    struct track_out out = {.key = true};

    if (buffer) {
        out.payload = pull_blob(buffer, 0, GST_VIDEO_INFO_SIZE(info));
        gst_buffer_unref(buffer);
    }
    if (!out.payload) {
        damaged(t);
        return;
    }
    read_times(t, item, &out);
    fn(arg, t, &out);
}

struct cut {
    struct track *t;
    track_fn *fn;
    void *arg;
};

static void on_block(void *arg, struct blob *block, int64_t pts_ns, int64_t duration_ns)
{
    struct cut *c = arg;
    struct track_out out = {.payload = block,
                            .key = true,
                            .pts_ns = pts_ns,
                            .dts_ns = pts_ns,
                            .duration_ns = duration_ns};

    c->fn(c->arg, c->t, &out);
}

static void take_sound(struct track *t, const struct pull_item *item, track_fn *fn, void *arg)
{
    struct cut cut = {t, fn, arg};
    struct blob *samples = pull_blob(item->buffer, 0, 0);
    int64_t pts = item->pts_ns;

    if (!samples) {
        damaged(t);
        return;
    }
    if (pts == PULL_NONE)
        pts = t->last_pts_ns == PULL_NONE ? 0 : t->last_pts_ns + t->step_ns;
    t->step_ns =
        (int64_t)(samples->len / t->facts.sample_bytes) * NS_PER_S / t->facts.format->sample_rate;
    t->last_pts_ns = pts;
    blocks_add(&t->blocks, samples->data, samples->len, pts, on_block, &cut);
    blob_unref(&samples);
}

int track_take(struct track *t, const struct pull_item *item, track_fn *fn, void *arg,
               const char **why)
{
    int rc;

    if (!same_caps(t, item)) {
        track_flush(t, fn, arg);
        rc = adopt_caps(t, item, why);
        if (rc)
            return rc;
    }
    count_losses(t, item);
    if (t->facts.format->codec == LINK_CODEC_RAW_VIDEO)
        take_picture(t, item, fn, arg);
    else if (t->facts.format->codec == LINK_CODEC_RAW_AUDIO)
        take_sound(t, item, fn, arg);
    else
        take_coded(t, item, fn, arg);
    return 0;
}

void track_flush(struct track *t, track_fn *fn, void *arg)
{
    struct cut cut = {t, fn, arg};

    if (t->cutting)
        blocks_flush(&t->blocks, on_block, &cut);
}
