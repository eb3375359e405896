/* Rules of stages in the middle: what comes up is what the log below said, what goes down is what
 * came in.
 * Relies on the kit on both sides.
 * Leaves the rules of any inlet to conform_inlet.c. */
#include <string.h>

#include "cli/conform.h"
#include "media/mkv.h"

#define QUIET_MS 500
#define HELD 4 /* frames that a stage is expected to take without an Ack */

/* Opens a stream without an answer below and waits until the stage asked there. */
static struct conform_log *asked(struct conform_kit *k, const char *stream)
{
    k->answers = false;
    conform_open(k, stream, 1, 0);
    struct conform_log *l =
        conform_await(k, CONFORM_BELOW, LINK_OPEN, stream) ? conform_log(k, stream) : NULL;
    if (!l)
        conform_fail(k, "Open from above is not followed by an Open below");
    return l;
}

static struct conform_session *session(struct conform_kit *k, const char *stream)
{
    for (unsigned i = 0; i < k->nsessions; i++)
        if (strcmp(k->sessions[i].stream, stream) == 0)
            return &k->sessions[i];
    return NULL;
}

/* A stream that is open on both sides, with `n` frames sent down; held without acks while n is
 * small: a stage may give little credit for raw pictures. */
static struct conform_log *flowing(struct conform_kit *k, const char *stream, uint64_t n)
{
    k->acks = n > HELD;
    struct conform_session *s = conform_opened(k, stream, 1, 0);
    for (uint64_t i = 0; s && i < n; i++)
        conform_frame(k, s, i);
    struct conform_log *l = conform_log(k, stream);
    CONFORM_WHILE(k, s && l && l->nitems < n);
    if (s && l && l->nitems >= n)
        return l;
    if (s)
        conform_fail(k, "%u of %llu frames came out", l ? l->nitems : 0, (unsigned long long)n);
    return NULL;
}

static bool asks_below(struct conform_kit *k)
{
    struct conform_log *l = asked(k, "conform-asks-below");
    struct conform_session *s = session(k, "conform-asks-below");
    if (!l)
        return false;
    struct link_vector upper = l->vector;
    upper.n--;
    if (l->vector.n != s->vector.n + 1 || link_vector_cmp(&upper, &s->vector) != 0)
        return conform_fail(k, "the Open below has not the upper vector with one more number");
    conform_pump(k, QUIET_MS);
    if (conform_heard(k, CONFORM_ABOVE, LINK_RESUME, s->stream))
        return conform_fail(k, "it answered Open before the answer from below");
    conform_resume(k, l, 7, 9);
    if (!conform_await(k, CONFORM_ABOVE, LINK_RESUME, s->stream))
        return conform_fail(k, "the Resume from below is not passed up");
    if (s->next.next[0] != 7)
        return conform_fail(k, "Resume says %llu up, 7 came from below",
                            (unsigned long long)s->next.next[0]);
    return (s->limit > 7 && s->limit <= 16) ||
           conform_fail(k, "credit %llu goes up, 9 came from below",
                        (unsigned long long)(s->limit - 7));
}

static bool hands_acks_up(struct conform_kit *k)
{
    struct conform_log *l = flowing(k, "conform-acks", 4);
    struct heard *h;
    if (!l)
        return false;
    conform_pump(k, QUIET_MS);
    while ((h = conform_heard(k, CONFORM_ABOVE, LINK_ACK, l->stream)))
        if (h->msg.positions.next[0] > 0)
            return conform_fail(k, "it acked %llu, nothing was acked below",
                                (unsigned long long)h->msg.positions.next[0]);
    l->at.backlog_ms = 1234;
    l->at.backlog_bytes = 5678;
    conform_ack(k, l, &l->vector, 3, CONFORM_CREDIT);
    if (!conform_safe(k, session(k, l->stream), 3))
        return conform_fail(k, "the Ack from below is not passed up with the upper vector");
    while ((h = conform_heard(k, CONFORM_ABOVE, LINK_ACK, l->stream)))
        if (h->msg.positions.next[0] == 3 && h->msg.positions.backlog_ms == 1234 &&
            h->msg.positions.backlog_bytes == 5678)
            return true;
    return conform_fail(k, "the Ack that went up lacks the backlog, or is of another position");
}

static bool new_number(struct conform_kit *k)
{
    struct conform_log *l = flowing(k, "conform-number", 3);
    if (!l)
        return false;
    struct link_vector before = l->vector;
    for (int i = 0; i < 3; i++) {
        while (conform_heard(k, CONFORM_BELOW, LINK_OPEN, l->stream))
            ;
        conform_hello(k, 0);
        if (!conform_await(k, CONFORM_BELOW, LINK_OPEN, l->stream))
            return conform_fail(k, "Hello from below is not followed by an Open");
        if (link_vector_cmp(&l->vector, &before) <= 0 || l->vector.n != before.n)
            return conform_fail(k, "the new Open has no greater vector");
        before = l->vector;
    }
    return true;
}

static bool sends_again(struct conform_kit *k)
{
    struct conform_log *l = flowing(k, "conform-again", HELD);
    if (!l)
        return false;
    unsigned had = l->nitems;
    l->at.next[0] = 1; /* the log has 0 alone */
    conform_hello(k, 0);
    CONFORM_WHILE(k, l->nitems < had + HELD - 1);
    if (l->nitems < had + HELD - 1)
        return conform_fail(k, "a new session from 1: %u of %u frames came again", l->nitems - had,
                            HELD - 1);
    for (unsigned i = 1; i < HELD; i++) {
        const struct link_item *a = &l->items[had + i - 1], *b = &l->items[i];
        if (a->seq != b->seq || a->pts_ns != b->pts_ns || a->gap != b->gap)
            return conform_fail(k, "what came again as %llu is not what went as %llu",
                                (unsigned long long)a->seq, (unsigned long long)b->seq);
    }
    return true;
}

static bool stale_answer(struct conform_kit *k)
{
    struct conform_log *l = flowing(k, "conform-stale", HELD);
    if (!l)
        return false;
    struct link_vector old = l->vector;
    k->answers = false;
    conform_hello(k, 0);
    if (!conform_await(k, CONFORM_BELOW, LINK_OPEN, l->stream) ||
        (link_vector_cmp(&l->vector, &old) <= 0 &&
         !conform_await(k, CONFORM_BELOW, LINK_OPEN, l->stream)))
        return conform_fail(k, "Hello from below is not followed by an Open");
    unsigned had = l->nitems;
    struct link_msg m = {.type = LINK_RESUME, .vector = old, .positions = l->at};
    strcpy(m.stream, l->stream);
    conform_send_below(k, 0, &m); /* the answer to the Open before */
    conform_ack(k, l, &old, 4, CONFORM_CREDIT);
    conform_pump(k, QUIET_MS);
    if (l->nitems != had)
        return conform_fail(k, "frames follow a Resume of an older vector");
    for (struct heard *h; (h = conform_heard(k, CONFORM_ABOVE, LINK_ACK, l->stream));)
        if (h->msg.positions.next[0] == 4)
            return conform_fail(k, "an Ack of an older vector was passed up");
    return true;
}

static bool credit(struct conform_kit *k)
{
    k->acks = false;
    k->credit = 4;
    struct conform_session *s = conform_opened(k, "conform-credit", 1, 0);
    if (!s)
        return false;
    if (s->limit > 4)
        return conform_fail(k, "4 from below, %llu goes up", (unsigned long long)s->limit);
    for (uint64_t n = 0; n < 4; n++)
        conform_frame(k, s, n);
    struct conform_log *l = conform_log(k, s->stream);
    CONFORM_WHILE(k, l->nitems < 4);
    if (l->nitems < 4)
        return conform_fail(k, "%u of 4 frames came", l->nitems);
    l->at.next[0] = 0;
    l->at.credit[0] = 2; /* a new session with less: 2 and 3 must wait, though they are held */
    k->credit = 2;
    conform_hello(k, 0);
    conform_pump(k, QUIET_MS);
    if (l->nitems != 6)
        return conform_fail(k, "with credit 2 in a new session %u frames came", l->nitems - 4);
    conform_ack(k, l, &l->vector, 2, 4);
    CONFORM_WHILE(k, l->nitems < 8);
    return l->nitems == 8 || conform_fail(k, "an Ack that gives credit brings no frames");
}

static bool one_to_one(struct conform_kit *k)
{
    struct conform_log *l = flowing(k, "conform-one", 30);
    for (unsigned i = 0; l && i < 30; i++) {
        struct link_item in = conform_item(k, i), *out = &l->items[i];
        bool same = out->seq == i && !out->gap && out->pts_ns == in.pts_ns &&
                    out->dts_ns == in.dts_ns && out->captured_ns == in.captured_ns;
        const char *what = out->gap                             ? "became a gap"
                           : out->pts_ns != in.pts_ns           ? "has another pts_ns"
                           : out->captured_ns != in.captured_ns ? "has another captured_ns"
                                                                : "has another dts_ns";
        link_item_fini(&in);
        if (!same)
            return conform_fail(k, "frame %u %s", i, what);
    }
    return l;
}

static bool gap(struct conform_kit *k)
{
    struct conform_session *s = conform_opened(k, "conform-gap", 1, 0);
    if (!s)
        return false;
    conform_frame(k, s, 0);
    conform_frame(k, s, 1);
    conform_gap(k, s, 2, 24, LINK_GAP_WINDOW_FULL);
    conform_frame(k, s, 25);
    struct conform_log *l = conform_log(k, s->stream);
    CONFORM_WHILE(k, l->came[0] < 26);
    if (l->came[0] < 26)
        return conform_fail(k, "0, 1, Gap 2 to 24, 25 went in, %llu is the next that would come",
                            (unsigned long long)l->came[0]);
    for (unsigned i = 0; i < l->nitems; i++)
        if (l->items[i].gap && l->items[i].seq == 2 && l->items[i].reason != LINK_GAP_WINDOW_FULL)
            return conform_fail(k, "the Gap has another reason");
    return l->items[2].gap || conform_fail(k, "a frame came out of a Gap");
}

static bool fenced_below(struct conform_kit *k)
{
    struct conform_log *l = flowing(k, "conform-fenced-below", 2);
    if (!l)
        return false;
    struct link_msg m = {.type = LINK_CLOSE, .vector = l->vector};
    strcpy(m.stream, l->stream);
    m.close.reason = LINK_CLOSE_FENCED;
    m.close.greatest = l->vector;
    m.close.greatest.v[1] += 5;
    conform_send_below(k, 0, &m);
    session(k, l->stream)->hidden = true;
    l->hidden = true;
    struct heard *h = conform_await(k, CONFORM_ABOVE, LINK_CLOSE, l->stream);
    if (!h || h->msg.close.reason != LINK_CLOSE_FENCED)
        return conform_fail(k, "Close(FENCED) from below is not passed up");
    return link_vector_cmp(&h->msg.close.greatest, &m.close.greatest) == 0 ||
           conform_fail(k, "Close(FENCED) goes up with another `greatest`");
}

static bool ended(struct conform_kit *k)
{
    struct conform_log *l = flowing(k, "conform-ended", 3);
    if (!l)
        return false;
    conform_close_stream(k, session(k, l->stream), LINK_CLOSE_ENDED);
    CONFORM_WHILE(k, !l->ended);
    return l->ended || conform_fail(k, "Close(ENDED) from above is not passed down");
}

static bool nothing_sent(struct conform_kit *k)
{
    struct conform_log *l = flowing(k, "conform-beats-below", 3);
    if (!l)
        return false;
    conform_pump(k, QUIET_MS);
    while (conform_heard(k, CONFORM_BELOW, LINK_OPEN, l->stream))
        ;
    l->hidden = true; /* heartbeats from below do not know the session */
    bool again = conform_await(k, CONFORM_BELOW, LINK_OPEN, l->stream);
    l->hidden = false;
    return again || conform_fail(k, "heartbeats from below lack the session: no new Open");
}

static bool silence(struct conform_kit *k)
{
    struct conform_log *l = flowing(k, "conform-silence", 2);
    if (!l)
        return false;
    while (conform_heard(k, CONFORM_BELOW, LINK_OPEN, l->stream))
        ;
    k->mute[l->inlet] = true;
    conform_hello(k, !l->inlet);
    unsigned was = l->inlet;
    struct heard *h = conform_await(k, CONFORM_BELOW, LINK_OPEN, l->stream);
    bool moved = h && h->inlet != was;
    k->mute[0] = k->mute[1] = false;
    struct link_msg m = {.type = LINK_CLOSE};
    m.close.reason = LINK_CLOSE_DRAINING; /* the second instance leaves again */
    conform_send_below(k, 1, &m);
    conform_hello(k, 0);
    return moved || conform_fail(k, "the owner is silent, another instance is there: no Open");
}

static bool asks_strangers(struct conform_kit *k)
{
    struct link_msg m = {.type = LINK_HEARTBEAT, .heartbeat = {.incarnation = 5}};
    conform_drop_inlet(k, 1);
    conform_send_below(k, 1, &m);
    struct heard *h = conform_await(k, CONFORM_BELOW, LINK_HELLO, NULL);
    return (h && !h->msg.hello.instance[0]) ||
           conform_fail(k, "a heartbeat from a stranger is not answered by an empty Hello");
}

/* ---- encoder ---- */

static bool key_first(struct conform_kit *k)
{
    k->start_at = 7;
    k->acks = false;
    struct conform_session *s = conform_opened(k, "conform-key", 1, 0);
    if (!s)
        return false;
    conform_frame(k, s, 7);
    struct conform_log *l = conform_log(k, s->stream);
    CONFORM_WHILE(k, !l->nitems || !l->formats[0]);
    if (!l->nitems || !l->formats[0] || l->items[0].gap)
        return conform_fail(k, "the first picture of a session does not come out");
    if (!l->items[0].key || l->items[0].fragment_ns != l->items[0].pts_ns)
        return conform_fail(k, "the first picture of a session is no key frame that begins a "
                               "fragment");
    return l->formats[0]->codec != LINK_CODEC_RAW_VIDEO || conform_fail(k, "it is still raw");
}

static bool untouched(struct conform_kit *k)
{
    enum conform_stage was = k->stage;
    k->stage = CONFORM_MUXER; /* its food: coded video */
    uint8_t numbers = 2;
    k->acks = false;
    struct conform_session *s = &k->sessions[k->nsessions++];
    struct link_msg m = {.type = LINK_OPEN};
    *s = (struct conform_session){
        .vector = {.n = numbers, .v = {(uint64_t)(k->t0_ns / NS_PER_MS), 1}}};
    strcpy(s->stream, "conform-untouched");
    m.vector = s->vector;
    strcpy(m.stream, s->stream);
    m.open.ntracks = 1;
    m.open.tracks[0] = (struct link_track){.track = 1, .format = conform_format(k)};
    conform_send_above(k, &m);
    link_format_unref(&m.open.tracks[0].format);
    bool ok = conform_await(k, CONFORM_ABOVE, LINK_RESUME, s->stream);
    for (uint64_t n = 0; ok && n < 3; n++)
        conform_frame(k, s, n);
    struct conform_log *l = conform_log(k, s->stream);
    CONFORM_WHILE(k, ok && l && l->nitems < 3);
    ok = ok && l && l->nitems >= 3;
    for (unsigned i = 0; ok && i < 3; i++) {
        struct link_item in = conform_item(k, i);
        const struct link_item *out = &l->items[i];
        ok = !out->gap && out->payload->len == in.payload->len && out->key == in.key &&
             out->fragment_ns == in.fragment_ns &&
             memcmp(out->payload->data, in.payload->data, in.payload->len) == 0;
        link_item_fini(&in);
    }
    k->stage = was;
    return ok || conform_fail(k, "coded frames do not come out as they went in");
}

/* ---- muxer ---- */

static bool starts_with(const struct blob *b, uint32_t id)
{
    const uint8_t head[] = {(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                            (uint8_t)id};
    return b->len >= 4 && memcmp(b->data, head, 4) == 0;
}

static bool pieces(struct conform_kit *k)
{
    struct conform_log *l = flowing(k, "conform-pieces", 30);
    if (!l)
        return false;
    CONFORM_WHILE(k, !l->formats[0]);
    if (!l->formats[0] || !l->formats[0]->segment ||
        !starts_with(l->formats[0]->segment, MKV_ID_EBML))
        return conform_fail(k, "the format carries no segment header");
    for (unsigned i = 0; i < 30; i++) {
        const struct link_item *it = &l->items[i];
        bool begins = it->key && it->fragment_ns == it->pts_ns;
        if (it->gap)
            return conform_fail(k, "frame %u became a gap", i);
        if (begins != (i % 25 == 0))
            return conform_fail(k, "frame %u %s a fragment", i, begins ? "begins" : "begins not");
        if (begins ? !starts_with(it->payload, MKV_ID_CLUSTER) &&
                         !starts_with(it->payload, MKV_ID_TAGS)
                   : !it->payload->len || it->payload->data[0] != MKV_ID_SIMPLE_BLOCK)
            return conform_fail(k, "piece %u begins with other than %s", i,
                                begins ? "Tags or Cluster" : "SimpleBlock");
    }
    return true;
}

static bool same_header(struct conform_kit *k)
{
    struct conform_log *l = flowing(k, "conform-header", HELD);
    if (!l)
        return false;
    CONFORM_WHILE(k, !l->formats[0]);
    struct blob *before = l->formats[0] ? blob_ref(l->formats[0]->segment) : NULL;
    conform_hello(k, 0);
    CONFORM_WHILE(k, l->nitems < 2 * HELD);
    struct blob *now = l->formats[0] ? l->formats[0]->segment : NULL;
    bool ok = before && now && l->nitems >= 2 * HELD && now->len == before->len &&
              memcmp(now->data, before->data, now->len) == 0;
    blob_unref(&before);
    return ok || conform_fail(k, "a new session has another segment header");
}

const struct conform_rule conform_relay_rules[] = {
    {"asks-below", "7, rule 4", "opens below before it answers, and copies the answer",
     CONFORM_RELAY, false, asks_below},
    {"hands-acks-up", "12, rule 5", "acks only what was acked below, with the backlog",
     CONFORM_RELAY, false, hands_acks_up},
    {"new-number", "6, rule 3", "has a greater vector for every Open", CONFORM_RELAY, false,
     new_number},
    {"sends-again", "6", "sends again from where the log below is", CONFORM_RELAY, false,
     sends_again},
    {"stale-answer", "6, rule 6", "ignores Resume and Ack of an older vector", CONFORM_RELAY, false,
     stale_answer},
    {"credit", "12, rule 11", "sends within the credit, also within a smaller one", CONFORM_RELAY,
     false, credit},
    {"one-to-one", "9", "one item out for one in, with its number and times", CONFORM_RELAY, false,
     one_to_one},
    {"gap", "9", "a Gap in, the same Gap out, in its place", CONFORM_RELAY, false, gap},
    {"fenced-below", "6", "passes up that it was fenced", CONFORM_RELAY, false, fenced_below},
    {"ended", "4, 7", "passes down that the source has ended", CONFORM_RELAY, false, ended},
    {"beats-below", "6, rule 8", "opens again what heartbeats from below lack", CONFORM_RELAY,
     false, nothing_sent},
    {"silence", "6, 13", "gives the streams of a silent instance to another", CONFORM_RELAY, false,
     silence},
    {"asks-strangers", "5", "asks who it is that says something without a Hello", CONFORM_RELAY,
     false, asks_strangers},
    {"key-first", "16", "begins a session with a key frame", CONFORM_ENCODER, false, key_first},
    {"untouched", "16", "passes coded tracks as they are", CONFORM_ENCODER, false, untouched},
    {"pieces", "16", "gives Matroska pieces, a Cluster for each fragment", CONFORM_MUXER, false,
     pieces},
    {"same-header", "16", "makes the same segment header again", CONFORM_MUXER, false, same_header},
    {0},
};
