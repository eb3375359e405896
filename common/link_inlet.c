/* The downstream end of a link as a pure state machine.
 * Relies on link.h. A session is asking (Open came, the answer is awaited), open, or broken (a new
 * Open is asked for). Leaves sockets to link_socket.c, positions to the stage. */
#include "common/link_inlet.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define SESSIONS_MAX 4096
#define LINKS_MAX 256
#define STRIKES 2 /* heartbeats that show a loss */
#define STRIKES_BROKEN                                                                             \
    6 /* heartbeats that a broken session waits for the outlet to see that itself */

#define SILENT_BEATS 4 /* heartbeats without a word: the link no longer counts as alive */

enum state { IDLE, ASKING, OPEN, BROKEN };

struct inlet_session {
    TAILQ_ENTRY(inlet_session) entry;
    char stream[LINK_NAME_MAX + 1];
    enum state state;
    unsigned link;
    struct link_vector vector, greatest;     /* of the session; ever seen or stored */
    struct link_positions next, acked, told; /* wanted; durable; as last sent up */
    struct link_format *formats[LINK_TRACKS_MAX];
    bool ack_waits, fenced_said, ended;
    unsigned strikes;
    void *user;
};

struct link {
    bool up, said_hello;
    bool spare; /* leads to an outlet that another link has reached already: silent */
    uint64_t connection;
    uint64_t outlet; /* incarnation of the other end; 0 not known */
    int64_t heard_ns;
    unsigned strikes; /* heartbeats that listed a session whose Open never came */
};

struct inlet {
    struct inlet_conf conf;
    struct inlet_ops ops;
    void *arg;
    TAILQ_HEAD(, inlet_session) sessions;
    unsigned nsessions;
    struct link links[LINKS_MAX];
    int64_t beat_ns;
    uint64_t refused;
};

struct inlet *inlet_create(const struct inlet_conf *conf, const struct inlet_ops *ops, void *arg)
{
    struct inlet *in = xcalloc(1, sizeof *in);
    in->conf = *conf;
    in->ops = *ops;
    in->arg = arg;
    TAILQ_INIT(&in->sessions);
    return in;
}

static void forget_formats(struct inlet_session *s)
{
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        link_format_unref(&s->formats[i]);
}

void inlet_destroy(struct inlet **inlet)
{
    struct inlet *in = *inlet;
    *inlet = NULL;
    if (!in)
        return;
    for (struct inlet_session *s; (s = TAILQ_FIRST(&in->sessions));) {
        TAILQ_REMOVE(&in->sessions, s, entry);
        forget_formats(s);
        free(s);
    }
    free(in);
}

struct inlet_session *inlet_find(struct inlet *in, const char *stream)
{
    struct inlet_session *s;
    TAILQ_FOREACH (s, &in->sessions, entry)
        if (strcmp(s->stream, stream) == 0)
            return s;
    return NULL;
}

static struct inlet_session *find_or_add(struct inlet *in, const char *stream)
{
    struct inlet_session *s = inlet_find(in, stream);
    if (s || in->nsessions >= SESSIONS_MAX)
        return s;
    s = xcalloc(1, sizeof *s);
    strcpy(s->stream, stream);
    TAILQ_INSERT_TAIL(&in->sessions, s, entry);
    in->nsessions++;
    return s;
}

void inlet_set_greatest(struct inlet *in, const char *stream, const struct link_vector *vector)
{
    struct inlet_session *s = find_or_add(in, stream);
    if (s && link_vector_cmp(vector, &s->greatest) > 0)
        s->greatest = *vector;
}

/* Rule 7: saying Hello ends every session of the link; it asks for a new Open of each. */
static void say_hello(struct inlet *in, unsigned link)
{
    struct link_msg msg = {.type = LINK_HELLO};
    struct inlet_session *s;

    TAILQ_FOREACH (s, &in->sessions, entry)
        if (s->link == link && (s->state == OPEN || s->state == ASKING))
            s->state = BROKEN;
    in->links[link].strikes = 0;
    msg.hello.version = LINK_VERSION;
    strcpy(msg.hello.instance, in->conf.instance);
    msg.hello.incarnation = in->conf.incarnation;
    msg.hello.connection = in->links[link].connection;
    in->links[link].said_hello = true;
    in->ops.send(in->ops.send_arg, link, &msg);
}

void inlet_link_up(struct inlet *in, unsigned link, int64_t now)
{
    (void)now;
    if (link >= LINKS_MAX)
        return;
    in->links[link].up = true;
    in->links[link].spare = false;
    in->links[link].outlet = 0;
    in->links[link].connection++;
    say_hello(in, link);
}

void inlet_link_down(struct inlet *in, unsigned link)
{
    struct inlet_session *s;
    if (link >= LINKS_MAX)
        return;
    in->links[link].up = in->links[link].said_hello = in->links[link].spare = false;
    TAILQ_FOREACH (s, &in->sessions, entry)
        if (s->link == link && (s->state == OPEN || s->state == ASKING))
            s->state = BROKEN;
}

static void refuse(struct inlet *in, unsigned link, const struct link_msg *msg, const char *why)
{
    in->refused++;
    LOG_WARN_FEW("link.refused", "link=%u type=%s stream=%s cause=\"%s\"", link,
                 link_type_name(msg->type), msg->stream, why);
}

static void send_fenced(struct inlet *in, unsigned link, const char *stream,
                        const struct link_vector *vector, const struct link_vector *greatest)
{
    struct link_msg msg = {.type = LINK_CLOSE, .vector = *vector};
    strcpy(msg.stream, stream);
    msg.close.reason = LINK_CLOSE_FENCED;
    msg.close.greatest = *greatest;
    in->ops.send(in->ops.send_arg, link, &msg);
}

static void on_open(struct inlet *in, unsigned link, struct link_msg *msg)
{
    struct inlet_session *s;

    if (msg->vector.n < 2 || msg->vector.n >= LINK_VECTOR_MAX) { /* this stage adds one more */
        refuse(in, link, msg, "a vector has an epoch and a number for each of at most 6 hops");
        return;
    }
    if (!(s = find_or_add(in, msg->stream))) {
        refuse(in, link, msg, "too many streams for one process");
        return;
    }
    if (link_vector_cmp(&msg->vector, &s->greatest) <= 0) {
        send_fenced(in, link, s->stream, &msg->vector, &s->greatest);
        return;
    }
    s->vector = s->greatest = msg->vector;
    s->link = link;
    s->state = ASKING;
    s->strikes = 0;
    s->ack_waits = s->fenced_said = s->ended = false;
    s->next = s->acked = (struct link_positions){0};
    forget_formats(s);
    for (unsigned i = 0; i < msg->open.ntracks; i++) {
        s->next.tracks |= (uint8_t)(1u << (msg->open.tracks[i].track - 1));
        s->formats[msg->open.tracks[i].track - 1] = link_format_ref(msg->open.tracks[i].format);
    }
    in->ops.open(in->arg, s, msg);
}

static void send_positions(struct inlet *in, struct inlet_session *s, enum link_type type,
                           const struct link_positions *at)
{
    struct link_msg msg = {.type = type, .vector = s->vector};
    strcpy(msg.stream, s->stream);
    msg.positions = *at;
    in->ops.send(in->ops.send_arg, s->link, &msg);
}

void inlet_resume(struct inlet *in, struct inlet_session *s, const struct link_positions *at)
{
    if (s->state != ASKING)
        return;
    uint8_t tracks = s->next.tracks;
    s->next = s->acked = s->told = *at;
    s->next.tracks = s->acked.tracks = tracks;
    s->state = OPEN;
    s->ack_waits = false;
    send_positions(in, s, LINK_RESUME, &s->acked);
}

/* Upstream may soon have no credit left: an Ack that only waited to be joined by others must go. */
static bool is_urgent(const struct inlet_session *s)
{
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        if ((s->acked.next[i] - s->told.next[i]) * 4 >= s->acked.credit[i] &&
            s->acked.next[i] != s->told.next[i])
            return true;
    return false;
}

void inlet_ack(struct inlet *in, struct inlet_session *s, const struct link_positions *at)
{
    (void)in;
    if (s->state != OPEN)
        return;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        if (at->next[i] > s->acked.next[i])
            s->acked.next[i] = at->next[i];
        s->acked.credit[i] = at->credit[i];
    }
    s->acked.backlog_ms = at->backlog_ms;
    s->acked.backlog_bytes = at->backlog_bytes;
    s->ack_waits = true;
}

void inlet_fence(struct inlet *in, struct inlet_session *s, const struct link_vector *greatest)
{
    if (s->state == ASKING || s->state == OPEN)
        send_fenced(in, s->link, s->stream, &s->vector, greatest);
    s->state = IDLE;
}

void inlet_break(struct inlet *in, struct inlet_session *s)
{
    if (s->state != ASKING && s->state != OPEN)
        return;
    s->state = BROKEN; /* heartbeats no longer list it, so the outlet opens it again */
}

/* Rule 7: something was lost on the way. */
static void ask_again(struct inlet *in, struct inlet_session *s)
{
    s->state = BROKEN;
    say_hello(in, s->link);
}

/* The format of a frame: the announced one, or the new one it carries. Returns false when its
 * number is not known. */
static bool take_format(struct inlet_session *s, struct link_msg *msg)
{
    struct link_format **known = &s->formats[msg->item.item.track - 1];

    if (msg->item.new_format) {
        link_format_unref(known);
        *known = msg->item.new_format;
        msg->item.new_format = NULL;
    }
    if (!*known || (*known)->number != msg->item.format_number)
        return false;
    msg->item.item.format = link_format_ref(*known);
    return true;
}

static void on_item(struct inlet *in, unsigned link, struct link_msg *msg)
{
    struct inlet_session *s = inlet_find(in, msg->stream);
    struct link_item *it = &msg->item.item;

    if (!s || s->link != link || link_vector_cmp(&msg->vector, &s->vector) != 0) {
        if (s && !s->fenced_said && link_vector_cmp(&msg->vector, &s->greatest) < 0) {
            s->fenced_said = true;
            send_fenced(in, link, s->stream, &msg->vector, &s->greatest);
        }
        return;
    }
    if (s->state != OPEN)
        return;
    unsigned i = it->track - 1u;
    const char *why = NULL;
    if (!(s->next.tracks & (1u << i)))
        why = "a track that Open did not name";
    else if (it->seq != s->next.next[i])
        why = "not the next number";
    else if (!it->gap && !take_format(s, msg))
        why = "a format that was not announced";
    if (why) {
        refuse(in, link, msg, why);
        ask_again(in, s);
        return;
    }
    s->next.next[i] = it->last + 1;
    s->ended = false;
    struct link_item item = *it;
    *it = (struct link_item){0};
    if (in->ops.item(in->arg, s, &item) < 0)
        inlet_break(in, s);
}

static void on_close(struct inlet *in, unsigned link, const struct link_msg *msg)
{
    struct inlet_session *s = inlet_find(in, msg->stream);

    if (!s || s->link != link || link_vector_cmp(&msg->vector, &s->vector) != 0)
        return;
    if (msg->close.reason == LINK_CLOSE_ENDED && s->state == OPEN) {
        if (!s->ended && in->ops.ended) {
            s->ended = true;
            in->ops.ended(in->arg, s);
        }
    } else if (msg->close.reason == LINK_CLOSE_MOVED) {
        s->state = IDLE;
        if (in->ops.moved)
            in->ops.moved(in->arg, s);
    } else if (msg->close.reason != LINK_CLOSE_ENDED) {
        refuse(in, link, msg, "a reason that does not come from above");
    }
}

/* Rule 8: what was sent did not come. */
static bool lacks(const struct inlet_session *s, const struct link_heartbeat_session *hs)
{
    if (s->state == BROKEN)
        return true;
    if (s->state != OPEN)
        return false;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        if ((hs->at.tracks & (1u << i)) && s->next.next[i] < hs->at.next[i])
            return true;
    return false;
}

static void on_heartbeat(struct inlet *in, unsigned link, const struct link_msg *msg)
{
    bool unknown = false, again = false;

    for (unsigned i = 0; i < msg->heartbeat.nsessions; i++) {
        const struct link_heartbeat_session *hs = &msg->heartbeat.sessions[i];
        struct inlet_session *s = inlet_find(in, hs->stream);
        if (s && link_vector_cmp(&hs->vector, &s->greatest) < 0)
            continue; /* an outlet that was passed over: fenced when it sends */
        if (!s || s->link != link || link_vector_cmp(&hs->vector, &s->vector) != 0) {
            unknown = true;
            continue;
        }
        s->strikes = lacks(s, hs) ? s->strikes + 1 : 0;
        if (s->strikes >= (s->state == BROKEN ? STRIKES_BROKEN : STRIKES)) {
            again = true;
            s->strikes = 0;
        }
    }
    in->links[link].strikes = unknown ? in->links[link].strikes + 1 : 0;
    if (again || in->links[link].strikes >= STRIKES) {
        log_info("link.hello_again", "link=%u cause=\"what was sent did not come\"", link);
        say_hello(in, link);
    }
}

/* One outlet under two addresses (a name with IPv4 and IPv6) would take each Hello for a reconnect
 * and throw the streams to and fro: one link is enough, as long as it lives. */
static bool has_other_link(const struct inlet *in, unsigned link, int64_t now)
{
    const struct link *l = &in->links[link];
    for (unsigned i = 0; l->outlet && i < LINKS_MAX; i++) {
        const struct link *other = &in->links[i];
        if (i != link && other->up && !other->spare && other->outlet == l->outlet &&
            now - other->heard_ns < SILENT_BEATS * in->conf.heartbeat_ns)
            return true;
    }
    return false;
}

static void on_ask(struct inlet *in, unsigned link, const struct link_msg *msg, int64_t now)
{
    struct link *l = &in->links[link];

    if (msg->hello.version != LINK_VERSION) {
        refuse(in, link, msg, "the other side speaks another version; run stages of one release");
        return;
    }
    if (!l->up)
        return;
    l->outlet = msg->hello.incarnation;
    if (has_other_link(in, link, now)) {
        l->spare = true;
        l->said_hello = false;
        log_info("link.spare", "link=%u cause=\"the same process as another address\"", link);
        return;
    }
    l->spare = false;
    say_hello(in, link);
}

void inlet_receive(struct inlet *in, unsigned link, struct link_msg *msg, int64_t now)
{
    if (link >= LINKS_MAX)
        return;
    if (msg->type == LINK_HELLO) {
        on_ask(in, link, msg, now);
        return;
    }
    if (!in->links[link].said_hello)
        return; /* of a connection before this one */
    switch (msg->type) {
    case LINK_OPEN:
        on_open(in, link, msg);
        break;
    case LINK_FRAME:
    case LINK_GAP:
        on_item(in, link, msg);
        break;
    case LINK_HEARTBEAT:
        in->links[link].outlet = msg->heartbeat.incarnation;
        in->links[link].heard_ns = now;
        on_heartbeat(in, link, msg);
        break;
    case LINK_CLOSE:
        on_close(in, link, msg);
        break;
    default:
        refuse(in, link, msg, "not for this end of a link");
    }
}

static void beat(struct inlet *in, unsigned link)
{
    struct link_msg msg = {.type = LINK_HEARTBEAT};
    struct inlet_session *s;
    unsigned n = 0;

    TAILQ_FOREACH (s, &in->sessions, entry)
        n += s->link == link && (s->state == ASKING || s->state == OPEN);
    msg.heartbeat.incarnation = in->conf.incarnation;
    msg.heartbeat.sessions = xcalloc(n, sizeof *msg.heartbeat.sessions);
    TAILQ_FOREACH (s, &in->sessions, entry) {
        if (s->link != link || (s->state != ASKING && s->state != OPEN))
            continue;
        struct link_heartbeat_session *hs = &msg.heartbeat.sessions[msg.heartbeat.nsessions++];
        strcpy(hs->stream, s->stream);
        hs->vector = s->vector;
        if (s->state == OPEN) {
            hs->at = s->next;
            hs->acked = s->acked;
        }
    }
    in->ops.send(in->ops.send_arg, link, &msg);
    free(msg.heartbeat.sessions);
}

static void flush(struct inlet *in, bool urgent_only)
{
    struct inlet_session *s;
    TAILQ_FOREACH (s, &in->sessions, entry) {
        if (s->ack_waits && s->state == OPEN && urgent_only && !is_urgent(s))
            continue;
        if (s->ack_waits && s->state == OPEN) {
            send_positions(in, s, LINK_ACK, &s->acked);
            s->told = s->acked;
        }
        s->ack_waits = false;
    }
}

void inlet_flush(struct inlet *in)
{
    flush(in, false);
}

void inlet_flush_urgent(struct inlet *in)
{
    flush(in, true);
}

void inlet_tick(struct inlet *in, int64_t now)
{
    inlet_flush(in);
    if (now - in->beat_ns < in->conf.heartbeat_ns)
        return;
    in->beat_ns = now;
    for (unsigned i = 0; i < LINKS_MAX; i++) {
        if (in->links[i].spare && !has_other_link(in, i, now)) {
            in->links[i].spare = false;
            say_hello(in, i);
        }
        if (in->links[i].up && in->links[i].said_hello)
            beat(in, i);
    }
}

void inlet_drain(struct inlet *in)
{
    struct link_msg msg = {.type = LINK_CLOSE};
    msg.close.reason = LINK_CLOSE_DRAINING;
    inlet_flush(in);
    for (unsigned i = 0; i < LINKS_MAX; i++)
        if (in->links[i].up && in->links[i].said_hello)
            in->ops.send(in->ops.send_arg, i, &msg);
}

const char *inlet_session_stream(const struct inlet_session *s)
{
    return s->stream;
}

struct link_vector inlet_session_vector(const struct inlet_session *s)
{
    return s->vector;
}

bool inlet_session_is_open(const struct inlet_session *s)
{
    return s->state == OPEN;
}

struct link_positions inlet_session_next(const struct inlet_session *s)
{
    return s->next;
}

void *inlet_session_user(const struct inlet_session *s)
{
    return s->user;
}

void inlet_session_set_user(struct inlet_session *s, void *user)
{
    s->user = user;
}

uint64_t inlet_refused(const struct inlet *in)
{
    return in->refused;
}
