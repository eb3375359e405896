/* From the element to libkvpipe and back. Relies on kvpipe.h. Leaves threads of pads to
 * kvpipesink.c. */
#include "capture/kvpipesink/uplink.h"

#include <errno.h>
#include <string.h>

GST_DEBUG_CATEGORY_EXTERN(kvpipesink_debug);
#define GST_CAT_DEFAULT kvpipesink_debug

#define PUT_MS 100u
#define LEAVE_MS 2000u   /* who goes without EOS */
#define FINISH_MS 10000u /* all is stored already, but for what is on its way in the library */
#define SAY_WAITING_US 7000000 /* a muxer looks for sockets every 5 s */
#define SAY_LOST_US 10000000   /* so often at most */
#define LOOK_AGAIN_US 100000   /* at abandon */
#define NAME_HEAD_BYTES 48
#define NAME_MAX_BYTES 64

/* ---- log ---- */

static _Thread_local char last_error[300];

static void take_line(void *arg, enum kvpipe_level level, const char *line)
{
    static const GstDebugLevel levels[] = {[KVPIPE_ERROR] = GST_LEVEL_ERROR,
                                           [KVPIPE_WARNING] = GST_LEVEL_WARNING,
                                           [KVPIPE_INFO] = GST_LEVEL_INFO,
                                           [KVPIPE_DEBUG] = GST_LEVEL_DEBUG};
    if (level == KVPIPE_ERROR)
        g_strlcpy(last_error, line, sizeof last_error);
    GST_CAT_LEVEL_LOG(GST_CAT_DEFAULT, levels[level], NULL, "%s", line);
}

void uplink_take_log(void)
{
    kvpipe_set_log(take_line, NULL);
}

/* ---- what the bus is told ---- */

static gchar *where(const struct uplink *u)
{
    const gchar *run = u->p->text[PROPERTY_RUN];
    gchar *absolute, *place;

    if (u->p->text[PROPERTY_LISTEN])
        return g_strdup(u->p->text[PROPERTY_LISTEN]);
    if (!run)
        run = g_getenv("KVPIPE_RUN");
    absolute = g_canonicalize_filename(run && run[0] ? run : "run", NULL);
    place = g_strdup_printf("%s/sinks", absolute);
    g_free(absolute);
    return place;
}

/* Once for each time that nobody is there. */
static void say_waiting(struct uplink *u)
{
    bool say;

    g_mutex_lock(&u->lock);
    say = !u->connected && !u->said_waiting &&
          g_get_monotonic_time() - u->waiting_us > SAY_WAITING_US;
    u->said_waiting = u->said_waiting || say;
    g_mutex_unlock(&u->lock);
    if (say) {
        gchar *place = where(u);
        GST_ELEMENT_WARNING(
            u->element, RESOURCE, NOT_FOUND, ("waiting for kvpipe at %s: is it running?", place),
            ("start it with `kvpipe run FILE`; its folder `run` is named by the property run or by "
             "KVPIPE_RUN in the environment; frames are held meanwhile"));
        g_free(place);
    }
}

static void say_lost(struct uplink *u, bool now)
{
    gint64 us = g_get_monotonic_time();
    guint64 lost = 0;

    g_mutex_lock(&u->lock);
    if (u->lost && (now || us - u->said_lost_us > SAY_LOST_US)) {
        lost = u->lost;
        u->lost = 0;
        u->said_lost_us = us;
    }
    g_mutex_unlock(&u->lock);
    if (lost)
        GST_ELEMENT_WARNING_WITH_DETAILS(
            u->element, RESOURCE, NO_SPACE_LEFT,
            ("%" G_GUINT64_FORMAT " frames were given up: more were held than storage-size and "
             "buffer-duration allow",
             lost),
            ("the pipeline did not take them in time; `kvpipe gaps %s` says which",
             u->p->text[PROPERTY_STREAM_NAME]),
            ("frames", G_TYPE_UINT64, lost, NULL));
}

/* kvssink's latency pressure: once each time the limit is passed. */
static void say_pressure(struct uplink *u, uint64_t backlog_ms)
{
    guint limit_s = u->p->number[PROPERTY_MAX_LATENCY];
    bool over = limit_s && backlog_ms > (uint64_t)limit_s * 1000, say;

    g_mutex_lock(&u->lock);
    say = over && !u->pressed;
    u->pressed = over;
    g_mutex_unlock(&u->lock);
    if (say)
        GST_ELEMENT_WARNING_WITH_DETAILS(
            u->element, RESOURCE, WRITE,
            ("latency pressure: %" G_GUINT64_FORMAT
             " s wait for the endpoint, more than max-latency "
             "(%u s)",
             backlog_ms / 1000, limit_s),
            ("the uplink is slower than the stream, or away; nothing is lost while the spool has "
             "room"),
            ("backlog-ms", G_TYPE_UINT64, backlog_ms, NULL));
}

static void on_event(void *arg, struct kvpipe_stream *stream, const struct kvpipe_event *event)
{
    struct uplink *u = arg;

    switch (event->type) {
    case KVPIPE_CONNECTED:
    case KVPIPE_WAITING:
        g_mutex_lock(&u->lock);
        u->connected = event->type == KVPIPE_CONNECTED;
        u->said_waiting = false;
        u->waiting_us = g_get_monotonic_time();
        g_mutex_unlock(&u->lock);
        GST_INFO_OBJECT(u->element, "%s",
                        event->type == KVPIPE_CONNECTED ? "kvpipe takes the stream"
                                                        : "kvpipe does not take the stream");
        break;
    case KVPIPE_STORED:
        g_mutex_lock(&u->lock);
        g_cond_signal(&u->stored);
        g_mutex_unlock(&u->lock);
        GST_LOG_OBJECT(u->element, "track %u is stored up to %" G_GINT64_FORMAT " ns", event->track,
                       event->stored_pts_ns);
        break;
    case KVPIPE_LOST:
        g_mutex_lock(&u->lock);
        u->lost += event->frames;
        g_mutex_unlock(&u->lock);
        say_lost(u, false);
        break;
    case KVPIPE_BACKLOG:
        say_pressure(u, event->backlog_ms);
        break;
    case KVPIPE_REPLACED:
        GST_ELEMENT_ERROR(
            u->element, RESOURCE, BUSY,
            ("another program serves stream %s now", u->p->text[PROPERTY_STREAM_NAME]),
            ("let one kvpipesink, or one source in kvpipe.yaml, have the stream"));
    }
}

/* ---- the link ---- */

void uplink_init(struct uplink *u, GstElement *element, const struct properties *p)
{
    memset(u, 0, sizeof *u);
    u->element = element;
    u->p = p;
    g_mutex_init(&u->lock);
    g_cond_init(&u->stored);
}

void uplink_fini(struct uplink *u)
{
    g_cond_clear(&u->stored);
    g_mutex_clear(&u->lock);
}

static void warn_of_ignored(struct uplink *u)
{
    const char *name, *word;

    for (guint id = 1; id < PROPERTY_COUNT; id++) {
        word = properties_ignored(u->p, id, &name);
        if (word)
            GST_ELEMENT_WARNING(u->element, LIBRARY, SETTINGS, ("property %s is %s", name, word),
                                (NULL));
    }
}

/* The stream's name, so that no two elements serve a stream; shortened where a socket's path has no
 * room. */
static gchar *link_name(const char *stream)
{
    if (strlen(stream) <= NAME_MAX_BYTES && stream[0] != '.')
        return g_strdup(stream);
    return g_strdup_printf("gst-%.*s-%08x", NAME_HEAD_BYTES, stream, g_str_hash(stream));
}

bool uplink_start(struct uplink *u)
{
    const char *stream = u->p->text[PROPERTY_STREAM_NAME];
    struct kvpipe_options options = {.run = u->p->text[PROPERTY_RUN],
                                     .listen = u->p->text[PROPERTY_LISTEN],
                                     .keys = u->p->text[PROPERTY_KEYS]};
    gchar *name;
    int r;

    if (!stream || !stream[0]) {
        GST_ELEMENT_ERROR(u->element, LIBRARY, SETTINGS,
                          ("property stream-name is missing: which stream is it?"), (NULL));
        return false;
    }
    if (u->p->number[PROPERTY_STREAMING_TYPE] == STREAMING_NEAR_REALTIME) {
        GST_ELEMENT_ERROR(u->element, LIBRARY, SETTINGS,
                          ("streaming-type near-realtime is not supported, as in kvssink: use "
                           "realtime or offline"),
                          (NULL));
        return false;
    }
    warn_of_ignored(u);
    options.name = name = link_name(stream);
    last_error[0] = '\0';
    r = kvpipe_open(&options, &u->kvpipe);
    if (r < 0) {
        gchar *place = where(u);
        GST_ELEMENT_ERROR(u->element, RESOURCE, OPEN_READ_WRITE,
                          ("cannot serve stream %s at %s: %s", stream, place, g_strerror(-r)),
                          ("%s", last_error));
        g_free(place);
    }
    g_free(name);
    return r == 0;
}

static void close_stream(struct uplink *u, guint wait_ms)
{
    struct kvpipe_stats stats;
    struct kvpipe_stream *stream = u->stream;

    if (!stream)
        return;
    kvpipe_stream_stats(stream, &stats);
    GST_INFO_OBJECT(u->element,
                    "stream ends: %" G_GUINT64_FORMAT " frames, %" G_GUINT64_FORMAT
                    " given up, %" G_GUINT64_FORMAT " not stored yet",
                    stats.frames, stats.lost_frames, stats.held_frames);
    u->stream = NULL;
    last_error[0] = '\0';
    if (kvpipe_stream_close(&stream, wait_ms) < 0)
        GST_ELEMENT_WARNING(u->element, RESOURCE, WRITE,
                            ("the end of stream %s is not stored: up to %" G_GUINT64_FORMAT
                             " frames of %" G_GUINT64_FORMAT " are lost",
                             u->p->text[PROPERTY_STREAM_NAME], stats.held_frames, stats.frames),
                            ("%s", last_error));
    say_lost(u, true);
}

void uplink_stop(struct uplink *u)
{
    close_stream(u, LEAVE_MS);
    kvpipe_close(&u->kvpipe);
}

/* ---- the stream ---- */

static void compare(struct uplink *u, const struct caps_track *t)
{
    const char *codec = u->p->text[PROPERTY_CODEC_ID], *type = u->p->text[PROPERTY_CONTENT_TYPE];
    bool video = g_str_has_prefix(t->content_type, "video/");

    if (video && u->p->given[PROPERTY_CODEC_ID] && g_strcmp0(codec, t->codec_id) != 0)
        GST_ELEMENT_WARNING(
            u->element, STREAM, FORMAT,
            ("codec-id is %s, but %s comes: it is archived as what it is", codec, t->codec_id),
            (NULL));
    if (u->p->given[PROPERTY_CONTENT_TYPE] && (!type || !strstr(type, t->content_type)))
        GST_ELEMENT_WARNING(u->element, STREAM, FORMAT,
                            ("content-type is %s, but %s comes: it is archived as what it is", type,
                             t->content_type),
                            (NULL));
}

bool uplink_open(struct uplink *u, const struct caps_track *const *tracks, unsigned ntracks,
                 bool can_wait)
{
    struct kvpipe_track descriptions[KVPIPE_TRACKS_MAX];
    struct kvpipe_stream_options options = {
        .name = u->p->text[PROPERTY_STREAM_NAME],
        .tracks = descriptions,
        .ntracks = ntracks,
        .can_wait = can_wait || u->p->number[PROPERTY_STREAMING_TYPE] == STREAMING_OFFLINE,
        .fragment_ms = u->p->number[PROPERTY_KEY_FRAME_FRAGMENTATION]
                           ? 0
                           : u->p->number[PROPERTY_FRAGMENT_DURATION],
        .window_bytes = (uint64_t)u->p->number[PROPERTY_STORAGE_SIZE] << 20,
        .window_seconds = u->p->number[PROPERTY_BUFFER_DURATION],
        .event = on_event,
        .arg = u,
    };
    int r;

    for (unsigned i = 0; i < ntracks; i++) {
        descriptions[i] = tracks[i]->track;
        compare(u, tracks[i]);
    }
    u->connected = u->said_waiting = u->pressed = false;
    u->lost = 0;
    u->waiting_us = g_get_monotonic_time();
    last_error[0] = '\0';
    r = kvpipe_stream_open(u->kvpipe, &options, &u->stream);
    if (r < 0)
        GST_ELEMENT_ERROR(u->element, RESOURCE, OPEN_WRITE,
                          ("cannot begin stream %s: %s", options.name, g_strerror(-r)),
                          ("%s", last_error));
    return r == 0;
}

bool uplink_describe(struct uplink *u, unsigned track, const struct caps_track *description)
{
    int r;

    last_error[0] = '\0';
    r = kvpipe_set_track(u->stream, track, &description->track);
    if (r < 0)
        GST_ELEMENT_ERROR(u->element, STREAM, FORMAT,
                          ("the new format of track %u is not usable", track), ("%s", last_error));
    return r == 0;
}

GstFlowReturn uplink_put(struct uplink *u, const struct kvpipe_frame *frame,
                         const atomic_bool *abandon)
{
    for (;;) {
        int r = kvpipe_put_frame(u->stream, frame, PUT_MS);
        say_waiting(u);
        switch (r) {
        case 0:
        case -ENOBUFS: /* counted: KVPIPE_LOST */
            return GST_FLOW_OK;
        case -ETIMEDOUT:
            if (atomic_load(abandon))
                return GST_FLOW_FLUSHING;
            break;
        case -ESTALE: /* said: KVPIPE_REPLACED */
            return GST_FLOW_ERROR;
        default:
            GST_ELEMENT_WARNING(u->element, STREAM, WRONG_TYPE,
                                ("a frame of %" G_GSIZE_FORMAT " bytes on track %u is left out: %s",
                                 frame->bytes, frame->track, g_strerror(-r)),
                                (NULL));
            return GST_FLOW_OK;
        }
    }
}

void uplink_metadata(struct uplink *u, const GstStructure *s)
{
    const char *name = gst_structure_get_string(s, "name");
    const char *value = gst_structure_get_string(s, "value");
    gboolean persist = FALSE;
    int r = -EINVAL;

    gst_structure_get_boolean(s, "persist", &persist);
    if (name && value)
        r = kvpipe_put_metadata(u->stream, name, value, persist);
    if (r < 0)
        GST_ELEMENT_WARNING(
            u->element, STREAM, FAILED,
            ("fragment metadata %s is not put: %s", name ? name : "without a name",
             r == -ENOSPC   ? "a fragment has 10 at most"
             : r == -ENOENT ? "there is none to be taken out"
                            : "expected strings name, 1 to 128 bytes, not beginning with AWS, and "
                              "value, up to 256"),
            (NULL));
}

static void await_stored(struct uplink *u)
{
    g_mutex_lock(&u->lock);
    g_cond_wait_until(&u->stored, &u->lock, g_get_monotonic_time() + LOOK_AGAIN_US);
    g_mutex_unlock(&u->lock);
}

void uplink_finish(struct uplink *u, const atomic_bool *abandon)
{
    struct kvpipe_stats stats;

    kvpipe_stream_end(u->stream);
    for (;;) {
        kvpipe_stream_stats(u->stream, &stats);
        if (!stats.held_frames || atomic_load(abandon))
            break;
        say_waiting(u);
        await_stored(u);
    }
    close_stream(u, atomic_load(abandon) ? LEAVE_MS : FINISH_MS);
}
