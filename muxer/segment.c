/* A segment: the tracks that every fragment of it has, and its Matroska header.
 * Relies on track, media/mkv_writer and OpenSSL's SHA-256 for the SegmentUID.
 * Leaves when a new one begins to mux.c. */
#include "muxer/segment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/mem.h"
#include "media/mkv_writer.h"

#define HEADER_MAX (4u << 20) /* three tracks of at most 1 MiB of codec private data */

static void put_track(struct mkv_header *h, unsigned number, const struct track_desc *d)
{
    struct mkv_track *t = &h->tracks[h->ntracks++];
    t->number = number;
    t->type = d->type;
    memcpy(t->codec_id, d->codec_id, sizeof t->codec_id);
    snprintf(t->name, sizeof t->name, "%s",
             d->type == MKV_TRACK_VIDEO   ? "video"
             : d->type == MKV_TRACK_AUDIO ? "audio"
                                          : "data");
    if (d->codec_private) {
        t->codec_private = (uint8_t *)d->codec_private->data; /* the writer only reads it */
        t->codec_private_len = d->codec_private->len;
    }
    t->width = d->width;
    t->height = d->height;
    t->default_duration_ns = d->default_duration_ns;
    t->sample_rate = d->sample_rate;
    t->channels = d->channels;
}

/* The header without a UID, hashed with what else tells segments apart. */
static int make_uid(const struct segment_conf *conf, const struct buf *plain, uint8_t uid[16])
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    struct buf b;
    int r;

    buf_init(&b, HEADER_MAX + 2 * LINK_NAME_MAX);
    if ((r = buf_printf(&b, "%s\n%llu\n", conf->stream, (unsigned long long)conf->epoch)) == 0 &&
        (r = buf_append(&b, plain->data, plain->len)) == 0)
        r = EVP_Digest(b.data, b.len, hash, NULL, EVP_sha256(), NULL) ? 0 : -EIO;
    if (r == 0) {
        memcpy(uid, hash, 16);
        uid[0] |= 0x80; /* never all zero */
    }
    buf_fini(&b);
    return r;
}

static int write_header(const struct segment_conf *conf, uint8_t mask,
                        const struct track_desc *tracks, struct blob **out)
{
    struct mkv_header *h = xcalloc(1, sizeof *h);
    struct buf b;
    int r;

    buf_init(&b, HEADER_MAX);
    h->timecode_scale_ns = (uint64_t)conf->scale_ns;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        if (mask & (1u << i))
            put_track(h, i + 1, &tracks[i]);
    r = mkv_write_header(&b, h);
    if (r == 0)
        r = make_uid(conf, &b, h->segment_uid);
    buf_clear(&b);
    if (r == 0)
        r = mkv_write_header(&b, h);
    if (r == 0)
        *out = blob_copy(b.data, b.len);
    buf_fini(&b);
    free(h);
    return r;
}

static struct link_format *make_format(const struct track_desc *d, uint64_t number,
                                       struct blob *header)
{
    struct link_format *f = link_format_new();
    f->number = number;
    f->codec = d->codec;
    f->video = d->type == MKV_TRACK_VIDEO;
    snprintf(f->layout, sizeof f->layout, "%s",
             d->codec == LINK_CODEC_AAC     ? "raw"
             : d->codec == LINK_CODEC_OTHER ? d->codec_id
                                            : "avcc");
    f->width = d->width;
    f->height = d->height;
    f->sample_rate = d->sample_rate;
    f->channels = d->channels;
    f->config = blob_ref(d->codec_private);
    f->segment = blob_ref(header);
    return f;
}

static struct segment *make(uint8_t mask, const struct track_desc *tracks, uint64_t number,
                            struct blob *header)
{
    struct segment *s = xcalloc(1, sizeof *s);
    s->refs = 1;
    s->mask = mask;
    s->number = number;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        if (mask & (1u << i)) {
            track_desc_copy(&s->tracks[i], &tracks[i]);
            s->formats[i] = make_format(&tracks[i], number, header);
        }
    return s;
}

static uint64_t number_of(uint8_t mask, const struct track_desc *tracks, uint64_t last)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        if (mask & (1u << i))
            n += tracks[i].number;
    n = n * 8 + mask;
    if (n <= SEGMENT_NUMBER_UNKNOWN)
        n = SEGMENT_NUMBER_UNKNOWN + 1;
    return n > last ? n : last + 1;
}

int segment_create(const struct segment_conf *conf, uint8_t mask, const struct track_desc *tracks,
                   uint64_t last, struct segment **out)
{
    struct blob *header = NULL;
    int r = write_header(conf, mask, tracks, &header);
    if (r < 0)
        return r;
    *out = make(mask, tracks, number_of(mask, tracks, last), header);
    blob_unref(&header);
    return 0;
}

struct segment *segment_unknown(uint8_t mask, const struct track_desc *tracks)
{
    return make(mask, tracks, SEGMENT_NUMBER_UNKNOWN, NULL);
}

struct segment *segment_ref(struct segment *s)
{
    if (s)
        s->refs++;
    return s;
}

void segment_unref(struct segment **s)
{
    struct segment *old = *s;
    *s = NULL;
    if (!old || --old->refs)
        return;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        track_desc_fini(&old->tracks[i]);
        link_format_unref(&old->formats[i]);
    }
    free(old);
}

bool segment_fits(const struct segment *s, uint8_t mask, const struct track_desc *tracks)
{
    if (!s || s->number == SEGMENT_NUMBER_UNKNOWN || s->mask != mask)
        return false;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        if (mask & (1u << i) && !track_desc_equal(&s->tracks[i], &tracks[i]))
            return false;
    return true;
}
