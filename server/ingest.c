/* The MKV of one PutMedia request cut into fragments, with the service's rules for them. Relies on
 * media/mkv_reader. Pure: no clock, no I/O, no log. Leaves numbers, acks, storing and the
 * connection to op_put_media. */
#include "server/ingest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "media/ebml.h"
#include "media/mkv_writer.h"
#include "server/segment_header.h"

#define MAX_PRODUCER_MS INT64_C(253402300799000) /* end of the year 9999 */
#define TAG_NAME_MAX_BYTES 128
#define TAG_VALUE_MAX_BYTES 256
#define END_OF_FRAGMENT "AWS_KINESISVIDEO_END_OF_FRAGMENT"
#define ROOM_BYTES (1u << 20) /* for heads and tags of the largest fragment */

const char *ingest_error_name(enum ingest_error id)
{
    switch (id) {
    case INGEST_OK:
        break;
    case INGEST_STREAM_READ_ERROR:
        return "STREAM_READ_ERROR";
    case INGEST_FRAGMENT_SIZE:
        return "MAX_FRAGMENT_SIZE_REACHED";
    case INGEST_FRAGMENT_DURATION:
        return "MAX_FRAGMENT_DURATION_REACHED";
    case INGEST_CONNECTION_DURATION:
        return "MAX_CONNECTION_DURATION_REACHED";
    case INGEST_TIMECODE_ORDER:
        return "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS";
    case INGEST_TRACKS:
        return "MORE_THAN_ALLOWED_TRACKS_FOUND";
    case INGEST_BAD_MKV:
        return "INVALID_MKV_DATA";
    case INGEST_PRODUCER_TIMESTAMP:
        return "INVALID_PRODUCER_TIMESTAMP";
    case INGEST_STREAM_NOT_ACTIVE:
        return "STREAM_NOT_ACTIVE";
    case INGEST_METADATA_LIMIT:
        return "FRAGMENT_METADATA_LIMIT_REACHED";
    case INGEST_TRACK_NUMBER:
        return "TRACK_NUMBER_MISMATCH";
    case INGEST_TRACK_MISSING:
        return "FRAMES_MISSING_FOR_TRACK";
    case INGEST_METADATA_NAME:
        return "INVALID_FRAGMENT_METADATA";
    case INGEST_FRAGMENT_SHORT:
        return "MIN_FRAGMENT_DURATION_REACHED";
    case INGEST_INTERNAL:
        return "INTERNAL_ERROR";
    case INGEST_ARCHIVAL:
        return "ARCHIVAL_ERROR";
    }
    return "NONE";
}

/* Reports an error once; -ECANCELED stops the reader. */
static int fail(struct ingest *in, enum ingest_error id)
{
    bool began = in->open;
    if (in->failed)
        return -ECANCELED;
    in->failed = true;
    in->open = false;
    in->ops->error(in->arg, id, began);
    return -ECANCELED;
}

static int64_t units_to_ms(const struct ingest *in, int64_t units)
{
    return (int64_t)((__int128)units * (int64_t)in->scale_ns / 1000000);
}

static int on_header(void *arg, const struct mkv_header *h, const uint8_t *raw, size_t raw_len)
{
    struct ingest *in = arg;
    struct buf out;
    buf_init(&out, raw_len + 64);
    int r = segment_header_normalise(raw, raw_len, &out);
    if (r == 0)
        in->header = blob_copy(out.data, out.len);
    buf_fini(&out);
    if (r)
        return r;
    in->scale_ns = h->timecode_scale_ns ? h->timecode_scale_ns : MKV_TIMECODE_SCALE_DEFAULT_NS;
    in->too_many_tracks = h->ntracks > in->limits.tracks;
    in->ntracks = in->too_many_tracks ? 0 : h->ntracks;
    for (unsigned i = 0; i < in->ntracks; i++) {
        in->tracks[i] = h->tracks[i].number;
        in->default_duration_ns[i] = h->tracks[i].default_duration_ns;
    }
    return 0;
}

/* The length of what was received: the first track's span and one frame more. */
static int64_t length_ms(const struct ingest *in)
{
    int64_t span = in->first_track_max - in->first_track_min, frame = 0;
    if (in->default_duration_ns[0])
        frame = (int64_t)(in->default_duration_ns[0] / in->scale_ns);
    else if (in->first_track_frames > 1)
        frame = span / (in->first_track_frames - 1);
    int64_t all = in->max - in->min;
    return units_to_ms(in, span + frame > all ? span + frame : all);
}

static void patch_cluster_size(struct ingest *in)
{
    uint64_t size = in->cluster_end - in->cluster_at - 12;
    uint8_t *p = in->data.data + in->cluster_at + 4;
    for (int i = 7; i > 0; i--, size >>= 8)
        p[i] = (uint8_t)size;
    p[0] = 0x01;
}

/* The bytes as a blob, without a copy; the buffer is empty then. */
static struct blob *take_data(struct buf *b)
{
    uint8_t *data = xrealloc(b->data, b->len);
    struct blob *blob = blob_wrap(data, b->len, free, data);
    buf_init(b, b->max_bytes);
    return blob;
}

/* followed: another one begins, so this is not the last, which may be short. */
static int close_fragment(struct ingest *in, bool followed)
{
    if (!in->open)
        return 0;
    if (in->seen != (1u << in->ntracks) - 1 || !in->ntracks)
        return fail(in, INGEST_TRACK_MISSING);
    if (followed && length_ms(in) < in->limits.min_ms)
        return fail(in, INGEST_FRAGMENT_SHORT);
    if (!in->cluster_done)
        in->cluster_end = in->data.len;
    patch_cluster_size(in);
    struct ingest_fragment f = {.header = blob_ref(in->header),
                                .data = take_data(&in->data),
                                .pre_len = (uint32_t)in->cluster_at,
                                .cluster_len = (uint32_t)(in->cluster_end - in->cluster_at),
                                .frames = in->frames,
                                .length_ms = length_ms(in)};
    in->open = false;
    in->prev_max = in->max;
    in->ntags = 0;
    in->ops->complete(in->arg, &f);
    return 0;
}

/* Known-size Clusters are what players seek in best; the size is filled in when the fragment is
 * whole. */
static int open_cluster(struct ingest *in, uint64_t timecode)
{
    static const uint8_t head[12] = {0x1F, 0x43, 0xB6, 0x75, 0x01};
    in->cluster_at = in->data.len;
    int r = buf_append(&in->data, head, sizeof head);
    return r ? r : ebml_put_uint(&in->data, MKV_ID_TIMECODE, timecode);
}

static int on_cluster(void *arg, uint64_t offset, uint64_t timecode)
{
    struct ingest *in = arg;
    int r = close_fragment(in, true);
    if (r)
        return r;
    if (timecode > INT64_MAX / 4 ||
        (__int128)timecode * in->scale_ns / 1000000 > MAX_PRODUCER_MS * 2)
        return fail(in, INGEST_PRODUCER_TIMESTAMP);
    in->timecode = (int64_t)timecode;
    in->min = in->first_track_min = INT64_MAX;
    in->max = in->first_track_max = INT64_MIN;
    in->frames = in->first_track_frames = in->seen = 0;
    in->cluster_done = false;
    in->open = true;
    int64_t tc_ms = units_to_ms(in, in->timecode);
    int64_t producer_ms = in->absolute ? tc_ms : in->start_ms + tc_ms;
    in->ops->begin(in->arg, tc_ms, producer_ms);
    if (in->failed) /* the receiver may have ended the session */
        return -ECANCELED;
    if (in->too_many_tracks)
        return fail(in, INGEST_TRACKS);
    if (in->early)
        return fail(in, in->early);
    if (producer_ms < 0 || producer_ms > MAX_PRODUCER_MS ||
        (in->limits.ahead_ms && producer_ms > in->now_ms + in->limits.ahead_ms))
        return fail(in, INGEST_PRODUCER_TIMESTAMP);
    return open_cluster(in, timecode) ? fail(in, INGEST_METADATA_LIMIT) : 0;
}

static int track_index(const struct ingest *in, uint32_t number)
{
    for (unsigned i = 0; i < in->ntracks; i++)
        if (in->tracks[i] == number)
            return (int)i;
    return -1;
}

static int on_block(void *arg, const struct mkv_block *b)
{
    struct ingest *in = arg;
    if (!in->open)
        return fail(in, INGEST_BAD_MKV);
    int track = track_index(in, b->track);
    if (track < 0)
        return fail(in, INGEST_TRACK_NUMBER);
    int64_t t = in->timecode + b->relative;
    if (t <= in->prev_max)
        return fail(in, INGEST_TIMECODE_ORDER);
    in->min = t < in->min ? t : in->min;
    in->max = t > in->max ? t : in->max;
    if (units_to_ms(in, in->max - in->min) > in->limits.max_ms)
        return fail(in, INGEST_FRAGMENT_DURATION);
    if (track == 0) {
        in->first_track_min = t < in->first_track_min ? t : in->first_track_min;
        in->first_track_max = t > in->first_track_max ? t : in->first_track_max;
        in->first_track_frames++;
    }
    in->frames++;
    in->seen |= 1u << track;
    if (in->data.len - in->cluster_at + b->raw_len > in->limits.max_bytes ||
        buf_append(&in->data, b->raw, b->raw_len) < 0)
        return fail(in, INGEST_FRAGMENT_SIZE);
    return 0;
}

static int on_cluster_end(void *arg, uint64_t offset)
{
    struct ingest *in = arg;
    if (in->open && !in->cluster_done) {
        in->cluster_done = true;
        in->cluster_end = in->data.len;
    }
    return 0;
}

static bool is_reserved(const char *name)
{
    return !strcmp(name, "AWS_KINESISVIDEO_IMAGE_GENERATION") ||
           !strcmp(name, "AWS_KINESISVIDEO_IMAGE_PREFIX") ||
           !strcmp(name, "AWS_KINESISVIDEO_NOTIFICATION");
}

static enum ingest_error check_tag(const struct mkv_tag *t)
{
    if (!strncmp(t->name, "AWS", 3) && !is_reserved(t->name))
        return INGEST_METADATA_NAME;
    if (strlen(t->name) > TAG_NAME_MAX_BYTES || strlen(t->value) > TAG_VALUE_MAX_BYTES)
        return INGEST_METADATA_LIMIT;
    return INGEST_OK;
}

/* Tags before the first Cluster belong to the first fragment, all others to the one before them. */
static int on_tags(void *arg, uint64_t offset, const uint8_t *raw, size_t raw_len,
                   const struct mkv_tag *tags, unsigned n)
{
    struct ingest *in = arg;
    struct mkv_tag kept[INGEST_TAGS_MAX];
    unsigned nkept = 0;
    bool end = false;
    enum ingest_error bad = INGEST_OK;
    if (in->open && !in->cluster_done)
        on_cluster_end(in, offset);
    for (unsigned i = 0; i < n && !bad; i++) {
        if (!strcmp(tags[i].name, END_OF_FRAGMENT)) {
            end = true;
            continue;
        }
        bad = check_tag(&tags[i]);
        if (!bad && in->ntags + nkept >= in->limits.tags)
            bad = INGEST_METADATA_LIMIT;
        else if (!bad)
            kept[nkept++] = tags[i];
    }
    in->ntags += nkept;
    if (!bad && nkept && mkv_write_tags(&in->data, kept, nkept) < 0)
        bad = INGEST_METADATA_LIMIT;
    if (bad && !in->open) {
        in->early = in->early ? in->early : bad;
        return 0;
    }
    if (bad)
        return fail(in, bad);
    return end ? close_fragment(in, false) : 0;
}

void ingest_init(struct ingest *in, const struct ingest_ops *ops, void *arg,
                 const struct ingest_limits *limits, bool absolute, int64_t start_ms)
{
    static const struct mkv_reader_ops reader_ops = {.header = on_header,
                                                     .cluster = on_cluster,
                                                     .block = on_block,
                                                     .tags = on_tags,
                                                     .cluster_end = on_cluster_end};
    memset(in, 0, sizeof *in);
    in->ops = ops;
    in->arg = arg;
    in->limits = *limits;
    in->absolute = absolute;
    in->start_ms = start_ms;
    in->prev_max = INT64_MIN;
    buf_init(&in->data, limits->max_bytes + ROOM_BYTES);
    mkv_reader_init(&in->reader, &reader_ops, in, limits->max_bytes);
}

void ingest_fini(struct ingest *in)
{
    mkv_reader_fini(&in->reader);
    buf_fini(&in->data);
    blob_unref(&in->header);
}

static void check(struct ingest *in, int r)
{
    if (r == 0 || in->failed)
        return;
    fail(in, r == -EFBIG && in->open ? INGEST_FRAGMENT_SIZE
             : r == -ENOMEM          ? INGEST_INTERNAL
                                     : INGEST_BAD_MKV);
}

void ingest_feed(struct ingest *in, const uint8_t *data, size_t len, int64_t now_ms)
{
    if (in->failed)
        return;
    in->now_ms = now_ms;
    check(in, mkv_reader_feed(&in->reader, data, len));
}

void ingest_finish(struct ingest *in)
{
    if (in->failed)
        return;
    check(in, mkv_reader_finish(&in->reader));
    if (!in->failed)
        close_fragment(in, false);
    if (!in->failed && in->early)
        fail(in, in->early);
    in->failed = true;
}

void ingest_abort(struct ingest *in)
{
    if (!in->failed && in->open && in->cluster_done)
        close_fragment(in, false);
    in->failed = true;
}

bool ingest_in_fragment(const struct ingest *in)
{
    return in->open && !in->cluster_done;
}
