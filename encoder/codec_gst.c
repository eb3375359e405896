/* The codec on GStreamer: appsrc ! (convert) ! encoder ! (h264parse) ! appsink, one pipeline per
 * track. Relies on GStreamer's threads: they write an eventfd, the loop then looks at appsink,
 * flags and error text. Payloads go in and come out without a copy. States are changed by
 * GStreamer's own worker threads, as some drivers take long. Leaves what happens to a broken
 * pipeline to its user. */
#include "encoder/codec.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/event.h>
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/audio/audio.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "encoder/candidate.h"
#include "encoder/codec_accepts.h"

#define QUEUED_VIDEO 2 /* inputs that wait inside, so that the encoder's thread never does */
#define QUEUED_AUDIO 8
#define OUTPUTS_MAX 256              /* then the encoder's thread waits for the loop */
#define SPACING_NS (2 * NS_PER_MS)   /* between inputs, at least, on the pipeline's own time */
#define JUMP_NS (10 * NS_PER_S)      /* a step in time that the pipeline is not told of */
#define TOLERANCE_NS (NS_PER_MS - 1) /* drivers round timestamps */
#define LATE_FRAMES_MAX 128          /* an encoder that holds more than this is taken for broken */

/* What GStreamer's threads touch; lives until the last of them is gone. */
struct shared {
    _Atomic unsigned refs;
    int fd;
    _Atomic bool started, eos;
    pthread_mutex_t lock; /* of the rest */
    bool failed, closed;
    char why[256];
};

struct flight {
    TAILQ_ENTRY(flight) link;
    uint64_t token;
    int64_t pts_ns; /* the pipeline's */
};
TAILQ_HEAD(flights, flight);

struct codec {
    const struct codec_events *events;
    void *arg;
    struct event *event;
    struct shared *shared;
    GstElement *pipeline, *src, *sink;
    GstElement *encoder; /* video; owned by the pipeline */
    const struct candidate *candidate;
    bool video, draining, drained, failed;
    bool dispatching, destroyed;
    uint64_t next_token;
    struct flights flights; /* video: pushed, not out */
    unsigned nflights;
    int64_t last_in_ns, last_out_ns; /* last pts given to push(), and what the pipeline was told */
    unsigned
        priming;   /* audio: frames the encoder gives before the first that belongs to an input */
    uint64_t nout; /* audio: frames that came out */
    uint32_t rate, frame_bytes; /* audio */
    const GstAudioFormatInfo *samples;
};

static pthread_mutex_t live_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t live_cond = PTHREAD_COND_INITIALIZER;
static unsigned live;

static void live_add(int n)
{
    pthread_mutex_lock(&live_lock);
    live += (unsigned)n;
    pthread_cond_broadcast(&live_cond);
    pthread_mutex_unlock(&live_lock);
}

void codec_gst_settle(unsigned timeout_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&live_lock);
    while (live > 0 && pthread_cond_clockwait(&live_cond, &live_lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    pthread_mutex_unlock(&live_lock);
}

/* ---- shared with GStreamer's threads ---- */

static struct shared *shared_ref(struct shared *s)
{
    s->refs++;
    return s;
}

static void shared_unref(void *arg)
{
    struct shared *s = arg;

    if (--s->refs > 0)
        return;
    close(s->fd);
    pthread_mutex_destroy(&s->lock);
    free(s);
    live_add(-1);
}

static void wake(struct shared *s)
{
    uint64_t one = 1;

    if (write(s->fd, &one, sizeof one) < 0)
        return; /* EAGAIN: it is awake already */
}

static void shared_fail(struct shared *s, const char *why)
{
    pthread_mutex_lock(&s->lock);
    if (!s->failed)
        snprintf(s->why, sizeof s->why, "%s", why);
    s->failed = true;
    pthread_mutex_unlock(&s->lock);
    wake(s);
}

static void on_need_data(GstAppSrc *src, guint length, gpointer arg)
{
    struct shared *s = arg;

    s->started = true;
    wake(s);
}

static GstFlowReturn on_sample(GstAppSink *sink, gpointer arg)
{
    wake(arg);
    return GST_FLOW_OK;
}

static void on_eos(GstAppSink *sink, gpointer arg)
{
    struct shared *s = arg;

    s->eos = true;
    wake(s);
}

static GstBusSyncReply on_message(GstBus *bus, GstMessage *msg, gpointer arg)
{
    GError *error = NULL;
    gchar *debug = NULL;
    char why[256];

    if (GST_MESSAGE_TYPE(msg) == GST_MESSAGE_ERROR) {
        gst_message_parse_error(msg, &error, &debug);
        snprintf(why, sizeof why, "%s: %s", GST_OBJECT_NAME(GST_MESSAGE_SRC(msg)), error->message);
        shared_fail(arg, why);
        g_clear_error(&error);
        g_free(debug);
    }
    gst_message_unref(msg);
    return GST_BUS_DROP;
}

static void start_async(GstElement *pipeline, gpointer arg)
{
    struct shared *s = arg;
    bool closed;

    pthread_mutex_lock(&s->lock);
    closed = s->closed;
    pthread_mutex_unlock(&s->lock);
    if (!closed && gst_element_set_state(pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE)
        shared_fail(s, "the encoder's device could not be opened");
    pthread_mutex_lock(&s->lock);
    closed = s->closed;
    pthread_mutex_unlock(&s->lock);
    if (closed) /* stop_async may have come before PLAYING */
        gst_element_set_state(pipeline, GST_STATE_NULL);
}

static void stop_async(GstElement *pipeline, gpointer arg)
{
    gst_element_set_state(pipeline, GST_STATE_NULL);
}

/* ---- pipeline ---- */

static GstElement *add(struct codec *c, const char *factory, const char *name, char *why)
{
    GstElement *e = gst_element_factory_make(factory, name);

    if (!e) {
        snprintf(why, 256, "GStreamer has no element %s here (plugin or device missing)", factory);
        return NULL;
    }
    gst_bin_add(GST_BIN(c->pipeline), e);
    return e;
}

static int chain(GstElement **last, GstElement *e)
{
    if (!e || !gst_element_link(*last, e))
        return -ENODEV;
    *last = e;
    return 0;
}

static int chain_caps(struct codec *c, GstElement **last, const char *text, char *why)
{
    GstElement *e = add(c, "capsfilter", NULL, why);
    GstCaps *caps = gst_caps_from_string(text);

    if (e)
        g_object_set(e, "caps", caps, NULL);
    gst_caps_unref(caps);
    return chain(last, e);
}

static bool listed(const char *formats, const char *layout)
{
    char word[48];

    snprintf(word, sizeof word, " %s,", layout);
    if (strstr(formats, word))
        return true;
    snprintf(word, sizeof word, " %s }", layout);
    return strstr(formats, word) != NULL;
}

static int chain_video(struct codec *c, const struct codec_conf *conf, GstElement *last, char *why)
{
    const struct link_format *in = conf->input;
    const struct candidate *cand = conf->candidate;
    bool odd = in->width % 2 || in->height % 2;
    GstElement *encoder = NULL;
    char caps[256];
    int rc = 0;

    if (!listed(cand->formats, in->layout))
        rc = chain(&last, add(c, "videoconvert", NULL, why));
    if (rc == 0 && odd) /* 4:2:0 has no odd sides */
        rc = chain(&last, add(c, "videoscale", NULL, why));
    snprintf(caps, sizeof caps, "video/x-raw,format=(string)%s,width=%u,height=%u", cand->formats,
             in->width & ~1u, in->height & ~1u);
    if (rc == 0)
        rc = chain_caps(c, &last, caps, why);
    if (rc == 0)
        rc = chain(&last, encoder = add(c, cand->element, "encoder", why));
    if (rc == 0)
        cand->set(encoder, conf->video, in);
    c->encoder = encoder;
    c->candidate = cand;
    snprintf(caps, sizeof caps, "video/x-h264,profile=(string)%s",
             candidate_profiles(cand, conf->video->profile));
    if (rc == 0 && cand->parse)
        rc = chain_caps(c, &last, caps, why);
    if (rc == 0 && cand->parse) {
        GstElement *parse = add(c, "h264parse", NULL, why);

        rc = chain(&last, parse);
        if (rc == 0)
            gst_util_set_object_arg(G_OBJECT(parse), "config-interval", "-1");
    }
    snprintf(caps + strlen(caps), sizeof caps - strlen(caps),
             ",stream-format=byte-stream,alignment=au");
    if (rc == 0)
        rc = chain_caps(c, &last, caps, why);
    return rc ? rc : chain(&last, c->sink);
}

/* Frames an encoder gives before the first whose window ends in block 0 and 1: the decoder's output
 * of what is numbered like block n then is block n, so sound stays in step with the picture and
 * runs on over a takeover. */
static const struct {
    const char *element;
    unsigned priming;
} aac_encoders[] = {{"avenc_aac", 1}, {"fdkaacenc", 2}, {"voaacenc", 2}};

static int chain_audio(struct codec *c, const struct codec_conf *conf, GstElement *last, char *why)
{
    GstElement *encoder = NULL;
    char bitrate[32], caps[128];
    int rc = chain(&last, add(c, "audioconvert", NULL, why));

    snprintf(caps, sizeof caps, "audio/x-raw,channels=%u,rate=%u",
             conf->input->channels > 2 ? 2 : conf->input->channels, c->rate);
    if (rc == 0)
        rc = chain_caps(c, &last, caps, why);
    for (unsigned i = 0; i < G_N_ELEMENTS(aac_encoders) && !encoder; i++) {
        encoder = gst_element_factory_make(aac_encoders[i].element, "encoder");
        c->priming = aac_encoders[i].priming;
    }
    if (!encoder) {
        snprintf(why, 256, "no AAC encoder: install gstreamer1.0-libav");
        return -ENODEV;
    }
    snprintf(bitrate, sizeof bitrate, "%u", conf->audio->bitrate_kbps * 1000);
    gst_util_set_object_arg(G_OBJECT(encoder), "bitrate", bitrate);
    gst_bin_add(GST_BIN(c->pipeline), encoder);
    if (rc == 0)
        rc = chain(&last, encoder);
    if (rc == 0)
        rc = chain_caps(c, &last, "audio/mpeg,mpegversion=4,stream-format=raw", why);
    return rc ? rc : chain(&last, c->sink);
}

static GstCaps *input_caps(const struct link_format *f)
{
    GstVideoInfo video;
    GstCaps *caps;

    if (f->codec == LINK_CODEC_RAW_VIDEO)
        return codec_accepts_video_info(f, &video) ? gst_video_info_to_caps(&video) : NULL;
    caps = gst_caps_new_simple("audio/x-raw", "format", G_TYPE_STRING, f->layout, "layout",
                               G_TYPE_STRING, "interleaved", "rate", G_TYPE_INT,
                               (int)f->sample_rate, "channels", G_TYPE_INT, (int)f->channels, NULL);
    if (f->channels > 1)
        gst_caps_set_simple(caps, "channel-mask", GST_TYPE_BITMASK,
                            gst_audio_channel_get_fallback_mask((int)f->channels), NULL);
    return caps;
}

static int add_ends(struct codec *c, const struct codec_conf *conf, char *why)
{
    GstAppSrcCallbacks in = {.need_data = on_need_data};
    GstAppSinkCallbacks out = {.eos = on_eos, .new_sample = on_sample};
    GstCaps *caps = input_caps(conf->input);

    c->src = add(c, "appsrc", "in", why);
    c->sink = add(c, "appsink", "out", why);
    if (!c->src || !c->sink || !caps) {
        g_clear_pointer(&caps, gst_caps_unref);
        return -ENODEV;
    }
    g_object_set(c->src, "caps", caps, "format", GST_FORMAT_TIME, "block", FALSE, "max-bytes",
                 (guint64)0, NULL);
    gst_caps_unref(caps);
    gst_app_src_set_callbacks(GST_APP_SRC(c->src), &in, shared_ref(c->shared), shared_unref);
    g_object_set(c->sink, "sync", FALSE, "async", FALSE, "max-buffers", (guint)OUTPUTS_MAX,
                 "enable-last-sample", FALSE, "qos", FALSE, NULL);
    gst_app_sink_set_callbacks(GST_APP_SINK(c->sink), &out, shared_ref(c->shared), shared_unref);
    return 0;
}

static int build(struct codec *c, const struct codec_conf *conf, char *why)
{
    GstBus *bus = gst_element_get_bus(c->pipeline);
    int rc;

    gst_bus_set_sync_handler(bus, on_message, shared_ref(c->shared), shared_unref);
    gst_object_unref(bus);
    rc = add_ends(c, conf, why);
    if (rc == 0)
        rc = c->video ? chain_video(c, conf, c->src, why) : chain_audio(c, conf, c->src, why);
    if (rc && !why[0])
        snprintf(why, 256, "the encoder does not take this format or profile");
    return rc;
}

static bool load(const char *name)
{
    GstElement *e = gst_element_factory_make(name, NULL);

    if (e)
        gst_object_unref(gst_object_ref_sink(e));
    return e != NULL;
}

static gpointer preload(gpointer audio)
{
    static const char *const parts[] = {"appsrc", "appsink", "capsfilter", "videoconvert"};

    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++)
        load(parts[i]);
    if (audio) {
        load("audioconvert");
        for (unsigned i = 0; i < G_N_ELEMENTS(aac_encoders); i++)
            if (load(aac_encoders[i].element))
                break; /* one is enough */
    }
    live_add(-1);
    return NULL;
}

void codec_gst_preload(bool audio)
{
    GThread *thread;

    live_add(1);
    thread = g_thread_try_new("preload", preload, GINT_TO_POINTER(audio), NULL);
    if (thread)
        g_thread_unref(thread);
    else
        live_add(-1);
}

/* ---- outputs, on the loop ---- */

static void unmap(void *arg)
{
    GstMapInfo *map = arg;
    GstBuffer *buffer = map->user_data[0];

    gst_buffer_unmap(buffer, map);
    gst_buffer_unref(buffer);
    free(map);
}

/* Returns a blob over the buffer's bytes, or NULL when they cannot be mapped or are none. */
static struct blob *wrap(GstBuffer *buffer)
{
    GstMapInfo *map = xmalloc(sizeof *map);

    if (!gst_buffer_map(buffer, map, GST_MAP_READ)) {
        free(map);
        return NULL;
    }
    map->user_data[0] = gst_buffer_ref(buffer);
    if (map->size > 0 && map->size <= LINK_PAYLOAD_MAX)
        return blob_wrap(map->data, map->size, unmap, map);
    unmap(map);
    return NULL;
}

static void flights_drop(struct codec *c, struct flight *f)
{
    TAILQ_REMOVE(&c->flights, f, link);
    c->nflights--;
    free(f);
}

/* Finds the input of a video output by its timestamp; those before it were swallowed. */
static bool match_video(struct codec *c, GstSample *sample, uint64_t *token)
{
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    GstClockTime t = gst_segment_to_running_time(gst_sample_get_segment(sample), GST_FORMAT_TIME,
                                                 GST_BUFFER_PTS(buffer));
    struct flight *f;

    TAILQ_FOREACH (f, &c->flights, link) {
        if (GST_CLOCK_TIME_IS_VALID(t) && llabs((int64_t)t - f->pts_ns) <= TOLERANCE_NS)
            break;
    }
    if (!f)
        return false;
    *token = f->token;
    while (TAILQ_FIRST(&c->flights) != f)
        flights_drop(c, TAILQ_FIRST(&c->flights));
    flights_drop(c, f);
    return true;
}

/* The n-th frame after the priming belongs to the n-th input; what comes after the last is dropped.
 */
static bool match_audio(struct codec *c, uint64_t *token)
{
    uint64_t n = c->nout++;

    if (n < c->priming || n - c->priming >= c->next_token)
        return false;
    *token = n - c->priming;
    return true;
}

static void give_sample(struct codec *c, GstSample *sample)
{
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    struct blob *payload;
    uint64_t token = 0;

    if (!buffer || (c->video ? !match_video(c, sample, &token) : !match_audio(c, &token))) {
        if (c->video)
            log_warn("encoder.output.unknown", "bytes=%zu",
                     buffer ? gst_buffer_get_size(buffer) : 0);
        return;
    }
    payload = wrap(buffer);
    if (payload) /* an empty one is a swallowed one */
        c->events->output(c->arg, token,
                          !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT), &payload);
    blob_unref(&payload);
}

static bool take_failure(struct codec *c, char why[256])
{
    struct shared *s = c->shared;
    bool failed;

    if (c->failed)
        return false;
    pthread_mutex_lock(&s->lock);
    failed = s->failed;
    snprintf(why, 256, "%s", s->why);
    pthread_mutex_unlock(&s->lock);
    c->failed = failed;
    return failed;
}

static bool gst_ready(const struct codec *c)
{
    return c->shared->started && !c->failed && !c->draining &&
           gst_app_src_get_current_level_buffers(GST_APP_SRC(c->src)) <
               (c->video ? QUEUED_VIDEO : QUEUED_AUDIO);
}

static void dispatch(struct codec *c)
{
    bool eos = c->shared->eos; /* before the samples are read: after it come no more */
    char why[256];
    GstSample *sample;

    while (!c->destroyed && !c->failed &&
           (sample = gst_app_sink_try_pull_sample(GST_APP_SINK(c->sink), 0))) {
        give_sample(c, sample);
        gst_sample_unref(sample);
    }
    if (!c->destroyed && take_failure(c, why))
        c->events->failed(c->arg, why);
    if (!c->destroyed && !c->failed && eos && !c->drained) {
        c->drained = true;
        c->events->drained(c->arg);
    }
    if (!c->destroyed && gst_ready(c))
        c->events->ready(c->arg);
}

static void codec_free(struct codec *c)
{
    while (!TAILQ_EMPTY(&c->flights))
        flights_drop(c, TAILQ_FIRST(&c->flights));
    free(c);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct codec *c = arg;
    uint64_t n;

    if (read(fd, &n, sizeof n) < 0)
        return;
    c->dispatching = true;
    dispatch(c);
    c->dispatching = false;
    if (c->destroyed)
        codec_free(c);
}

/* ---- ops ---- */

static void gst_destroy(struct codec **pc)
{
    struct codec *c = *pc;

    *pc = NULL;
    if (!c)
        return;
    if (c->event)
        event_free(c->event);
    pthread_mutex_lock(&c->shared->lock);
    c->shared->closed = true;
    pthread_mutex_unlock(&c->shared->lock);
    gst_element_call_async(c->pipeline, stop_async, shared_ref(c->shared), shared_unref);
    gst_object_unref(c->pipeline);
    shared_unref(c->shared);
    c->destroyed = true;
    if (!c->dispatching)
        codec_free(c);
}

static struct shared *shared_new(void)
{
    struct shared *s = xcalloc(1, sizeof *s);

    s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->fd < 0) {
        free(s);
        return NULL;
    }
    s->refs = 1;
    pthread_mutex_init(&s->lock, NULL);
    live_add(1);
    return s;
}

static void audio_init(struct codec *c, const struct link_format *in)
{
    c->samples = gst_audio_format_get_info(gst_audio_format_from_string(in->layout));
    c->rate = in->sample_rate;
    c->frame_bytes = (uint32_t)GST_AUDIO_FORMAT_INFO_WIDTH(c->samples) / 8 * in->channels;
}

static int gst_create(struct event_base *base, const struct codec_conf *conf,
                      const struct codec_events *events, void *arg, struct codec **out, char *why)
{
    struct shared *shared = shared_new();
    struct codec *c;
    int rc;

    why[0] = '\0';
    *out = NULL;
    if (!shared) {
        snprintf(why, 256, "eventfd: %s", strerror(errno));
        return -EMFILE;
    }
    c = xcalloc(1, sizeof *c);
    TAILQ_INIT(&c->flights);
    c->shared = shared;
    c->events = events;
    c->arg = arg;
    c->video = conf->input->codec == LINK_CODEC_RAW_VIDEO;
    if (!c->video)
        audio_init(c, conf->input);
    c->pipeline = gst_object_ref_sink(gst_pipeline_new(NULL));
    rc = build(c, conf, why);
    if (rc) {
        gst_destroy(&c);
        return rc;
    }
    c->event = event_new(base, shared->fd, EV_READ | EV_PERSIST, on_wake, c);
    event_add(c->event, NULL);
    gst_element_call_async(c->pipeline, start_async, shared_ref(shared), shared_unref);
    *out = c;
    return 0;
}

/* The pipeline's own time: follows the source's, but always rises, so that an output can be told by
 * it. */
static int64_t pipeline_time(struct codec *c, int64_t pts_ns, int64_t duration_ns)
{
    int64_t step;

    if (c->next_token == 0)
        step = 0;
    else if (__builtin_sub_overflow(pts_ns, c->last_in_ns, &step) || step > JUMP_NS || step < 0)
        step = duration_ns > 0 && duration_ns < JUMP_NS ? duration_ns : 40 * NS_PER_MS;
    if (c->next_token > 0 && step < SPACING_NS)
        step = SPACING_NS;
    c->last_in_ns = pts_ns;
    c->last_out_ns += step;
    return c->last_out_ns;
}

static void blob_release(gpointer arg)
{
    struct blob *b = arg;

    blob_unref(&b);
}

static GstBuffer *buffer_over(struct blob *payload)
{
    return gst_buffer_new_wrapped_full(GST_MEMORY_FLAG_READONLY, (gpointer)payload->data,
                                       payload->len, 0, payload->len, blob_ref(payload),
                                       blob_release);
}

/* A whole block of silence that begins with the payload, for the end of a source. */
static GstBuffer *padded(const struct codec *c, const struct blob *payload)
{
    size_t len = (size_t)CODEC_AUDIO_SAMPLES * c->frame_bytes;
    uint8_t *data;
    struct blob *block = blob_new(len, &data);
    GstBuffer *buffer;

    gst_audio_format_info_fill_silence(c->samples, data, len);
    if (payload)
        memcpy(data, payload->data, payload->len);
    buffer = buffer_over(block);
    blob_unref(&block);
    return buffer;
}

static int send_audio(struct codec *c, GstBuffer *buffer, uint64_t n)
{
    /* counted, not captured, time: steps would make the encoder begin anew and break the count */
    GST_BUFFER_PTS(buffer) = gst_util_uint64_scale(n * CODEC_AUDIO_SAMPLES, NS_PER_S, c->rate);
    GST_BUFFER_DURATION(buffer) =
        gst_util_uint64_scale((n + 1) * CODEC_AUDIO_SAMPLES, NS_PER_S, c->rate) -
        GST_BUFFER_PTS(buffer);
    return gst_app_src_push_buffer(GST_APP_SRC(c->src), buffer) == GST_FLOW_OK ? 0 : -EPIPE;
}

static int send_video(struct codec *c, struct blob *payload, int64_t pts_ns, int64_t duration_ns,
                      bool force_key)
{
    GstBuffer *buffer = buffer_over(payload);
    struct flight *f = xcalloc(1, sizeof *f);

    f->token = c->next_token;
    f->pts_ns = pipeline_time(c, pts_ns, duration_ns);
    TAILQ_INSERT_TAIL(&c->flights, f, link);
    c->nflights++;
    if (c->nflights > LATE_FRAMES_MAX)
        shared_fail(c->shared, "the encoder takes frames and gives none");
    GST_BUFFER_PTS(buffer) = (GstClockTime)f->pts_ns;
    if (duration_ns > 0 && duration_ns < JUMP_NS)
        GST_BUFFER_DURATION(buffer) = (GstClockTime)duration_ns;
    if (force_key)
        gst_element_send_event(
            c->src, gst_video_event_new_downstream_force_key_unit(
                        GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE, TRUE, 0));
    return gst_app_src_push_buffer(GST_APP_SRC(c->src), buffer) == GST_FLOW_OK ? 0 : -EPIPE;
}

static int gst_push(struct codec *c, struct blob *payload, int64_t pts_ns, int64_t duration_ns,
                    bool force_key, uint64_t *token)
{
    bool whole = payload->len == (size_t)CODEC_AUDIO_SAMPLES * c->frame_bytes;
    int rc;

    if (c->video)
        rc = send_video(c, payload, pts_ns, duration_ns, force_key);
    else
        rc = send_audio(c, whole ? buffer_over(payload) : padded(c, payload), c->next_token);
    if (rc) {
        shared_fail(c->shared, "the encoder stopped taking frames");
        return rc;
    }
    *token = c->next_token++;
    return 0;
}

static int gst_set_bitrate(struct codec *c, uint32_t kbps)
{
    return c->video ? candidate_set_bitrate(c->candidate, c->encoder, kbps) : -ENOTSUP;
}

static void gst_drain(struct codec *c)
{
    if (c->draining)
        return;
    c->draining = true;
    /* silence pushes out the last blocks, whatever an encoder does at its end */
    for (unsigned i = 0; !c->video && i <= c->priming; i++)
        send_audio(c, padded(c, NULL), c->next_token + i);
    gst_app_src_end_of_stream(GST_APP_SRC(c->src));
}

const struct codec_ops codec_gst = {
    .create = gst_create,
    .ready = gst_ready,
    .push = gst_push,
    .set_bitrate = gst_set_bitrate,
    .drain = gst_drain,
    .destroy = gst_destroy,
};
