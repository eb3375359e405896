/* Link messages to bytes and back: the only file that sees the generated protobuf code.
 * Relies on protobuf-c and link.proto.
 * Leaves what a message means to link_outlet.c and link_inlet.c. */
#include "common/link_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "proto/link.pb-c.h"

/* ---- encoding ---- */

static Kvpipe__Link__Vector wire_vector(const struct link_vector *v)
{
    Kvpipe__Link__Vector w = KVPIPE__LINK__VECTOR__INIT;
    w.n_n = v->n;
    w.n = (uint64_t *)v->v;
    return w;
}

static ProtobufCBinaryData wire_bytes(const struct blob *b)
{
    return (ProtobufCBinaryData){.len = b ? b->len : 0, .data = b ? (uint8_t *)b->data : NULL};
}

static Kvpipe__Link__Format wire_format(const struct link_format *f)
{
    Kvpipe__Link__Format w = KVPIPE__LINK__FORMAT__INIT;
    w.number = f->number;
    w.codec = (Kvpipe__Link__Codec)f->codec;
    w.layout = (char *)f->layout;
    w.width = f->width;
    w.height = f->height;
    w.rate_num = f->rate_num;
    w.rate_den = f->rate_den;
    w.sample_rate = f->sample_rate;
    w.channels = f->channels;
    w.config = wire_bytes(f->config);
    w.segment = wire_bytes(f->segment);
    return w;
}

struct wire_positions {
    Kvpipe__Link__Position at[LINK_TRACKS_MAX], *ptr[LINK_TRACKS_MAX];
    size_t n;
};

static void wire_positions(struct wire_positions *w, const struct link_positions *p)
{
    w->n = 0;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        if (!(p->tracks & (1u << i)))
            continue;
        kvpipe__link__position__init(&w->at[w->n]);
        w->at[w->n].track = i + 1;
        w->at[w->n].next = p->next[i];
        w->at[w->n].credit = p->credit[i];
        w->ptr[w->n] = &w->at[w->n];
        w->n++;
    }
}

static struct blob *pack(const Kvpipe__Link__Envelope *env)
{
    uint8_t *data;
    struct blob *b = blob_new(kvpipe__link__envelope__get_packed_size(env), &data);
    kvpipe__link__envelope__pack(env, data);
    return b;
}

static struct blob *encode_open(const struct link_msg *msg, Kvpipe__Link__Envelope *env)
{
    Kvpipe__Link__Open open = KVPIPE__LINK__OPEN__INIT;
    Kvpipe__Link__Vector vector = wire_vector(&msg->vector);
    Kvpipe__Link__Track tracks[LINK_TRACKS_MAX], *ptr[LINK_TRACKS_MAX];
    Kvpipe__Link__Format formats[LINK_TRACKS_MAX];

    for (unsigned i = 0; i < msg->open.ntracks; i++) {
        kvpipe__link__track__init(&tracks[i]);
        formats[i] = wire_format(msg->open.tracks[i].format);
        tracks[i].track = msg->open.tracks[i].track;
        tracks[i].from = msg->open.tracks[i].base;
        tracks[i].video = msg->open.tracks[i].format->video;
        tracks[i].format = &formats[i];
        ptr[i] = &tracks[i];
    }
    open.stream = (char *)msg->stream;
    open.vector = &vector;
    open.n_tracks = msg->open.ntracks;
    open.tracks = ptr;
    env->body_case = KVPIPE__LINK__ENVELOPE__BODY_OPEN;
    env->open = &open;
    return pack(env);
}

static Kvpipe__Link__Tag wire_tag(const struct link_tag *t)
{
    Kvpipe__Link__Tag w = KVPIPE__LINK__TAG__INIT;
    w.name = (char *)t->name;
    w.value = (char *)t->value;
    w.previous = t->previous;
    w.late = t->late;
    return w;
}

static struct blob *encode_frame(const struct link_msg *msg, Kvpipe__Link__Envelope *env)
{
    Kvpipe__Link__Frame f = KVPIPE__LINK__FRAME__INIT;
    Kvpipe__Link__Vector vector = wire_vector(&msg->vector);
    Kvpipe__Link__Format format;
    Kvpipe__Link__Tag tags[LINK_TAGS_MAX], *ptr[LINK_TAGS_MAX];
    const struct link_item *it = &msg->item.item;

    f.stream = (char *)msg->stream;
    f.vector = &vector;
    f.track = it->track;
    f.seq = it->seq;
    f.key = it->key;
    f.pts_ns = it->pts_ns;
    f.dts_ns = it->dts_ns;
    f.duration_ns = it->duration_ns;
    f.fragment_ns = it->fragment_ns;
    f.previous_fragment_ns = it->previous_fragment_ns;
    f.captured_ns = it->captured_ns;
    f.format = msg->item.format_number;
    if (msg->item.new_format) {
        format = wire_format(msg->item.new_format);
        f.new_format = &format;
    }
    if (it->tags) {
        for (unsigned i = 0; i < it->tags->n; i++) {
            tags[i] = wire_tag(&it->tags->tag[i]);
            ptr[i] = &tags[i];
        }
        f.n_tags = it->tags->n;
        f.tags = ptr;
    }
    env->body_case = KVPIPE__LINK__ENVELOPE__BODY_FRAME;
    env->frame = &f;
    return pack(env);
}

static struct blob *encode_gap(const struct link_msg *msg, Kvpipe__Link__Envelope *env)
{
    Kvpipe__Link__Gap g = KVPIPE__LINK__GAP__INIT;
    Kvpipe__Link__Vector vector = wire_vector(&msg->vector);

    g.stream = (char *)msg->stream;
    g.vector = &vector;
    g.track = msg->item.item.track;
    g.first = msg->item.item.seq;
    g.last = msg->item.item.last;
    g.reason = (Kvpipe__Link__GapReason)msg->item.item.reason;
    env->body_case = KVPIPE__LINK__ENVELOPE__BODY_GAP;
    env->gap = &g;
    return pack(env);
}

static struct blob *encode_positions(const struct link_msg *msg, Kvpipe__Link__Envelope *env)
{
    Kvpipe__Link__Resume resume = KVPIPE__LINK__RESUME__INIT;
    Kvpipe__Link__Ack ack = KVPIPE__LINK__ACK__INIT;
    Kvpipe__Link__Vector vector = wire_vector(&msg->vector);
    struct wire_positions at;

    wire_positions(&at, &msg->positions);
    if (msg->type == LINK_RESUME) {
        resume.stream = (char *)msg->stream;
        resume.vector = &vector;
        resume.n_positions = at.n;
        resume.positions = at.ptr;
        env->body_case = KVPIPE__LINK__ENVELOPE__BODY_RESUME;
        env->resume = &resume;
    } else {
        ack.stream = (char *)msg->stream;
        ack.vector = &vector;
        ack.n_positions = at.n;
        ack.positions = at.ptr;
        ack.backlog_ms = msg->positions.backlog_ms;
        ack.backlog_bytes = msg->positions.backlog_bytes;
        env->body_case = KVPIPE__LINK__ENVELOPE__BODY_ACK;
        env->ack = &ack;
    }
    return pack(env);
}

struct wire_session {
    Kvpipe__Link__SessionPosition session;
    Kvpipe__Link__Vector vector;
    struct wire_positions at, acked;
};

static struct blob *encode_heartbeat(const struct link_msg *msg, Kvpipe__Link__Envelope *env)
{
    Kvpipe__Link__Heartbeat hb = KVPIPE__LINK__HEARTBEAT__INIT;
    unsigned n = msg->heartbeat.nsessions;
    struct wire_session *w = xcalloc(n, sizeof *w);
    Kvpipe__Link__SessionPosition **ptr = xcalloc(n, sizeof *ptr);

    for (unsigned i = 0; i < n; i++) {
        const struct link_heartbeat_session *s = &msg->heartbeat.sessions[i];
        kvpipe__link__session_position__init(&w[i].session);
        w[i].vector = wire_vector(&s->vector);
        wire_positions(&w[i].at, &s->at);
        wire_positions(&w[i].acked, &s->acked);
        w[i].session.stream = (char *)s->stream;
        w[i].session.vector = &w[i].vector;
        w[i].session.n_positions = w[i].at.n;
        w[i].session.positions = w[i].at.ptr;
        w[i].session.n_acked = w[i].acked.n;
        w[i].session.acked = w[i].acked.ptr;
        ptr[i] = &w[i].session;
    }
    hb.incarnation = msg->heartbeat.incarnation;
    hb.n_sessions = n;
    hb.sessions = ptr;
    env->body_case = KVPIPE__LINK__ENVELOPE__BODY_HEARTBEAT;
    env->heartbeat = &hb;
    struct blob *b = pack(env);
    free(w);
    free(ptr);
    return b;
}

static struct blob *encode_close(const struct link_msg *msg, Kvpipe__Link__Envelope *env)
{
    Kvpipe__Link__Close c = KVPIPE__LINK__CLOSE__INIT;
    Kvpipe__Link__Vector vector = wire_vector(&msg->vector),
                         greatest = wire_vector(&msg->close.greatest);

    c.stream = (char *)msg->stream;
    c.vector = &vector;
    c.reason = (Kvpipe__Link__CloseReason)msg->close.reason;
    if (msg->close.reason == LINK_CLOSE_FENCED)
        c.greatest = &greatest;
    env->body_case = KVPIPE__LINK__ENVELOPE__BODY_CLOSE;
    env->close = &c;
    return pack(env);
}

static struct blob *encode_hello(const struct link_msg *msg, Kvpipe__Link__Envelope *env)
{
    Kvpipe__Link__Hello h = KVPIPE__LINK__HELLO__INIT;

    h.version = msg->hello.version;
    h.instance = (char *)msg->hello.instance;
    h.incarnation = msg->hello.incarnation;
    h.connection = msg->hello.connection;
    env->body_case = KVPIPE__LINK__ENVELOPE__BODY_HELLO;
    env->hello = &h;
    return pack(env);
}

struct blob *link_wire_encode(const struct link_msg *msg)
{
    static struct blob *(*const encoders[])(const struct link_msg *, Kvpipe__Link__Envelope *) = {
        [LINK_HELLO] = encode_hello,      [LINK_OPEN] = encode_open,
        [LINK_RESUME] = encode_positions, [LINK_FRAME] = encode_frame,
        [LINK_GAP] = encode_gap,          [LINK_ACK] = encode_positions,
        [LINK_CLOSE] = encode_close,      [LINK_HEARTBEAT] = encode_heartbeat,
    };
    Kvpipe__Link__Envelope env = KVPIPE__LINK__ENVELOPE__INIT;
    return encoders[msg->type](msg, &env);
}

/* ---- decoding: each returns NULL or what is wrong ---- */

static const char *read_stream(const char *in, bool may_be_empty, char out[LINK_NAME_MAX + 1])
{
    size_t n = in ? strlen(in) : 0;
    if (n > LINK_NAME_MAX || (n == 0 && !may_be_empty))
        return "stream name missing or too long";
    if (n && !link_stream_name_ok(in))
        return "stream name has a character outside [a-zA-Z0-9_.-], or is dots alone";
    memcpy(out, in ? in : "", n + 1);
    return NULL;
}

static const char *read_vector(const Kvpipe__Link__Vector *in, bool may_be_empty,
                               struct link_vector *out)
{
    out->n = 0;
    if (!in || in->n_n == 0)
        return may_be_empty ? NULL : "vector missing";
    if (in->n_n > LINK_VECTOR_MAX)
        return "vector too long";
    out->n = (unsigned)in->n_n;
    memcpy(out->v, in->n, in->n_n * sizeof *in->n);
    return NULL;
}

static const char *read_positions(Kvpipe__Link__Position **in, size_t n, struct link_positions *out)
{
    *out = (struct link_positions){0};
    for (size_t i = 0; i < n; i++) {
        unsigned t = in[i]->track - 1;
        if (t >= LINK_TRACKS_MAX || out->tracks & (1u << t))
            return "track number out of range or twice";
        if (in[i]->next > INT64_MAX || in[i]->credit > INT64_MAX)
            return "position out of range";
        out->tracks |= (uint8_t)(1u << t);
        out->next[t] = in[i]->next;
        out->credit[t] = in[i]->credit;
    }
    return NULL;
}

#define CONFIG_MAX (1u << 20) /* codec private data, KVS limit 1 MiB */
#define DIMENSION_MAX 32768

/* Names of sample layouts and Matroska CodecIDs, no more: stages pass them on to libraries. */
static bool plain(const char *layout)
{
    return strspn(layout, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-") ==
           strlen(layout);
}

static const char *read_format(const Kvpipe__Link__Format *in, struct link_format **out)
{
    if (in->codec <= KVPIPE__LINK__CODEC__CODEC_NONE ||
        in->codec > KVPIPE__LINK__CODEC__CODEC_OTHER)
        return "unknown codec";
    struct link_format *f = link_format_new();
    if (strlen(in->layout) >= sizeof f->layout || !plain(in->layout) ||
        (in->rate_num && !in->rate_den) || in->width > DIMENSION_MAX ||
        in->height > DIMENSION_MAX || in->sample_rate > 768000 || in->channels > 64 ||
        in->config.len > CONFIG_MAX || in->segment.len > 4 * CONFIG_MAX) {
        link_format_unref(&f);
        return "format field out of range";
    }
    f->number = in->number;
    f->codec = (enum link_codec)in->codec;
    f->video = link_codec_is_video(f->codec) || (f->codec == LINK_CODEC_OTHER && in->width);
    strcpy(f->layout, in->layout);
    f->width = in->width;
    f->height = in->height;
    f->rate_num = in->rate_num;
    f->rate_den = in->rate_den;
    f->sample_rate = in->sample_rate;
    f->channels = in->channels;
    f->config = in->config.len ? blob_copy(in->config.data, in->config.len) : NULL;
    f->segment = in->segment.len ? blob_copy(in->segment.data, in->segment.len) : NULL;
    *out = f;
    return NULL;
}

static const char *decode_hello(const Kvpipe__Link__Hello *in, struct link_msg *msg)
{
    msg->hello.version = in->version;
    if (strlen(in->instance) > LINK_INSTANCE_MAX)
        return "instance name too long";
    strcpy(msg->hello.instance, in->instance);
    msg->hello.incarnation = in->incarnation;
    msg->hello.connection = in->connection;
    return NULL;
}

static const char *decode_open(const Kvpipe__Link__Open *in, struct link_msg *msg)
{
    const char *why = read_stream(in->stream, false, msg->stream);
    unsigned seen = 0;

    msg->open.ntracks = 0;
    if (!why)
        why = read_vector(in->vector, false, &msg->vector);
    if (!why && (in->n_tracks == 0 || in->n_tracks > LINK_TRACKS_MAX))
        why = "number of tracks out of range";
    for (size_t i = 0; !why && i < in->n_tracks; i++) {
        struct link_track *t = &msg->open.tracks[i];
        unsigned k = in->tracks[i]->track - 1;
        if (k >= LINK_TRACKS_MAX || seen & (1u << k) || !in->tracks[i]->format ||
            in->tracks[i]->from > INT64_MAX)
            why = "track out of range, twice or without format";
        else
            why = read_format(in->tracks[i]->format, &t->format);
        if (why)
            break;
        seen |= 1u << k;
        t->track = (uint8_t)(k + 1);
        t->base = in->tracks[i]->from;
        msg->open.ntracks++;
    }
    return why;
}

static const char *read_tags(Kvpipe__Link__Tag **in, size_t n, struct link_tags **out)
{
    struct link_tag tags[LINK_TAGS_MAX];
    if (n > LINK_TAGS_MAX)
        return "too many tags on a frame";
    for (size_t i = 0; i < n; i++) {
        if (!in[i]->name[0] || strlen(in[i]->name) > LINK_TAG_NAME_MAX ||
            strlen(in[i]->value) > LINK_TAG_VALUE_MAX)
            return "tag without name, or too long";
        tags[i] = (struct link_tag){.name = in[i]->name,
                                    .value = in[i]->value,
                                    .previous = in[i]->previous,
                                    .late = in[i]->late};
    }
    *out = link_tags_new(tags, (unsigned)n);
    return NULL;
}

static const char *decode_frame(const Kvpipe__Link__Frame *in, struct blob *payload,
                                struct link_msg *msg)
{
    struct link_item *it = &msg->item.item;
    const char *why = read_stream(in->stream, false, msg->stream);

    if (!why)
        why = read_vector(in->vector, false, &msg->vector);
    if (!why && (in->track - 1 >= LINK_TRACKS_MAX || in->seq > INT64_MAX))
        why = "track or number out of range";
    if (!why && in->ref)
        why = "payload by reference is not part of this version";
    if (!why && !payload)
        why = "frame without a payload part";
    if (!why && in->new_format) {
        why = read_format(in->new_format, &msg->item.new_format);
        if (!why && msg->item.new_format->number != in->format)
            why = "format number and new format differ";
    }
    struct link_tags *tags = NULL;
    if (!why)
        why = read_tags(in->tags, in->n_tags, &tags);
    if (why)
        return why;
    *it = (struct link_item){
        .key = in->key,
        .track = (uint8_t)in->track,
        .seq = in->seq,
        .last = in->seq,
        .pts_ns = in->pts_ns,
        .dts_ns = in->dts_ns,
        .duration_ns = in->duration_ns,
        .fragment_ns = in->fragment_ns,
        .previous_fragment_ns = in->previous_fragment_ns,
        .captured_ns = in->captured_ns,
        .payload = payload,
        .tags = tags,
    };
    msg->item.format_number = in->format;
    return NULL;
}

static const char *decode_gap(const Kvpipe__Link__Gap *in, struct link_msg *msg)
{
    const char *why = read_stream(in->stream, false, msg->stream);

    if (!why)
        why = read_vector(in->vector, false, &msg->vector);
    if (!why && (in->track - 1 >= LINK_TRACKS_MAX || in->first > in->last || in->last >= INT64_MAX))
        why = "gap out of range";
    msg->item.item = (struct link_item){
        .gap = true,
        .track = (uint8_t)in->track,
        .seq = in->first,
        .last = in->last,
        .reason = (int)in->reason < 0 || (int)in->reason > LINK_GAP_DISK_FULL
                      ? LINK_GAP_NONE
                      : (enum link_gap_reason)in->reason,
    };
    return why;
}

static const char *decode_positions(const char *stream, const Kvpipe__Link__Vector *vector,
                                    Kvpipe__Link__Position **at, size_t n, struct link_msg *msg)
{
    const char *why = read_stream(stream, false, msg->stream);
    if (!why)
        why = read_vector(vector, false, &msg->vector);
    if (!why)
        why = read_positions(at, n, &msg->positions);
    return why;
}

static const char *decode_ack(const Kvpipe__Link__Ack *in, struct link_msg *msg)
{
    const char *why = decode_positions(in->stream, in->vector, in->positions, in->n_positions, msg);
    if (!why && (in->backlog_ms > INT64_MAX || in->backlog_bytes > INT64_MAX))
        why = "backlog out of range";
    msg->positions.backlog_ms = in->backlog_ms;
    msg->positions.backlog_bytes = in->backlog_bytes;
    return why;
}

static const char *decode_heartbeat(const Kvpipe__Link__Heartbeat *in, struct link_msg *msg)
{
    const char *why = NULL;

    msg->heartbeat.sessions = NULL;
    msg->heartbeat.nsessions = 0;
    msg->heartbeat.incarnation = in->incarnation;
    if (in->n_sessions > LINK_HEARTBEAT_SESSIONS_MAX)
        return "too many sessions in a heartbeat";
    msg->heartbeat.sessions = xcalloc(in->n_sessions, sizeof *msg->heartbeat.sessions);
    for (size_t i = 0; !why && i < in->n_sessions; i++) {
        struct link_heartbeat_session *s = &msg->heartbeat.sessions[i];
        why = read_stream(in->sessions[i]->stream, false, s->stream);
        if (!why)
            why = read_vector(in->sessions[i]->vector, false, &s->vector);
        if (!why)
            why = read_positions(in->sessions[i]->positions, in->sessions[i]->n_positions, &s->at);
        if (!why)
            why = read_positions(in->sessions[i]->acked, in->sessions[i]->n_acked, &s->acked);
        msg->heartbeat.nsessions++;
    }
    return why;
}

static const char *decode_close(const Kvpipe__Link__Close *in, struct link_msg *msg)
{
    const char *why = read_stream(in->stream, true, msg->stream);
    if (!why)
        why = read_vector(in->vector, true, &msg->vector);
    if (!why)
        why = read_vector(in->greatest, true, &msg->close.greatest);
    if (in->reason <= KVPIPE__LINK__CLOSE_REASON__CLOSE_NONE ||
        in->reason > KVPIPE__LINK__CLOSE_REASON__CLOSE_ENDED)
        return "unknown reason to close";
    msg->close.reason = (enum link_close_reason)in->reason;
    return why;
}

static const char *decode_body(const Kvpipe__Link__Envelope *env, struct blob *payload,
                               struct link_msg *msg)
{
    switch (env->body_case) {
    case KVPIPE__LINK__ENVELOPE__BODY_HELLO:
        msg->type = LINK_HELLO;
        return decode_hello(env->hello, msg);
    case KVPIPE__LINK__ENVELOPE__BODY_OPEN:
        msg->type = LINK_OPEN;
        return decode_open(env->open, msg);
    case KVPIPE__LINK__ENVELOPE__BODY_RESUME:
        msg->type = LINK_RESUME;
        return decode_positions(env->resume->stream, env->resume->vector, env->resume->positions,
                                env->resume->n_positions, msg);
    case KVPIPE__LINK__ENVELOPE__BODY_FRAME:
        msg->type = LINK_FRAME;
        return decode_frame(env->frame, payload, msg);
    case KVPIPE__LINK__ENVELOPE__BODY_GAP:
        msg->type = LINK_GAP;
        return decode_gap(env->gap, msg);
    case KVPIPE__LINK__ENVELOPE__BODY_ACK:
        msg->type = LINK_ACK;
        return decode_ack(env->ack, msg);
    case KVPIPE__LINK__ENVELOPE__BODY_HEARTBEAT:
        msg->type = LINK_HEARTBEAT;
        return decode_heartbeat(env->heartbeat, msg);
    case KVPIPE__LINK__ENVELOPE__BODY_CLOSE:
        msg->type = LINK_CLOSE;
        return decode_close(env->close, msg);
    default:
        return "unknown message type";
    }
}

int link_wire_decode(const uint8_t *data, size_t len, struct blob *payload, struct link_msg *msg,
                     const char **why)
{
    memset(msg, 0, sizeof *msg);
    *why = "header too big";
    if (len > LINK_HEADER_MAX)
        return -EBADMSG;
    *why = "not a protobuf Envelope";
    Kvpipe__Link__Envelope *env = kvpipe__link__envelope__unpack(NULL, len, data);
    if (!env)
        return -EBADMSG;
    *why = decode_body(env, payload, msg);
    if (!*why && payload && msg->type != LINK_FRAME)
        *why = "payload part on a message that has none";
    kvpipe__link__envelope__free_unpacked(env, NULL);
    if (!*why)
        return 0;
    if (msg->type == LINK_FRAME)
        msg->item.item.payload = NULL; /* stays the caller's */
    link_msg_fini(msg);
    return -EBADMSG;
}
