/* One raw track of a stream: one coded item for each raw item, in order.
 * Relies on codec. One list holds everything in order; what waits for the encoder waits there, so
 * that a new session drops it at once; the head of the list goes out as soon as it is coded. Leaves
 * fragment marks, reports and links to encoder_stream.c. */
#include "encoder/raw_track.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "media/aac.h"
#include "media/h264.h"

#define SLOTS_MAX 4096 /* credit keeps it far below */
#define HANG_NS (5 * NS_PER_S)
#define BACKOFF_NS (500 * NS_PER_MS)
#define BACKOFF_MAX_NS (30 * NS_PER_S)
#define STEADY_NS                                                                                  \
    (10 * NS_PER_S) /* an encoder that ran so long starts afresh with its failures                 \
                     */
#define RECHOOSE_AFTER 3
#define CONFIG_MAX 4096

enum slot_state { SLOT_NONE, SLOT_WAITING, SLOT_CODING, SLOT_DONE };

struct slot {
    TAILQ_ENTRY(slot) link;
    enum slot_state state;
    uint64_t token;
    int64_t pushed_ns;
    struct link_item item; /* raw until it is coded; gaps and coded ones are born DONE */
};

struct raw_track {
    struct raw_track_conf conf;
    const struct raw_track_ops *ops;
    void *arg;
    TAILQ_HEAD(, slot) slots;
    unsigned nslots;
    struct codec *codec;
    struct link_format *input;  /* of the codec */
    struct link_format *output; /* of what it gives; NULL before its first key frame */
    uint64_t output_number;
    struct blob *parameters; /* SPS and PPS as they came last */
    struct conf_video video; /* the config's, but for the bitrate, which may change */
    bool draining, ended, ended_said;
    bool force_key; /* the next frame pushed */
    bool want_key;  /* the next frame that comes out has to be one */
    int64_t key_ns; /* pts of the last key frame asked for */
    bool key_known;
    uint64_t session_token; /* outputs below it belong to an older session */
    uint64_t next_token;
    unsigned failures;
    int64_t not_before_ns, started_ns, progress_ns;
    uint64_t refused_number; /* of the format that was logged last */
    int64_t refused_ns;
    struct raw_track_stats stats;
};

static void pump(struct raw_track *t, int64_t now_ns);

/* ---- slots ---- */

static void slot_free(struct raw_track *t, struct slot *s)
{
    TAILQ_REMOVE(&t->slots, s, link);
    t->nslots--;
    link_item_fini(&s->item);
    free(s);
}

static void slots_clear(struct raw_track *t)
{
    while (!TAILQ_EMPTY(&t->slots))
        slot_free(t, TAILQ_FIRST(&t->slots));
}

static void to_gap(struct link_item *item, enum link_gap_reason reason)
{
    link_format_unref(&item->format);
    blob_unref(&item->payload);
    item->gap = true;
    item->key = false;
    item->reason = reason;
    item->last = item->seq;
}

static struct slot *first_waiting(const struct raw_track *t)
{
    struct slot *s;

    TAILQ_FOREACH (s, &t->slots, link) {
        if (s->state == SLOT_WAITING)
            return s;
    }
    return NULL;
}

/* Everything at the head that is done goes out. */
static void put_done(struct raw_track *t)
{
    struct slot *s;

    while ((s = TAILQ_FIRST(&t->slots)) && s->state == SLOT_DONE) {
        struct link_item item = s->item;

        memset(&s->item, 0, sizeof s->item);
        slot_free(t, s);
        t->ops->put(t->arg, &item);
    }
}

/* Frames that the encoder will never give, in front of `end` (NULL: all that it has). */
static void swallow(struct raw_track *t, const struct slot *end)
{
    struct slot *s;

    TAILQ_FOREACH (s, &t->slots, link) {
        if (s == end)
            break;
        if (s->state != SLOT_CODING)
            continue;
        if (t->stats.swallowed++ == 0)
            log_warn("encoder.swallowed", "stream=%s track=%u number=%llu effect=\"a counted gap\"",
                     t->conf.stream, s->item.track, (unsigned long long)s->item.seq);
        to_gap(&s->item, LINK_GAP_ENCODER);
        s->state = SLOT_DONE;
    }
}

/* ---- the codec's life ---- */

static void codec_drop(struct raw_track *t)
{
    if (t->codec)
        t->conf.codec->destroy(&t->codec);
    link_format_unref(&t->input);
    link_format_unref(&t->output);
    blob_unref(&t->parameters);
    t->draining = false;
}

static void fail(struct raw_track *t, const char *why, int64_t now_ns)
{
    char note[512];
    int64_t wait;

    if (t->started_ns && now_ns - t->started_ns > STEADY_NS)
        t->failures = 0;
    wait = t->failures == 0 ? 0 : BACKOFF_NS << (t->failures > 7 ? 7 : t->failures - 1);
    if (wait > BACKOFF_MAX_NS)
        wait = BACKOFF_MAX_NS;
    t->failures++;
    t->not_before_ns = now_ns + wait;
    log_warn("encoder.failed", "stream=%s failures=%u again_in_ms=%lld why=\"%s\"", t->conf.stream,
             t->failures, (long long)(wait / NS_PER_MS), why);
    if (t->failures >= RECHOOSE_AFTER && t->input && t->input->video)
        t->ops->rechoose(t->arg, t->input);
    snprintf(note, sizeof note, "the encoder failed: %s; it is started again", why);
    t->ops->note(t->arg, true, note);
    codec_drop(t);
    slots_clear(t);
    t->ops->broken(t->arg);
}

/* ---- outputs ---- */

/* The output format of a key frame: a new one, with a new number, when its SPS or PPS differ from
 * the last. */
static int video_format(struct raw_track *t, const struct blob *au)
{
    struct h264_parameter_sets sets;
    struct h264_sps sps;
    struct buf config;
    int rc;

    rc = h264_find_parameter_sets(au->data, au->len, &sets);
    if (rc || !sets.nsps || !sets.npps)
        return t->output ? 0 : -EBADMSG;
    buf_init(&config, CONFIG_MAX);
    rc = h264_build_avcc(&config, sets.sps, sets.nsps, sets.pps, sets.npps);
    if (rc == 0)
        rc = h264_parse_sps(&sets.sps[0], &sps);
    if (rc == 0 && !(t->parameters && t->parameters->len == config.len &&
                     memcmp(t->parameters->data, config.data, config.len) == 0)) {
        struct link_format *f = link_format_new();

        f->number = ++t->output_number;
        f->codec = LINK_CODEC_H264;
        f->video = true;
        snprintf(f->layout, sizeof f->layout, "annexb");
        f->width = sps.width;
        f->height = sps.height;
        f->rate_num = t->input->rate_num;
        f->rate_den = t->input->rate_den;
        f->config = blob_copy(config.data, config.len);
        blob_unref(&t->parameters);
        t->parameters = blob_ref(f->config);
        link_format_unref(&t->output);
        t->output = f;
    }
    buf_fini(&config);
    return rc;
}

static int audio_format(struct raw_track *t)
{
    struct aac_config aac = {.object_type = AAC_LC, .sample_rate = t->input->sample_rate};
    struct link_format *f;
    struct buf config;
    int rc;

    if (t->output)
        return 0;
    aac.channels = aac.channel_config = t->input->channels > 2 ? 2 : t->input->channels;
    buf_init(&config, CONFIG_MAX);
    rc = aac_build_config(&config, &aac);
    if (rc == 0) {
        f = link_format_new();
        f->number = ++t->output_number;
        f->codec = LINK_CODEC_AAC;
        snprintf(f->layout, sizeof f->layout, "raw");
        f->sample_rate = aac.sample_rate;
        f->channels = aac.channels;
        f->config = blob_copy(config.data, config.len);
        t->output = f;
    }
    buf_fini(&config);
    return rc;
}

static void time_taken(struct raw_track *t, int64_t ns)
{
    if (t->input->video && t->conf.encode_times)
        histogram_add(t->conf.encode_times, ns);
}

/* Turns the raw item into the coded one; everything about time and number stays. */
static void complete(struct raw_track *t, struct slot *s, bool key, struct blob **payload)
{
    struct link_item *item = &s->item;

    link_format_unref(&item->format);
    blob_unref(&item->payload);
    item->format = link_format_ref(t->output);
    item->payload = *payload;
    *payload = NULL;
    item->key = key;
    item->dts_ns = item->pts_ns;
    s->state = SLOT_DONE;
}

static struct slot *find_token(const struct raw_track *t, uint64_t token)
{
    struct slot *s;

    TAILQ_FOREACH (s, &t->slots, link) {
        if (s->state == SLOT_CODING && s->token == token)
            return s;
    }
    return NULL;
}

static void on_output(void *arg, uint64_t token, bool key, struct blob **payload)
{
    struct raw_track *t = arg;
    struct slot *s = token >= t->session_token ? find_token(t, token) : NULL;
    int64_t now = clock_mono_ns();
    int rc;

    t->progress_ns = now;
    if (!s) {
        if (token >= t->session_token)
            log_warn("encoder.output.unknown", "stream=%s", t->conf.stream);
        blob_unref(payload);
        return;
    }
    key = t->input->video ? h264_is_idr((*payload)->data, (*payload)->len, false, 0) : true;
    rc = !t->input->video ? audio_format(t) : key ? video_format(t, *payload) : 0;
    if (rc == 0 && (t->output == NULL || (t->want_key && !key)))
        rc = -EBADMSG;
    if (rc) {
        blob_unref(payload);
        fail(t, "its first frame is no key frame with SPS and PPS", now);
        return;
    }
    if (t->want_key)
        log_debug("encoder.session.first", "stream=%s number=%llu encode_ms=%.1f", t->conf.stream,
                  (unsigned long long)s->item.seq, (double)(now - s->pushed_ns) / NS_PER_MS);
    t->want_key = false;
    swallow(t, s);
    time_taken(t, now - s->pushed_ns);
    complete(t, s, key, payload);
    put_done(t);
}

static void on_ready(void *arg)
{
    pump(arg, clock_mono_ns());
}

static void on_drained(void *arg)
{
    struct raw_track *t = arg;

    swallow(t, NULL);
    codec_drop(t);
    put_done(t);
    pump(t, clock_mono_ns());
}

static void on_failed(void *arg, const char *why)
{
    fail(arg, why, clock_mono_ns());
}

/* ---- inputs ---- */

static void say_encoder(struct raw_track *t, const struct candidate *c, const struct link_format *f)
{
    char note[128] = "";

    if (f->video)
        snprintf(note, sizeof note, "%s %ux%u", c->element, f->width, f->height);
    t->ops->note(t->arg, false, note);
}

/* Has a codec for this format, or begins to get one. Returns true when there is one. */
static bool codec_open(struct raw_track *t, struct link_format *format, int64_t now_ns)
{
    static const struct codec_events events = {on_output, on_ready, on_drained, on_failed};
    struct codec_conf conf = {.input = format, .video = &t->video, .audio = &t->conf.conf->audio};
    const struct probe_result *r;
    char why[256];

    if (now_ns < t->not_before_ns)
        return false;
    if (format->video) {
        r = t->ops->choose(t->arg, format);
        if (r->state == PROBE_FAILED) {
            t->ops->note(t->arg, true, r->note);
            t->ops->rechoose(t->arg, format);
            t->not_before_ns = now_ns + BACKOFF_MAX_NS;
        }
        if (r->state != PROBE_OK)
            return false;
        conf.candidate = r->candidate;
    }
    t->input = link_format_ref(format);
    t->started_ns = t->progress_ns = now_ns;
    t->next_token = t->session_token = 0;
    t->want_key = true;
    t->key_known = false;
    if (t->conf.codec->create(t->conf.base, &conf, &events, t, &t->codec, why)) {
        fail(t, why, now_ns);
        return false;
    }
    say_encoder(t, conf.candidate, format);
    return true;
}

/* A key frame is due: a session's first, on request, or keyframe_ms after the last by the frames'
 * own time. Not sooner, not even by a rounding: the fragmenter measures by the same time. */
static bool key_due(struct raw_track *t, const struct link_item *item)
{
    int64_t most = t->conf.conf->video.keyframe_ms * NS_PER_MS, since;

    if (!t->input->video)
        return false;
    if (!t->key_known || t->force_key)
        return true;
    return __builtin_sub_overflow(item->pts_ns, t->key_ns, &since) || since >= most || since < 0;
}

static bool push(struct raw_track *t, struct slot *s, int64_t now_ns)
{
    struct link_item *item = &s->item;
    bool key = key_due(t, item);

    if (t->conf.codec->push(t->codec, item->payload, item->pts_ns, item->duration_ns, key,
                            &s->token))
        return false; /* on_failed follows */
    t->next_token = s->token + 1;
    s->state = SLOT_CODING;
    s->pushed_ns = now_ns;
    blob_unref(&item->payload);
    t->progress_ns = now_ns;
    if (key) {
        t->key_known = true;
        t->key_ns = item->pts_ns;
        t->force_key = false;
    }
    return true;
}

static void drain(struct raw_track *t)
{
    if (t->draining)
        return;
    t->draining = true;
    t->progress_ns = clock_mono_ns();
    t->conf.codec->drain(t->codec);
}

/* Gives the encoder what it takes; another format has to wait until the old encoder is empty. */
static void pump(struct raw_track *t, int64_t now_ns)
{
    struct slot *s;

    while ((s = first_waiting(t)) && !t->draining) {
        if (t->codec && !link_format_equal(t->input, s->item.format))
            drain(t);
        else if (!t->codec && !codec_open(t, s->item.format, now_ns))
            return;
        else if (!t->conf.codec->ready(t->codec) || !push(t, s, now_ns))
            return;
    }
    if (t->ended && !s && t->codec && !TAILQ_EMPTY(&t->slots))
        drain(t);
    if (t->ended && TAILQ_EMPTY(&t->slots) && !t->ended_said) {
        t->ended_said = true;
        t->ops->ended(t->arg);
    }
}

/* One line for a format, and at most one a second, whatever a peer sends. */
static void refuse(struct raw_track *t, struct link_item *item, const char *why, int64_t now_ns)
{
    if (t->stats.refused == 0 ||
        (t->refused_number != item->format->number && now_ns - t->refused_ns > NS_PER_S)) {
        t->refused_number = item->format->number;
        t->refused_ns = now_ns;
        log_warn("encoder.format.refused",
                 "stream=%s track=%u number=%llu layout=%s size=%ux%u bytes=%zu effect=\"a counted "
                 "gap\" why=\"%s\"",
                 t->conf.stream, item->track, (unsigned long long)item->seq, item->format->layout,
                 item->format->width, item->format->height, item->payload ? item->payload->len : 0,
                 why);
    }
    t->stats.refused++;
    to_gap(item, LINK_GAP_FORMAT);
}

void raw_track_take(struct raw_track *t, struct link_item *item, int64_t now_ns)
{
    struct slot *s = xcalloc(1, sizeof *s);
    const char *why = NULL;

    if (t->nslots >= SLOTS_MAX) {
        link_item_fini(item);
        free(s);
        fail(t, "more frames came than credit allows", now_ns);
        return;
    }
    t->ended = t->ended && item->gap;
    s->state = SLOT_DONE;
    if (!item->gap && link_codec_is_raw(item->format->codec)) {
        why = codec_gst_accepts(item->format, item->payload ? item->payload->len : 0);
        if (why)
            refuse(t, item, why, now_ns);
        else
            s->state = SLOT_WAITING;
    }
    s->item = *item;
    memset(item, 0, sizeof *item);
    TAILQ_INSERT_TAIL(&t->slots, s, link);
    t->nslots++;
    pump(t, now_ns);
    put_done(t);
}

void raw_track_end(struct raw_track *t, int64_t now_ns)
{
    t->ended = true;
    t->ended_said = false;
    put_done(t);
    pump(t, now_ns);
}

int raw_track_set_bitrate(struct raw_track *t, uint32_t kbps)
{
    t->video.bitrate_kbps = kbps;
    return t->codec && t->input->video ? t->conf.codec->set_bitrate(t->codec, kbps) : 0;
}

void raw_track_force_key(struct raw_track *t)
{
    t->force_key = true;
}

void raw_track_reset(struct raw_track *t)
{
    /* An encoder that is being emptied takes nothing more; one for sound counts frames from its
     * first, and starts fast. */
    if (t->codec && (t->draining || !t->input->video || t->want_key))
        codec_drop(t);
    slots_clear(t);
    t->ended = t->ended_said = false;
    t->session_token = t->next_token;
    t->want_key = true;
    t->key_known = false;
}

void raw_track_tick(struct raw_track *t, int64_t now_ns)
{
    bool stuck = t->codec && (t->draining || (first_waiting(t) && !t->conf.codec->ready(t->codec)));

    if (stuck && now_ns - t->progress_ns > HANG_NS)
        fail(t, "it hangs", now_ns);
    else
        pump(t, now_ns);
}

struct raw_track_stats raw_track_stats(const struct raw_track *t)
{
    struct raw_track_stats stats = t->stats;

    stats.held = t->nslots;
    return stats;
}

struct raw_track *raw_track_create(const struct raw_track_conf *conf,
                                   const struct raw_track_ops *ops, void *arg)
{
    struct raw_track *t = xcalloc(1, sizeof *t);

    t->conf = *conf;
    t->video = conf->conf->video;
    t->ops = ops;
    t->arg = arg;
    TAILQ_INIT(&t->slots);
    t->want_key = true;
    return t;
}

void raw_track_destroy(struct raw_track **pt)
{
    struct raw_track *t = *pt;

    *pt = NULL;
    if (!t)
        return;
    slots_clear(t);
    codec_drop(t);
    free(t);
}
