/* The element: pads to one stream. An input for each pad; what comes before all inputs have said
 * what they are waits in `early`; then a stream is open, and each pad's thread puts its own frames.
 * After EOS on all it is closed, and EOS is posted once the spool has it all. Relies on uplink for
 * the library, times and caps for what a frame is. Leaves the clock alone: frames go on when they
 * come. */
#include "capture/kvpipesink/kvpipesink.h"

#include <stdatomic.h>
#include <string.h>

#include "capture/kvpipesink/caps.h"
#include "capture/kvpipesink/properties.h"
#include "capture/kvpipesink/times.h"
#include "capture/kvpipesink/uplink.h"

GST_DEBUG_CATEGORY_EXTERN(kvpipesink_debug);
#define GST_CAT_DEFAULT kvpipesink_debug

#define EARLY_US (10 * G_USEC_PER_SEC) /* so long the others wait for an input's caps */

enum phase {
    PHASE_EARLY,   /* not all inputs have said what they are */
    PHASE_OPENING, /* a thread opens the stream and puts what came early */
    PHASE_OPEN,
    PHASE_CLOSING, /* a thread waits for the spool */
    PHASE_ENDED    /* EOS on all inputs */
};

struct input {
    GstPad *pad;
    bool is_video, is_described, has_eos, said_late;
    struct caps_track description; /* of what comes next */
    unsigned track;                /* 0: not in the stream that is open */
    struct times times;
    atomic_bool abandon; /* flushing, or the element stops */
};

/* A buffer with its times, caps, or an event with metadata. */
struct early {
    struct input *input;
    GstMiniObject *object;
    struct kvpipe_frame frame;
};

struct _KvpipeSink {
    GstElement element;
    struct properties properties;
    struct uplink uplink;

    GMutex lock;   /* of what follows */
    GCond changed; /* the phase, or abandon of an input */
    enum phase phase;
    struct input *inputs[KVPIPE_TRACKS_MAX];
    unsigned ninputs;
    GQueue early;
    gsize early_bytes;
    gint64 early_us; /* when the first came */
    guint32 eos;     /* number of the EOS that was posted, 0: none */
};

G_DEFINE_FINAL_TYPE(KvpipeSink, kvpipesink, GST_TYPE_ELEMENT)

static GstStaticPadTemplate video_template =
    GST_STATIC_PAD_TEMPLATE("video_%u", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS(CAPS_VIDEO));
static GstStaticPadTemplate audio_template =
    GST_STATIC_PAD_TEMPLATE("audio_%u", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS(CAPS_AUDIO));

/* ---- what came early ---- */

static void free_early(struct early *e)
{
    gst_mini_object_unref(e->object);
    g_free(e);
}

/* Of one input, or of all (NULL). */
static void forget_early(KvpipeSink *self, const struct input *input)
{
    for (GList *l = self->early.head, *next; l; l = next) {
        struct early *e = l->data;
        next = l->next;
        if (input && e->input != input)
            continue;
        if (GST_IS_BUFFER(e->object))
            self->early_bytes -= gst_buffer_get_size(GST_BUFFER(e->object));
        free_early(e);
        g_queue_delete_link(&self->early, l);
    }
}

/* Takes the object. */
static void keep_early(KvpipeSink *self, struct input *input, GstMiniObject *object,
                       const struct kvpipe_frame *frame)
{
    struct early *e = g_new0(struct early, 1);

    e->input = input;
    e->object = object;
    if (frame)
        e->frame = *frame;
    if (g_queue_is_empty(&self->early))
        self->early_us = g_get_monotonic_time();
    if (GST_IS_BUFFER(object))
        self->early_bytes += gst_buffer_get_size(GST_BUFFER(object));
    g_queue_push_tail(&self->early, e);
}

/* ---- opening ---- */

static bool is_live(const KvpipeSink *self)
{
    bool live = false;

    for (unsigned i = 0; i < self->ninputs; i++) {
        GstQuery *query = gst_query_new_latency();
        gboolean one = TRUE;
        if (gst_pad_peer_query(self->inputs[i]->pad, query))
            gst_query_parse_latency(query, &one, NULL, NULL);
        live = live || one;
        gst_query_unref(query);
    }
    return live;
}

/* Numbers the inputs that are described, pictures first. */
static unsigned number_tracks(KvpipeSink *self, const struct caps_track **tracks)
{
    unsigned n = 0;

    for (unsigned i = 0; i < self->ninputs; i++)
        self->inputs[i]->track = 0;
    for (unsigned video = 2; video-- > 0;)
        for (unsigned i = 0; i < self->ninputs; i++) {
            struct input *input = self->inputs[i];
            if (!input->is_described || input->is_video != (video == 1))
                continue;
            tracks[n] = &input->description;
            input->track = ++n;
        }
    return n;
}

static bool is_ready(KvpipeSink *self)
{
    bool all = true, some = false;

    if (self->phase != PHASE_EARLY || g_queue_is_empty(&self->early))
        return false;
    for (unsigned i = 0; i < self->ninputs; i++) {
        all = all && (self->inputs[i]->is_described || self->inputs[i]->has_eos);
        some = some || self->inputs[i]->is_described;
    }
    return some && (all || g_get_monotonic_time() - self->early_us > EARLY_US ||
                    self->early_bytes >> 20 >= self->properties.number[PROPERTY_STORAGE_SIZE]);
}

static GstFlowReturn put(KvpipeSink *self, struct input *input, GstBuffer *buffer,
                         struct kvpipe_frame *frame)
{
    GstFlowReturn flow;
    GstMapInfo map;

    if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        GST_ELEMENT_ERROR(self, RESOURCE, READ, ("a buffer cannot be read"), (NULL));
        return GST_FLOW_ERROR;
    }
    frame->track = input->track;
    frame->data = map.data;
    frame->bytes = map.size;
    flow = uplink_put(&self->uplink, frame, &input->abandon);
    gst_buffer_unmap(buffer, &map);
    return flow;
}

/* The caps have been read before. */
static GstFlowReturn describe(KvpipeSink *self, struct input *input, const GstCaps *caps)
{
    const char *why;

    caps_fini(&input->description);
    caps_read(caps, &input->description, &why);
    return uplink_describe(&self->uplink, input->track, &input->description)
               ? GST_FLOW_OK
               : GST_FLOW_NOT_NEGOTIATED;
}

static GstFlowReturn put_early(KvpipeSink *self, struct early *e)
{
    if (GST_IS_EVENT(e->object)) {
        uplink_metadata(&self->uplink, gst_event_get_structure(GST_EVENT(e->object)));
        return GST_FLOW_OK;
    }
    if (!e->input->track)
        return GST_FLOW_OK;
    if (GST_IS_CAPS(e->object))
        return describe(self, e->input, GST_CAPS(e->object));
    return put(self, e->input, GST_BUFFER(e->object), &e->frame);
}

/* With the lock, which is let go meanwhile: the other inputs' threads wait for the phase. */
static GstFlowReturn open_if_ready(KvpipeSink *self, const struct input *input)
{
    const struct caps_track *tracks[KVPIPE_TRACKS_MAX];
    GstFlowReturn flow = GST_FLOW_OK;
    GQueue early;
    unsigned n;

    if (!is_ready(self))
        return GST_FLOW_OK;
    self->phase = PHASE_OPENING;
    n = number_tracks(self, tracks);
    early = self->early;
    g_queue_init(&self->early);
    self->early_bytes = 0;
    g_mutex_unlock(&self->lock);

    if (!uplink_open(&self->uplink, tracks, n, !is_live(self)))
        flow = GST_FLOW_ERROR;
    for (struct early *e; (e = g_queue_pop_head(&early)); free_early(e)) {
        if (flow == GST_FLOW_OK)
            flow = put_early(self, e);
        if (flow == GST_FLOW_FLUSHING && e->input != input)
            flow = GST_FLOW_OK; /* that is for its own thread */
    }

    g_mutex_lock(&self->lock);
    self->phase = self->uplink.stream ? PHASE_OPEN : PHASE_ENDED;
    g_cond_broadcast(&self->changed);
    return flow;
}

/* ---- closing ---- */

/* Of all that is archived. */
static bool all_ended(const KvpipeSink *self)
{
    for (unsigned i = 0; i < self->ninputs; i++) {
        const struct input *input = self->inputs[i];
        if (!input->has_eos && (input->track || self->phase != PHASE_OPEN))
            return false;
    }
    return true;
}

/* An input that ends before others have said what they are gives them their time. */
static void await_others(KvpipeSink *self, const struct input *input)
{
    while (self->phase == PHASE_EARLY && !g_queue_is_empty(&self->early) && !is_ready(self) &&
           !atomic_load(&input->abandon))
        g_cond_wait_until(&self->changed, &self->lock, self->early_us + EARLY_US + 1);
}

static void post_eos(KvpipeSink *self, guint32 seqnum)
{
    GstMessage *message = gst_message_new_eos(GST_OBJECT(self));

    gst_message_set_seqnum(message, seqnum);
    gst_element_post_message(GST_ELEMENT(self), message);
}

static void on_eos(KvpipeSink *self, struct input *input, guint32 seqnum)
{
    bool last;

    g_mutex_lock(&self->lock);
    input->has_eos = true;
    g_cond_broadcast(&self->changed);
    await_others(self, input);
    while (self->phase == PHASE_OPENING)
        g_cond_wait(&self->changed, &self->lock);
    open_if_ready(self, input);
    last = all_ended(self) && (self->phase == PHASE_OPEN || self->phase == PHASE_EARLY);
    if (last && self->phase == PHASE_OPEN) {
        self->phase = PHASE_CLOSING;
        g_mutex_unlock(&self->lock);
        uplink_finish(&self->uplink, &input->abandon);
        g_mutex_lock(&self->lock);
    }
    if (last) {
        self->phase = PHASE_ENDED;
        g_cond_broadcast(&self->changed);
    }
    last = last && !atomic_load(&input->abandon);
    self->eos = last ? seqnum : 0;
    g_mutex_unlock(&self->lock);
    if (last)
        post_eos(self, seqnum);
}

/* ---- an input's thread ---- */

/* With the lock. Whether the input may go on. */
static bool await_phase(KvpipeSink *self, struct input *input)
{
    while ((self->phase == PHASE_OPENING || self->phase == PHASE_CLOSING) &&
           !atomic_load(&input->abandon))
        g_cond_wait(&self->changed, &self->lock);
    return !atomic_load(&input->abandon);
}

static void say_late(KvpipeSink *self, struct input *input)
{
    if (!input->said_late)
        GST_ELEMENT_WARNING(self, STREAM, FORMAT,
                            ("pad %s is not archived: it said what it is when the stream had begun",
                             GST_PAD_NAME(input->pad)),
                            ("the others wait 10 s for it, or until storage-size is full"));
    input->said_late = true;
}

static GstFlowReturn on_buffer(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    KvpipeSink *self = KVPIPE_SINK(parent);
    struct input *input = gst_pad_get_element_private(pad);
    GstFlowReturn flow = GST_FLOW_OK;
    struct kvpipe_frame frame = {0};
    bool put_now = false;

    frame.key = !input->is_video || !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
    g_mutex_lock(&self->lock);
    if (!await_phase(self, input)) {
        flow = GST_FLOW_FLUSHING;
    } else if (self->phase == PHASE_ENDED) {
        flow = GST_FLOW_EOS;
    } else if (gst_buffer_get_size(buffer) > 0) {
        times_of(&input->times, buffer, g_get_monotonic_time() * 1000, &frame);
        put_now = self->phase == PHASE_OPEN;
        if (!put_now) {
            keep_early(self, input, GST_MINI_OBJECT_CAST(gst_buffer_ref(buffer)), &frame);
            flow = open_if_ready(self, input);
        }
    }
    g_mutex_unlock(&self->lock);
    if (put_now && input->track)
        flow = put(self, input, buffer, &frame);
    else if (put_now)
        say_late(self, input);
    gst_buffer_unref(buffer);
    return flow;
}

static gboolean on_caps(KvpipeSink *self, struct input *input, GstCaps *caps)
{
    struct caps_track t;
    gboolean ok = TRUE;
    const char *why;

    if (caps_read(caps, &t, &why) < 0) {
        caps_fini(&t);
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("%s", why), ("caps %" GST_PTR_FORMAT, caps));
        return FALSE;
    }
    g_mutex_lock(&self->lock);
    if (!await_phase(self, input)) {
        caps_fini(&t);
    } else if (self->phase == PHASE_EARLY && input->is_described) {
        caps_fini(&t);
        keep_early(self, input, GST_MINI_OBJECT_CAST(gst_caps_ref(caps)), NULL);
    } else {
        caps_fini(&input->description);
        input->description = t;
        input->is_described = true;
        g_cond_broadcast(&self->changed);
        if (self->phase == PHASE_OPEN && input->track)
            ok = uplink_describe(&self->uplink, input->track, &t);
        open_if_ready(self, input);
    }
    g_mutex_unlock(&self->lock);
    return ok;
}

/* input: NULL for an event that the application sends to the element itself. */
static void on_metadata(KvpipeSink *self, struct input *input, GstEvent *event)
{
    g_mutex_lock(&self->lock);
    while (self->phase == PHASE_OPENING)
        g_cond_wait(&self->changed, &self->lock);
    if (self->phase == PHASE_OPEN)
        uplink_metadata(&self->uplink, gst_event_get_structure(event));
    else if (self->phase == PHASE_EARLY)
        keep_early(self, input, GST_MINI_OBJECT_CAST(gst_event_ref(event)), NULL);
    g_mutex_unlock(&self->lock);
}

static void set_abandon(KvpipeSink *self, struct input *input, bool abandon)
{
    g_mutex_lock(&self->lock);
    atomic_store(&input->abandon, abandon);
    g_cond_broadcast(&self->changed);
    g_mutex_unlock(&self->lock);
}

/* After EOS, too: a stream that had ended begins anew. */
static void on_start(KvpipeSink *self, struct input *input)
{
    g_mutex_lock(&self->lock);
    if (await_phase(self, input)) {
        input->has_eos = false;
        self->eos = 0;
        if (self->phase == PHASE_ENDED)
            self->phase = PHASE_EARLY;
    }
    g_mutex_unlock(&self->lock);
}

/* What was put stays. */
static void on_flushed(KvpipeSink *self, struct input *input)
{
    set_abandon(self, input, false);
    on_start(self, input);
    g_mutex_lock(&self->lock);
    gst_segment_init(&input->times.segment, GST_FORMAT_UNDEFINED);
    forget_early(self, input);
    g_mutex_unlock(&self->lock);
}

static void begin_times(KvpipeSink *self, struct input *input)
{
    guint rate = self->properties.number[PROPERTY_FRAMERATE];

    times_init(&input->times, !self->properties.number[PROPERTY_FRAME_TIMECODES],
               (int64_t)GST_SECOND / (rate ? rate : 1));
}

static bool is_metadata(GstEvent *event)
{
    return GST_EVENT_TYPE(event) == GST_EVENT_CUSTOM_DOWNSTREAM &&
           gst_event_has_name(event, "kvs-add-metadata");
}

static gboolean on_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    KvpipeSink *self = KVPIPE_SINK(parent);
    struct input *input = gst_pad_get_element_private(pad);
    gboolean ok = TRUE;
    GstCaps *caps;

    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_STREAM_START:
        on_start(self, input);
        break;
    case GST_EVENT_CAPS:
        gst_event_parse_caps(event, &caps);
        ok = on_caps(self, input, caps);
        break;
    case GST_EVENT_SEGMENT:
        gst_event_copy_segment(event, &input->times.segment);
        break;
    case GST_EVENT_EOS:
        on_eos(self, input, gst_event_get_seqnum(event));
        break;
    case GST_EVENT_FLUSH_START:
        set_abandon(self, input, true);
        break;
    case GST_EVENT_FLUSH_STOP:
        on_flushed(self, input);
        break;
    case GST_EVENT_CUSTOM_DOWNSTREAM:
        if (is_metadata(event))
            on_metadata(self, input, event);
        break;
    default:
        return gst_pad_event_default(pad, parent, event);
    }
    gst_event_unref(event);
    return ok;
}

static gboolean on_sent(GstElement *element, GstEvent *event)
{
    if (!is_metadata(event))
        return GST_ELEMENT_CLASS(kvpipesink_parent_class)->send_event(element, event);
    on_metadata(KVPIPE_SINK(element), NULL, event);
    gst_event_unref(event);
    return TRUE;
}

/* ---- pads ---- */

static gchar *free_name(GstElement *element, const char *kind)
{
    for (unsigned n = 0;; n++) {
        gchar *name = g_strdup_printf("%s_%u", kind, n);
        GstPad *taken = gst_element_get_static_pad(element, name);
        if (!taken)
            return name;
        gst_object_unref(taken);
        g_free(name);
    }
}

static GstPad *on_request(GstElement *element, GstPadTemplate *template, const gchar *name,
                          const GstCaps *caps)
{
    KvpipeSink *self = KVPIPE_SINK(element);
    bool is_video = g_str_has_prefix(GST_PAD_TEMPLATE_NAME_TEMPLATE(template), "video");
    struct input *input;
    gchar *own = NULL;

    g_mutex_lock(&self->lock);
    if (self->phase != PHASE_EARLY || self->ninputs == KVPIPE_TRACKS_MAX) {
        GST_WARNING_OBJECT(self, "%s",
                           self->ninputs == KVPIPE_TRACKS_MAX
                               ? "no more pads: a stream has 3 tracks at most"
                               : "no more pads: the stream has begun");
        g_mutex_unlock(&self->lock);
        return NULL;
    }
    if (!name)
        name = own = free_name(element, is_video ? "video" : "audio");
    input = g_new0(struct input, 1);
    input->is_video = is_video;
    input->pad = gst_pad_new_from_template(template, name);
    begin_times(self, input);
    self->inputs[self->ninputs++] = input;
    g_mutex_unlock(&self->lock);
    g_free(own);

    gst_pad_set_element_private(input->pad, input);
    gst_pad_set_chain_function(input->pad, on_buffer);
    gst_pad_set_event_function(input->pad, on_event);
    gst_element_add_pad(element, input->pad);
    return input->pad;
}

static void on_release(GstElement *element, GstPad *pad)
{
    KvpipeSink *self = KVPIPE_SINK(element);
    struct input *input = gst_pad_get_element_private(pad);

    set_abandon(self, input, true);
    gst_pad_set_active(pad, FALSE);
    g_mutex_lock(&self->lock);
    while (self->phase == PHASE_OPENING)
        g_cond_wait(&self->changed, &self->lock);
    forget_early(self, input);
    for (unsigned i = 0; i < self->ninputs; i++)
        if (self->inputs[i] == input)
            self->inputs[i] = self->inputs[--self->ninputs];
    g_mutex_unlock(&self->lock);
    gst_element_remove_pad(element, pad);
    caps_fini(&input->description);
    g_free(input);
}

/* ---- states ---- */

static void begin(KvpipeSink *self)
{
    g_mutex_lock(&self->lock);
    self->phase = PHASE_EARLY;
    self->eos = 0;
    for (unsigned i = 0; i < self->ninputs; i++) {
        struct input *input = self->inputs[i];
        atomic_store(&input->abandon, false);
        input->is_described = input->has_eos = input->said_late = false;
        input->track = 0;
        begin_times(self, input);
    }
    g_mutex_unlock(&self->lock);
}

/* No pad's thread is here any more; the application's may be. */
static void end(KvpipeSink *self)
{
    g_mutex_lock(&self->lock);
    self->phase = PHASE_ENDED;
    g_mutex_unlock(&self->lock);
    uplink_stop(&self->uplink);
    g_mutex_lock(&self->lock);
    forget_early(self, NULL);
    self->phase = PHASE_EARLY;
    g_mutex_unlock(&self->lock);
}

static void abandon_all(KvpipeSink *self)
{
    for (unsigned i = 0; i < self->ninputs; i++)
        set_abandon(self, self->inputs[i], true);
}

/* A bin forgets EOS when it goes to PLAYING. */
static void post_eos_again(KvpipeSink *self)
{
    guint32 seqnum;

    g_mutex_lock(&self->lock);
    seqnum = self->eos;
    g_mutex_unlock(&self->lock);
    if (seqnum)
        post_eos(self, seqnum);
}

static GstStateChangeReturn on_state(GstElement *element, GstStateChange change)
{
    KvpipeSink *self = KVPIPE_SINK(element);
    GstStateChangeReturn result;

    if (change == GST_STATE_CHANGE_READY_TO_PAUSED) {
        if (!uplink_start(&self->uplink))
            return GST_STATE_CHANGE_FAILURE;
        begin(self);
    } else if (change == GST_STATE_CHANGE_PAUSED_TO_READY) {
        abandon_all(self);
    }
    result = GST_ELEMENT_CLASS(kvpipesink_parent_class)->change_state(element, change);
    if (change == GST_STATE_CHANGE_PAUSED_TO_PLAYING)
        post_eos_again(self);
    if (change == GST_STATE_CHANGE_PAUSED_TO_READY ||
        (change == GST_STATE_CHANGE_READY_TO_PAUSED && result == GST_STATE_CHANGE_FAILURE))
        end(self);
    return result;
}

/* ---- the class ---- */

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
    properties_set(&KVPIPE_SINK(object)->properties, id, value);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    properties_get(&KVPIPE_SINK(object)->properties, id, value);
}

static void finalize(GObject *object)
{
    KvpipeSink *self = KVPIPE_SINK(object);

    for (unsigned i = 0; i < self->ninputs; i++) {
        caps_fini(&self->inputs[i]->description);
        g_free(self->inputs[i]);
    }
    uplink_fini(&self->uplink);
    properties_fini(&self->properties);
    g_cond_clear(&self->changed);
    g_mutex_clear(&self->lock);
    G_OBJECT_CLASS(kvpipesink_parent_class)->finalize(object);
}

static void kvpipesink_init(KvpipeSink *self)
{
    g_mutex_init(&self->lock);
    g_cond_init(&self->changed);
    g_queue_init(&self->early);
    properties_init(&self->properties);
    uplink_init(&self->uplink, GST_ELEMENT(self), &self->properties);
    GST_OBJECT_FLAG_SET(self, GST_ELEMENT_FLAG_SINK);
}

static void kvpipesink_class_init(KvpipeSinkClass *class)
{
    GObjectClass *object = G_OBJECT_CLASS(class);
    GstElementClass *element = GST_ELEMENT_CLASS(class);

    object->set_property = set_property;
    object->get_property = get_property;
    object->finalize = finalize;
    properties_install(object);
    element->request_new_pad = on_request;
    element->release_pad = on_release;
    element->change_state = on_state;
    element->send_event = on_sent;
    gst_element_class_add_static_pad_template(element, &video_template);
    gst_element_class_add_static_pad_template(element, &audio_template);
    gst_element_class_set_static_metadata(
        element, "kvpipe sink", "Sink/Video/Audio/Network",
        "Gives coded video and audio to a running kvpipe, with kvssink's property names", "kvpipe");
}
