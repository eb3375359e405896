/* From GStreamer's threads to the loop.
 * Relies on pad probes, a mutex with a condition, an eventfd.
 * Leaves formats to track.c, pipelines to source_*.c and branch.c. */
#include "capture/pull.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/link.h"
#include "common/log.h"
#include "common/mem.h"
#include "media/au_splitter.h"

#define BYTES_MAX (32u << 20)

struct pull_track {
    struct pull *pull;
    enum pull_kind kind;
    char name[PULL_NAME_MAX];
    bool copy, eos;
    unsigned max_frames;
    struct pull_item *first, **last;
    unsigned frames;
    size_t bytes;
    uint64_t lost;
    GstCaps *caps; /* streaming thread only, like all that follows */
    GstSegment segment;
    struct au_splitter *splitter; /* of a byte stream; NULL: a buffer is an access unit */
    bool discont, began;          /* before the next access unit; one came */
};

struct pull {
    _Atomic unsigned refs;
    char *stream, *advice;
    int fd;
    pthread_mutex_t lock;
    pthread_cond_t room;
    bool closed, ignore_segments, quiet;
    unsigned announced, announced_video, joined;
    struct pull_state state;
    struct pull_track track[PULL_TRACKS_MAX];
};

struct pull *pull_new(const char *stream, bool quiet)
{
    struct pull *p = xcalloc(1, sizeof *p);

    p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->fd < 0) {
        free(p);
        return NULL;
    }
    p->refs = 1;
    p->stream = xstrdup(stream);
    p->quiet = quiet;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->room, NULL);
    return p;
}

struct pull *pull_ref(struct pull *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void pull_item_free(struct pull_item *item)
{
    gst_clear_buffer(&item->buffer);
    gst_clear_caps(&item->caps);
    free(item);
}

static void empty(struct pull_track *t)
{
    struct pull_item *item;

    while ((item = t->first)) {
        t->first = item->next;
        pull_item_free(item);
    }
    t->last = &t->first;
    t->frames = 0;
    t->bytes = 0;
}

static void free_splitter(struct pull_track *t)
{
    if (t->splitter)
        au_splitter_fini(t->splitter);
    free(t->splitter);
    t->splitter = NULL;
}

void pull_unref(struct pull **pp)
{
    struct pull *p = *pp;

    *pp = NULL;
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < p->state.ntracks; i++) {
        empty(&p->track[i]);
        gst_clear_caps(&p->track[i].caps);
        free_splitter(&p->track[i]);
    }
    close(p->fd);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->room);
    free(p->stream);
    free(p->advice);
    free(p);
}

static void drop_ref(gpointer arg)
{
    struct pull *p = arg;

    pull_unref(&p);
}

int pull_fd(const struct pull *p)
{
    return p->fd;
}

void pull_clear_fd(struct pull *p)
{
    eventfd_t value;

    (void)eventfd_read(p->fd, &value);
}

static void wake(struct pull *p)
{
    (void)eventfd_write(p->fd, 1);
}

/* ---- GStreamer's side ---- */

static int64_t running_ns(const struct pull_track *track, GstClockTime t)
{
    const GstSegment *segment = &track->segment;
    guint64 value;
    int sign;

    if (!GST_CLOCK_TIME_IS_VALID(t))
        return PULL_NONE;
    if (segment->format != GST_FORMAT_TIME || track->pull->ignore_segments)
        return (int64_t)(t & INT64_MAX);
    sign = gst_segment_to_running_time_full(segment, GST_FORMAT_TIME, t, &value);
    if (!sign || value > INT64_MAX / 4)
        return PULL_NONE;
    return sign > 0 ? (int64_t)value : -(int64_t)value;
}

/* Takes over the buffer. */
static struct pull_item *make_item(struct pull_track *t, GstBuffer *buffer,
                                   const struct au_times *times, bool discont)
{
    struct pull_item *item = xcalloc(1, sizeof *item);

    item->buffer = buffer;
    item->caps = t->caps ? gst_caps_ref(t->caps) : NULL;
    item->pts_ns = times->given ? times->pts_ns : PULL_NONE;
    item->dts_ns = times->given ? times->dts_ns : PULL_NONE;
    item->duration_ns = times->given ? times->duration_ns : 0;
    item->discont = discont;
    item->wall_ns = clock_wall_ns();
    return item;
}

static struct au_times times_of(const struct pull_track *t, GstBuffer *buffer)
{
    struct au_times times = {.pts_ns = running_ns(t, GST_BUFFER_PTS(buffer)),
                             .dts_ns = running_ns(t, GST_BUFFER_DTS(buffer))};

    if (GST_BUFFER_DURATION_IS_VALID(buffer) &&
        GST_BUFFER_DURATION(buffer) < (GstClockTime)(3600 * NS_PER_S))
        times.duration_ns = (int64_t)GST_BUFFER_DURATION(buffer);
    times.given = times.pts_ns != PULL_NONE || times.dts_ns != PULL_NONE || times.duration_ns;
    return times;
}

static bool is_full(const struct pull_track *t, size_t bytes)
{
    return t->frames >= t->max_frames || (t->frames && t->bytes + bytes > BYTES_MAX);
}

static void append(struct pull_track *t, struct pull_item *item, size_t bytes)
{
    item->lost = t->lost;
    t->lost = 0;
    *t->last = item;
    t->last = &item->next;
    t->frames++;
    t->bytes += bytes;
}

/* Takes over the buffer. */
static void put(struct pull_track *t, GstBuffer *buffer, const struct au_times *times, bool discont)
{
    struct pull *p = t->pull;
    size_t bytes = gst_buffer_get_size(buffer);

    pthread_mutex_lock(&p->lock);
    while (!p->closed && !p->state.live && is_full(t, bytes))
        pthread_cond_wait(&p->room, &p->lock);
    p->state.any = true;
    p->state.last_mono_ns = clock_mono_ns();
    if (p->closed || is_full(t, bytes)) {
        t->lost += !p->closed;
        gst_buffer_unref(buffer);
    } else {
        append(t, make_item(t, buffer, times, discont), bytes);
    }
    pthread_mutex_unlock(&p->lock);
    wake(p);
}

static void on_unit(void *arg, const uint8_t *data, size_t len, const struct au_times *times)
{
    struct pull_track *t = arg;

    put(t, gst_buffer_new_memdup(data, len), times, t->discont);
    t->discont = false;
    t->began = true;
}

static void split(struct pull_track *t, GstBuffer *buffer)
{
    struct au_times times = times_of(t, buffer);
    GstMapInfo map;

    if (GST_BUFFER_IS_DISCONT(buffer)) {
        au_splitter_flush(t->splitter, on_unit, t);
        t->discont = true;
    }
    if (!gst_buffer_map(buffer, &map, GST_MAP_READ))
        return;
    au_splitter_push(t->splitter, map.data, map.size, &times, on_unit, t);
    gst_buffer_unmap(buffer, &map);
    if (GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_MARKER))
        au_splitter_end(t->splitter, on_unit, t); /* RTP says so: no need to wait for the next */
    if (!au_splitter_junk(t->splitter) || !t->began)
        return;
    pthread_mutex_lock(&t->pull->lock); /* the pieces of an access unit that was torn */
    t->lost++;
    pthread_mutex_unlock(&t->pull->lock);
}

static void take_buffer(struct pull_track *t, GstBuffer *buffer)
{
    struct au_times times;

    if (!gst_buffer_get_size(buffer))
        return;
    if (t->splitter) {
        split(t, buffer);
        return;
    }
    times = times_of(t, buffer);
    put(t, t->copy ? gst_buffer_copy_deep(buffer) : gst_buffer_ref(buffer), &times,
        GST_BUFFER_IS_DISCONT(buffer));
}

static bool is_byte_stream(const GstStructure *s)
{
    const char *form = gst_structure_get_string(s, "stream-format");
    const char *alignment = gst_structure_get_string(s, "alignment");

    return (gst_structure_has_name(s, "video/x-h264") ||
            gst_structure_has_name(s, "video/x-h265")) &&
           (form ? strcmp(form, "byte-stream") == 0 : !gst_structure_has_field(s, "codec_data")) &&
           (!alignment || strcmp(alignment, "au") != 0);
}

static void adopt(struct pull_track *t, GstCaps *caps)
{
    const GstStructure *s = gst_caps_get_structure(caps, 0);

    if (t->caps && gst_caps_is_equal(t->caps, caps))
        return;
    if (t->splitter)
        au_splitter_flush(t->splitter, on_unit, t);
    free_splitter(t);
    gst_caps_replace(&t->caps, caps);
    if (!is_byte_stream(s))
        return;
    t->splitter = xmalloc(sizeof *t->splitter);
    au_splitter_init(t->splitter, gst_structure_has_name(s, "video/x-h265"), LINK_PAYLOAD_MAX);
}

static void end_track(struct pull_track *t, bool eos)
{
    pthread_mutex_lock(&t->pull->lock);
    t->eos = eos;
    pthread_mutex_unlock(&t->pull->lock);
    wake(t->pull);
}

static void on_event(struct pull_track *t, GstEvent *event)
{
    GstCaps *caps;
    const GstSegment *segment;

    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_CAPS:
        gst_event_parse_caps(event, &caps);
        adopt(t, caps);
        break;
    case GST_EVENT_SEGMENT:
        gst_event_parse_segment(event, &segment);
        gst_segment_copy_into(segment, &t->segment);
        break;
    case GST_EVENT_EOS:
        if (t->splitter)
            au_splitter_flush(t->splitter, on_unit, t);
        end_track(t, true);
        break;
    default:
        break;
    }
}

static GstPadProbeReturn probe(GstPad *pad, GstPadProbeInfo *info, gpointer arg)
{
    struct pull_track *t = arg;
    GstBufferList *list;

    if (info->type & GST_PAD_PROBE_TYPE_BUFFER) {
        take_buffer(t, GST_PAD_PROBE_INFO_BUFFER(info));
        return GST_PAD_PROBE_DROP;
    }
    if (info->type & GST_PAD_PROBE_TYPE_BUFFER_LIST) {
        list = GST_PAD_PROBE_INFO_BUFFER_LIST(info);
        for (guint i = 0; i < gst_buffer_list_length(list); i++)
            take_buffer(t, gst_buffer_list_get(list, i));
        return GST_PAD_PROBE_DROP;
    }
    on_event(t, GST_PAD_PROBE_INFO_EVENT(info));
    return GST_PAD_PROBE_OK;
}

static void drop_track_ref(gpointer arg)
{
    struct pull_track *t = arg;

    drop_ref(t->pull);
}

int pull_attach(struct pull *p, GstPad *pad, enum pull_kind kind, const char *name, bool copy,
                unsigned max_frames)
{
    struct pull_track *t;

    pthread_mutex_lock(&p->lock);
    if (p->state.ntracks == PULL_TRACKS_MAX) {
        pthread_mutex_unlock(&p->lock);
        return -ENOSPC;
    }
    t = &p->track[p->state.ntracks];
    t->pull = p;
    t->kind = kind;
    snprintf(t->name, sizeof t->name, "%s", name);
    t->copy = copy;
    t->max_frames = max_frames;
    t->last = &t->first;
    gst_segment_init(&t->segment, GST_FORMAT_TIME);
    p->state.ntracks++;
    pthread_mutex_unlock(&p->lock);
    pull_ref(p);
    gst_pad_add_probe(pad,
                      GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST |
                          GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
                      probe, t, drop_track_ref);
    return 0;
}

void pull_refuse(struct pull *p, const char *name, const char *why)
{
    if (!p->quiet)
        log_warn("capture.track.refused", "stream=%s track=%s cause=\"%s\"", p->stream, name, why);
    pthread_mutex_lock(&p->lock);
    if (!p->state.refused[0])
        snprintf(p->state.refused, sizeof p->state.refused, "track %.60s left out: %.170s", name,
                 why);
    pthread_mutex_unlock(&p->lock);
}

void pull_complete(struct pull *p)
{
    pthread_mutex_lock(&p->lock);
    p->state.complete = true;
    pthread_mutex_unlock(&p->lock);
    wake(p);
}

void pull_announce(struct pull *p, enum pull_kind kind)
{
    pthread_mutex_lock(&p->lock);
    p->announced++;
    p->announced_video += kind == PULL_VIDEO;
    pthread_mutex_unlock(&p->lock);
}

void pull_joined(struct pull *p)
{
    pthread_mutex_lock(&p->lock);
    p->joined++;
    pthread_mutex_unlock(&p->lock);
    wake(p);
}

void pull_fail(struct pull *p, const char *cause, const char *what_to_do)
{
    pthread_mutex_lock(&p->lock);
    if (!p->state.failed) {
        p->state.failed = true;
        snprintf(p->state.cause, sizeof p->state.cause, "%s", cause);
        snprintf(p->state.what_to_do, sizeof p->state.what_to_do, "%s", what_to_do);
    }
    pthread_mutex_unlock(&p->lock);
    wake(p);
}

void pull_set_live(struct pull *p, bool live)
{
    pthread_mutex_lock(&p->lock);
    p->state.live = live;
    pthread_cond_broadcast(&p->room);
    pthread_mutex_unlock(&p->lock);
    wake(p);
}

void pull_ignore_segments(struct pull *p)
{
    p->ignore_segments = true;
}

static const char *advice_for(const struct pull *p, const GError *e)
{
    if (e->domain == GST_RESOURCE_ERROR && e->code == GST_RESOURCE_ERROR_NOT_AUTHORIZED)
        return "check user and password (credentials_file or credentials_env)";
    if (e->domain == GST_RESOURCE_ERROR && e->code == GST_RESOURCE_ERROR_BUSY)
        return "another program uses the device; stop it";
    if (e->domain == GST_STREAM_ERROR && e->code == GST_STREAM_ERROR_TYPE_NOT_FOUND)
        return "no media was recognised; give mp4, mov, mkv or ts";
    return p->advice;
}

static GstBusSyncReply on_message(GstBus *bus, GstMessage *message, gpointer arg)
{
    struct pull *p = arg;
    GError *error = NULL;

    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        gst_message_parse_error(message, &error, NULL);
        pull_fail(p, error->message, advice_for(p, error));
        g_clear_error(&error);
    }
    gst_message_unref(message);
    return GST_BUS_DROP;
}

void pull_watch_bus(struct pull *p, GstElement *pipeline, const char *advice)
{
    GstBus *bus = gst_element_get_bus(pipeline);

    p->advice = xstrdup(advice);
    gst_bus_set_sync_handler(bus, on_message, pull_ref(p), drop_ref);
    gst_object_unref(bus);
}

/* ---- the loop's side ---- */

void pull_state(struct pull *p, struct pull_state *out)
{
    unsigned videos = 0;

    pthread_mutex_lock(&p->lock);
    *out = p->state;
    out->complete = out->complete && p->joined >= p->announced;
    out->ended = out->complete;
    for (unsigned i = 0; i < out->ntracks; i++) {
        out->ended = out->ended && p->track[i].eos;
        videos += p->track[i].kind == PULL_VIDEO;
    }
    out->video_missing = p->joined < p->announced && videos < p->announced_video;
    pthread_mutex_unlock(&p->lock);
}

enum pull_kind pull_kind(struct pull *p, unsigned track)
{
    return p->track[track].kind;
}

const char *pull_name(struct pull *p, unsigned track)
{
    return p->track[track].name;
}

const struct pull_item *pull_head(struct pull *p, unsigned track)
{
    const struct pull_item *item;

    pthread_mutex_lock(&p->lock);
    item = p->track[track].first;
    pthread_mutex_unlock(&p->lock);
    return item;
}

bool pull_track_ended(struct pull *p, unsigned track)
{
    bool ended;

    pthread_mutex_lock(&p->lock);
    ended = p->track[track].eos && !p->track[track].first;
    pthread_mutex_unlock(&p->lock);
    return ended;
}

unsigned pull_count(struct pull *p, unsigned track)
{
    unsigned n;

    pthread_mutex_lock(&p->lock);
    n = p->track[track].frames;
    pthread_mutex_unlock(&p->lock);
    return n;
}

uint64_t pull_lost(struct pull *p, unsigned track)
{
    uint64_t lost;

    pthread_mutex_lock(&p->lock);
    lost = p->track[track].lost;
    p->track[track].lost = 0;
    pthread_mutex_unlock(&p->lock);
    return lost;
}

struct pull_item *pull_take(struct pull *p, unsigned track)
{
    struct pull_track *t = &p->track[track];
    struct pull_item *item;

    pthread_mutex_lock(&p->lock);
    item = t->first;
    if (item) {
        t->first = item->next;
        if (!t->first)
            t->last = &t->first;
        item->next = NULL;
        t->frames--;
        t->bytes -= gst_buffer_get_size(item->buffer);
        pthread_cond_broadcast(&p->room);
    }
    pthread_mutex_unlock(&p->lock);
    return item;
}

void pull_close(struct pull *p)
{
    pthread_mutex_lock(&p->lock);
    p->closed = true;
    for (unsigned i = 0; i < p->state.ntracks; i++)
        empty(&p->track[i]);
    pthread_cond_broadcast(&p->room);
    pthread_mutex_unlock(&p->lock);
}

struct mapped {
    GstBuffer *buffer;
    GstMapInfo map;
};

static void unmap(void *arg)
{
    struct mapped *m = arg;

    gst_buffer_unmap(m->buffer, &m->map);
    gst_buffer_unref(m->buffer);
    free(m);
}

struct blob *pull_blob(GstBuffer *buffer, size_t offset, size_t len)
{
    struct mapped *m = xmalloc(sizeof *m);

    m->buffer = gst_buffer_ref(buffer);
    if (!gst_buffer_map(buffer, &m->map, GST_MAP_READ)) {
        gst_buffer_unref(buffer);
        free(m);
        return NULL;
    }
    if (offset > m->map.size || len > m->map.size - offset) {
        unmap(m);
        return NULL;
    }
    return blob_wrap(m->map.data + offset, len ? len : m->map.size - offset, unmap, m);
}
