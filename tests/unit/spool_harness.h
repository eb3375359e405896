/* A spool in a directory of its own and pieces to put into it, as test_spool*.c share them.
 * Relies on uploader/spool and media/mkv_writer. Leaves claims to the tests. Each program has its
 * own copy: everything is static. */
#ifndef KVPIPE_TESTS_SPOOL_HARNESS_H
#define KVPIPE_TESTS_SPOOL_HARNESS_H

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "media/mkv_writer.h"
#include "tests/unit/scratch.h"
#include "uploader/spool.h"

static char dir[64];
static struct link_format *format;
static const int64_t t0 = INT64_C(1700000000) * NS_PER_S;

static __attribute__((unused)) struct blob *segment_scaled(unsigned width, uint64_t scale_ns)
{
    struct mkv_header h = {.timecode_scale_ns = scale_ns, .ntracks = 2};
    struct buf b;
    buf_init(&b, 65536);
    h.tracks[0] = (struct mkv_track){.number = 1,
                                     .type = MKV_TRACK_VIDEO,
                                     .codec_id = "V_MPEG4/ISO/AVC",
                                     .width = width,
                                     .height = 64};
    h.tracks[1] = (struct mkv_track){.number = 2,
                                     .type = MKV_TRACK_AUDIO,
                                     .codec_id = "A_AAC",
                                     .sample_rate = 48000,
                                     .channels = 2};
    ck_assert_int_eq(mkv_write_header(&b, &h), 0);
    struct blob *blob = blob_copy(b.data, b.len);
    buf_fini(&b);
    return blob;
}

static __attribute__((unused)) struct blob *segment_of(unsigned width)
{
    return segment_scaled(width, 1000000);
}

static __attribute__((unused)) void setup(void)
{
    scratch_make(dir, sizeof dir, "spool");
    format = link_format_new();
    format->number = 1;
    format->segment = segment_of(64);
    log_init("test_spool", LOG_NONE);
}

static __attribute__((unused)) void teardown(void)
{
    link_format_unref(&format);
    scratch_remove(dir);
}

static __attribute__((unused)) struct spool_conf conf_default(void)
{
    return (struct spool_conf){.dir = dir,
                               .stream = "cam",
                               .max_bytes = 1 << 30,
                               .file_ns = 120 * NS_PER_S,
                               .when_full = CONF_FULL_DROP_OLDEST};
}

static __attribute__((unused)) struct spool *open_spool(const struct spool_conf *c)
{
    struct spool *s = NULL;
    struct spool_conf d = conf_default();
    ck_assert_int_eq(spool_open(c ? c : &d, NULL, &s), 0);
    return s;
}

/* A piece of `len` payload bytes; start_ms >= 0: begins the fragment of that time. */
static __attribute__((unused)) struct link_item
piece(unsigned track, uint64_t seq, int64_t fragment_ms, int64_t at_ms, bool starts, size_t len)
{
    struct buf b;
    uint8_t *payload = calloc(1, len);
    buf_init(&b, 1 << 20);
    memset(payload, (int)seq, len);
    if (starts)
        ck_assert_int_eq(mkv_write_cluster(&b, (uint64_t)(t0 / NS_PER_MS + fragment_ms)), 0);
    ck_assert_int_eq(
        mkv_write_block_header(&b, track, (int16_t)(at_ms - fragment_ms), starts, false, len), 0);
    buf_append(&b, payload, len);
    struct link_item item = {.key = starts,
                             .track = (uint8_t)track,
                             .seq = seq,
                             .last = seq,
                             .pts_ns = t0 + at_ms * NS_PER_MS,
                             .fragment_ns = t0 + fragment_ms * NS_PER_MS,
                             .format = link_format_ref(format),
                             .payload = blob_copy(b.data, b.len)};
    buf_fini(&b);
    free(payload);
    return item;
}

static __attribute__((unused)) int put(struct spool *s, unsigned track, uint64_t seq,
                                       int64_t fragment_ms, int64_t at_ms, bool starts, size_t len)
{
    struct link_item item = piece(track, seq, fragment_ms, at_ms, starts, len);
    int r = spool_append(s, &item);
    link_item_fini(&item);
    return r;
}

static __attribute__((unused)) int put_gap(struct spool *s, unsigned track, uint64_t first,
                                           uint64_t last)
{
    struct link_item item = {.gap = true,
                             .track = (uint8_t)track,
                             .seq = first,
                             .last = last,
                             .reason = LINK_GAP_SOURCE};
    return spool_gap(s, &item);
}

static __attribute__((unused)) struct link_vector vec(uint64_t epoch, uint64_t g)
{
    return (struct link_vector){.n = 4, .v = {epoch, 1, 1, g}};
}

static __attribute__((unused)) void session(struct spool *s, uint64_t epoch, uint64_t g,
                                            uint64_t next[LINK_TRACKS_MAX])
{
    static const uint64_t zero[LINK_TRACKS_MAX];
    struct link_vector v = vec(epoch, g);
    ck_assert_int_eq(spool_session(s, &v, zero, next), 0);
}

/* Fragments of 4 video and 1 audio frames, 1 s apart. */
static __attribute__((unused)) void put_fragments(struct spool *s, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        int64_t f = (int64_t)i * 1000;
        for (unsigned k = 0; k < 4; k++)
            ck_assert_int_eq(put(s, 1, 4 * i + k, f, f + 250 * k, k == 0, 50 + k), 0);
        ck_assert_int_eq(put(s, 2, i, f, f + 10, false, 20), 0);
    }
}

static __attribute__((unused)) char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/cam/%s", dir, name);
    return path;
}

static __attribute__((unused)) size_t size_of(const char *name)
{
    struct stat st;
    return stat(path_of(name), &st) == 0 ? (size_t)st.st_size : 0;
}

#endif
