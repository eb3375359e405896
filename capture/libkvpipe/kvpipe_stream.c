/* A stream of libkvpipe as the caller's threads see it: options, frames, metadata, its end.
 * Relies on frame_times, frame_tags and common/fragmenter, all under the lock.
 * Leaves the link to kvpipe_loop.c. */
#include "capture/libkvpipe/kvpipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture/epoch.h"
#include "capture/libkvpipe/kvpipe_private.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "media/aac.h"
#include "media/h264.h"
#include "media/h265.h"

#define PRIVATE_MAX_BYTES (1u << 20)
#define WINDOW_BYTES (UINT64_C(256) << 20)
#define WINDOW_SECONDS 180
#define QUEUE_ITEMS 256
#define QUEUE_BYTES (UINT64_C(64) << 20)

/* ---- tracks ---- */

static bool is_annexb(const uint8_t *data, size_t len)
{
    return len >= 4 && data[0] == 0 && data[1] == 0 &&
           (data[2] == 1 || (data[2] == 0 && data[3] == 1));
}

/* Codec private data in Annex B becomes the record. */
static struct blob *record_of(enum kvpipe_codec codec, const void *data, size_t len)
{
    struct h264_parameter_sets avc;
    struct h265_parameter_sets hevc;
    struct blob *record = NULL;
    struct buf b;

    buf_init(&b, PRIVATE_MAX_BYTES);
    if (codec == KVPIPE_H264 && h264_find_parameter_sets(data, len, &avc) == 0 &&
        h264_build_avcc(&b, avc.sps, avc.nsps, avc.pps, avc.npps) == 0)
        record = blob_copy(b.data, b.len);
    if (codec == KVPIPE_H265 && h265_find_parameter_sets(data, len, &hevc) == 0 &&
        h265_build_hvcc(&b, &hevc) == 0)
        record = blob_copy(b.data, b.len);
    buf_fini(&b);
    return record;
}

static const char *take_private(const struct kvpipe_track *t, struct link_format *f)
{
    struct h264_avcc avcc;
    struct h265_hvcc hvcc;
    struct aac_config aac;
    const uint8_t *data = t->codec_private;
    size_t len = t->codec_private_bytes;

    if (len > PRIVATE_MAX_BYTES || (len && !data))
        return "codec private data missing, or above 1 MiB";
    if (f->video && t->codec != KVPIPE_OTHER && (!len || is_annexb(data, len))) {
        strcpy(f->layout, "annexb");
        f->config = len ? record_of(t->codec, data, len) : NULL;
        return len && !f->config ? "codec private data in Annex B without usable SPS and PPS"
                                 : NULL;
    }
    f->config = len ? blob_copy(data, len) : NULL;
    if (t->codec == KVPIPE_H264 && h264_parse_avcc(data, len, &avcc) < 0)
        return "codec private data is no avcC (AVCDecoderConfigurationRecord)";
    if (t->codec == KVPIPE_H265 && h265_parse_hvcc(data, len, &hvcc) < 0)
        return "codec private data is no hvcC (HEVCDecoderConfigurationRecord)";
    if (t->codec == KVPIPE_AAC && len && aac_parse_config(data, len, &aac) < 0)
        return "codec private data is no AudioSpecificConfig";
    if (t->codec == KVPIPE_AAC && !len && (!t->sample_rate || !t->channels))
        return "AAC needs codec private data, or sample rate and channels";
    return NULL;
}

static const char *format_of(const struct kvpipe_track *t, struct link_format *f)
{
    static const enum link_codec codecs[] = {[KVPIPE_H264] = LINK_CODEC_H264,
                                             [KVPIPE_H265] = LINK_CODEC_H265,
                                             [KVPIPE_AAC] = LINK_CODEC_AAC,
                                             [KVPIPE_OTHER] = LINK_CODEC_OTHER};
    if (t->codec < KVPIPE_H264 || t->codec > KVPIPE_OTHER)
        return "unknown codec";
    if (t->width > 32768 || t->height > 32768 || (t->rate_num && !t->rate_den) ||
        t->sample_rate > 768000 || t->channels > 64)
        return "size, rate or channels out of range";
    if (t->codec == KVPIPE_OTHER &&
        (!t->codec_id || !t->codec_id[0] || strlen(t->codec_id) >= sizeof f->layout))
        return "another codec needs its Matroska CodecID, below 40 bytes";
    f->codec = codecs[t->codec];
    f->video = link_codec_is_video(f->codec) || (t->codec == KVPIPE_OTHER && t->width);
    strcpy(f->layout, t->codec == KVPIPE_OTHER ? t->codec_id
                      : t->codec == KVPIPE_AAC ? "raw"
                                               : "avcc");
    f->width = t->width;
    f->height = t->height;
    f->rate_num = t->rate_num;
    f->rate_den = t->rate_den;
    f->sample_rate = t->sample_rate;
    f->channels = t->channels;
    return take_private(t, f);
}

/* How deep the pictures are reordered, as far as their configuration says. */
static unsigned reorder_of(const struct link_format *f)
{
    struct h264_avcc avcc;
    struct h265_hvcc hvcc;
    struct h264_sps avc;
    struct h265_sps hevc;
    const struct blob *c = f->config;

    if (!c)
        return 0;
    if (f->codec == LINK_CODEC_H264 && h264_parse_avcc(c->data, c->len, &avcc) == 0 &&
        avcc.sets.nsps && h264_parse_sps(&avcc.sets.sps[0], &avc) == 0)
        return avc.has_bitstream_restriction ? avc.num_reorder_frames : 0;
    if (f->codec == LINK_CODEC_H265 && h265_parse_hvcc(c->data, c->len, &hvcc) == 0 &&
        hvcc.sets.nsps && h265_parse_sps(&hvcc.sets.sps[0], &hevc) == 0)
        return hevc.num_reorder_pics;
    return 0;
}

/* Returns NULL after a log line. */
static struct link_format *format_new(const char *stream, unsigned track,
                                      const struct kvpipe_track *t, uint64_t number)
{
    struct link_format *f = link_format_new();
    const char *why = format_of(t, f);
    f->number = number;
    if (!why)
        return f;
    log_error("kvpipe.track", "stream=%s track=%u cause=\"%s\"", stream, track, why);
    link_format_unref(&f);
    return NULL;
}

int kvpipe_set_track(struct kvpipe_stream *s, unsigned track,
                     const struct kvpipe_track *description)
{
    if (track < 1 || track > s->ntracks)
        return -EINVAL;
    struct link_format *f = format_new(s->name, track, description, 0);
    if (!f)
        return -EINVAL;
    pthread_mutex_lock(&s->kvpipe->lock);
    struct link_format **now = &s->format[track - 1];
    f->number = (*now)->number + 1;
    if (!link_format_equal(f, *now)) {
        link_format_unref(now);
        *now = link_format_ref(f);
        frame_times_reorder(&s->times, track - 1, reorder_of(f));
    }
    pthread_mutex_unlock(&s->kvpipe->lock);
    link_format_unref(&f);
    return 0;
}

/* ---- opening ---- */

static int set_up(struct kvpipe_stream *s, const struct kvpipe_stream_options *o)
{
    uint64_t reached_ms = 0;

    if (!link_stream_name_ok(o->name) || !o->tracks || o->ntracks < 1 ||
        o->ntracks > KVPIPE_TRACKS_MAX) {
        log_error("kvpipe.stream",
                  "stream=\"%s\" cause=\"expected a name of 1 to %d of [a-zA-Z0-9_.-] and 1 to %d "
                  "tracks\"",
                  o->name ? o->name : "", LINK_NAME_MAX, KVPIPE_TRACKS_MAX);
        return -EINVAL;
    }
    for (unsigned i = 0; i < o->ntracks; i++) {
        s->format[i] = format_new(o->name, i + 1, &o->tracks[i], 1);
        if (!s->format[i])
            return -EINVAL;
        s->has_video = s->has_video || s->format[i]->video;
    }
    s->ntracks = o->ntracks;
    int r =
        epoch_next(s->kvpipe->folder, s->name, clock_wall_ns() / NS_PER_MS, &s->epoch, &reached_ms);
    if (r < 0)
        log_error(
            "kvpipe.epoch",
            "stream=%s file=%s/%s.epoch error=\"%s\" what_to_do=\"make the folder writable; a "
            "damaged file: write a number of milliseconds later than any before into it\"",
            s->name, s->kvpipe->folder, s->name, strerror(-r));
    s->noted = s->epoch;
    frame_times_init(&s->times, o->wall_times, (int64_t)reached_ms * NS_PER_MS);
    for (unsigned i = 0; i < s->ntracks; i++)
        frame_times_reorder(&s->times, i, reorder_of(s->format[i]));
    return r;
}

static bool is_open(struct kvpipe *k, const char *name)
{
    struct kvpipe_stream *s;
    LIST_FOREACH (s, &k->streams, entry)
        if (strcmp(s->name, name) == 0)
            return true;
    return false;
}

static int insert(struct kvpipe *k, struct kvpipe_stream *s)
{
    pthread_mutex_lock(&k->lock);
    bool twice = is_open(k, s->name);
    if (!twice)
        LIST_INSERT_HEAD(&k->streams, s, entry);
    pthread_mutex_unlock(&k->lock);
    if (twice)
        log_error("kvpipe.stream", "stream=%s cause=\"is open in this process already\"", s->name);
    return twice ? -EEXIST : 0;
}

void kvpipe_stream_free(struct kvpipe_stream *s)
{
    struct queued *q;
    while ((q = TAILQ_FIRST(&s->queue))) {
        TAILQ_REMOVE(&s->queue, q, entry);
        link_item_fini(&q->item);
        free(q);
    }
    for (unsigned i = 0; i < KVPIPE_TRACKS_MAX; i++) {
        link_format_unref(&s->format[i]);
        free(s->held[i].at);
    }
    frame_tags_fini(&s->tags);
    free(s->name);
    free(s);
}

int kvpipe_stream_open(struct kvpipe *k, const struct kvpipe_stream_options *o,
                       struct kvpipe_stream **stream)
{
    struct kvpipe_stream *s = xcalloc(1, sizeof *s);
    int r;

    *stream = NULL;
    s->kvpipe = k;
    s->name = xstrdup(o->name ? o->name : "");
    s->can_wait = o->can_wait;
    s->event = o->event;
    s->arg = o->arg;
    s->fragment = (struct conf_fragment){.by = o->fragment_ms ? CONF_FRAGMENT_DURATION
                                                              : CONF_FRAGMENT_KEYFRAME,
                                         .duration_ms = o->fragment_ms ? o->fragment_ms : 2000};
    s->window = (struct outlet_window){
        .frames = UINT32_MAX,
        .bytes = o->window_bytes ? o->window_bytes : WINDOW_BYTES,
        .ns = (o->window_seconds ? o->window_seconds : WINDOW_SECONDS) * NS_PER_S};
    TAILQ_INIT(&s->queue);
    r = set_up(s, o);
    if (r == 0)
        r = insert(k, s);
    if (r < 0) {
        kvpipe_stream_free(s);
        return r;
    }
    *stream = s;
    kvpipe_wake(k);
    return 0;
}

/* ---- frames ---- */

static bool is_usable(const struct kvpipe_stream *s, const struct kvpipe_frame *f)
{
    struct aac_adts adts;
    bool fine = f->track >= 1 && f->track <= s->ntracks && f->data && f->bytes &&
                f->bytes <= LINK_PAYLOAD_MAX && f->pts_ns != KVPIPE_NO_TIME && f->duration_ns >= 0;
    if (fine && s->format[f->track - 1]->codec == LINK_CODEC_AAC)
        fine = aac_parse_adts(f->data, f->bytes, &adts) < 0 || adts.frame_bytes != f->bytes;
    if (!fine)
        LOG_WARN_FEW(
            "kvpipe.frame",
            "stream=%s track=%u bytes=%zu cause=\"track, size or time out of range, or AAC "
            "with an ADTS header\" effect=\"not put\"",
            s->name, f->track, f->bytes);
    return fine;
}

static bool has_room(const struct kvpipe_stream *s)
{
    return s->queued < QUEUE_ITEMS && s->queued_bytes < QUEUE_BYTES;
}

static struct timespec deadline_in(uint32_t ms)
{
    int64_t at = clock_mono_ns() + ms * NS_PER_MS;
    return (struct timespec){.tv_sec = at / NS_PER_S, .tv_nsec = at % NS_PER_S};
}

static int wait_for_room(struct kvpipe_stream *s, uint32_t timeout_ms)
{
    struct timespec end = deadline_in(timeout_ms);
    int r = 0;
    while (!has_room(s) && !s->replaced && r == 0)
        r = pthread_cond_timedwait(&s->kvpipe->changed, &s->kvpipe->lock, &end);
    return s->replaced ? -ESTALE : has_room(s) ? 0 : -ETIMEDOUT;
}

static void enqueue(struct kvpipe_stream *s, struct queued *q)
{
    TAILQ_INSERT_TAIL(&s->queue, q, entry);
    s->queued++;
    s->queued_bytes += q->item.payload ? q->item.payload->len : 0;
    s->stats.frames++;
}

/* A frame that a live stream has no room for is a gap, from there to the next key frame. */
static int give_up(struct kvpipe_stream *s, unsigned track)
{
    struct queued *q = TAILQ_LAST(&s->queue, queue);

    s->need_key[track - 1] = s->format[track - 1]->video;
    if (q && q->item.gap && q->item.track == track) {
        q->item.last++;
        s->stats.frames++;
        return -ENOBUFS;
    }
    q = xcalloc(1, sizeof *q);
    q->item =
        (struct link_item){.gap = true, .track = (uint8_t)track, .reason = LINK_GAP_WINDOW_FULL};
    enqueue(s, q);
    return -ENOBUFS;
}

static void take(struct kvpipe_stream *s, const struct kvpipe_frame *f)
{
    struct queued *q = xcalloc(1, sizeof *q);
    unsigned i = f->track - 1;
    int64_t now = clock_wall_ns();

    q->item = (struct link_item){.track = (uint8_t)f->track,
                                 .key = f->key || !s->format[i]->video,
                                 .duration_ns = f->duration_ns,
                                 .captured_ns = now,
                                 .format = link_format_ref(s->format[i]),
                                 .payload = blob_copy(f->data, f->bytes)};
    frame_times_map(&s->times, i, f->pts_ns, f->dts_ns, f->duration_ns, now, &q->item.pts_ns,
                    &q->item.dts_ns);
    fragmenter_mark(&s->fragmenter, &s->fragment, s->has_video, &q->item);
    if (q->item.key && q->item.fragment_ns == q->item.pts_ns && q->item.fragment_ns)
        q->item.tags = frame_tags_start(&s->tags);
    s->need_key[i] = false;
    enqueue(s, q);
}

int kvpipe_put_frame(struct kvpipe_stream *s, const struct kvpipe_frame *f, uint32_t timeout_ms)
{
    struct kvpipe *k = s->kvpipe;
    int r = 0;

    pthread_mutex_lock(&k->lock);
    if (s->replaced)
        r = -ESTALE;
    else if (s->life > STREAM_LIVE || !is_usable(s, f))
        r = -EINVAL;
    else
        r = wait_for_room(s, timeout_ms);
    if (!s->can_wait && (r == -ETIMEDOUT || (r == 0 && s->need_key[f->track - 1] && !f->key)))
        r = give_up(s, f->track);
    if (r == 0)
        take(s, f);
    bool first = s->queued == 1;
    pthread_mutex_unlock(&k->lock);
    if (r == 0 && first)
        kvpipe_wake(k);
    return r;
}

int kvpipe_put_metadata(struct kvpipe_stream *s, const char *name, const char *value,
                        bool persistent)
{
    pthread_mutex_lock(&s->kvpipe->lock);
    int r = frame_tags_put(&s->tags, name, value, persistent);
    pthread_mutex_unlock(&s->kvpipe->lock);
    return r;
}

void kvpipe_stream_stats(struct kvpipe_stream *s, struct kvpipe_stats *stats)
{
    pthread_mutex_lock(&s->kvpipe->lock);
    *stats = s->stats;
    stats->held_frames += s->queued;
    stats->held_bytes += s->queued_bytes;
    pthread_mutex_unlock(&s->kvpipe->lock);
}

/* ---- the end ---- */

void kvpipe_stream_end(struct kvpipe_stream *s)
{
    pthread_mutex_lock(&s->kvpipe->lock);
    if (s->life <= STREAM_LIVE)
        s->life = STREAM_ENDING;
    pthread_mutex_unlock(&s->kvpipe->lock);
    kvpipe_wake(s->kvpipe);
}

int kvpipe_stream_close(struct kvpipe_stream **stream, uint32_t timeout_ms)
{
    struct kvpipe_stream *s = *stream;
    struct timespec end = deadline_in(timeout_ms);
    struct kvpipe *k;
    int r = 0;

    *stream = NULL;
    if (!s)
        return 0;
    k = s->kvpipe;
    pthread_mutex_lock(&k->lock);
    if (s->life <= STREAM_LIVE)
        s->life = timeout_ms ? STREAM_ENDING : STREAM_LEAVING;
    kvpipe_wake(k);
    while (s->life == STREAM_ENDING && !s->replaced && r == 0)
        r = pthread_cond_timedwait(&k->changed, &k->lock, &end);
    bool late = s->life < STREAM_GONE;
    if (late)
        s->life = STREAM_LEAVING;
    kvpipe_wake(k);
    while (s->life != STREAM_GONE)
        pthread_cond_wait(&k->changed, &k->lock);
    uint64_t held = s->stats.held_frames + s->queued;
    pthread_mutex_unlock(&k->lock);
    if (late && held)
        log_warn("kvpipe.close",
                 "stream=%s lost=%llu (the pipeline had not stored them when the time was up)",
                 s->name, (unsigned long long)held);
    r = late && held ? -ETIMEDOUT : 0;
    kvpipe_stream_free(s);
    return r;
}
