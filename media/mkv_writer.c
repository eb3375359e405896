/* Writes Matroska elements onto a buf.
 * Relies on ebml and common/buf.
 * Leaves fragment rules and I/O to its callers. */
#include "media/mkv_writer.h"

#include <errno.h>
#include <string.h>

#include "media/ebml.h"

/* Track numbers are one-byte vints in a block's head; the all-ones value is reserved. */
#define TRACK_NUMBER_MAX 126

/* Keeps the first error of a run of writes, so that a list of elements reads as a list. */
struct writer {
    struct buf *b;
    int error;
};

static void put_uint(struct writer *w, uint32_t id, uint64_t v)
{
    if (w->error == 0)
        w->error = ebml_put_uint(w->b, id, v);
}

static void put_float(struct writer *w, uint32_t id, double v)
{
    if (w->error == 0)
        w->error = ebml_put_float(w->b, id, v);
}

static void put_string(struct writer *w, uint32_t id, const char *text)
{
    if (w->error == 0)
        w->error = ebml_put_string(w->b, id, text);
}

static void put_binary(struct writer *w, uint32_t id, const void *data, size_t len)
{
    if (w->error == 0)
        w->error = ebml_put_binary(w->b, id, data, len);
}

static size_t begin(struct writer *w, uint32_t id)
{
    size_t mark = 0;
    if (w->error == 0)
        w->error = ebml_begin(w->b, id, &mark);
    return mark;
}

static void end(struct writer *w, size_t mark)
{
    if (w->error == 0)
        w->error = ebml_end(w->b, mark);
}

static void begin_unknown(struct writer *w, uint32_t id)
{
    if (w->error == 0)
        w->error = ebml_begin_unknown(w->b, id);
}

/* Ends a run of writes that began at length `before`. */
static int finish(struct writer *w, size_t before)
{
    if (w->error < 0)
        w->b->len = before;
    return w->error == -EFBIG ? -ENOBUFS : w->error;
}

static void put_ebml_head(struct writer *w)
{
    size_t head = begin(w, MKV_ID_EBML);
    put_uint(w, MKV_ID_EBML_VERSION, 1);
    put_uint(w, MKV_ID_EBML_READ_VERSION, 1);
    put_uint(w, MKV_ID_EBML_MAX_ID_LENGTH, 4);
    put_uint(w, MKV_ID_EBML_MAX_SIZE_LENGTH, 8);
    put_string(w, MKV_ID_DOC_TYPE, "matroska");
    put_uint(w, MKV_ID_DOC_TYPE_VERSION, 4);
    put_uint(w, MKV_ID_DOC_TYPE_READ_VERSION, 2);
    end(w, head);
}

static void put_info(struct writer *w, const struct mkv_header *header)
{
    static const uint8_t no_uid[sizeof header->segment_uid];
    uint64_t scale = header->timecode_scale_ns;
    size_t info = begin(w, MKV_ID_INFO);
    put_uint(w, MKV_ID_TIMECODE_SCALE, scale ? scale : MKV_TIMECODE_SCALE_DEFAULT_NS);
    if (memcmp(header->segment_uid, no_uid, sizeof no_uid) != 0)
        put_binary(w, MKV_ID_SEGMENT_UID, header->segment_uid, sizeof header->segment_uid);
    put_string(w, MKV_ID_MUXING_APP, "kvpipe");
    put_string(w, MKV_ID_WRITING_APP, "kvpipe");
    end(w, info);
}

static void put_video(struct writer *w, const struct mkv_track *t)
{
    size_t video = begin(w, MKV_ID_VIDEO);
    put_uint(w, MKV_ID_PIXEL_WIDTH, t->width);
    put_uint(w, MKV_ID_PIXEL_HEIGHT, t->height);
    end(w, video);
}

static void put_audio(struct writer *w, const struct mkv_track *t)
{
    size_t audio = begin(w, MKV_ID_AUDIO);
    if (t->sample_rate > 0)
        put_float(w, MKV_ID_SAMPLING_FREQUENCY, t->sample_rate);
    if (t->channels)
        put_uint(w, MKV_ID_CHANNELS, t->channels);
    if (t->bit_depth)
        put_uint(w, MKV_ID_BIT_DEPTH, t->bit_depth);
    end(w, audio);
}

static void put_track(struct writer *w, const struct mkv_track *t)
{
    size_t entry = begin(w, MKV_ID_TRACK_ENTRY);
    put_uint(w, MKV_ID_TRACK_NUMBER, t->number);
    put_uint(w, MKV_ID_TRACK_UID, t->uid ? t->uid : t->number);
    put_uint(w, MKV_ID_TRACK_TYPE, t->type);
    put_uint(w, MKV_ID_FLAG_LACING, 0);
    if (t->default_duration_ns)
        put_uint(w, MKV_ID_DEFAULT_DURATION, t->default_duration_ns);
    if (t->name[0])
        put_string(w, MKV_ID_NAME, t->name);
    put_string(w, MKV_ID_CODEC_ID, t->codec_id);
    if (t->codec_private_len)
        put_binary(w, MKV_ID_CODEC_PRIVATE, t->codec_private, t->codec_private_len);
    /* PixelWidth and PixelHeight may not be 0: better none than an impossible one. */
    if (t->type == MKV_TRACK_VIDEO && t->width && t->height)
        put_video(w, t);
    if (t->type == MKV_TRACK_AUDIO)
        put_audio(w, t);
    end(w, entry);
}

static bool tracks_ok(const struct mkv_header *header)
{
    if (header->ntracks == 0 || header->ntracks > MKV_TRACKS_MAX)
        return false;
    for (unsigned i = 0; i < header->ntracks; i++) {
        const struct mkv_track *t = &header->tracks[i];
        if (t->number == 0 || t->number > TRACK_NUMBER_MAX || t->type == MKV_TRACK_NONE)
            return false;
        if (!memchr(t->codec_id, 0, sizeof t->codec_id) || !memchr(t->name, 0, sizeof t->name))
            return false;
        for (unsigned j = 0; j < i; j++)
            if (header->tracks[j].number == t->number)
                return false;
    }
    return true;
}

int mkv_write_header(struct buf *b, const struct mkv_header *header)
{
    struct writer w = {.b = b};
    size_t before = b->len;
    if (!tracks_ok(header))
        return -EINVAL;
    put_ebml_head(&w);
    begin_unknown(&w, MKV_ID_SEGMENT);
    put_info(&w, header);
    size_t tracks = begin(&w, MKV_ID_TRACKS);
    for (unsigned i = 0; i < header->ntracks; i++)
        put_track(&w, &header->tracks[i]);
    end(&w, tracks);
    return finish(&w, before);
}

int mkv_write_head(struct buf *b, uint64_t timecode_scale_ns)
{
    struct mkv_header header = {.timecode_scale_ns = timecode_scale_ns};
    struct writer w = {.b = b};
    size_t before = b->len;
    put_ebml_head(&w);
    begin_unknown(&w, MKV_ID_SEGMENT);
    put_info(&w, &header);
    return finish(&w, before);
}

int mkv_write_cluster(struct buf *b, uint64_t timecode)
{
    struct writer w = {.b = b};
    size_t before = b->len;
    begin_unknown(&w, MKV_ID_CLUSTER);
    put_uint(&w, MKV_ID_TIMECODE, timecode);
    return finish(&w, before);
}

int mkv_write_block_header(struct buf *b, uint32_t track, int16_t relative, bool key,
                           bool discardable, size_t payload_len)
{
    size_t before = b->len;
    uint16_t time = (uint16_t)relative;
    uint8_t head[4] = {(uint8_t)(0x80 | track), (uint8_t)(time >> 8), (uint8_t)time,
                       (uint8_t)((key ? 0x80 : 0) | (discardable ? 0x01 : 0))};
    if (track == 0 || track > TRACK_NUMBER_MAX || payload_len > EBML_SIZE_MAX - sizeof head)
        return -EINVAL;
    int r = ebml_put_id(b, MKV_ID_SIMPLE_BLOCK);
    if (r == 0)
        r = ebml_put_size(b, sizeof head + payload_len);
    if (r == 0)
        r = buf_append(b, head, sizeof head);
    if (r < 0)
        b->len = before;
    return r;
}

int mkv_write_tags(struct buf *b, const struct mkv_tag *tags, unsigned n)
{
    struct writer w = {.b = b};
    size_t before = b->len;
    if (n == 0)
        return -EINVAL;
    size_t outer = begin(&w, MKV_ID_TAGS);
    size_t tag = begin(&w, MKV_ID_TAG);
    put_binary(&w, MKV_ID_TARGETS, "", 0);
    for (unsigned i = 0; i < n; i++) {
        size_t simple = begin(&w, MKV_ID_SIMPLE_TAG);
        put_string(&w, MKV_ID_TAG_NAME, tags[i].name);
        put_string(&w, MKV_ID_TAG_STRING, tags[i].value ? tags[i].value : "");
        end(&w, simple);
    }
    end(&w, tag);
    end(&w, outer);
    return finish(&w, before);
}

int mkv_write_void(struct buf *b, const void *data, size_t len)
{
    return ebml_put_binary(b, MKV_ID_VOID, data, len);
}
