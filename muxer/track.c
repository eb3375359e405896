/* What a track looks like in Matroska, and how its payloads become block payloads.
 * Relies on media/h264, h265, aac.
 * Leaves the header's bytes to segment.c. */
#include "muxer/track.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "media/aac.h"
#include "media/h264.h"
#include "media/h265.h"

#define PRIVATE_MAX (1u << 20) /* producers refuse more, too */

void track_desc_fini(struct track_desc *d)
{
    blob_unref(&d->codec_private);
    memset(d, 0, sizeof *d);
}

void track_desc_copy(struct track_desc *out, const struct track_desc *d)
{
    *out = *d;
    out->codec_private = blob_ref(d->codec_private);
}

static bool same_blob(const struct blob *a, const struct blob *b)
{
    if (!a || !b)
        return a == b;
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

bool track_desc_equal(const struct track_desc *a, const struct track_desc *b)
{
    return a->codec == b->codec && a->type == b->type && strcmp(a->codec_id, b->codec_id) == 0 &&
           same_blob(a->codec_private, b->codec_private) && a->annexb == b->annexb &&
           a->width == b->width && a->height == b->height && a->sample_rate == b->sample_rate &&
           a->channels == b->channels && a->default_duration_ns == b->default_duration_ns;
}

static int take_private(struct track_desc *d, int r, struct buf *b)
{
    if (r == 0) {
        blob_unref(&d->codec_private);
        d->codec_private = blob_copy(b->data, b->len);
    }
    buf_fini(b);
    return r;
}

/* ---- H.264 ---- */

static int h264_private(struct track_desc *d, const struct blob *key)
{
    struct h264_parameter_sets sets = {0};
    struct buf b;
    if (!key || h264_find_parameter_sets(key->data, key->len, &sets) < 0 || !sets.nsps ||
        !sets.npps)
        return -ENODATA;
    buf_init(&b, PRIVATE_MAX);
    return take_private(d, h264_build_avcc(&b, sets.sps, sets.nsps, sets.pps, sets.npps), &b);
}

static int h264_size(struct track_desc *d, const char **why)
{
    struct h264_avcc avcc;
    struct h264_sps sps;
    if (h264_parse_avcc(d->codec_private->data, d->codec_private->len, &avcc) < 0) {
        *why = "the H.264 configuration (avcC) is damaged";
        return -EBADMSG;
    }
    if (avcc.sets.nsps && h264_parse_sps(&avcc.sets.sps[0], &sps) == 0) {
        d->width = sps.width;
        d->height = sps.height;
    }
    return 0;
}

/* ---- H.265 ---- */

static int h265_private(struct track_desc *d, const struct blob *key)
{
    struct h265_parameter_sets sets = {0};
    struct buf b;
    if (!key || h265_find_parameter_sets(key->data, key->len, &sets) < 0 || !sets.nvps ||
        !sets.nsps || !sets.npps)
        return -ENODATA;
    buf_init(&b, PRIVATE_MAX);
    return take_private(d, h265_build_hvcc(&b, &sets), &b);
}

static int h265_size(struct track_desc *d, const char **why)
{
    struct h265_hvcc hvcc;
    struct h265_sps sps;
    if (h265_parse_hvcc(d->codec_private->data, d->codec_private->len, &hvcc) < 0) {
        *why = "the H.265 configuration (hvcC) is damaged";
        return -EBADMSG;
    }
    if (hvcc.sets.nsps && h265_parse_sps(&hvcc.sets.sps[0], &sps) == 0) {
        d->width = sps.width;
        d->height = sps.height;
    }
    return 0;
}

static int describe_video(const struct link_format *f, const struct track_desc *before,
                          const struct blob *key, struct track_desc *d, const char **why)
{
    bool h264 = f->codec == LINK_CODEC_H264;
    int r = -ENODATA;

    snprintf(d->codec_id, sizeof d->codec_id, "%s", h264 ? "V_MPEG4/ISO/AVC" : "V_MPEGH/ISO/HEVC");
    d->annexb = strcmp(f->layout, "annexb") == 0;
    if (!d->annexb && strcmp(f->layout, "avcc") != 0) {
        *why = "H.264/H.265 must be laid out as annexb or avcc";
        return -ENOTSUP;
    }
    if (d->annexb)
        r = h264 ? h264_private(d, key) : h265_private(d, key);
    if (r < 0 && f->config) {
        d->codec_private = blob_ref(f->config);
        r = 0;
    }
    if (r < 0 && d->annexb && before && before->codec == f->codec && before->codec_private) {
        d->codec_private = blob_ref(before->codec_private);
        r = 0;
    }
    if (r < 0) {
        *why = "no parameter sets (SPS, PPS) have come: let the camera or encoder send them with "
               "every key frame";
        return -ENODATA;
    }
    d->width = f->width;
    d->height = f->height;
    if (f->rate_num && f->rate_den)
        d->default_duration_ns = (uint64_t)NS_PER_S * f->rate_den / f->rate_num;
    return h264 ? h264_size(d, why) : h265_size(d, why);
}

static int describe_aac(const struct link_format *f, struct track_desc *d, const char **why)
{
    struct aac_config config = {.object_type = AAC_LC,
                                .sample_rate = f->sample_rate,
                                .channel_config = f->channels == 8 ? 7 : f->channels,
                                .channels = f->channels};
    struct buf b;
    int r = 0;

    snprintf(d->codec_id, sizeof d->codec_id, "A_AAC");
    if (f->config) {
        d->codec_private = blob_ref(f->config);
        r = aac_parse_config(f->config->data, f->config->len, &config);
    } else {
        buf_init(&b, 64);
        r = take_private(d, aac_build_config(&b, &config), &b);
    }
    if (r < 0) {
        *why = "the AAC configuration is damaged";
        return -EBADMSG;
    }
    d->sample_rate = config.sample_rate ? config.sample_rate : f->sample_rate;
    d->channels = config.channels ? config.channels : f->channels;
    return 0;
}

static int describe_other(const struct link_format *f, struct track_desc *d, const char **why)
{
    if (!f->layout[0] || strlen(f->layout) >= sizeof d->codec_id) {
        *why = "a track of another codec must name its Matroska CodecID";
        return -ENOTSUP;
    }
    memcpy(d->codec_id, f->layout, strlen(f->layout) + 1);
    d->codec_private = blob_ref(f->config);
    if (f->video || strncmp(f->layout, "V_", 2) == 0)
        d->type = MKV_TRACK_VIDEO;
    else if (strncmp(f->layout, "A_", 2) == 0)
        d->type = MKV_TRACK_AUDIO;
    else
        d->type = strncmp(f->layout, "S_", 2) == 0 ? MKV_TRACK_SUBTITLE : MKV_TRACK_METADATA;
    d->width = f->width;
    d->height = f->height;
    d->sample_rate = f->sample_rate;
    d->channels = f->channels;
    return 0;
}

int track_describe(const struct link_format *f, const struct track_desc *before,
                   const struct blob *key, struct track_desc *out, const char **why)
{
    int r;

    *out = (struct track_desc){.codec = f->codec, .number = f->number};
    out->type = link_codec_is_video(f->codec) ? MKV_TRACK_VIDEO : MKV_TRACK_AUDIO;
    if (f->config && f->config->len > PRIVATE_MAX) {
        *why = "the codec private data is larger than 1 MiB";
        return -EBADMSG;
    }
    switch (f->codec) {
    case LINK_CODEC_H264:
    case LINK_CODEC_H265:
        r = describe_video(f, before, key, out, why);
        break;
    case LINK_CODEC_AAC:
        r = describe_aac(f, out, why);
        break;
    case LINK_CODEC_OTHER:
        r = describe_other(f, out, why);
        break;
    default:
        *why = "raw frames have reached the muxer: connect it to the encoder";
        r = -ENOTSUP;
    }
    if (r < 0)
        track_desc_fini(out);
    return r;
}

int track_payload(const struct track_desc *d, const struct blob *payload, struct buf *scratch,
                  const uint8_t **data, size_t *len)
{
    int r;
    if (!d->annexb) {
        *data = payload->data;
        *len = payload->len;
        return 0;
    }
    buf_clear(scratch);
    r = d->codec == LINK_CODEC_H264 ? h264_annexb_to_avcc(scratch, payload->data, payload->len, 0)
                                    : h265_annexb_to_hvcc(scratch, payload->data, payload->len, 0);
    if (r < 0 || scratch->len == 0)
        return -EBADMSG;
    *data = scratch->data;
    *len = scratch->len;
    return 0;
}
