/* A mux with a log behind it, as test_mux_*.c share it: what the mux puts is collected and can be
 * parsed back. Relies on muxer/mux and media/mkv_reader. Leaves claims to the tests. Each program
 * has its own copy: everything is static. */
#ifndef KVPIPE_TESTS_MUX_HARNESS_H
#define KVPIPE_TESTS_MUX_HARNESS_H

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "media/mkv_reader.h"
#include "muxer/mux.h"
#include "tests/unit/claim.h"
#include "tests/unit/suite.h"

#define MS NS_PER_MS
#define T0 (INT64_C(1700000000000) * MS) /* an absolute time on a tick */
#define EPOCH UINT64_C(1700000000000)
#define VIDEO 1
#define AUDIO 2
#define OUT_MAX 8192

/* avcC of two real encoders: 1280x720, and another picture. */
static const uint8_t avcc_config[] = {0x01, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x4d,
                                      0x40, 0x1f, 0xec, 0xa0, 0x28, 0x02, 0xdd, 0x80, 0x88, 0x00,
                                      0x00, 0x03, 0x00, 0x08, 0x00, 0x00, 0x03, 0x01, 0x90, 0x78,
                                      0xc1, 0x8c, 0xb0, 0x01, 0x00, 0x04, 0x68, 0xce, 0x0f, 0xc8};
static const uint8_t other_config[] = {
    0x01, 0x7a, 0x00, 0x0d, 0xff, 0xe1, 0x00, 0x1b, 0x67, 0x7a, 0x00, 0x0d, 0xb6, 0xcd, 0x94, 0x15,
    0x19, 0xe2, 0x22, 0xf0, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x0f,
    0x14, 0x29, 0x96, 0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfe, 0xfa, 0xfa, 0x00};
/* The same parameter sets with start codes. */
static const uint8_t annexb_sets[] = {0,    0,    0,    1,    0x67, 0x4d, 0x40, 0x1f, 0xec,
                                      0xa0, 0x28, 0x02, 0xdd, 0x80, 0x88, 0x00, 0x00, 0x03,
                                      0x00, 0x08, 0x00, 0x00, 0x03, 0x01, 0x90, 0x78, 0xc1,
                                      0x8c, 0xb0, 0,    0,    1,    0x68, 0xce, 0x0f, 0xc8};
static const uint8_t annexb_other_sets[] = {
    0,    0,    0,    1,    0x67, 0x7a, 0x00, 0x0d, 0xb6, 0xcd, 0x94, 0x15, 0x19, 0xe2,
    0x22, 0xf0, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x0f,
    0x14, 0x29, 0x96, 0,    0,    1,    0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0};
static const uint8_t asc[] = {0x11, 0x90}; /* AAC LC, 48 kHz, stereo */

struct harness {
    struct conf_stream conf;
    struct mux *mux;
    struct link_format *video, *audio;
    uint64_t next[LINK_TRACKS_MAX]; /* number of the next item in */
    struct link_item out[OUT_MAX];
    unsigned n;
    int64_t now;
};

static struct harness h;

static int harness_put(void *arg, struct link_item *item)
{
    (void)arg;
    claim(h.n < OUT_MAX);
    h.out[h.n++] = *item;
    return 0;
}

static inline struct link_format *make_video(uint64_t number, const char *layout,
                                             const uint8_t *config, size_t len)
{
    struct link_format *f = link_format_new();
    f->number = number;
    f->codec = LINK_CODEC_H264;
    f->video = true;
    strcpy(f->layout, layout);
    f->width = 1280;
    f->height = 720;
    f->config = config ? blob_copy(config, len) : NULL;
    return f;
}

static inline struct link_format *make_audio(uint64_t number)
{
    struct link_format *f = link_format_new();
    f->number = number;
    f->codec = LINK_CODEC_AAC;
    strcpy(f->layout, "raw");
    f->sample_rate = 48000;
    f->channels = 2;
    f->config = blob_copy(asc, sizeof asc);
    return f;
}

/* A session with the tracks in `mask`, the log at `h.next`. */
static inline void harness_begin(uint8_t mask)
{
    static const struct link_positions none;
    struct link_positions at = none;
    struct link_track tracks[2];
    unsigned n = 0;
    at.tracks = mask;
    memcpy(at.next, h.next, sizeof at.next);
    if (mask & 1)
        tracks[n++] = (struct link_track){.track = VIDEO, .format = h.video};
    if (mask & 2)
        tracks[n++] = (struct link_track){.track = AUDIO, .format = h.audio};
    mux_begin(h.mux, EPOCH, tracks, n, &at);
}

/* The process dies: a new one knows nothing. */
static inline void harness_restart(uint8_t mask)
{
    static const struct mux_ops ops = {.put = harness_put};
    mux_destroy(&h.mux);
    h.mux = mux_create(&h.conf, &ops, NULL);
    harness_begin(mask);
}

static inline void harness_setup(void)
{
    static const struct mux_ops ops = {.put = harness_put};
    memset(&h, 0, sizeof h);
    h.conf.name = (char *)"cam";
    h.conf.timecode_scale_us = 1000;
    h.conf.absolute = true;
    h.conf.fragment.duration_ms = 2000;
    h.video = make_video(1, "avcc", avcc_config, sizeof avcc_config);
    h.audio = make_audio(1);
    h.mux = mux_create(&h.conf, &ops, NULL);
}

static inline void harness_teardown(void)
{
    mux_destroy(&h.mux);
    for (unsigned i = 0; i < h.n; i++)
        link_item_fini(&h.out[i]);
    link_format_unref(&h.video);
    link_format_unref(&h.audio);
}

static inline struct link_item frame(unsigned track, int64_t ms, bool key, int64_t fragment_ms,
                                     int64_t previous_ms, const void *data, size_t len)
{
    return (struct link_item){.track = (uint8_t)track,
                              .key = key,
                              .seq = h.next[track - 1],
                              .last = h.next[track - 1],
                              .pts_ns = T0 + ms * MS,
                              .dts_ns = T0 + ms * MS,
                              .fragment_ns = fragment_ms < 0 ? 0 : T0 + fragment_ms * MS,
                              .previous_fragment_ns = previous_ms < 0 ? 0 : T0 + previous_ms * MS,
                              .format = link_format_ref(track == VIDEO ? h.video : h.audio),
                              .payload = blob_copy(data, len)};
}

static inline void give(struct link_item item)
{
    h.next[item.track - 1] = item.last + 1;
    claim(mux_item(h.mux, &item, h.now) == 0);
}

static const uint8_t picture[] = {0, 0, 0, 3, 0x65, 1, 2};

/* A video frame at `ms` of the fragment that began at `fragment` (a start when both are equal)
 * after `previous` (-1: none). */
static inline void video(int64_t ms, int64_t fragment, int64_t previous)
{
    give(frame(VIDEO, ms, ms == fragment, fragment, previous, picture, sizeof picture));
}

static inline void audio(int64_t ms)
{
    give(frame(AUDIO, ms, true, -1, -1, "sound", 5));
}

static inline void wait_ms(int64_t ms)
{
    h.now += ms * MS;
    claim(mux_tick(h.mux, h.now) == 0);
}

static inline void flush(void)
{
    ck_assert_int_eq(mux_flush(h.mux, h.now), 0);
}

static inline bool is_start(const struct link_item *i)
{
    return !i->gap && i->key && i->fragment_ns == i->pts_ns;
}

/* The newest item out that took the place of this frame: by track and time for frames, NULL when
 * there is none. */
static inline const struct link_item *out_at(unsigned track, int64_t ms)
{
    for (unsigned i = h.n; i-- > 0;)
        if (!h.out[i].gap && h.out[i].track == track && h.out[i].pts_ns == T0 + ms * MS)
            return &h.out[i];
    return NULL;
}

static inline unsigned gaps(enum link_gap_reason reason)
{
    unsigned n = 0;
    for (unsigned i = 0; i < h.n; i++)
        n += h.out[i].gap && h.out[i].reason == reason;
    return n;
}

#define ck_fragment(track, ms, fragment)                                                           \
    do {                                                                                           \
        const struct link_item *o_ = out_at(track, ms);                                            \
        ck_assert_ptr_nonnull(o_);                                                                 \
        ck_assert_int_eq((o_->fragment_ns - T0) / MS, fragment);                                   \
    } while (0)

/* ---- the log, parsed back ---- */

struct parsed_block {
    unsigned track, segment, cluster;
    int64_t ms; /* absolute, at 1 ms a tick, minus T0 */
    int16_t relative;
    bool key;
    uint8_t payload[64];
    size_t len;
};

struct parsed {
    unsigned segments, clusters, nblocks, ntags;
    uint64_t timecode;
    struct {
        unsigned ntracks;
        struct {
            uint32_t number, width, height, channels;
            char codec_id[33], name[33];
            double rate;
            size_t private_len;
        } tracks[3];
        uint8_t uid[16];
        uint64_t scale_ns;
    } header[256];
    struct parsed_block blocks[OUT_MAX];
    struct {
        unsigned segment, after_cluster, n;
        char first[64];
    } tags[OUT_MAX];
};

static struct parsed parsed;

static int on_header(void *arg, const struct mkv_header *in, const uint8_t *raw, size_t len)
{
    (void)arg, (void)raw, (void)len;
    unsigned k = parsed.segments++;
    parsed.header[k].ntracks = in->ntracks;
    parsed.header[k].scale_ns = in->timecode_scale_ns;
    memcpy(parsed.header[k].uid, in->segment_uid, 16);
    for (unsigned i = 0; i < in->ntracks && i < 3; i++) {
        parsed.header[k].tracks[i].number = in->tracks[i].number;
        parsed.header[k].tracks[i].width = in->tracks[i].width;
        parsed.header[k].tracks[i].height = in->tracks[i].height;
        parsed.header[k].tracks[i].channels = in->tracks[i].channels;
        parsed.header[k].tracks[i].rate = in->tracks[i].sample_rate;
        parsed.header[k].tracks[i].private_len = in->tracks[i].codec_private_len;
        strcpy(parsed.header[k].tracks[i].codec_id, in->tracks[i].codec_id);
        strcpy(parsed.header[k].tracks[i].name, in->tracks[i].name);
    }
    return 0;
}

static int on_cluster(void *arg, uint64_t offset, uint64_t timecode)
{
    (void)arg, (void)offset;
    parsed.clusters++;
    parsed.timecode = timecode;
    return 0;
}

static int on_block(void *arg, const struct mkv_block *b)
{
    (void)arg;
    struct parsed_block *p = &parsed.blocks[parsed.nblocks++];
    p->track = b->track;
    p->segment = parsed.segments;
    p->cluster = parsed.clusters;
    p->ms = (int64_t)(parsed.timecode + (uint64_t)b->relative) - T0 / MS;
    p->relative = b->relative;
    p->key = b->key;
    p->len = b->payload_len;
    memcpy(p->payload, b->payload, b->payload_len < 64 ? b->payload_len : 64);
    return 0;
}

static int on_tags(void *arg, uint64_t offset, const uint8_t *raw, size_t len,
                   const struct mkv_tag *tags, unsigned n)
{
    (void)arg, (void)offset, (void)raw, (void)len;
    parsed.tags[parsed.ntags].segment = parsed.segments;
    parsed.tags[parsed.ntags].after_cluster = parsed.clusters;
    parsed.tags[parsed.ntags].n = n;
    snprintf(parsed.tags[parsed.ntags].first, 64, "%s=%s", tags[0].name, tags[0].value);
    parsed.ntags++;
    return 0;
}

static const struct mkv_reader_ops parse_ops = {
    .header = on_header, .cluster = on_cluster, .block = on_block, .tags = on_tags};

/* Does what the uploader does: a start whose header differs begins a new segment, all else is
 * appended as it is. */
static inline void parse_log(void)
{
    struct mkv_reader r;
    const struct blob *segment = NULL;
    memset(&parsed, 0, sizeof parsed);
    for (unsigned i = 0; i < h.n; i++) {
        const struct link_item *it = &h.out[i];
        const struct blob *now = it->gap ? NULL : it->format->segment;
        if (it->gap)
            continue;
        if (is_start(it) && (!segment || segment->len != now->len ||
                             memcmp(segment->data, now->data, now->len) != 0)) {
            if (segment) {
                claim(mkv_reader_finish(&r) == 0);
                mkv_reader_fini(&r);
            }
            mkv_reader_init(&r, &parse_ops, NULL, 64u << 20);
            claim(mkv_reader_feed(&r, now->data, now->len) == 0);
            segment = now;
        }
        claim(segment);
        claim(mkv_reader_feed(&r, it->payload->data, it->payload->len) == 0);
    }
    if (segment) {
        claim(mkv_reader_finish(&r) == 0);
        mkv_reader_fini(&r);
    }
}

static inline int harness_run(const char *name, TCase *tc)
{
    Suite *s = suite_create(name);
    tcase_add_checked_fixture(tc, harness_setup, harness_teardown);
    suite_add_tcase(s, tc);
    return suite_run(s);
}

#endif
