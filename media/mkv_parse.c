/* The bodies of Matroska elements.
 * Relies on ebml.
 * Leaves order, nesting and splitting of the stream to mkv_reader. */
#include "media/mkv_parse.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/ebml.h"

/* SimpleTags may nest; real files need two or three levels. */
#define TAG_DEPTH_MAX 8

struct span {
    const uint8_t *p;
    size_t n;
};

static int bad(const char **reason, const char *text)
{
    *reason = text;
    return -EBADMSG;
}

/* Takes the next child off the front of *rest. Returns 1, 0 at the end, -EBADMSG when it does not
 * fit. */
static int next_child(struct span *rest, uint32_t *id, struct span *body, const char **reason)
{
    uint64_t size;
    if (rest->n == 0)
        return 0;
    int a = ebml_read_id(rest->p, rest->n, id);
    if (a <= 0)
        return bad(reason, "invalid element id inside an element");
    int b = ebml_read_size(rest->p + a, rest->n - (size_t)a, &size);
    if (b <= 0)
        return bad(reason, "invalid element size inside an element");
    size_t head = (size_t)a + (size_t)b;
    if (size > rest->n - head)
        return bad(reason, "element larger than its parent");
    *body = (struct span){rest->p + head, (size_t)size};
    rest->p += head + size;
    rest->n -= head + size;
    return 1;
}

static int get_uint(struct span body, uint64_t max, uint64_t *v, const char **reason)
{
    if (ebml_read_uint(body.p, body.n, v) < 0 || *v > max)
        return bad(reason, "number out of range");
    return 0;
}

static int get_uint32(struct span body, uint32_t *v, const char **reason)
{
    uint64_t wide = 0;
    int r = get_uint(body, UINT32_MAX, &wide, reason);
    *v = (uint32_t)wide;
    return r;
}

/* Length of an EBML string: it may be padded with zeros. */
static size_t text_len(struct span body)
{
    return body.n ? strnlen((const char *)body.p, body.n) : 0;
}

static bool text_is(struct span body, const char *text)
{
    size_t n = text_len(body);
    return n == strlen(text) && (n == 0 || memcmp(body.p, text, n) == 0);
}

/* Copies as much as fits in whole UTF-8 characters. */
static void copy_text(char *out, size_t cap, struct span body)
{
    size_t n = text_len(body);
    if (n >= cap) {
        n = cap - 1;
        while (n > 0 && (body.p[n] & 0xC0) == 0x80)
            n--;
    }
    if (n)
        memcpy(out, body.p, n);
    out[n] = 0;
}

int mkv_parse_ebml_head(const uint8_t *p, size_t n, const char **reason)
{
    struct span rest = {p, n}, body;
    uint32_t id;
    bool doc_type = false;
    int r;
    while ((r = next_child(&rest, &id, &body, reason)) > 0) {
        uint64_t v = 0;
        switch (id) {
        case MKV_ID_DOC_TYPE:
            doc_type = text_is(body, "matroska") || text_is(body, "webm");
            break;
        case MKV_ID_EBML_READ_VERSION:
            if (get_uint(body, 1, &v, reason) < 0)
                return bad(reason, "EBML version above 1");
            break;
        case MKV_ID_EBML_MAX_ID_LENGTH:
            if (get_uint(body, 4, &v, reason) < 0)
                return bad(reason, "element ids longer than 4 bytes");
            break;
        case MKV_ID_EBML_MAX_SIZE_LENGTH:
            if (get_uint(body, 8, &v, reason) < 0)
                return bad(reason, "element sizes longer than 8 bytes");
            break;
        case MKV_ID_DOC_TYPE_READ_VERSION:
            if (get_uint(body, 4, &v, reason) < 0)
                return bad(reason, "Matroska version above 4");
            break;
        default:
            break;
        }
    }
    if (r == 0 && !doc_type)
        return bad(reason, "DocType is neither matroska nor webm");
    return r;
}

int mkv_parse_info(const uint8_t *p, size_t n, struct mkv_header *header, const char **reason)
{
    struct span rest = {p, n}, body;
    uint32_t id;
    int r;
    while ((r = next_child(&rest, &id, &body, reason)) > 0) {
        if (id == MKV_ID_TIMECODE_SCALE) {
            r = get_uint(body, UINT64_MAX, &header->timecode_scale_ns, reason);
            if (r < 0 || header->timecode_scale_ns == 0)
                return bad(reason, "TimecodeScale out of range");
        } else if (id == MKV_ID_SEGMENT_UID) {
            if (body.n != sizeof header->segment_uid)
                return bad(reason, "SegmentUID is not 16 bytes");
            memcpy(header->segment_uid, body.p, body.n);
        }
    }
    return r;
}

static int parse_video(struct span rest, struct mkv_track *t, const char **reason)
{
    struct span body;
    uint32_t id;
    int r;
    while ((r = next_child(&rest, &id, &body, reason)) > 0) {
        if (id == MKV_ID_PIXEL_WIDTH)
            r = get_uint32(body, &t->width, reason);
        else if (id == MKV_ID_PIXEL_HEIGHT)
            r = get_uint32(body, &t->height, reason);
        if (r < 0)
            return r;
    }
    return r;
}

static int parse_audio(struct span rest, struct mkv_track *t, const char **reason)
{
    struct span body;
    uint32_t id;
    int r;
    t->sample_rate = 8000; /* RFC 9559 defaults */
    t->channels = 1;
    while ((r = next_child(&rest, &id, &body, reason)) > 0) {
        if (id == MKV_ID_SAMPLING_FREQUENCY) {
            if (ebml_read_float(body.p, body.n, &t->sample_rate) < 0 || !(t->sample_rate > 0) ||
                isinf(t->sample_rate))
                return bad(reason, "SamplingFrequency out of range");
        } else if (id == MKV_ID_CHANNELS) {
            r = get_uint32(body, &t->channels, reason);
        } else if (id == MKV_ID_BIT_DEPTH) {
            r = get_uint32(body, &t->bit_depth, reason);
        }
        if (r < 0)
            return r;
    }
    return r;
}

static int parse_codec_private(struct span body, struct mkv_track *t, const char **reason)
{
    if (t->codec_private)
        return bad(reason, "second CodecPrivate in a track");
    if (body.n == 0)
        return 0;
    t->codec_private = malloc(body.n);
    if (!t->codec_private) {
        *reason = "no memory for CodecPrivate";
        return -ENOMEM;
    }
    memcpy(t->codec_private, body.p, body.n);
    t->codec_private_len = body.n;
    return 0;
}

static int parse_track_field(uint32_t id, struct span body, struct mkv_track *t,
                             const char **reason)
{
    uint32_t type = 0;
    int r = 0;
    switch (id) {
    case MKV_ID_TRACK_NUMBER:
        return get_uint32(body, &t->number, reason);
    case MKV_ID_TRACK_UID:
        return get_uint(body, UINT64_MAX, &t->uid, reason);
    case MKV_ID_TRACK_TYPE:
        r = get_uint32(body, &type, reason);
        if (type > 254)
            return bad(reason, "TrackType out of range");
        t->type = (enum mkv_track_type)type;
        return r;
    case MKV_ID_DEFAULT_DURATION:
        return get_uint(body, UINT64_MAX, &t->default_duration_ns, reason);
    case MKV_ID_NAME:
        copy_text(t->name, sizeof t->name, body);
        return 0;
    case MKV_ID_CODEC_ID:
        if (text_len(body) >= sizeof t->codec_id)
            return bad(reason, "CodecID longer than 32 bytes");
        copy_text(t->codec_id, sizeof t->codec_id, body);
        return 0;
    case MKV_ID_CODEC_PRIVATE:
        return parse_codec_private(body, t, reason);
    case MKV_ID_VIDEO:
        return parse_video(body, t, reason);
    case MKV_ID_AUDIO:
        return parse_audio(body, t, reason);
    default:
        return 0;
    }
}

static int parse_track(struct span rest, struct mkv_header *header, const char **reason)
{
    struct span body;
    uint32_t id;
    int r;
    if (header->ntracks == MKV_TRACKS_MAX)
        return bad(reason, "more than 16 tracks");
    struct mkv_track *t = &header->tracks[header->ntracks++];
    while ((r = next_child(&rest, &id, &body, reason)) > 0) {
        r = parse_track_field(id, body, t, reason);
        if (r < 0)
            return r;
    }
    if (r < 0)
        return r;
    if (t->number == 0)
        return bad(reason, "track without a number");
    if (t->type == MKV_TRACK_NONE)
        return bad(reason, "track without a type");
    if (t->codec_id[0] == 0)
        return bad(reason, "track without a CodecID");
    for (const struct mkv_track *other = header->tracks; other < t; other++)
        if (other->number == t->number)
            return bad(reason, "two tracks with one number");
    return 0;
}

int mkv_parse_tracks(const uint8_t *p, size_t n, struct mkv_header *header, const char **reason)
{
    struct span rest = {p, n}, body;
    uint32_t id;
    int r;
    while ((r = next_child(&rest, &id, &body, reason)) > 0) {
        if (id == MKV_ID_TRACK_ENTRY)
            r = parse_track(body, header, reason);
        if (r < 0)
            return r;
    }
    if (r == 0 && header->ntracks == 0)
        return bad(reason, "Tracks without a track");
    return r;
}

/* Track number, time and flags, which Block and SimpleBlock share (RFC 9559 section 10.1). */
static int parse_block_head(struct span body, struct mkv_block *block, uint8_t *flags,
                            const char **reason)
{
    uint64_t track;
    int n = ebml_read_size(body.p, body.n, &track);
    if (n <= 0 || track == 0 || track > UINT32_MAX)
        return bad(reason, "block with an invalid track number");
    if (body.n - (size_t)n < 3)
        return bad(reason, "block cut short");
    const uint8_t *p = body.p + n;
    block->track = (uint32_t)track;
    block->relative = (int16_t)((uint16_t)p[0] << 8 | p[1]);
    *flags = p[2];
    block->laced = (*flags & 0x06) != 0;
    block->invisible = (*flags & 0x08) != 0;
    block->payload = p + 3;
    block->payload_len = body.n - (size_t)n - 3;
    return 0;
}

int mkv_parse_simple_block(const uint8_t *p, size_t n, struct mkv_block *block, const char **reason)
{
    uint8_t flags;
    int r = parse_block_head((struct span){p, n}, block, &flags, reason);
    if (r < 0)
        return r;
    block->simple = true;
    block->key = (flags & 0x80) != 0;
    block->discardable = (flags & 0x01) != 0;
    return 0;
}

int mkv_parse_block_group(const uint8_t *p, size_t n, struct mkv_block *block, const char **reason)
{
    struct span rest = {p, n}, body;
    uint32_t id;
    uint8_t flags;
    bool found = false;
    int r;
    block->key = true; /* unless it refers to another block */
    while ((r = next_child(&rest, &id, &body, reason)) > 0) {
        if (id == MKV_ID_BLOCK) {
            if (found)
                return bad(reason, "BlockGroup with two Blocks");
            found = true;
            r = parse_block_head(body, block, &flags, reason);
        } else if (id == MKV_ID_BLOCK_DURATION) {
            r = get_uint(body, UINT64_MAX, &block->duration, reason);
        } else if (id == MKV_ID_REFERENCE_BLOCK) {
            block->key = false;
        }
        if (r < 0)
            return r;
    }
    if (r == 0 && !found)
        return bad(reason, "BlockGroup without a Block");
    return r;
}

/* Appends a text and its NUL to the list's store, which is as large as all texts can be. */
static const char *keep_text(struct mkv_tag_list *list, struct span body)
{
    char *out = list->texts + list->texts_len;
    size_t n = text_len(body);
    if (n)
        memcpy(out, body.p, n);
    out[n] = 0;
    list->texts_len += n + 1;
    return out;
}

static int parse_simple_tag(struct span rest, struct mkv_tag_list *list, unsigned depth,
                            const char **reason)
{
    struct span body, name = {NULL, 0}, value = {NULL, 0};
    uint32_t id;
    int r;
    if (depth == TAG_DEPTH_MAX)
        return bad(reason, "SimpleTags nested too deep");
    if (list->n == MKV_TAGS_MAX) {
        *reason = "more than 256 tags in one Tags";
        return -EFBIG;
    }
    struct mkv_tag *tag = &list->tags[list->n++];
    *tag = (struct mkv_tag){"", ""};
    while ((r = next_child(&rest, &id, &body, reason)) > 0) {
        if (id == MKV_ID_TAG_NAME)
            name = body;
        else if (id == MKV_ID_TAG_STRING)
            value = body;
        else if (id == MKV_ID_SIMPLE_TAG)
            r = parse_simple_tag(body, list, depth + 1, reason);
        if (r < 0)
            return r;
    }
    if (r == 0) {
        tag->name = keep_text(list, name);
        tag->value = keep_text(list, value);
    }
    return r;
}

static int parse_tag(struct span rest, struct mkv_tag_list *list, const char **reason)
{
    struct span body;
    uint32_t id;
    int r;
    while ((r = next_child(&rest, &id, &body, reason)) > 0) {
        if (id == MKV_ID_SIMPLE_TAG)
            r = parse_simple_tag(body, list, 0, reason);
        if (r < 0)
            return r;
    }
    return r;
}

int mkv_parse_tags(const uint8_t *p, size_t n, struct mkv_tag_list *list, const char **reason)
{
    struct span rest = {p, n}, body;
    uint32_t id;
    int r;
    list->n = 0;
    list->texts_len = 0;
    /* Every text is a part of the body that no other text shares, plus a NUL each. */
    list->texts = malloc(n + 2 * MKV_TAGS_MAX);
    if (!list->texts) {
        *reason = "no memory for tags";
        return -ENOMEM;
    }
    while ((r = next_child(&rest, &id, &body, reason)) > 0) {
        if (id == MKV_ID_TAG)
            r = parse_tag(body, list, reason);
        if (r < 0)
            return r;
    }
    return r;
}

void mkv_tag_list_fini(struct mkv_tag_list *list)
{
    free(list->texts);
    list->texts = NULL;
}
