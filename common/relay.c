/* A stage in the middle: an inlet above, an outlet below, and the rules that join them.
 * Relies on link_socket. Rule 4: a session's positions always come from the log, through every hop.
 * Leaves what happens to an item to the stage. */
#include "common/relay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

struct relay_stream {
    TAILQ_ENTRY(relay_stream) entry;
    struct relay *relay;
    char name[LINK_NAME_MAX + 1];
    struct link_vector vector; /* of the inlet's session */
    struct link_track tracks[LINK_TRACKS_MAX];
    unsigned ntracks;
    bool begun; /* the stage has a session */
    void *user;
};

struct relay {
    struct relay_ops ops;
    void *arg;
    uint64_t (*credit)(const struct link_format *format);
    struct inlet *inlet;
    struct outlet *outlet;
    struct link_server *server; /* the sockets that own inlet and outlet, or NULL: */
    struct link_client *client;
    struct relay_wire wire;
    TAILQ_HEAD(, relay_stream) streams;
};

static int64_t now_ns(const struct relay *r)
{
    return r->wire.now_ns ? r->wire.now_ns(r->wire.arg) : clock_mono_ns();
}

static struct relay_stream *find(struct relay *r, const char *name)
{
    struct relay_stream *s;
    TAILQ_FOREACH (s, &r->streams, entry)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

static struct inlet_session *session_of(const struct relay_stream *s)
{
    return inlet_find(s->relay->inlet, s->name);
}

static struct outlet_stream *below(const struct relay_stream *s)
{
    return outlet_stream_find(s->relay->outlet, s->name);
}

static void forget_tracks(struct relay_stream *s)
{
    for (unsigned i = 0; i < s->ntracks; i++)
        link_format_unref(&s->tracks[i].format);
    s->ntracks = 0;
}

/* The stage throws away all it holds of the stream. */
static void drop(struct relay_stream *s)
{
    if (s->begun)
        s->relay->ops.drop(s->relay->arg, s, s->user);
    s->begun = false;
    s->user = NULL;
}

static void forget(struct relay_stream *s)
{
    struct outlet_stream *o = below(s);
    drop(s);
    outlet_stream_remove(s->relay->outlet, &o);
    TAILQ_REMOVE(&s->relay->streams, s, entry);
    forget_tracks(s);
    free(s);
}

/* What goes up: downstream's positions, with the smaller of its credit and this stage's own (rule
 * 11). */
static struct link_positions upward(const struct relay_stream *s, const struct link_positions *at)
{
    struct link_positions up = *at;
    for (unsigned i = 0; i < s->ntracks; i++) {
        unsigned k = s->tracks[i].track - 1u;
        uint64_t own = s->relay->credit ? s->relay->credit(s->tracks[i].format) : 0;
        if (own && own < up.credit[k])
            up.credit[k] = own;
    }
    return up;
}

/* ---- from above ---- */

static void on_open(void *arg, struct inlet_session *session, const struct link_msg *msg)
{
    struct relay *r = arg;
    struct relay_stream *s = find(r, msg->stream);

    (void)session;
    if (s) {
        drop(s);
        forget_tracks(s);
    } else {
        s = xcalloc(1, sizeof *s);
        s->relay = r;
        strcpy(s->name, msg->stream);
        TAILQ_INSERT_TAIL(&r->streams, s, entry);
    }
    s->vector = msg->vector;
    s->ntracks = msg->open.ntracks;
    for (unsigned i = 0; i < s->ntracks; i++) {
        s->tracks[i] = msg->open.tracks[i];
        link_format_ref(s->tracks[i].format);
    }
    outlet_relay_open(r->outlet, s->name, &msg->vector, s->tracks, s->ntracks, now_ns(r));
}

static int on_item(void *arg, struct inlet_session *session, struct link_item *item)
{
    struct relay *r = arg;
    struct relay_stream *s = find(r, inlet_session_stream(session));

    if (!s || !s->begun) { /* cannot be: items come after Resume, and Resume after begin */
        link_item_fini(item);
        return -1;
    }
    r->ops.item(r->arg, s, s->user, item);
    return 0;
}

static void on_ended(void *arg, struct inlet_session *session)
{
    struct relay *r = arg;
    struct relay_stream *s = find(r, inlet_session_stream(session));
    if (s && s->begun)
        r->ops.ended(r->arg, s, s->user);
}

static void on_moved(void *arg, struct inlet_session *session)
{
    struct relay_stream *s = find(arg, inlet_session_stream(session));
    if (s)
        forget(s);
}

/* ---- from below ---- */

static void on_resumed(void *arg, struct outlet_stream *o, const struct link_positions *at)
{
    struct relay *r = arg;
    struct relay_stream *s = find(r, outlet_stream_name(o));
    struct inlet_session *session = s ? session_of(s) : NULL;

    if (!session)
        return;
    struct link_positions up = upward(s, at);
    struct link_vector v = inlet_session_vector(session);
    if (s->begun) { /* downstream came back: the outlet sends again, upstream need not know */
        inlet_ack(r->inlet, session, &up);
        return;
    }
    if (link_vector_cmp(&v, &s->vector) != 0)
        return;
    r->ops.begin(r->arg, s, s->tracks, s->ntracks, at, &s->user);
    s->begun = true;
    inlet_resume(r->inlet, session, &up);
}

static void on_acked(void *arg, struct outlet_stream *o, const struct link_positions *at)
{
    struct relay *r = arg;
    struct relay_stream *s = find(r, outlet_stream_name(o));
    struct inlet_session *session = s && s->begun ? session_of(s) : NULL;

    if (!session)
        return;
    struct link_positions up = upward(s, at);
    inlet_ack(r->inlet, session, &up);
    inlet_flush_urgent(r->inlet);
}

static void on_behind(void *arg, struct outlet_stream *o)
{
    struct relay_stream *s = find(arg, outlet_stream_name(o));
    log_warn("relay.behind",
             "stream=%s cause=\"the log wants what it had acked: it lost data\" effect=\"asked "
             "again from above\"",
             outlet_stream_name(o));
    if (s)
        relay_break(s);
}

static void on_fenced(void *arg, struct outlet_stream *o, const struct link_vector *greatest,
                      bool stopped)
{
    struct relay *r = arg;
    struct relay_stream *s = find(r, outlet_stream_name(o));
    struct inlet_session *session = s ? session_of(s) : NULL;

    (void)stopped;
    if (!s)
        return;
    char text[LINK_VECTOR_MAX * 21];
    log_info("relay.fenced", "stream=%s by=%s", s->name, link_vector_str(greatest, text));
    if (session)
        inlet_fence(r->inlet, session, greatest);
    forget(s);
}

/* ---- the stage's side ---- */

static const struct inlet_ops inlet_ops = {
    .open = on_open, .item = on_item, .ended = on_ended, .moved = on_moved};
static const struct outlet_ops outlet_ops = {
    .resumed = on_resumed, .acked = on_acked, .behind = on_behind, .fenced = on_fenced};

static struct relay *relay_new(const struct relay_conf *conf, const struct relay_ops *ops,
                               void *arg)
{
    struct relay *r = xcalloc(1, sizeof *r);
    r->ops = *ops;
    r->arg = arg;
    r->credit = conf->credit;
    TAILQ_INIT(&r->streams);
    return r;
}

int relay_create(struct event_base *base, const struct relay_conf *conf,
                 const struct relay_ops *ops, void *arg, struct relay **out)
{
    struct relay *r = relay_new(conf, ops, arg);
    int err =
        link_server_create(base, conf->listen, conf->link, conf->sticky ? LINK_STICKY : LINK_RELAY,
                           &outlet_ops, r, &r->server);
    if (!err) {
        r->outlet = link_server_outlet(r->server);
        err = link_client_create(base, conf->connect, conf->link, conf->instance, &inlet_ops, r,
                                 &r->client);
    }
    if (err) {
        relay_destroy(&r, false);
        return err;
    }
    r->inlet = link_client_inlet(r->client);
    *out = r;
    return 0;
}

struct relay *relay_create_wired(const struct relay_conf *conf, const struct relay_wire *wire,
                                 const struct relay_ops *ops, void *arg)
{
    struct relay *r = relay_new(conf, ops, arg);
    struct inlet_conf ic = {.heartbeat_ns = conf->link->heartbeat_ms * NS_PER_MS,
                            .incarnation = wire->incarnation};
    struct outlet_conf oc = {.heartbeat_ns = conf->link->heartbeat_ms * NS_PER_MS,
                             .silence_ns = conf->link->silence_ms * NS_PER_MS,
                             .sticky = conf->sticky,
                             .incarnation = wire->incarnation};
    struct inlet_ops up = inlet_ops;
    struct outlet_ops down = outlet_ops;

    snprintf(ic.instance, sizeof ic.instance, "%s", conf->instance);
    r->wire = *wire;
    up.send = wire->send_up;
    down.send = wire->send_down;
    up.send_arg = down.send_arg = wire->arg;
    r->inlet = inlet_create(&ic, &up, r);
    r->outlet = outlet_create(&oc, &down, r);
    return r;
}

void relay_destroy(struct relay **relay, bool drain_links)
{
    struct relay *r = *relay;
    *relay = NULL;
    if (!r)
        return;
    for (struct relay_stream *s; (s = TAILQ_FIRST(&r->streams));)
        forget(s);
    if (r->wire.now_ns) {
        inlet_destroy(&r->inlet);
        outlet_destroy(&r->outlet);
    }
    link_client_destroy(&r->client, drain_links);
    link_server_destroy(&r->server, drain_links);
    free(r);
}

struct inlet *relay_inlet(struct relay *r)
{
    return r->inlet;
}

struct outlet *relay_outlet(struct relay *r)
{
    return r->outlet;
}

int relay_put(struct relay_stream *s, struct link_item *item)
{
    struct outlet_stream *o = below(s);
    int r = -EPROTO;

    if (o)
        r = outlet_put(s->relay->outlet, o, item, now_ns(s->relay));
    else
        link_item_fini(item);
    if (r < 0) {
        log_error("relay.number",
                  "stream=%s cause=\"an item out of order\" effect=\"asked again from above\"",
                  s->name);
        relay_break(s);
    }
    return r;
}

void relay_end(struct relay_stream *s)
{
    struct outlet_stream *o = below(s);
    if (o)
        outlet_end(s->relay->outlet, o, now_ns(s->relay));
}

void relay_break(struct relay_stream *s)
{
    struct inlet_session *session = session_of(s);
    if (session)
        inlet_break(s->relay->inlet, session);
}

void relay_forget(struct relay_stream *s)
{
    forget(s);
}

const char *relay_stream_name(const struct relay_stream *s)
{
    return s->name;
}

uint64_t relay_stream_epoch(const struct relay_stream *s)
{
    return s->vector.n ? s->vector.v[0] : 0;
}

const struct link_vector *relay_stream_vector(const struct relay_stream *s)
{
    return &s->vector;
}

bool relay_stream_is_fed(const struct relay_stream *s)
{
    struct inlet_session *session = session_of(s);
    return session && inlet_session_is_open(session);
}

struct outlet_stats relay_stream_stats(const struct relay_stream *s)
{
    struct outlet_stream *o = below(s);
    return o ? outlet_stream_stats(o) : (struct outlet_stats){0};
}

uint64_t relay_refused(const struct relay *r)
{
    return r->server ? link_server_refused(r->server) + link_client_refused(r->client)
                     : outlet_refused(r->outlet) + inlet_refused(r->inlet);
}
