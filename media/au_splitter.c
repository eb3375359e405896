/* Cuts a byte stream of H.264 or H.265 into access units.
 * Relies on nal and h264 for bits and parameter sets.
 * Leaves damaged slices to decoders. */
#include "media/au_splitter.h"

#include <string.h>

#define NONE SIZE_MAX
#define HEADER_BYTES 64u /* enough of a slice to read the fields of struct au_slice */

enum place {
    PREFIX,  /* begins the next access unit when a picture was there */
    SLICE,   /* may begin a picture */
    FOLLOWS, /* belongs to the picture before it */
};

void au_splitter_init(struct au_splitter *s, bool h265, size_t max_bytes)
{
    memset(s, 0, sizeof *s);
    s->h265 = h265;
    buf_init(&s->bytes, max_bytes);
    s->unit = s->prefix = NONE;
}

void au_splitter_fini(struct au_splitter *s)
{
    buf_fini(&s->bytes);
}

uint64_t au_splitter_junk(struct au_splitter *s)
{
    uint64_t junk = s->junk_bytes;

    s->junk_bytes = 0;
    return junk;
}

/* ---- times ---- */

static void mark(struct au_splitter *s, const struct au_times *times)
{
    if (s->nmarks && s->mark[s->nmarks - 1].times.given == times->given &&
        s->mark[s->nmarks - 1].times.pts_ns == times->pts_ns &&
        s->mark[s->nmarks - 1].times.dts_ns == times->dts_ns)
        return; /* the pieces of one access unit */
    if (s->nmarks == AU_SPLITTER_MARKS)
        return;
    s->mark[s->nmarks].at = s->bytes.len;
    s->mark[s->nmarks++].times = *times;
}

/* The times of the access unit at the front, which are used up. */
static struct au_times take_times(struct au_splitter *s)
{
    size_t code = s->bytes.len > 3 && s->bytes.data[2] == 0 ? 1 : 0; /* after zero_byte */
    struct au_times times = {0};
    unsigned i = 0;

    while (i + 1 < s->nmarks && s->mark[i + 1].at <= code)
        i++;
    if (s->nmarks) {
        times = s->mark[i].times;
        s->mark[i].times.given = false;
    }
    return times;
}

static void drop_marks(struct au_splitter *s, size_t len)
{
    unsigned first = 0;

    while (first + 1 < s->nmarks && s->mark[first + 1].at <= len)
        first++;
    s->nmarks -= first;
    memmove(s->mark, s->mark + first, s->nmarks * sizeof s->mark[0]);
    for (unsigned i = 0; i < s->nmarks; i++)
        s->mark[i].at = s->mark[i].at > len ? s->mark[i].at - len : 0;
}

/* ---- bytes ---- */

static void consume(struct au_splitter *s, size_t len)
{
    buf_consume(&s->bytes, len);
    drop_marks(s, len);
    s->scan = s->scan > len ? s->scan - len : 0;
    if (s->unit != NONE)
        s->unit -= len;
    if (s->prefix != NONE)
        s->prefix -= len;
}

/* Puts out the first `len` bytes, which end where a start code begins. */
static void put_out(struct au_splitter *s, size_t len, au_fn *fn, void *arg)
{
    struct au_times times = take_times(s);

    if (len)
        fn(arg, s->bytes.data, len, &times);
    consume(s, len);
    s->picture = s->paired = false;
}

/* ---- H.264 (7.4.1.2.3 and 7.4.1.2.4) ---- */

static void learn(struct au_splitter *s, const struct nal *nal)
{
    enum h264_nal_type type = h264_nal_type(nal);
    struct h264_sps sps;
    struct nal_bits b;
    uint32_t pps_id, sps_id;

    if (type == H264_NAL_SPS && h264_parse_sps(nal, &sps) == 0) {
        s->sps[sps.id].set = true;
        s->sps[sps.id].frame_num_bits = sps.frame_num_bits;
        s->sps[sps.id].poc_type = sps.poc_type;
        s->sps[sps.id].poc_lsb_bits = sps.poc_lsb_bits;
        s->sps[sps.id].separate_planes = sps.separate_planes;
        s->sps[sps.id].interlaced = sps.interlaced;
    } else if (type == H264_NAL_PPS) {
        nal_bits_init(&b, nal->data + 1, nal->len - 1);
        pps_id = nal_bits_ue(&b);
        sps_id = nal_bits_ue(&b);
        if (!b.bad && pps_id < H264_PPS_MAX && sps_id < H264_SPS_MAX)
            s->sps_of_pps[pps_id] = (uint8_t)(sps_id + 1);
    }
}

static struct au_slice read_slice(const struct au_splitter *s, const struct nal *nal)
{
    struct au_slice out = {.idr = h264_nal_type(nal) == H264_NAL_IDR,
                           .reference = (nal->data[0] & 0x60) != 0};
    struct nal_bits b;
    uint32_t pps;
    unsigned id;

    nal_bits_init(&b, nal->data + 1, nal->len - 1);
    out.first_mb = nal_bits_ue(&b);
    nal_bits_ue(&b); /* slice_type */
    pps = nal_bits_ue(&b);
    if (b.bad || pps >= H264_PPS_MAX || !s->sps_of_pps[pps])
        return out;
    id = s->sps_of_pps[pps] - 1u;
    if (!s->sps[id].set)
        return out;
    if (s->sps[id].separate_planes)
        nal_bits_u(&b, 2); /* colour_plane_id */
    out.frame_num = nal_bits_u(&b, s->sps[id].frame_num_bits);
    out.field = s->sps[id].interlaced && nal_bits_u(&b, 1);
    out.bottom = out.field && nal_bits_u(&b, 1);
    out.idr_pic_id = out.idr ? nal_bits_ue(&b) : 0;
    out.poc_lsb = s->sps[id].poc_type == 0 ? nal_bits_u(&b, s->sps[id].poc_lsb_bits) : 0;
    out.known = !b.bad;
    return out;
}

/* The second field of a frame stays with the first: a block of Matroska holds the frame. */
static bool is_second_field(const struct au_slice *a, const struct au_slice *b)
{
    return a->known && b->known && a->field && b->field && a->bottom != b->bottom &&
           a->frame_num == b->frame_num && !(b->idr && !a->idr);
}

static bool is_other_picture(const struct au_slice *a, const struct au_slice *b)
{
    if (b->first_mb == 0 || !a->known || !b->known)
        return b->first_mb == 0;
    return a->frame_num != b->frame_num || a->field != b->field || a->bottom != b->bottom ||
           a->reference != b->reference || a->idr != b->idr || a->idr_pic_id != b->idr_pic_id ||
           a->poc_lsb != b->poc_lsb;
}

/* separate_colour_plane_flag: three slices of a picture begin at 0. */
static bool same_planes(const struct au_splitter *s, const struct au_slice *a,
                        const struct au_slice *b)
{
    struct au_slice other = *b;

    other.first_mb = 1;
    for (unsigned i = 0; i < H264_SPS_MAX; i++)
        if (s->sps[i].set && s->sps[i].separate_planes)
            return a->known && b->known && !is_other_picture(a, &other);
    return false;
}

static bool begins_h264(struct au_splitter *s, const struct nal *nal)
{
    struct au_slice slice = read_slice(s, nal), last = s->last;

    s->last = slice;
    if (!s->picture)
        return false;
    if (!s->paired && is_second_field(&last, &slice)) {
        s->paired = true;
        return false;
    }
    if (same_planes(s, &last, &slice))
        return false;
    return s->aud || is_other_picture(&last, &slice);
}

static enum place place_h264(const struct nal *nal)
{
    unsigned type = h264_nal_type(nal);

    if (type == 1 || type == 2 || type == 5)
        return SLICE;
    if ((type >= 6 && type <= 9) || (type >= 13 && type <= 18))
        return PREFIX;
    return FOLLOWS;
}

/* ---- H.265 (7.4.2.4.4) ---- */

static unsigned type_h265(const struct nal *nal)
{
    return nal->data[0] >> 1 & 63;
}

static bool is_base_layer(const struct nal *nal)
{
    return nal->len > 1 && !(nal->data[0] & 1) && nal->data[1] < 8;
}

static enum place place_h265(const struct nal *nal)
{
    unsigned type = type_h265(nal);

    if (!is_base_layer(nal))
        return FOLLOWS;
    if (type < 32)
        return SLICE;
    if ((type >= 32 && type <= 35) || type == 39 || (type >= 41 && type <= 44) ||
        (type >= 48 && type <= 55))
        return PREFIX;
    return FOLLOWS;
}

static bool begins_h265(const struct au_splitter *s, const struct nal *nal)
{
    return s->picture && nal->len > 2 && (nal->data[2] & 0x80); /* first_slice_segment_in_pic */
}

/* ---- units ---- */

static bool is_delimiter(const struct au_splitter *s, const struct nal *nal)
{
    return s->h265 ? type_h265(nal) == 35 : h264_nal_type(nal) == H264_NAL_AUD;
}

/* Looks at the beginning of a unit and puts out what comes to its end before it. */
static void judge(struct au_splitter *s, const struct nal *nal, au_fn *fn, void *arg)
{
    enum place place = s->h265 ? place_h265(nal) : place_h264(nal);
    bool begins;

    s->judged = true;
    if (place == PREFIX && s->picture) {
        if (s->prefix == NONE)
            s->prefix = s->unit;
        s->aud = s->aud || is_delimiter(s, nal);
    }
    if (place != SLICE)
        return;
    begins = s->h265 ? begins_h265(s, nal) : begins_h264(s, nal);
    if (begins)
        put_out(s, s->prefix != NONE ? s->prefix : s->unit, fn, arg);
    s->picture = true;
    s->prefix = NONE;
    s->aud = false;
}

static size_t header_at(const struct au_splitter *s)
{
    return s->unit + (s->bytes.data[s->unit + 2] == 1 ? 3 : 4);
}

/* `end`: where the unit ends, or how far it has come when not `whole`. */
static void look(struct au_splitter *s, size_t end, bool whole, au_fn *fn, void *arg)
{
    size_t at = header_at(s);
    struct nal nal = {s->bytes.data + at, end > at ? end - at : 0};

    if (!nal.len || (!whole && (s->judged || nal.len < HEADER_BYTES)))
        return;
    if (!s->judged)
        judge(s, &nal, fn, arg);
    if (!whole || s->h265)
        return;
    at = header_at(s); /* bytes may have gone */
    end = at + nal.len;
    nal.data = s->bytes.data + at;
    while (nal.len > 1 && nal.data[nal.len - 1] == 0)
        nal.len--;
    learn(s, &nal);
}

/* A start code at `code` ends the unit before it and begins one. */
static void next_unit(struct au_splitter *s, size_t code, au_fn *fn, void *arg)
{
    size_t begin = code && s->bytes.data[code - 1] == 0 ? code - 1 : code, before = s->bytes.len;

    if (s->unit == NONE) {
        s->junk_bytes += begin;
        consume(s, begin);
        begin = 0;
    } else {
        look(s, begin, true, fn, arg);
        begin -= before - s->bytes.len;
    }
    s->unit = begin;
    s->judged = false;
}

static void scan(struct au_splitter *s, au_fn *fn, void *arg)
{
    while (s->scan + 3 <= s->bytes.len) {
        const uint8_t *from = s->bytes.data + s->scan;
        const uint8_t *one = memchr(from + 2, 1, s->bytes.len - s->scan - 2);
        size_t at;
        if (!one) {
            s->scan = s->bytes.len - 2;
            return;
        }
        at = (size_t)(one - s->bytes.data);
        s->scan = at - 1;
        if (one[-1] || one[-2])
            continue;
        next_unit(s, at - 2, fn, arg);
        s->scan = s->unit + (s->bytes.data[s->unit + 2] == 1 ? 3 : 4);
    }
}

static void forget(struct au_splitter *s)
{
    buf_clear(&s->bytes);
    s->scan = s->nmarks = 0;
    s->unit = s->prefix = NONE;
    s->judged = s->picture = s->aud = s->paired = false;
}

void au_splitter_push(struct au_splitter *s, const uint8_t *data, size_t len,
                      const struct au_times *times, au_fn *fn, void *arg)
{
    if (s->bytes.len + len > s->bytes.max_bytes) {
        s->junk_bytes += s->bytes.len;
        forget(s);
    }
    mark(s, times);
    if (buf_append(&s->bytes, data, len) < 0) {
        s->junk_bytes += len;
        forget(s);
        return;
    }
    scan(s, fn, arg);
    if (s->unit != NONE)
        look(s, s->bytes.len, false, fn, arg);
    else if (s->bytes.len > 4) { /* no start code: nothing of it will be used */
        s->junk_bytes += s->bytes.len - 4;
        consume(s, s->bytes.len - 4);
    }
}

void au_splitter_end(struct au_splitter *s, au_fn *fn, void *arg)
{
    if (s->unit == NONE)
        return;
    look(s, s->bytes.len, true, fn, arg);
    if (!s->picture)
        return;
    put_out(s, s->bytes.len, fn, arg);
    forget(s);
}

void au_splitter_flush(struct au_splitter *s, au_fn *fn, void *arg)
{
    au_splitter_end(s, fn, arg);
    s->junk_bytes += s->bytes.len; /* units of no picture */
    forget(s);
}
