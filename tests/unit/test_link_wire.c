/* Link messages to bytes and back: each message whole, each cut at every byte, each range check.
 * Relies on the generated protobuf code to make messages that our own encoder would not.
 * Leaves the meaning of messages to test_link_outlet.c and test_link_inlet.c. */
#include "common/link_wire.h"

#include <errno.h>

#include "proto/link.pb-c.h"
#include "tests/unit/link_trace.h"

static struct blob *payload_of(const char *text)
{
    return blob_copy(text, strlen(text));
}

/* Encodes, decodes; the caller ends *out. */
static void round_trip(const struct link_msg *in, struct blob *payload, struct link_msg *out)
{
    const char *why = NULL;
    struct blob *b = link_wire_encode(in);
    int r = link_wire_decode(b->data, b->len, payload, out, &why);
    ck_assert_msg(r == 0, "%s", why);
    blob_unref(&b);
    ck_assert_int_eq(out->type, in->type);
    ck_assert_str_eq(out->stream, in->stream);
    if (in->type != LINK_HELLO && in->type != LINK_HEARTBEAT)
        ck_assert_int_eq(link_vector_cmp(&out->vector, &in->vector), 0);
}

static struct link_format *full_format(void)
{
    struct link_format *f = link_format_new();
    f->number = 7;
    f->codec = LINK_CODEC_H264;
    f->video = true;
    strcpy(f->layout, "avcc");
    f->width = 1920;
    f->height = 1080;
    f->rate_num = 30000;
    f->rate_den = 1001;
    f->sample_rate = 48000;
    f->channels = 2;
    f->config = payload_of("config");
    f->segment = payload_of("segment");
    return f;
}

static void check_positions(const struct link_positions *a, const struct link_positions *b)
{
    ck_assert_uint_eq(a->tracks, b->tracks);
    ck_assert_mem_eq(a->next, b->next, sizeof a->next);
    ck_assert_mem_eq(a->credit, b->credit, sizeof a->credit);
    ck_assert_uint_eq(a->backlog_ms, b->backlog_ms);
    ck_assert_uint_eq(a->backlog_bytes, b->backlog_bytes);
}

/* ---- one message of each type, as the other tests change them ---- */

static struct link_msg make_hello(void)
{
    struct link_msg m = {.type = LINK_HELLO};
    m.hello.version = 1;
    strcpy(m.hello.instance, "encoder-host-1");
    m.hello.incarnation = UINT64_MAX;
    m.hello.connection = 3;
    return m;
}

static struct link_msg make_open(void)
{
    struct link_msg m = {.type = LINK_OPEN, .stream = "front.door_2-a", .vector = vec("1700.2")};
    m.open.ntracks = 2;
    m.open.tracks[0] = (struct link_track){.track = 1, .base = 41, .format = full_format()};
    m.open.tracks[1] = (struct link_track){.track = 3, .format = format_of('a', 1)};
    return m;
}

static struct link_msg make_positions(enum link_type type)
{
    struct link_msg m = {.type = type, .stream = "cam", .vector = vec("1.2.3.4")};
    m.positions = at("41+128,9223372036854775807+0,0+9223372036854775807");
    if (type == LINK_ACK)
        m.positions.backlog_ms = m.positions.backlog_bytes = INT64_MAX;
    return m;
}

/* Owns its format; the payload goes in beside. */
static struct link_msg make_frame(void)
{
    struct link_msg m = {.type = LINK_FRAME, .stream = "cam", .vector = vec("1.1")};
    m.item.item = (struct link_item){.key = true,
                                     .track = 2,
                                     .seq = 41,
                                     .last = 41,
                                     .pts_ns = INT64_C(1700000000000000001),
                                     .dts_ns = INT64_MIN,
                                     .duration_ns = 33333333,
                                     .fragment_ns = -1,
                                     .previous_fragment_ns = INT64_MAX,
                                     .captured_ns = 5};
    m.item.format_number = 7;
    m.item.new_format = full_format();
    return m;
}

static struct link_msg make_gap(void)
{
    struct link_msg m = {.type = LINK_GAP, .stream = "cam", .vector = vec("1.1")};
    m.item.item = (struct link_item){
        .gap = true, .track = 1, .seq = 3, .last = 1000000, .reason = LINK_GAP_DISK_FULL};
    return m;
}

static struct link_msg make_heartbeat(void)
{
    struct link_msg m = {.type = LINK_HEARTBEAT};
    m.heartbeat.incarnation = 9;
    m.heartbeat.nsessions = 2;
    m.heartbeat.sessions = calloc(2, sizeof *m.heartbeat.sessions);
    strcpy(m.heartbeat.sessions[0].stream, "cam");
    m.heartbeat.sessions[0].vector = vec("1.1");
    m.heartbeat.sessions[0].at = at("5+1,6+2");
    m.heartbeat.sessions[0].acked = at("3+8,4+8");
    strcpy(m.heartbeat.sessions[1].stream, "cam2");
    m.heartbeat.sessions[1].vector = vec("1.2.3");
    return m;
}

static struct link_msg make_close(void)
{
    struct link_msg m = {.type = LINK_CLOSE, .stream = "cam", .vector = vec("1.1")};
    m.close.reason = LINK_CLOSE_FENCED;
    m.close.greatest = vec("1.2.3.4.5.6.7.8");
    return m;
}

static struct link_msg make(enum link_type type)
{
    switch (type) {
    case LINK_HELLO:
        return make_hello();
    case LINK_OPEN:
        return make_open();
    case LINK_FRAME:
        return make_frame();
    case LINK_GAP:
        return make_gap();
    case LINK_HEARTBEAT:
        return make_heartbeat();
    case LINK_CLOSE:
        return make_close();
    default:
        return make_positions(type);
    }
}

/* ---- round trips ---- */

START_TEST(hello_round_trip)
{
    struct link_msg in = make_hello(), out;
    round_trip(&in, NULL, &out);
    ck_assert_uint_eq(out.hello.version, 1);
    ck_assert_str_eq(out.hello.instance, "encoder-host-1");
    ck_assert_uint_eq(out.hello.incarnation, UINT64_MAX);
    ck_assert_uint_eq(out.hello.connection, 3);
    in = (struct link_msg){.type = LINK_HELLO}; /* the question */
    round_trip(&in, NULL, &out);
    ck_assert_str_eq(out.hello.instance, "");
}
END_TEST

START_TEST(open_round_trip)
{
    struct link_msg in = make_open(), out;
    round_trip(&in, NULL, &out);
    ck_assert_uint_eq(out.open.ntracks, 2);
    ck_assert_uint_eq(out.open.tracks[0].base, 41);
    ck_assert_uint_eq(out.open.tracks[0].format->number, 7);
    ck_assert(link_format_equal(in.open.tracks[0].format, out.open.tracks[0].format));
    ck_assert_uint_eq(out.open.tracks[1].track, 3);
    ck_assert(link_format_equal(in.open.tracks[1].format, out.open.tracks[1].format));
    link_msg_fini(&in);
    link_msg_fini(&out);
}
END_TEST

START_TEST(positions_round_trip)
{
    for (enum link_type t = LINK_RESUME; t <= LINK_ACK; t += LINK_ACK - LINK_RESUME) {
        struct link_msg in = make_positions(t), out;
        round_trip(&in, NULL, &out);
        check_positions(&in.positions, &out.positions);
    }
}
END_TEST

START_TEST(frame_round_trip)
{
    struct blob *payload = payload_of("picture"), *same = payload;
    struct link_msg in = make_frame(), out;
    round_trip(&in, payload, &out);
    const struct link_item *a = &in.item.item, *b = &out.item.item;
    ck_assert_ptr_eq(b->payload, same); /* its reference was taken over: no copy */
    ck_assert_uint_eq(b->track, 2);
    ck_assert_uint_eq(b->seq, 41);
    ck_assert_uint_eq(b->last, 41);
    ck_assert(b->key && !b->gap);
    ck_assert_int_eq(a->pts_ns, b->pts_ns);
    ck_assert_int_eq(a->dts_ns, b->dts_ns);
    ck_assert_int_eq(a->duration_ns, b->duration_ns);
    ck_assert_int_eq(a->fragment_ns, b->fragment_ns);
    ck_assert_int_eq(a->previous_fragment_ns, b->previous_fragment_ns);
    ck_assert_int_eq(a->captured_ns, b->captured_ns);
    ck_assert_uint_eq(out.item.format_number, 7);
    ck_assert(link_format_equal(in.item.new_format, out.item.new_format));
    link_msg_fini(&in);
    link_msg_fini(&out);
}
END_TEST

START_TEST(tags_round_trip)
{
    const struct link_tag tags[] = {
        {.name = "site", .value = "north"},
        {.name = "door", .value = "", .previous = true, .late = true},
    };
    struct link_msg in = make_frame(), out;
    in.item.item.tags = link_tags_new(tags, 2);
    round_trip(&in, payload_of("picture"), &out);
    const struct link_tags *t = out.item.item.tags;
    ck_assert_uint_eq(t->n, 2);
    ck_assert_str_eq(t->tag[0].name, "site");
    ck_assert_str_eq(t->tag[0].value, "north");
    ck_assert(!t->tag[0].previous && t->tag[1].previous && t->tag[1].late);
    link_msg_fini(&in);
    link_msg_fini(&out);
}
END_TEST

START_TEST(gap_round_trip)
{
    struct link_msg in = make_gap(), out;
    round_trip(&in, NULL, &out);
    ck_assert(out.item.item.gap);
    ck_assert_uint_eq(out.item.item.seq, 3);
    ck_assert_uint_eq(out.item.item.last, 1000000);
    ck_assert_int_eq(out.item.item.reason, LINK_GAP_DISK_FULL);
}
END_TEST

START_TEST(heartbeat_round_trip)
{
    struct link_msg in = make_heartbeat(), out;
    round_trip(&in, NULL, &out);
    ck_assert_uint_eq(out.heartbeat.incarnation, 9);
    ck_assert_uint_eq(out.heartbeat.nsessions, 2);
    for (unsigned i = 0; i < 2; i++) {
        struct link_heartbeat_session *a = &in.heartbeat.sessions[i],
                                      *b = &out.heartbeat.sessions[i];
        ck_assert_str_eq(a->stream, b->stream);
        ck_assert_int_eq(link_vector_cmp(&a->vector, &b->vector), 0);
        check_positions(&a->at, &b->at);
        check_positions(&a->acked, &b->acked);
    }
    link_msg_fini(&in);
    link_msg_fini(&out);
}
END_TEST

START_TEST(close_round_trip)
{
    struct link_msg in = make_close(), out;
    round_trip(&in, NULL, &out);
    ck_assert_int_eq(out.close.reason, LINK_CLOSE_FENCED);
    ck_assert_int_eq(link_vector_cmp(&in.close.greatest, &out.close.greatest), 0);
    in = (struct link_msg){.type = LINK_CLOSE};
    in.close.reason = LINK_CLOSE_DRAINING;
    round_trip(&in, NULL, &out);
    ck_assert_str_eq(out.stream, "");
}
END_TEST

/* ---- damage ---- */

START_TEST(truncated_at_every_byte_is_refused_or_another_message)
{
    struct link_msg in = make((enum link_type)_i), out;
    struct blob *b = link_wire_encode(&in);
    for (size_t n = 0; n < b->len; n++) {
        struct blob *payload = _i == LINK_FRAME ? payload_of("x") : NULL;
        const char *why = NULL;
        uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees a byte too many */
        memcpy(exact, b->data, n);
        int r = link_wire_decode(exact, n, payload, &out, &why);
        ck_assert(r == 0 || (r == -EBADMSG && why && out.type == LINK_NONE));
        if (r == 0 && out.type == LINK_FRAME)
            payload = NULL;
        link_msg_fini(&out);
        blob_unref(&payload);
        free(exact);
    }
    blob_unref(&b);
    link_msg_fini(&in);
}
END_TEST

START_TEST(every_byte_changed_is_refused_or_another_message)
{
    struct link_msg in = make((enum link_type)_i), out;
    struct blob *b = link_wire_encode(&in);
    uint8_t *bytes = malloc(b->len);
    for (size_t n = 0; n < b->len * 8; n++) {
        struct blob *payload = _i == LINK_FRAME ? payload_of("x") : NULL;
        const char *why = NULL;
        memcpy(bytes, b->data, b->len);
        bytes[n / 8] ^= (uint8_t)(1u << n % 8);
        int r = link_wire_decode(bytes, b->len, payload, &out, &why);
        ck_assert(r == 0 || (r == -EBADMSG && why && out.type == LINK_NONE));
        if (r == 0 && out.type == LINK_FRAME)
            payload = NULL;
        link_msg_fini(&out);
        blob_unref(&payload);
    }
    free(bytes);
    blob_unref(&b);
    link_msg_fini(&in);
}
END_TEST

static void refused_bytes(const void *data, size_t len, bool with_payload, const char *expect)
{
    struct blob *payload = with_payload ? payload_of("x") : NULL, *mine = payload;
    struct link_msg out;
    const char *why = NULL;
    ck_assert_int_eq(link_wire_decode(data, len, payload, &out, &why), -EBADMSG);
    ck_assert_int_eq(out.type, LINK_NONE);
    ck_assert_msg(strstr(why, expect), "\"%s\" does not say \"%s\"", why, expect);
    blob_unref(&mine); /* still the caller's */
}

static void refused(const struct link_msg *m, bool with_payload, const char *expect)
{
    struct blob *b = link_wire_encode(m);
    refused_bytes(b->data, b->len, with_payload, expect);
    blob_unref(&b);
}

START_TEST(what_is_no_envelope_is_refused)
{
    uint8_t *big = calloc(1, LINK_HEADER_MAX + 1);
    refused_bytes("", 0, false, "unknown message type");
    refused_bytes("\xff\xff\xff\xff", 4, false, "not a protobuf");
    refused_bytes("\x4a\x00", 2, false, "unknown message type"); /* field 9 of the Envelope */
    refused_bytes(big, LINK_HEADER_MAX + 1, false, "too big");
    free(big);
}
END_TEST

START_TEST(a_payload_part_belongs_to_a_frame_and_to_nothing_else)
{
    for (enum link_type t = LINK_HELLO; t <= LINK_CLOSE; t++) {
        struct link_msg m = make(t);
        refused(&m, t != LINK_FRAME, "payload part");
        link_msg_fini(&m);
    }
}
END_TEST

START_TEST(stream_names_are_checked)
{
    static const enum link_type types[] = {LINK_OPEN, LINK_RESUME, LINK_FRAME, LINK_GAP, LINK_ACK};
    static const char *const bad[] = {"", "a b", "../x/y", "a\nb", "k\xc3\xa4", "a\"b"};
    for (unsigned t = 0; t < 5; t++)
        for (unsigned i = 0; i < 6; i++) {
            struct link_msg m = make(types[t]);
            strcpy(m.stream, bad[i]);
            refused(&m, types[t] == LINK_FRAME, "stream name");
            link_msg_fini(&m);
        }
    struct link_msg m = make_close(), out;
    strcpy(m.stream, "a/b");
    refused(&m, false, "stream name");
    memset(m.stream, 'a', LINK_NAME_MAX); /* the longest */
    round_trip(&m, NULL, &out);
}
END_TEST

START_TEST(vectors_are_checked)
{
    struct link_msg m = make_gap();
    m.vector.n = 0;
    refused(&m, false, "vector missing");
    m = make_positions(LINK_RESUME);
    m.vector.n = 0;
    refused(&m, false, "vector missing");
}
END_TEST

/* What our own encoder would not make. */
static void refused_wire(const Kvpipe__Link__Envelope *env, bool with_payload, const char *expect)
{
    size_t n = kvpipe__link__envelope__get_packed_size(env);
    uint8_t *bytes = malloc(n ? n : 1);
    kvpipe__link__envelope__pack(env, bytes);
    refused_bytes(bytes, n, with_payload, expect);
    free(bytes);
}

static uint64_t nine[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static Kvpipe__Link__Vector vector_of(size_t n)
{
    Kvpipe__Link__Vector v = KVPIPE__LINK__VECTOR__INIT;
    v.n_n = n;
    v.n = nine;
    return v;
}

static void refused_ack(const char *stream, Kvpipe__Link__Vector *v, Kvpipe__Link__Position **at_,
                        size_t n, const char *expect)
{
    Kvpipe__Link__Envelope env = KVPIPE__LINK__ENVELOPE__INIT;
    Kvpipe__Link__Ack ack = KVPIPE__LINK__ACK__INIT;
    ack.stream = (char *)stream;
    ack.vector = v;
    ack.n_positions = n;
    ack.positions = at_;
    env.body_case = KVPIPE__LINK__ENVELOPE__BODY_ACK;
    env.ack = &ack;
    refused_wire(&env, false, expect);
}

START_TEST(names_and_vectors_that_are_too_long_are_refused)
{
    char name[LINK_NAME_MAX + 2];
    Kvpipe__Link__Vector v = vector_of(2), longer = vector_of(9);
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    refused_ack(name, &v, NULL, 0, "stream name");
    refused_ack("cam", &longer, NULL, 0, "vector too long");
    refused_ack("cam", NULL, NULL, 0, "vector missing");
}
END_TEST

START_TEST(positions_are_checked)
{
    static const struct {
        uint32_t track, track2;
        uint64_t next, credit;
        const char *expect;
    } rows[] = {
        {0, 1, 0, 0, "track number"},
        {4, 1, 0, 0, "track number"},
        {UINT32_MAX, 1, 0, 0, "track number"},
        {2, 2, 0, 0, "track number"},
        {1, 2, (uint64_t)INT64_MAX + 1, 0, "position out of range"},
        {1, 2, UINT64_MAX, 0, "position out of range"},
        {1, 2, 0, UINT64_MAX, "position out of range"},
    };
    Kvpipe__Link__Vector v = vector_of(2);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        Kvpipe__Link__Position a = KVPIPE__LINK__POSITION__INIT, b = a, *ptr[] = {&a, &b};
        a.track = rows[i].track;
        b.track = rows[i].track2;
        a.next = rows[i].next;
        a.credit = rows[i].credit;
        refused_ack("cam", &v, ptr, 2, rows[i].expect);
    }
}
END_TEST

START_TEST(a_backlog_is_checked)
{
    for (unsigned i = 0; i < 2; i++) {
        Kvpipe__Link__Envelope env = KVPIPE__LINK__ENVELOPE__INIT;
        Kvpipe__Link__Ack ack = KVPIPE__LINK__ACK__INIT;
        Kvpipe__Link__Vector v = vector_of(2);
        ack.stream = (char *)"cam";
        ack.vector = &v;
        *(i ? &ack.backlog_ms : &ack.backlog_bytes) = UINT64_MAX;
        env.body_case = KVPIPE__LINK__ENVELOPE__BODY_ACK;
        env.ack = &ack;
        refused_wire(&env, false, "backlog out of range");
    }
}
END_TEST

START_TEST(instance_names_are_bounded)
{
    Kvpipe__Link__Envelope env = KVPIPE__LINK__ENVELOPE__INIT;
    Kvpipe__Link__Hello h = KVPIPE__LINK__HELLO__INIT;
    char name[LINK_INSTANCE_MAX + 2];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    h.instance = name;
    env.body_case = KVPIPE__LINK__ENVELOPE__BODY_HELLO;
    env.hello = &h;
    refused_wire(&env, false, "instance name");
}
END_TEST

START_TEST(formats_are_checked)
{
    static const struct {
        int codec;
        const char *layout;
        uint32_t width, height, rate_num, rate_den, sample_rate, channels;
    } rows[] = {
        {0, "I420", 1, 1, 1, 1, 0, 0},
        {7, "I420", 1, 1, 1, 1, 0, 0},
        {-1, "I420", 1, 1, 1, 1, 0, 0},
        {1, "0123456789012345678901234567890123456789", 1, 1, 1, 1, 0, 0}, /* 40 */
        {1, "I420, width=1", 1, 1, 1, 1, 0, 0},
        {1, "I420", 32769, 1, 1, 1, 0, 0},
        {1, "I420", 1, 32769, 1, 1, 0, 0},
        {1, "I420", 1, 1, 1, 0, 0, 0}, /* would be divided by */
        {2, "S16LE", 0, 0, 0, 0, 768001, 1},
        {2, "S16LE", 0, 0, 0, 0, 48000, 65},
    };
    Kvpipe__Link__Vector v = vector_of(2);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        Kvpipe__Link__Envelope env = KVPIPE__LINK__ENVELOPE__INIT;
        Kvpipe__Link__Open open = KVPIPE__LINK__OPEN__INIT;
        Kvpipe__Link__Track track = KVPIPE__LINK__TRACK__INIT, *ptr = &track;
        Kvpipe__Link__Format f = KVPIPE__LINK__FORMAT__INIT;
        f.codec = (Kvpipe__Link__Codec)rows[i].codec;
        f.layout = (char *)rows[i].layout;
        f.width = rows[i].width;
        f.height = rows[i].height;
        f.rate_num = rows[i].rate_num;
        f.rate_den = rows[i].rate_den;
        f.sample_rate = rows[i].sample_rate;
        f.channels = rows[i].channels;
        track.track = 1;
        track.format = &f;
        open.stream = (char *)"cam";
        open.vector = &v;
        open.n_tracks = 1;
        open.tracks = &ptr;
        env.body_case = KVPIPE__LINK__ENVELOPE__BODY_OPEN;
        env.open = &open;
        refused_wire(&env, false, rows[i].codec < 1 || rows[i].codec > 6 ? "codec" : "format");
    }
}
END_TEST

START_TEST(tracks_of_an_open_are_checked)
{
    static const struct {
        unsigned n;
        uint32_t track[4];
        uint64_t from;
        bool no_format;
        const char *expect;
    } rows[] = {
        {0, {0}, 0, false, "number of tracks"},
        {4, {1, 2, 3, 1}, 0, false, "number of tracks"},
        {1, {0}, 0, false, "out of range"},
        {1, {4}, 0, false, "out of range"},
        {2, {2, 2}, 0, false, "out of range, twice"},
        {1, {1}, UINT64_MAX, false, "out of range"},
        {1, {1}, 0, true, "without format"},
    };
    Kvpipe__Link__Vector v = vector_of(2);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        Kvpipe__Link__Envelope env = KVPIPE__LINK__ENVELOPE__INIT;
        Kvpipe__Link__Open open = KVPIPE__LINK__OPEN__INIT;
        Kvpipe__Link__Track track[4], *ptr[4];
        Kvpipe__Link__Format f = KVPIPE__LINK__FORMAT__INIT;
        f.codec = KVPIPE__LINK__CODEC__CODEC_AAC;
        for (unsigned k = 0; k < rows[i].n; k++) {
            kvpipe__link__track__init(&track[k]);
            track[k].track = rows[i].track[k];
            track[k].from = rows[i].from;
            track[k].format = rows[i].no_format ? NULL : &f;
            ptr[k] = &track[k];
        }
        open.stream = (char *)"cam";
        open.vector = &v;
        open.n_tracks = rows[i].n;
        open.tracks = ptr;
        env.body_case = KVPIPE__LINK__ENVELOPE__BODY_OPEN;
        env.open = &open;
        refused_wire(&env, false, rows[i].expect);
    }
}
END_TEST

START_TEST(frames_are_checked)
{
    static const struct {
        uint32_t track;
        uint64_t seq, format, new_format;
        bool ref;
        const char *expect;
    } rows[] = {
        {0, 0, 1, 0, false, "track or number"},
        {4, 0, 1, 0, false, "track or number"},
        {1, UINT64_MAX, 1, 0, false, "track or number"},
        {1, 0, 1, 2, false, "differ"},
        {1, 0, 1, 0, true, "by reference"},
    };
    Kvpipe__Link__Vector v = vector_of(2);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        Kvpipe__Link__Envelope env = KVPIPE__LINK__ENVELOPE__INIT;
        Kvpipe__Link__Frame frame = KVPIPE__LINK__FRAME__INIT;
        Kvpipe__Link__Format f = KVPIPE__LINK__FORMAT__INIT;
        Kvpipe__Link__PayloadRef ref = KVPIPE__LINK__PAYLOAD_REF__INIT;
        f.codec = KVPIPE__LINK__CODEC__CODEC_AAC;
        f.number = rows[i].new_format;
        frame.stream = (char *)"cam";
        frame.vector = &v;
        frame.track = rows[i].track;
        frame.seq = rows[i].seq;
        frame.format = rows[i].format;
        frame.new_format = f.number ? &f : NULL;
        frame.ref = rows[i].ref ? &ref : NULL;
        env.body_case = KVPIPE__LINK__ENVELOPE__BODY_FRAME;
        env.frame = &frame;
        refused_wire(&env, true, rows[i].expect);
    }
}
END_TEST

START_TEST(tags_are_checked)
{
    static char long_name[LINK_TAG_NAME_MAX + 2], long_value[LINK_TAG_VALUE_MAX + 2];
    memset(long_name, 'n', sizeof long_name - 1);
    memset(long_value, 'v', sizeof long_value - 1);
    const struct {
        char *name, *value;
        unsigned n;
        const char *expect;
    } rows[] = {
        {(char *)"", (char *)"v", 1, "without name"},
        {long_name, (char *)"v", 1, "too long"},
        {(char *)"n", long_value, 1, "too long"},
        {(char *)"n", (char *)"v", LINK_TAGS_MAX + 1, "too many"},
    };
    Kvpipe__Link__Vector v = vector_of(2);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        Kvpipe__Link__Envelope env = KVPIPE__LINK__ENVELOPE__INIT;
        Kvpipe__Link__Frame frame = KVPIPE__LINK__FRAME__INIT;
        Kvpipe__Link__Tag tag = KVPIPE__LINK__TAG__INIT, *tags[LINK_TAGS_MAX + 1];
        tag.name = rows[i].name;
        tag.value = rows[i].value;
        for (unsigned k = 0; k < rows[i].n; k++)
            tags[k] = &tag;
        frame.stream = (char *)"cam";
        frame.vector = &v;
        frame.track = frame.format = 1;
        frame.tags = tags;
        frame.n_tags = rows[i].n;
        env.body_case = KVPIPE__LINK__ENVELOPE__BODY_FRAME;
        env.frame = &frame;
        refused_wire(&env, true, rows[i].expect);
    }
}
END_TEST

START_TEST(gaps_are_checked)
{
    static const struct {
        unsigned track;
        uint64_t first, last;
    } rows[] = {{0, 0, 1}, {4, 0, 1}, {1, 2, 1}, {1, 0, UINT64_MAX}, {1, 0, INT64_MAX}};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct link_msg m = make_gap();
        m.item.item.track = (uint8_t)rows[i].track;
        m.item.item.seq = rows[i].first;
        m.item.item.last = rows[i].last;
        refused(&m, false, "gap out of range");
    }
    struct link_msg m = make_gap(), out;
    m.item.item.reason = (enum link_gap_reason)99; /* a later one: still a gap */
    round_trip(&m, NULL, &out);
    ck_assert_int_eq(out.item.item.reason, LINK_GAP_NONE);
}
END_TEST

START_TEST(heartbeats_are_bounded_and_checked)
{
    struct link_msg m = make_heartbeat();
    strcpy(m.heartbeat.sessions[1].stream, "a b");
    refused(&m, false, "stream name");
    strcpy(m.heartbeat.sessions[1].stream, "b");
    m.heartbeat.sessions[1].vector.n = 0;
    refused(&m, false, "vector missing");
    link_msg_fini(&m);
    m = (struct link_msg){.type = LINK_HEARTBEAT};
    m.heartbeat.nsessions = LINK_HEARTBEAT_SESSIONS_MAX + 1;
    m.heartbeat.sessions = calloc(m.heartbeat.nsessions, sizeof *m.heartbeat.sessions);
    for (unsigned i = 0; i < m.heartbeat.nsessions; i++) {
        strcpy(m.heartbeat.sessions[i].stream, "a");
        m.heartbeat.sessions[i].vector = vec("1.1");
    }
    refused(&m, false, "too many sessions");
    link_msg_fini(&m);
}
END_TEST

START_TEST(unknown_reasons_to_close_are_refused)
{
    static const int reasons[] = {0, 5, -1, 1 << 30};
    for (unsigned i = 0; i < 4; i++) {
        struct link_msg m = make_close();
        m.close.reason = (enum link_close_reason)reasons[i];
        m.close.greatest.n = 0;
        refused(&m, false, "unknown reason");
    }
}
END_TEST

START_TEST(unknown_fields_are_skipped)
{
    struct link_msg in = make_hello(), out;
    const char *why;
    struct blob *b = link_wire_encode(&in);
    uint8_t *bytes = malloc(b->len + 4);
    memcpy(bytes, b->data, b->len);
    memcpy(bytes + b->len, "\xf8\x07\x2a", 3); /* field 127 of the Envelope: 42 */
    ck_assert_int_eq(link_wire_decode(bytes, b->len + 3, NULL, &out, &why), 0);
    ck_assert_str_eq(out.hello.instance, "encoder-host-1");
    free(bytes);
    blob_unref(&b);
}
END_TEST

static void fill(TCase *tc)
{
    tcase_add_test(tc, hello_round_trip);
    tcase_add_test(tc, open_round_trip);
    tcase_add_test(tc, positions_round_trip);
    tcase_add_test(tc, frame_round_trip);
    tcase_add_test(tc, tags_round_trip);
    tcase_add_test(tc, gap_round_trip);
    tcase_add_test(tc, heartbeat_round_trip);
    tcase_add_test(tc, close_round_trip);
    tcase_add_loop_test(tc, truncated_at_every_byte_is_refused_or_another_message, LINK_HELLO,
                        LINK_CLOSE + 1);
    tcase_add_loop_test(tc, every_byte_changed_is_refused_or_another_message, LINK_HELLO,
                        LINK_CLOSE + 1);
    tcase_add_test(tc, what_is_no_envelope_is_refused);
    tcase_add_test(tc, a_payload_part_belongs_to_a_frame_and_to_nothing_else);
    tcase_add_test(tc, stream_names_are_checked);
    tcase_add_test(tc, vectors_are_checked);
    tcase_add_test(tc, names_and_vectors_that_are_too_long_are_refused);
    tcase_add_test(tc, positions_are_checked);
    tcase_add_test(tc, a_backlog_is_checked);
    tcase_add_test(tc, instance_names_are_bounded);
    tcase_add_test(tc, formats_are_checked);
    tcase_add_test(tc, tracks_of_an_open_are_checked);
    tcase_add_test(tc, frames_are_checked);
    tcase_add_test(tc, tags_are_checked);
    tcase_add_test(tc, gaps_are_checked);
    tcase_add_test(tc, heartbeats_are_bounded_and_checked);
    tcase_add_test(tc, unknown_reasons_to_close_are_refused);
    tcase_add_test(tc, unknown_fields_are_skipped);
}

int main(void)
{
    return run_suite("link_wire", fill);
}
