/* The media that the kit feeds: raw pictures to an encoder, access units to a muxer, pieces to an
 * uploader. One video track, 64x64, 25 frames a second, a fragment a second.
 * Relies on mkv_writer for pieces.
 * Leaves sending to conform_kit.c. */
#include <string.h>

#include "cli/conform.h"
#include "common/buf.h"
#include "common/mem.h"
#include "media/mkv_writer.h"

#define SIDE 64
#define FPS 25
#define PIECE_MAX 4096

static const uint8_t sps[] = {0x67, 0x42, 0xc0, 0x0a, 0xda, 0x10, 0x9b, 0x01, 0x10, 0x00, 0x00,
                              0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x22, 0x6a};
static const uint8_t pps[] = {0x68, 0xce, 0x03, 0x9c, 0x80};
static const uint8_t idr[] = {0x65, 0x88, 0x84, 0x3a, 0x26, 0xe4, 0xe4, 0xe4, 0xeb,
                              0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xf0};
static const uint8_t delta[] = {0x41, 0x9a, 0x22, 0x82, 0x30};

static void put_length(struct buf *b, size_t n, unsigned bytes)
{
    for (unsigned i = bytes; i-- > 0;) {
        uint8_t byte = (uint8_t)(n >> 8 * i);
        buf_append(b, &byte, 1);
    }
}

static struct blob *avcc_config(void)
{
    static const uint8_t head[] = {1, 0x42, 0xc0, 0x0a, 0xff, 0xe1};
    struct buf b;
    buf_init(&b, PIECE_MAX);
    buf_append(&b, head, sizeof head);
    put_length(&b, sizeof sps, 2);
    buf_append(&b, sps, sizeof sps);
    put_length(&b, 1, 1);
    put_length(&b, sizeof pps, 2);
    buf_append(&b, pps, sizeof pps);
    struct blob *config = blob_copy(b.data, b.len);
    buf_fini(&b);
    return config;
}

static struct blob *segment(const struct blob *config)
{
    struct mkv_header h = {.ntracks = 1};
    struct buf b;
    h.tracks[0] = (struct mkv_track){.number = 1,
                                     .type = MKV_TRACK_VIDEO,
                                     .codec_id = "V_MPEG4/ISO/AVC",
                                     .name = "video",
                                     .codec_private = (uint8_t *)config->data,
                                     .codec_private_len = config->len,
                                     .width = SIDE,
                                     .height = SIDE};
    buf_init(&b, PIECE_MAX);
    mkv_write_header(&b, &h);
    struct blob *bytes = blob_copy(b.data, b.len);
    buf_fini(&b);
    return bytes;
}

struct link_format *conform_format(const struct conform_kit *k)
{
    struct link_format *f = link_format_new();
    f->number = 1;
    f->video = true;
    f->width = f->height = SIDE;
    f->rate_num = FPS;
    f->rate_den = 1;
    f->codec = k->stage == CONFORM_ENCODER ? LINK_CODEC_RAW_VIDEO : LINK_CODEC_H264;
    strcpy(f->layout, k->stage == CONFORM_ENCODER ? "I420" : "avcc");
    if (k->stage != CONFORM_ENCODER)
        f->config = avcc_config();
    if (k->stage == CONFORM_UPLOADER)
        f->segment = segment(f->config);
    return f;
}

static struct blob *picture(uint64_t seq)
{
    uint8_t *p;
    struct blob *b = blob_new(SIDE * SIDE * 3 / 2, &p);
    memset(p, 128, b->len);
    for (unsigned y = 0; y < SIDE; y++) /* a bar that moves */
        memset(p + y * SIDE + seq * 4 % (SIDE - 8), 220, 8);
    return b;
}

static void access_unit(struct buf *b, uint64_t seq)
{
    const uint8_t *nal = seq % FPS ? delta : idr;
    size_t len = seq % FPS ? sizeof delta : sizeof idr;
    put_length(b, len, 4);
    buf_append(b, nal, len);
}

static struct blob *coded(const struct conform_kit *k, uint64_t seq, int64_t pts_ns,
                          int64_t fragment_ns)
{
    struct buf b, unit;
    buf_init(&b, PIECE_MAX);
    buf_init(&unit, PIECE_MAX);
    access_unit(&unit, seq);
    if (k->stage == CONFORM_UPLOADER) {
        if (pts_ns == fragment_ns)
            mkv_write_cluster(&b, (uint64_t)(pts_ns / NS_PER_MS));
        mkv_write_block_header(&b, 1, (int16_t)((pts_ns - fragment_ns) / NS_PER_MS),
                               pts_ns == fragment_ns, false, unit.len);
    }
    buf_append(&b, unit.data, unit.len);
    struct blob *payload = blob_copy(b.data, b.len);
    buf_fini(&b);
    buf_fini(&unit);
    return payload;
}

struct link_item conform_item(const struct conform_kit *k, uint64_t seq)
{
    struct link_item it = {.track = 1, .seq = seq, .last = seq};
    it.pts_ns = it.dts_ns = k->t0_ns + (int64_t)seq * NS_PER_S / FPS;
    it.duration_ns = NS_PER_S / FPS;
    it.captured_ns = it.pts_ns + 1234567;
    if (k->stage == CONFORM_ENCODER) {
        it.key = true;
        it.payload = picture(seq);
        return it;
    }
    it.key = seq % FPS == 0;
    it.fragment_ns = k->t0_ns + (int64_t)(seq / FPS) * NS_PER_S;
    if (it.key && seq)
        it.previous_fragment_ns = it.fragment_ns - NS_PER_S;
    it.payload = coded(k, seq, it.pts_ns, it.fragment_ns);
    return it;
}
