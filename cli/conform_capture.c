/* Rules of a source: it numbers, holds, sends within the credit and begins anew with a new epoch.
 * Relies on the kit below; the first stream that capture opens is the one that is judged.
 * Leaves what it captures to the stage. */
#include <signal.h>
#include <string.h>

#include "cli/conform.h"

#define QUIET_MS 500

static bool any_item(struct conform_kit *k)
{
    struct conform_log *l = conform_log(k, NULL);
    return l && l->nitems > 0;
}

/* The judged stream, open, after the kit said Hello anew; answers by itself unless told. */
static struct conform_log *fresh(struct conform_kit *k)
{
    while (conform_heard(k, CONFORM_BELOW, LINK_OPEN, NULL))
        ;
    conform_hello(k, 0);
    if (conform_await(k, CONFORM_BELOW, LINK_OPEN, NULL))
        return conform_log(k, NULL);
    conform_fail(k, "Hello is not followed by an Open");
    return NULL;
}

static bool reach(struct conform_kit *k, struct conform_log *l, uint64_t want, uint64_t n)
{
    CONFORM_WHILE(k, l->came[0] < want);
    return l->came[0] >= want ||
           conform_fail(k, "no more frames come (%llu wanted)", (unsigned long long)n);
}

/* Waits for n more items of track 1. */
static bool more(struct conform_kit *k, struct conform_log *l, uint64_t n)
{
    return reach(k, l, l->came[0] + n, n);
}

/* Waits for the first n of the session: some may be here already. */
static bool begin(struct conform_kit *k, struct conform_log *l, uint64_t n)
{
    return reach(k, l, l->resumed + n, n);
}

static bool waits(struct conform_kit *k)
{
    struct link_msg m = {.type = LINK_HEARTBEAT, .heartbeat = {.incarnation = k->incarnation}};
    conform_drop_inlet(k, 0);
    conform_send_below(k, 0, &m);
    struct heard *h = conform_await(k, CONFORM_BELOW, LINK_HELLO, NULL);
    if (!h || h->msg.hello.instance[0])
        return conform_fail(k, "a heartbeat without a Hello is not answered by an empty Hello");
    conform_pump(k, QUIET_MS);
    return true; /* anything else would have been a fault */
}

static bool opens(struct conform_kit *k)
{
    k->answers = false;
    struct conform_log *l = fresh(k);
    if (!l)
        return false;
    if (l->vector.n != 2)
        return conform_fail(k, "a vector of %u numbers, expected epoch and one more", l->vector.n);
    conform_pump(k, QUIET_MS); /* a frame before the Resume would be a fault */
    conform_resume(k, l, l->at.next[0], k->credit);
    return more(k, l, 5);
}

static bool frames(struct conform_kit *k)
{
    struct conform_log *l = fresh(k);
    if (!l)
        return false;
    if (!begin(k, l, 20))
        return false;
    CONFORM_WHILE(k, !l->formats[0]);
    int64_t last = 0;
    for (unsigned i = l->before; l->formats[0] && i < l->nitems; i++) {
        const struct link_item *it = &l->items[i];
        if (it->track != 1 || it->gap)
            continue;
        if (it->dts_ns <= last)
            return conform_fail(k, "dts_ns of number %llu does not rise",
                                (unsigned long long)it->seq);
        if (it->pts_ns < INT64_C(1000000000) * NS_PER_S)
            return conform_fail(k, "pts_ns of number %llu is no time since 1970",
                                (unsigned long long)it->seq);
        if (l->formats[0]->codec != LINK_CODEC_RAW_VIDEO && l->formats[0]->video &&
            !it->fragment_ns)
            return conform_fail(k, "coded video without fragment_ns");
        last = it->dts_ns;
    }
    return true;
}

static bool credit(struct conform_kit *k)
{
    k->acks = false;
    k->credit = 5;
    struct conform_log *l = fresh(k);
    if (!l || !begin(k, l, 5))
        return false;
    conform_pump(k, QUIET_MS); /* a sixth would be a fault */
    k->acks = true;
    conform_ack(k, l, &l->vector, l->came[0], 5);
    return more(k, l, 5);
}

static bool again(struct conform_kit *k)
{
    k->acks = false;
    k->credit = 6;
    struct conform_log *l = fresh(k);
    if (!l)
        return false;
    if (!begin(k, l, 6))
        return false;
    struct link_item first = {0};
    for (unsigned i = l->before; i < l->nitems && !first.track; i++)
        if (l->items[i].track == 1)
            first = link_item_ref(&l->items[i]);
    struct link_vector before = l->vector;
    l = fresh(k);
    bool ok = l && link_vector_cmp(&l->vector, &before) > 0 && begin(k, l, 6);
    for (unsigned i = l->before; ok && i < l->nitems; i++) {
        const struct link_item *it = &l->items[i];
        if (it->track != 1)
            continue;
        ok = it->seq == first.seq && it->pts_ns == first.pts_ns && !it->gap == !first.gap &&
             (first.gap || (it->payload->len == first.payload->len &&
                            memcmp(it->payload->data, first.payload->data, it->payload->len) == 0));
        break;
    }
    link_item_fini(&first);
    return ok || conform_fail(k, "what was not acked is not sent again as it was");
}

static bool stale(struct conform_kit *k)
{
    k->acks = false;
    k->credit = 4;
    struct conform_log *l = fresh(k);
    if (!l || !begin(k, l, 4))
        return false;
    struct link_vector old = l->vector;
    uint64_t came = l->came[0];
    if (!(l = fresh(k)) || !begin(k, l, 4))
        return false;
    conform_ack(k, l, &old, came, 50);
    conform_pump(k, QUIET_MS); /* a frame beyond the credit would be a fault */
    return true;
}

static bool beats_below(struct conform_kit *k)
{
    struct conform_log *l = fresh(k);
    if (!l || !begin(k, l, 2))
        return false;
    conform_pump(k, QUIET_MS);
    while (conform_heard(k, CONFORM_BELOW, LINK_OPEN, l->stream))
        ;
    l->hidden = true;
    bool ok = conform_await(k, CONFORM_BELOW, LINK_OPEN, l->stream);
    l->hidden = false;
    return ok || conform_fail(k, "heartbeats from below lack the session: no new Open");
}

static bool heartbeat(struct conform_kit *k)
{
    struct conform_log *l = fresh(k);
    unsigned beats = 0;
    bool listed = false;
    if (!l || !begin(k, l, 2))
        return false;
    while (conform_heard(k, CONFORM_BELOW, LINK_HEARTBEAT, NULL))
        ;
    conform_pump(k, (int)(1000 * k->slow));
    for (struct heard *h; (h = conform_heard(k, CONFORM_BELOW, LINK_HEARTBEAT, NULL)); beats++)
        for (unsigned i = 0; i < h->msg.heartbeat.nsessions; i++)
            listed = listed || strcmp(h->msg.heartbeat.sessions[i].stream, l->stream) == 0;
    if (beats < 2)
        return conform_fail(k, "%u heartbeats in a second", beats);
    return listed || conform_fail(k, "heartbeats do not list the stream");
}

/* The owner is silent or leaves while another is there. */
static bool moves(struct conform_kit *k, bool drain)
{
    struct conform_log *l = fresh(k);
    if (!l || !begin(k, l, 2))
        return false;
    unsigned was = l->inlet;
    while (conform_heard(k, CONFORM_BELOW, LINK_OPEN, l->stream))
        ;
    conform_hello(k, !was);
    struct link_msg m = {.type = LINK_CLOSE};
    m.close.reason = LINK_CLOSE_DRAINING;
    k->mute[was] = !drain;
    if (drain)
        conform_send_below(k, was, &m);
    CONFORM_WHILE(k, l->inlet == was);
    bool ok = l->inlet != was && more(k, l, 2);
    conform_send_below(k, !was, &m); /* back to one instance */
    k->mute[was] = false;
    return ok || conform_fail(k, "the owner %s, another instance is there: no Open",
                              drain ? "leaves" : "is silent");
}

static bool silence(struct conform_kit *k)
{
    return moves(k, false);
}

static bool draining(struct conform_kit *k)
{
    return moves(k, true);
}

static bool bad_bytes(struct conform_kit *k)
{
    static const uint8_t noise[64] = {0xff, 0x81};
    const void *const parts[] = {noise, noise, noise};
    const size_t lens[] = {sizeof noise, sizeof noise, 0};
    struct conform_log *l = fresh(k);
    if (!l || !begin(k, l, 2))
        return false;
    for (unsigned n = 1; n <= 3; n++)
        conform_send_raw(k, CONFORM_BELOW, parts, lens, n);
    struct link_msg m = {.type = LINK_ACK, .vector = l->vector, .positions = l->at};
    strcpy(m.stream, l->stream);
    m.positions.next[0] = l->came[0] + 1000000; /* beyond what was sent */
    conform_send_below(k, 0, &m);
    m.type = LINK_OPEN; /* does not go up */
    m.open.ntracks = 1;
    m.open.tracks[0] = (struct link_track){.track = 1, .format = conform_format(k)};
    conform_send_below(k, 0, &m);
    link_format_unref(&m.open.tracks[0].format);
    conform_pump(k, QUIET_MS);
    if (!conform_alive(k))
        return conform_fail(k, "the process ended");
    return more(k, l, 3);
}

static bool fenced(struct conform_kit *k)
{
    struct conform_log *l = fresh(k);
    if (!l || !begin(k, l, 2))
        return false;
    while (conform_heard(k, CONFORM_BELOW, LINK_OPEN, l->stream))
        ;
    struct link_msg m = {.type = LINK_CLOSE, .vector = l->vector};
    strcpy(m.stream, l->stream);
    m.close.reason = LINK_CLOSE_FENCED;
    m.close.greatest = l->vector;
    m.close.greatest.v[0] += 1000000;
    conform_send_below(k, 0, &m);
    struct heard *h = conform_await(k, CONFORM_BELOW, LINK_OPEN, l->stream);
    if (!h || h->msg.vector.v[0] <= m.close.greatest.v[0])
        return conform_fail(k, "after Close(FENCED) no Open with an epoch above the one named");
    return more(k, l, 2);
}

static bool restart(struct conform_kit *k)
{
    struct conform_log *l = fresh(k);
    if (!l || !begin(k, l, 5))
        return false;
    uint64_t epoch = l->vector.v[0];
    conform_kill(k, SIGKILL);
    if (!conform_start(k) || !(l = fresh(k)))
        return false;
    if (l->vector.v[0] <= epoch)
        return conform_fail(k, "epoch %llu after epoch %llu", (unsigned long long)l->vector.v[0],
                            (unsigned long long)epoch);
    return more(k, l, 5);
}

static bool leaving(struct conform_kit *k)
{
    struct conform_log *l = fresh(k);
    if (!l || !begin(k, l, 2))
        return false;
    conform_kill(k, SIGTERM);
    return conform_wait_exit(k, 6000) || conform_fail(k, "still there 6 s after SIGTERM");
}

static bool begins(struct conform_kit *k)
{
    return fresh(k) && (conform_until(k, any_item) || conform_fail(k, "no frame comes"));
}

const struct conform_rule conform_capture_rules[] = {
    {"waits", "5", "says nothing but the question before a Hello", CONFORM_CAPTURE, false, waits},
    {"begins", "5, 6", "opens its streams to who says Hello, and sends", CONFORM_CAPTURE, false,
     begins},
    {"opens", "3, 5", "has a vector of two numbers; no frame before the Resume", CONFORM_CAPTURE,
     false, opens},
    {"frames", "9, 11", "numbers without holes, times that rise", CONFORM_CAPTURE, false, frames},
    {"heartbeat", "4, 13", "beats, and lists its streams", CONFORM_CAPTURE, false, heartbeat},
    {"credit", "12, rule 11", "sends within the credit, and on after an Ack", CONFORM_CAPTURE,
     false, credit},
    {"again", "6, rules 3, 10", "sends again what was not acked, under a greater vector",
     CONFORM_CAPTURE, false, again},
    {"stale-answer", "6, rule 6", "ignores an Ack of an older vector", CONFORM_CAPTURE, false,
     stale},
    {"beats-below", "6, rule 8", "opens again what heartbeats from below lack", CONFORM_CAPTURE,
     false, beats_below},
    {"silence", "6, 13", "gives the streams of a silent instance to another", CONFORM_CAPTURE,
     false, silence},
    {"draining", "6", "gives the streams of one that leaves to another", CONFORM_CAPTURE, false,
     draining},
    {"bad-bytes", "2, 14", "refuses what is no message and goes on", CONFORM_CAPTURE, false,
     bad_bytes},
    {"fenced", "6, rule 9", "takes a greater epoch when it is fenced", CONFORM_CAPTURE, false,
     fenced},
    {"restart", "3, rule 9", "has a greater epoch after kill -9", CONFORM_CAPTURE, true, restart},
    {"leaving", "7", "ends on SIGTERM", CONFORM_CAPTURE, true, leaving},
    {0},
};
