/* The kit above a stage: the streams that it opens and sends, and what comes up of them.
 * What no stage may ever do is noted as a fault here. Leaves sockets to conform_kit.c. */
#include <stdio.h>
#include <string.h>

#include "cli/conform_private.h"

static struct conform_session *session_of(struct conform_kit *k, const char *stream)
{
    for (unsigned i = 0; i < k->nsessions; i++)
        if (strcmp(k->sessions[i].stream, stream) == 0)
            return &k->sessions[i];
    return NULL;
}

/* True when the positions are exactly of the tracks that were opened: the kit opens one. */
static bool names_its_track(const struct link_positions *p)
{
    return p->tracks == 1;
}

static void note_position(struct conform_kit *k, const struct link_msg *m)
{
    struct conform_session *s = session_of(k, m->stream);
    if (!s || link_vector_cmp(&s->vector, &m->vector) != 0) {
        if (s && m->vector.n != s->vector.n)
            conform_fault(k, "%s has a vector of %u numbers, Open had %u", link_type_name(m->type),
                          m->vector.n, s->vector.n);
        return;
    }
    if (!names_its_track(&m->positions))
        conform_fault(k, "%s names other tracks than the Open", link_type_name(m->type));
    if (m->type == LINK_RESUME && s->answered)
        conform_fault(k, "a second Resume for one Open");
    if (m->type == LINK_ACK && m->positions.next[0] > s->next.next[0])
        conform_fault(k, "Ack of %llu, but only numbers below %llu were sent",
                      (unsigned long long)m->positions.next[0],
                      (unsigned long long)s->next.next[0]);
    if (m->type == LINK_RESUME) {
        s->answered = true;
        s->next = m->positions;
    }
    s->limit = m->positions.next[0] + m->positions.credit[0];
}

void conform_above_heard(struct conform_kit *k, const struct link_msg *m, const uint8_t *id,
                         size_t len)
{
    bool same = k->peer_len == len && memcmp(k->peer, id, len) == 0;
    if (m->type == LINK_HELLO) {
        memcpy(k->peer, id, len);
        k->peer_len = len;
        k->peer_incarnation = m->hello.incarnation;
        memcpy(k->peer_instance, m->hello.instance, sizeof k->peer_instance);
    } else if (!same) {
        return; /* of a connection before this one: allowed, and ignored */
    } else if (m->type == LINK_RESUME || m->type == LINK_ACK) {
        note_position(k, m);
    } else if (m->type == LINK_OPEN || m->type == LINK_FRAME || m->type == LINK_GAP) {
        conform_fault(k, "%s goes up", link_type_name(m->type));
    }
}

void conform_above_beat(struct conform_kit *k)
{
    struct link_msg m = {.type = LINK_HEARTBEAT};
    struct link_heartbeat_session list[sizeof k->sessions / sizeof *k->sessions] = {0};
    m.heartbeat.incarnation = k->incarnation;
    m.heartbeat.sessions = list;
    for (unsigned i = 0; i < k->nsessions; i++) {
        const struct conform_session *s = &k->sessions[i];
        struct link_heartbeat_session *h = &list[m.heartbeat.nsessions];
        if (s->hidden)
            continue;
        strcpy(h->stream, s->stream);
        h->vector = s->vector;
        if (s->answered)
            h->at = s->next;
        m.heartbeat.nsessions++;
    }
    conform_send_above(k, &m);
}

struct conform_session *conform_open(struct conform_kit *k, const char *stream, uint64_t g,
                                     uint64_t base)
{
    struct conform_session *s = session_of(k, stream);
    struct link_msg m = {.type = LINK_OPEN};
    unsigned numbers = k->stage == CONFORM_UPLOADER ? 4 : k->stage == CONFORM_MUXER ? 3 : 2;

    if (!s)
        s = &k->sessions[k->nsessions++];
    *s = (struct conform_session){.vector = {.n = numbers}};
    snprintf(s->stream, sizeof s->stream, "%s", stream);
    for (unsigned i = 0; i < numbers; i++)
        s->vector.v[i] = 1;
    s->vector.v[0] = (uint64_t)(k->t0_ns / NS_PER_MS);
    s->vector.v[numbers - 1] = g;
    m.vector = s->vector;
    strcpy(m.stream, s->stream);
    m.open.ntracks = 1;
    m.open.tracks[0] = (struct link_track){.track = 1, .base = base, .format = conform_format(k)};
    conform_send_above(k, &m);
    link_format_unref(&m.open.tracks[0].format);
    return s;
}

struct conform_session *conform_opened(struct conform_kit *k, const char *stream, uint64_t g,
                                       uint64_t base)
{
    struct conform_session *s = conform_open(k, stream, g, base);
    if (conform_await(k, CONFORM_ABOVE, LINK_RESUME, stream) && s->answered)
        return s;
    conform_fail(k, "Open of %s is not answered by a Resume with its vector", stream);
    return NULL;
}

struct conform_session *conform_begun(struct conform_kit *k, const char *stream, uint64_t g)
{
    struct conform_session *s = conform_opened(k, stream, g, 0);
    if (!s)
        return NULL;
    conform_frame(k, s, 0);
    return conform_safe(k, s, 1) ? s : NULL;
}

void conform_frame_as(struct conform_kit *k, struct conform_session *s,
                      const struct link_vector *vector, uint64_t seq)
{
    struct link_msg m = {.type = LINK_FRAME, .vector = *vector};
    strcpy(m.stream, s->stream);
    m.item.item = conform_item(k, seq);
    m.item.format_number = 1;
    m.item.new_format = conform_format(k);
    m.item.item.format = link_format_ref(m.item.new_format);
    if (s->formatted)
        link_format_unref(&m.item.new_format);
    conform_send_above(k, &m);
    link_msg_fini(&m);
}

void conform_frame(struct conform_kit *k, struct conform_session *s, uint64_t seq)
{
    int64_t end = conform_deadline(k);
    while (s->answered && seq >= s->limit && clock_mono_ns() < end)
        conform_turn(k);
    if (s->answered && seq >= s->limit)
        conform_fault(k, "it gives no credit for frame %llu", (unsigned long long)seq);
    conform_frame_as(k, s, &s->vector, seq);
    s->formatted = true;
    s->next.next[0] = seq + 1;
}

void conform_gap(struct conform_kit *k, struct conform_session *s, uint64_t first, uint64_t last,
                 enum link_gap_reason reason)
{
    struct link_msg m = {.type = LINK_GAP, .vector = s->vector};
    strcpy(m.stream, s->stream);
    m.item.item =
        (struct link_item){.gap = true, .track = 1, .seq = first, .last = last, .reason = reason};
    conform_send_above(k, &m);
    s->next.next[0] = last + 1;
}

void conform_close_stream(struct conform_kit *k, struct conform_session *s,
                          enum link_close_reason reason)
{
    struct link_msg m = {.type = LINK_CLOSE, .vector = s->vector};
    strcpy(m.stream, s->stream);
    m.close.reason = reason;
    conform_send_above(k, &m);
}

bool conform_safe(struct conform_kit *k, struct conform_session *s, uint64_t n)
{
    int64_t end = conform_deadline(k);
    uint64_t best = 0;
    for (unsigned i = 0; best < n && clock_mono_ns() < end;) {
        for (; i < k->nheard; i++) {
            const struct heard *h = &k->heard[i];
            if (h->side == CONFORM_ABOVE && h->msg.type == LINK_ACK &&
                strcmp(h->msg.stream, s->stream) == 0 &&
                link_vector_cmp(&h->msg.vector, &s->vector) == 0 && h->msg.positions.next[0] > best)
                best = h->msg.positions.next[0];
        }
        if (best < n)
            conform_turn(k);
    }
    return best >= n ||
           conform_fail(k, "frames below %llu were sent, only those below %llu were acked",
                        (unsigned long long)n, (unsigned long long)best);
}
