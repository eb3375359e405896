/* The codec on GStreamer, one pipeline per track, its elements in codec_chain.c.
 * Relies on GStreamer's threads: they write an eventfd, the loop then looks at appsink,
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
#include "encoder/codec_chain.h"

#define QUEUED_VIDEO 2 /* inputs that wait inside, so that the encoder's thread never does */
#define QUEUED_AUDIO 8
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
    struct codec_chain chain;
    const struct candidate *candidate;
    bool video, draining, drained, failed;
    bool dispatching, destroyed;
    uint64_t next_token;
    struct flights flights; /* video: pushed, not out */
    unsigned nflights;
    int64_t last_in_ns, last_out_ns; /* last pts given to push(), and what the pipeline was told */
    uint64_t nout;                   /* audio: frames that came out */
    uint32_t rate, frame_bytes;      /* audio */
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

static gpointer preload(gpointer audio)
{
    codec_chain_load(audio);
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

    if (n < c->chain.priming || n - c->chain.priming >= c->next_token)
        return false;
    *token = n - c->chain.priming;
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
           gst_app_src_get_current_level_buffers(GST_APP_SRC(c->chain.src)) <
               (c->video ? QUEUED_VIDEO : QUEUED_AUDIO);
}

static void dispatch(struct codec *c)
{
    bool eos = c->shared->eos; /* before the samples are read: after it come no more */
    char why[256];
    GstSample *sample;

    while (!c->destroyed && !c->failed &&
           (sample = gst_app_sink_try_pull_sample(GST_APP_SINK(c->chain.sink), 0))) {
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

static void set_callbacks(struct codec *c)
{
    GstAppSrcCallbacks in = {.need_data = on_need_data};
    GstAppSinkCallbacks out = {.eos = on_eos, .new_sample = on_sample};
    GstBus *bus = gst_element_get_bus(c->chain.pipeline);

    gst_bus_set_sync_handler(bus, on_message, shared_ref(c->shared), shared_unref);
    gst_object_unref(bus);
    gst_app_src_set_callbacks(GST_APP_SRC(c->chain.src), &in, shared_ref(c->shared), shared_unref);
    gst_app_sink_set_callbacks(GST_APP_SINK(c->chain.sink), &out, shared_ref(c->shared),
                               shared_unref);
}

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
    gst_element_call_async(c->chain.pipeline, stop_async, shared_ref(c->shared), shared_unref);
    gst_object_unref(c->chain.pipeline);
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
    c->candidate = conf->candidate;
    if (!c->video)
        audio_init(c, conf->input);
    c->chain.pipeline = gst_object_ref_sink(gst_pipeline_new(NULL));
    rc = codec_chain_build(&c->chain, conf, why);
    if (rc) {
        gst_destroy(&c);
        return rc;
    }
    set_callbacks(c);
    c->event = event_new(base, shared->fd, EV_READ | EV_PERSIST, on_wake, c);
    event_add(c->event, NULL);
    gst_element_call_async(c->chain.pipeline, start_async, shared_ref(shared), shared_unref);
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
    return gst_app_src_push_buffer(GST_APP_SRC(c->chain.src), buffer) == GST_FLOW_OK ? 0 : -EPIPE;
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
        gst_element_send_event(c->chain.src, gst_video_event_new_downstream_force_key_unit(
                                                 GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE,
                                                 GST_CLOCK_TIME_NONE, TRUE, 0));
    return gst_app_src_push_buffer(GST_APP_SRC(c->chain.src), buffer) == GST_FLOW_OK ? 0 : -EPIPE;
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
    return c->video ? candidate_set_bitrate(c->candidate, c->chain.encoder, kbps) : -ENOTSUP;
}

static void gst_drain(struct codec *c)
{
    if (c->draining)
        return;
    c->draining = true;
    /* silence pushes out the last blocks, whatever an encoder does at its end */
    for (unsigned i = 0; !c->video && i <= c->chain.priming; i++)
        send_audio(c, padded(c, NULL), c->next_token + i);
    gst_app_src_end_of_stream(GST_APP_SRC(c->chain.src));
}

const struct codec_ops codec_gst = {
    .create = gst_create,
    .ready = gst_ready,
    .push = gst_push,
    .set_bitrate = gst_set_bitrate,
    .drain = gst_drain,
    .destroy = gst_destroy,
};
