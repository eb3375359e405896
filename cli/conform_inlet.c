/* Rules that every stage with an inlet keeps: encoder, muxer, uploader.
 * Relies on the kit, which answers below by itself where the stage is a relay.
 * Leaves what only relays or only the uploader must do to their own files. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/conform.h"
#include "common/mem.h"

#define QUIET_MS 700 /* almost three heartbeats */
#define NAME(rule) "conform-" rule

/* ---- who it is ---- */

static bool hello(struct conform_kit *k)
{
    struct heard *h;
    conform_cut_above(k);
    if (!(h = conform_await(k, CONFORM_ABOVE, LINK_HELLO, NULL)))
        return conform_fail(k, "no Hello after it connected");
    if (h->msg.hello.version != LINK_VERSION)
        return conform_fail(k, "version %u", h->msg.hello.version);
    if (!h->msg.hello.instance[0] || !h->msg.hello.incarnation)
        return conform_fail(k, "no %s", h->msg.hello.instance[0] ? "incarnation" : "instance");
    return true;
}

static bool question(struct conform_kit *k)
{
    struct link_msg ask = {.type = LINK_HELLO};
    ask.hello.version = LINK_VERSION;
    ask.hello.incarnation = k->incarnation;
    conform_send_above(k, &ask);
    return conform_await(k, CONFORM_ABOVE, LINK_HELLO, NULL) ||
           conform_fail(k, "an empty Hello is not answered by a Hello");
}

static bool heartbeat(struct conform_kit *k)
{
    struct conform_session *s = conform_opened(k, NAME("heartbeat"), 1, 0);
    const struct link_heartbeat_session *mine = NULL;
    unsigned beats = 0;
    if (!s)
        return false;
    conform_pump(k, (int)(1000 * k->slow));
    for (struct heard *h; (h = conform_heard(k, CONFORM_ABOVE, LINK_HEARTBEAT, NULL)); beats++) {
        if (h->msg.heartbeat.incarnation != k->peer_incarnation)
            return conform_fail(k, "a heartbeat has not the incarnation of the Hello");
        for (unsigned i = 0; i < h->msg.heartbeat.nsessions; i++)
            if (strcmp(h->msg.heartbeat.sessions[i].stream, s->stream) == 0)
                mine = &h->msg.heartbeat.sessions[i];
    }
    if (beats < 2)
        return conform_fail(k, "%u heartbeats in a second", beats);
    if (!mine || link_vector_cmp(&mine->vector, &s->vector) != 0)
        return conform_fail(k, "heartbeats do not list the session");
    return (mine->at.tracks == 1 && mine->acked.tracks == 1) ||
           conform_fail(k, "heartbeats lack the session's positions");
}

/* ---- sessions ---- */

static bool resume(struct conform_kit *k)
{
    struct conform_session *s = conform_opened(k, NAME("resume"), 1, 0);
    if (!s)
        return false;
    if (s->next.next[0] != 0)
        return conform_fail(k, "a new stream begins at %llu", (unsigned long long)s->next.next[0]);
    if (s->limit == s->next.next[0])
        return conform_fail(k, "no credit");
    conform_pump(k, QUIET_MS / 2);
    return true;
}

static bool fenced_by(struct conform_kit *k, struct conform_session *s, uint64_t g)
{
    struct link_vector greatest = s->vector, old = s->vector;
    struct link_msg m = {.type = LINK_OPEN};
    old.v[old.n - 1] = g;
    m.vector = old;
    strcpy(m.stream, s->stream);
    m.open.ntracks = 1;
    m.open.tracks[0] = (struct link_track){.track = 1, .format = conform_format(k)};
    conform_send_above(k, &m);
    link_format_unref(&m.open.tracks[0].format);
    struct heard *h = conform_await(k, CONFORM_ABOVE, LINK_CLOSE, s->stream);
    if (!h || h->msg.close.reason != LINK_CLOSE_FENCED)
        return conform_fail(k, "Open with number %llu after %llu is not answered by Close(FENCED)",
                            (unsigned long long)g, (unsigned long long)greatest.v[greatest.n - 1]);
    if (link_vector_cmp(&h->msg.vector, &old) != 0 ||
        link_vector_cmp(&h->msg.close.greatest, &greatest) != 0)
        return conform_fail(k, "Close(FENCED) has not the Open's vector and the greatest seen");
    return true;
}

static bool fenced(struct conform_kit *k)
{
    struct conform_session *s = conform_opened(k, NAME("fenced"), 5, 0);
    if (!s || !fenced_by(k, s, 5) || !fenced_by(k, s, 4))
        return false;
    conform_frame(k, s, 0);
    return conform_safe(k, s, 1);
}

/* ---- items ---- */

static bool takes(struct conform_kit *k)
{
    struct conform_session *s = conform_opened(k, NAME("takes"), 1, 0);
    if (!s)
        return false;
    for (uint64_t n = 0; n < 60; n++)
        conform_frame(k, s, n);
    return conform_safe(k, s, 60);
}

static bool says_hello_after(struct conform_kit *k, struct conform_session *s, uint64_t seq,
                             uint64_t first_bad, const char *what)
{
    conform_frame(k, s, 0);
    conform_frame(k, s, 1);
    if (!conform_safe(k, s, 2))
        return false;
    s->hidden = true; /* the number alone must do */
    conform_frame_as(k, s, &s->vector, seq);
    if (!conform_await(k, CONFORM_ABOVE, LINK_HELLO, NULL))
        return conform_fail(k, "%s: no Hello", what);
    conform_frame(k, s, 2); /* the right one, but the session is over */
    conform_pump(k, QUIET_MS / 2);
    for (struct heard *h; (h = conform_heard(k, CONFORM_ABOVE, LINK_ACK, s->stream));)
        if (h->msg.positions.next[0] > first_bad)
            return conform_fail(k, "%s: it acked up to %llu all the same", what,
                                (unsigned long long)h->msg.positions.next[0]);
    return true;
}

static bool jump(struct conform_kit *k)
{
    struct conform_session *s = conform_opened(k, NAME("jump"), 1, 0);
    return s && says_hello_after(k, s, 4, 2, "frame 4 after frame 1");
}

static bool twice(struct conform_kit *k)
{
    struct conform_session *s = conform_opened(k, NAME("twice"), 1, 0);
    return s && says_hello_after(k, s, 1, 2, "frame 1 a second time");
}

static bool foreign(struct conform_kit *k)
{
    struct conform_session *s = conform_begun(k, NAME("foreign"), 3);
    struct link_vector other;
    if (!s)
        return false;
    for (uint64_t g = 2; g <= 9; g += 7) { /* passed over already; never opened */
        other = s->vector;
        other.v[other.n - 1] = g;
        conform_frame_as(k, s, &other, 1);
        conform_pump(k, QUIET_MS / 2);
        for (struct heard *h; (h = conform_heard(k, CONFORM_ABOVE, LINK_ACK, s->stream));)
            if (h->msg.positions.next[0] > 1)
                return conform_fail(k, "a frame of another vector was taken");
    }
    conform_frame(k, s, 1);
    return conform_safe(k, s, 2);
}

static bool format(struct conform_kit *k)
{
    struct conform_session *s = conform_begun(k, NAME("format"), 1);
    struct link_msg m = {.type = LINK_FRAME};
    if (!s)
        return false;
    s->hidden = true;
    m.vector = s->vector;
    strcpy(m.stream, s->stream);
    m.item.item = conform_item(k, 1);
    m.item.format_number = 7;
    conform_send_above(k, &m);
    link_msg_fini(&m);
    return conform_await(k, CONFORM_ABOVE, LINK_HELLO, NULL) ||
           conform_fail(k, "a frame whose format was never announced: no Hello");
}

/* ---- losses ---- */

static bool lost_frame(struct conform_kit *k)
{
    struct conform_session *s = conform_begun(k, NAME("lost-frame"), 1);
    if (!s)
        return false;
    s->next.next[0] = 2; /* heartbeats now tell of a frame 1 that never came */
    return conform_await(k, CONFORM_ABOVE, LINK_HELLO, NULL) ||
           conform_fail(k, "heartbeats tell of a frame that did not come: no Hello");
}

static bool lost_open(struct conform_kit *k)
{
    struct conform_session *s = conform_opened(k, NAME("lost-open"), 1, 0);
    if (!s)
        return false;
    s->vector.v[s->vector.n - 1] = 2; /* its Open never came */
    s->answered = false;
    return conform_await(k, CONFORM_ABOVE, LINK_HELLO, NULL) ||
           conform_fail(k, "heartbeats tell of a session whose Open did not come: no Hello");
}

/* ---- what no peer should send ---- */

static void send_bad(struct conform_kit *k, const struct conform_session *s)
{
    static const uint8_t noise[300] = {0xff, 0xfe, 0x81, 0x99}, empty[1];
    size_t big = (1u << 20) + 1;
    uint8_t *huge = xcalloc(1, big);
    struct link_msg m = {.type = LINK_RESUME, .vector = s->vector, .positions = {.tracks = 1}};
    struct link_msg old = {.type = LINK_HELLO};
    const void *const two[] = {noise, noise}, *const three[] = {noise, noise, noise};
    const size_t sizes[] = {sizeof noise, sizeof noise, sizeof noise}, none[] = {0};
    const void *const nothing[] = {empty}, *const long_one[] = {huge};

    conform_send_raw(k, CONFORM_ABOVE, nothing, none, 1);
    conform_send_raw(k, CONFORM_ABOVE, two, sizes, 1);
    conform_send_raw(k, CONFORM_ABOVE, two, sizes, 2);
    conform_send_raw(k, CONFORM_ABOVE, three, sizes, 3);
    conform_send_raw(k, CONFORM_ABOVE, long_one, &big, 1);
    free(huge);
    strcpy(m.stream, s->stream); /* does not go this way */
    conform_send_above(k, &m);
    old.hello.version = 2;
    conform_send_above(k, &old);
    m.type = LINK_CLOSE; /* a Close that comes from below only */
    m.close.reason = LINK_CLOSE_FENCED;
    m.close.greatest = s->vector;
    conform_send_above(k, &m);
}

static bool bad_bytes(struct conform_kit *k)
{
    struct conform_session *s = conform_begun(k, NAME("bad-bytes"), 1);
    if (!s)
        return false;
    send_bad(k, s);
    struct link_msg half = {.type = LINK_GAP, .vector = s->vector};
    strcpy(half.stream, s->stream);
    half.item.item = (struct link_item){.gap = true, .track = 1, .seq = 5, .last = 3};
    conform_send_above(k, &half);
    conform_pump(k, QUIET_MS / 2);
    if (!conform_alive(k))
        return conform_fail(k, "the process ended");
    if (conform_heard(k, CONFORM_ABOVE, LINK_HELLO, NULL))
        return conform_fail(k, "it gave up the session of a stream that was in order");
    conform_frame(k, s, 1);
    bool safe = conform_safe(k, s, 2);
    return conform_alive(k) ? safe : conform_fail(k, "the process ended");
}

/* ---- connections and deaths ---- */

static bool reconnect(struct conform_kit *k)
{
    struct conform_session *s = conform_begun(k, NAME("reconnect"), 1);
    if (!s)
        return false;
    s->hidden = true; /* what the kit says must be in order at once after the cut */
    conform_cut_above(k);
    if (!conform_await(k, CONFORM_ABOVE, LINK_HELLO, NULL))
        return conform_fail(k, "no Hello after the connection was cut and made again");
    if (!(s = conform_opened(k, NAME("reconnect"), 2, 1)))
        return false;
    if (s->next.next[0] != 1)
        return conform_fail(k, "Resume says %llu, 1 was acked",
                            (unsigned long long)s->next.next[0]);
    conform_frame(k, s, 1);
    return conform_safe(k, s, 2);
}

static bool restart(struct conform_kit *k)
{
    struct conform_session *s = conform_opened(k, NAME("restart"), 1, 0);
    char instance[LINK_INSTANCE_MAX + 1];
    uint64_t incarnation = k->peer_incarnation;
    memcpy(instance, k->peer_instance, sizeof instance);
    for (uint64_t n = 0; s && n < 10; n++)
        conform_frame(k, s, n);
    if (!s || !conform_safe(k, s, 4))
        return false;
    conform_kill(k, SIGKILL);
    uint64_t acked = 0;
    for (struct heard *h; (h = conform_heard(k, CONFORM_ABOVE, LINK_ACK, s->stream));)
        acked = h->msg.positions.next[0];
    k->peer_len = 0;
    s->hidden = true;
    if (!conform_start(k))
        return false;
    if (k->peer_incarnation == incarnation || strcmp(k->peer_instance, instance) != 0)
        return conform_fail(k, "after kill -9 it is not the same instance with a new incarnation");
    if (!(s = conform_opened(k, NAME("restart"), 2, acked)))
        return false;
    if (s->next.next[0] < acked || s->next.next[0] > 10)
        return conform_fail(k, "after kill -9 Resume says %llu, %llu was acked",
                            (unsigned long long)s->next.next[0], (unsigned long long)acked);
    for (uint64_t n = s->next.next[0]; n < 20; n++)
        conform_frame(k, s, n);
    return conform_safe(k, s, 20);
}

static bool leaving(struct conform_kit *k)
{
    struct conform_session *s = conform_begun(k, NAME("leaving"), 1);
    if (!s)
        return false;
    conform_kill(k, SIGTERM);
    struct heard *h = conform_await(k, CONFORM_ABOVE, LINK_CLOSE, "");
    if (!h || h->msg.close.reason != LINK_CLOSE_DRAINING)
        return conform_fail(k, "no Close(DRAINING) after SIGTERM");
    if (!conform_wait_exit(k, 6000))
        return conform_fail(k, "still there 6 s after SIGTERM");
    return conform_start(k);
}

const struct conform_rule conform_inlet_rules[] = {
    {"hello", "4, 5", "says who it is as soon as it is connected", CONFORM_INLET, false, hello},
    {"question", "5, 7", "answers the question who it is", CONFORM_INLET, false, question},
    {"heartbeat", "4, 13", "beats, and lists its sessions with positions", CONFORM_INLET, false,
     heartbeat},
    {"resume", "5, 7", "answers Open once, with its vector, each track and some credit",
     CONFORM_INLET, false, resume},
    {"takes", "7, 12", "takes frames in order, within the credit, and acks them", CONFORM_INLET,
     false, takes},
    {"fenced", "7, rule 1", "refuses an Open that is not greater, and goes on", CONFORM_INLET,
     false, fenced},
    {"jump", "7, rule 7", "ends the session when a number is missing", CONFORM_INLET, false, jump},
    {"twice", "7, rule 7", "ends the session when a number comes twice", CONFORM_INLET, false,
     twice},
    {"foreign", "7, rule 6", "ignores frames of any other vector", CONFORM_INLET, false, foreign},
    {"format", "7, 10", "ends the session at a format that was not announced", CONFORM_INLET, false,
     format},
    {"lost-frame", "7, rule 8", "asks again for a frame that heartbeats tell of", CONFORM_INLET,
     false, lost_frame},
    {"lost-open", "7, rule 8", "asks again for an Open that heartbeats tell of", CONFORM_INLET,
     false, lost_open},
    {"bad-bytes", "2, 14", "refuses what is no message and goes on", CONFORM_INLET, false,
     bad_bytes},
    {"reconnect", "7, rule 7", "begins anew after a cut, where the log is", CONFORM_INLET, false,
     reconnect},
    {"restart", "1, rule 4", "goes on after kill -9, where the log is", CONFORM_INLET, true,
     restart},
    {"leaving", "7", "says that it leaves on SIGTERM, and does", CONFORM_INLET, true, leaving},
    {0},
};
