/* The words of a link: vectors, formats, items and messages as plain structs.
 * Relies on blob for payloads.
 * Leaves rules, bytes and sockets to the other link files. */
#include "common/link.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

bool link_stream_name_ok(const char *name)
{
    size_t len = name ? strlen(name) : 0;
    return len && len <= LINK_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
               len &&
           strspn(name, ".") != len;
}

int link_vector_cmp(const struct link_vector *a, const struct link_vector *b)
{
    for (unsigned i = 0; i < a->n && i < b->n; i++)
        if (a->v[i] != b->v[i])
            return a->v[i] < b->v[i] ? -1 : 1;
    return a->n == b->n ? 0 : a->n < b->n ? -1 : 1;
}

struct link_vector link_vector_append(const struct link_vector *a, uint64_t number)
{
    struct link_vector v = *a;
    v.v[v.n++] = number;
    return v;
}

const char *link_vector_str(const struct link_vector *v, char out[LINK_VECTOR_MAX * 21])
{
    size_t n = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < v->n && i < LINK_VECTOR_MAX; i++)
        n += (size_t)snprintf(out + n, LINK_VECTOR_MAX * 21 - n, "%s%llu", i ? "." : "",
                              (unsigned long long)v->v[i]);
    return out;
}

bool link_codec_is_video(enum link_codec codec)
{
    return codec == LINK_CODEC_RAW_VIDEO || codec == LINK_CODEC_H264 || codec == LINK_CODEC_H265;
}

bool link_codec_is_raw(enum link_codec codec)
{
    return codec == LINK_CODEC_RAW_VIDEO || codec == LINK_CODEC_RAW_AUDIO;
}

const char *link_codec_name(enum link_codec codec)
{
    static const char *const names[] = {"none",  "raw video", "raw audio", "H.264",
                                        "H.265", "AAC",       "other"};
    return (unsigned)codec < sizeof names / sizeof *names ? names[codec] : "unknown";
}

const char *link_gap_reason_name(enum link_gap_reason reason)
{
    static const char *const names[] = {"none",    "window_full",  "source",
                                        "format",  "no_key_frame", "fragment_limit",
                                        "encoder", "timestamp",    "disk_full"};
    return (unsigned)reason < sizeof names / sizeof *names ? names[reason] : "unknown";
}

const char *link_type_name(enum link_type type)
{
    static const char *const names[] = {"none", "Hello", "Open",      "Resume", "Frame",
                                        "Gap",  "Ack",   "Heartbeat", "Close"};
    return (unsigned)type < sizeof names / sizeof *names ? names[type] : "unknown";
}

struct link_format *link_format_new(void)
{
    struct link_format *f = xcalloc(1, sizeof *f);
    f->refs = 1;
    return f;
}

struct link_format *link_format_ref(struct link_format *f)
{
    if (f)
        atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void link_format_unref(struct link_format **f)
{
    struct link_format *old = *f;
    *f = NULL;
    if (!old || atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel) != 1)
        return;
    blob_unref(&old->config);
    blob_unref(&old->segment);
    free(old);
}

static bool blob_equal(const struct blob *a, const struct blob *b)
{
    size_t na = a ? a->len : 0, nb = b ? b->len : 0;
    return na == nb && (!na || memcmp(a->data, b->data, na) == 0);
}

bool link_format_equal(const struct link_format *a, const struct link_format *b)
{
    return a->codec == b->codec && a->video == b->video && strcmp(a->layout, b->layout) == 0 &&
           a->width == b->width && a->height == b->height && a->rate_num == b->rate_num &&
           a->rate_den == b->rate_den && a->sample_rate == b->sample_rate &&
           a->channels == b->channels && blob_equal(a->config, b->config) &&
           blob_equal(a->segment, b->segment);
}

struct link_tags *link_tags_new(const struct link_tag *tags, unsigned n)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < n; i++)
        bytes += strlen(tags[i].name) + strlen(tags[i].value) + 2;
    if (!n)
        return NULL;
    struct link_tags *t = xcalloc(1, sizeof *t + bytes);
    char *text = (char *)(t + 1);
    t->refs = 1;
    t->n = n;
    for (unsigned i = 0; i < n; i++) {
        t->tag[i] = tags[i];
        t->tag[i].name = text;
        text = stpcpy(text, tags[i].name) + 1;
        t->tag[i].value = text;
        text = stpcpy(text, tags[i].value) + 1;
    }
    return t;
}

struct link_tags *link_tags_ref(struct link_tags *t)
{
    if (t)
        atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void link_tags_unref(struct link_tags **t)
{
    struct link_tags *old = *t;
    *t = NULL;
    if (old && atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel) == 1)
        free(old);
}

struct link_item link_item_ref(const struct link_item *item)
{
    struct link_item copy = *item;
    link_format_ref(copy.format);
    blob_ref(copy.payload);
    link_tags_ref(copy.tags);
    return copy;
}

void link_item_fini(struct link_item *item)
{
    link_format_unref(&item->format);
    blob_unref(&item->payload);
    link_tags_unref(&item->tags);
    *item = (struct link_item){0};
}

void link_msg_fini(struct link_msg *msg)
{
    switch (msg->type) {
    case LINK_OPEN:
        for (unsigned i = 0; i < msg->open.ntracks; i++)
            link_format_unref(&msg->open.tracks[i].format);
        break;
    case LINK_FRAME:
    case LINK_GAP:
        link_format_unref(&msg->item.new_format);
        link_item_fini(&msg->item.item);
        break;
    case LINK_HEARTBEAT:
        free(msg->heartbeat.sessions);
        break;
    default:
        break;
    }
    msg->type = LINK_NONE;
}
