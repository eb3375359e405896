/* Sockets around the link's state machines: a ROUTER for an outlet, one DEALER per upstream address
 * for an inlet. Relies on libzmq (ZMQ_FD, edge-triggered: read until empty after any use) and
 * libevent. Leaves all rules to link_outlet.c and link_inlet.c; names are looked up in
 * common/resolve.c. */
#include "common/link_socket.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "common/clock.h"
#include "common/curve.h"
#include "common/link_wire.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/resolve.h"
#include "common/zmq_watch.h"

#define BATCH 256 /* messages read in one turn, so that timers and other sockets get theirs */
#define PEERS_MAX 1024
#define DRAIN_MS 100 /* a clean exit waits so long for its last words to leave */
#define ROUTING_ID_MAX 255
#define TRY_AGAIN_S 2 /* after a refused handshake, which ends ZeroMQ's own tries */

static void *ctx; /* one per process, as ZeroMQ wants it, while there are sockets */
static unsigned ctx_users;

static void *ctx_take(void)
{
    if (ctx_users++ == 0) {
        ctx = zmq_ctx_new();
        zmq_ctx_set(ctx, ZMQ_MAX_SOCKETS, 4096);
    }
    return ctx;
}

/* With the last socket: waits until last words have left (linger), so that exit cannot cut them
 * off. */
static void ctx_give(void)
{
    if (--ctx_users)
        return;
    while (zmq_ctx_term(ctx) < 0 && errno == EINTR)
        ;
    ctx = NULL;
}

static uint64_t random_u64(void)
{
    uint64_t x = 0;
    while (!x)
        if (getrandom(&x, sizeof x, 0) < 0)
            x = (uint64_t)clock_wall_ns() ^ (uint64_t)getpid() << 32;
    return x;
}

/* ---- one socket on the loop ---- */

struct zsock {
    void *zmq;
    struct event *readable, *again; /* ZMQ_FD; and a turn of our own after a send or a full batch */
};

static void set_int(void *zmq, int option, int value)
{
    zmq_setsockopt(zmq, option, &value, sizeof value);
}

static void zsock_open(struct zsock *z, struct event_base *base, int type, event_callback_fn cb,
                       void *arg)
{
    int fd = -1;
    size_t len = sizeof fd;
    int64_t max = LINK_PAYLOAD_MAX;

    z->zmq = zmq_socket(ctx_take(), type);
    /* No high-water mark: the credit bounds what is under way, and at a mark ZeroMQ drops or
     * blocks. */
    set_int(z->zmq, ZMQ_SNDHWM, 0);
    set_int(z->zmq, ZMQ_RCVHWM, 0);
    set_int(z->zmq, ZMQ_LINGER, 0);
    set_int(z->zmq, ZMQ_IPV6, 1);
    set_int(z->zmq, ZMQ_RECONNECT_IVL, 50);
    set_int(z->zmq, ZMQ_RECONNECT_IVL_MAX, 500);
    zmq_setsockopt(z->zmq, ZMQ_MAXMSGSIZE, &max, sizeof max);
    if (type == ZMQ_ROUTER)
        set_int(z->zmq, ZMQ_ROUTER_MANDATORY, 1);
    zmq_getsockopt(z->zmq, ZMQ_FD, &fd, &len);
    z->readable = event_new(base, fd, EV_READ | EV_PERSIST, cb, arg);
    z->again = event_new(base, -1, 0, cb, arg);
    event_add(z->readable, NULL);
}

static void zsock_close(struct zsock *z)
{
    if (z->readable)
        event_free(z->readable);
    if (z->again)
        event_free(z->again);
    if (z->zmq) {
        zmq_close(z->zmq);
        ctx_give();
    }
    *z = (struct zsock){0};
}

/* A send may have swallowed the edge of ZMQ_FD: look once more in the next loop turn. (A timer:
 * event_active would come round in this turn, and a peer that sends without end would let nobody
 * else have one.) */
static void zsock_again(struct zsock *z)
{
    static const struct timeval now;
    event_add(z->again, &now);
}

static void free_part(void *data, void *hint)
{
    struct blob *b = hint;
    (void)data;
    blob_unref(&b);
}

static int send_part(void *zmq, struct blob *b, int flags)
{
    zmq_msg_t part;
    zmq_msg_init_data(&part, (void *)b->data, b->len, free_part, blob_ref(b));
    int err;
    do { /* a signal must not leave half a message: what follows would become its rest */
        if (zmq_msg_send(&part, zmq, flags | ZMQ_DONTWAIT) >= 0)
            return 0;
        err = errno;
    } while (err == EINTR);
    zmq_msg_close(&part);
    return -err;
}

/* Sends header and, for a frame, its payload. On a ROUTER `id` goes first. */
static int zsock_send(struct zsock *z, const void *id, size_t id_len, const struct link_msg *msg)
{
    struct blob *header = link_wire_encode(msg);
    struct blob *payload = msg->type == LINK_FRAME ? msg->item.item.payload : NULL;
    int r = 0;

    while (id_len && (r = zmq_send(z->zmq, id, id_len, ZMQ_SNDMORE | ZMQ_DONTWAIT)) < 0 &&
           errno == EINTR)
        ;
    r = r < 0 ? -errno : 0;
    if (r == 0)
        r = send_part(z->zmq, header, payload ? ZMQ_SNDMORE : 0);
    if (r == 0 && payload)
        r = send_part(z->zmq, payload, 0);
    blob_unref(&header);
    zsock_again(z);
    return r;
}

static void close_part(void *arg)
{
    zmq_msg_close(arg);
    free(arg);
}

/* Takes the part over into a blob, without a copy. */
static struct blob *take_part(zmq_msg_t *part)
{
    zmq_msg_t *own = xmalloc(sizeof *own);
    zmq_msg_init(own);
    zmq_msg_move(own, part);
    return blob_wrap(zmq_msg_data(own), zmq_msg_size(own), close_part, own);
}

struct parts {
    uint8_t id[ROUTING_ID_MAX];
    size_t id_len;
    struct blob *header, *payload;
    bool too_many;
};

static void parts_fini(struct parts *p)
{
    blob_unref(&p->header);
    blob_unref(&p->payload);
}

/* Reads one whole multipart message. Returns 0 or -EAGAIN. */
static int zsock_receive(struct zsock *z, bool with_id, struct parts *p)
{
    zmq_msg_t part;
    int n = with_id ? -1 : 0, more = 1;

    *p = (struct parts){0};
    while (more) {
        zmq_msg_init(&part);
        int got;
        while ((got = zmq_msg_recv(&part, z->zmq, ZMQ_DONTWAIT)) < 0 && errno == EINTR)
            ;
        if (got < 0) {
            zmq_msg_close(&part);
            parts_fini(p);
            return -EAGAIN;
        }
        more = zmq_msg_more(&part);
        if (n == -1) {
            p->id_len = zmq_msg_size(&part) <= sizeof p->id ? zmq_msg_size(&part) : 0;
            memcpy(p->id, zmq_msg_data(&part), p->id_len);
        } else if (n == 0) {
            p->header = take_part(&part);
        } else if (n == 1) {
            p->payload = take_part(&part);
        } else {
            p->too_many = true;
        }
        zmq_msg_close(&part);
        n++;
    }
    return 0;
}

/* Decodes what was read; the payload's reference goes into a frame. Returns false after counting
 * and logging a refusal. */
static bool decode(struct parts *p, struct link_msg *msg, uint64_t *refused, const char *where)
{
    const char *why = "more than a header and a payload";

    if (!p->header)
        why = "no header";
    else if (!p->too_many &&
             link_wire_decode(p->header->data, p->header->len, p->payload, msg, &why) == 0) {
        if (msg->type == LINK_FRAME)
            p->payload = NULL;
        return true;
    }
    ++*refused;
    LOG_WARN_FEW("link.undecodable",
                 "on=%s bytes=%zu cause=\"%s\" effect=\"left out\" do=\"find who else connects "
                 "there; run stages of one release\"",
                 where, p->header ? p->header->len : 0, why);
    return false;
}

static struct event *start_tick(struct event_base *base, const struct conf_link *conf,
                                event_callback_fn cb, void *arg)
{
    struct event *ev = event_new(base, -1, EV_PERSIST, cb, arg);
    int64_t us = conf->heartbeat_ms * 1000 / 5;
    struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
    event_add(ev, &tv);
    return ev;
}

/* ---- outlet side ---- */

struct route {
    uint8_t id[ROUTING_ID_MAX];
    size_t len;
    uint64_t peer;
};

struct link_server {
    struct zsock sock;
    struct curve_guard *guard; /* NULL: no keys */
    struct outlet *outlet;
    struct event *tick;
    char *address;
    struct route *routes; /* ring of the newest PEERS_MAX; a peer that fell out is met anew by its
                             next message */
    unsigned nroutes, oldest;
    uint64_t next_peer, refused;
};

static struct route *route_of_peer(struct link_server *s, uint64_t peer)
{
    for (unsigned i = 0; i < s->nroutes; i++)
        if (s->routes[i].peer == peer)
            return &s->routes[i];
    return NULL;
}

static void forget_route(struct link_server *s, uint64_t peer)
{
    struct route *r = route_of_peer(s, peer);
    if (r)
        *r = s->routes[--s->nroutes];
}

static struct route *route_of_id(struct link_server *s, const uint8_t *id, size_t len)
{
    for (unsigned i = 0; i < s->nroutes; i++)
        if (s->routes[i].len == len && memcmp(s->routes[i].id, id, len) == 0)
            return &s->routes[i];
    if (s->nroutes == PEERS_MAX) {
        uint64_t old = s->routes[s->oldest++ % PEERS_MAX].peer;
        forget_route(s, old);
        outlet_peer_gone(s->outlet, old, clock_mono_ns()); /* may forget more of them */
    }
    struct route *r = &s->routes[s->nroutes++];
    memcpy(r->id, id, len);
    r->len = len;
    r->peer = ++s->next_peer;
    return r;
}

static int server_send(void *arg, uint64_t peer, const struct link_msg *msg)
{
    struct link_server *s = arg;
    struct route *r = route_of_peer(s, peer);

    if (!r)
        return -EHOSTUNREACH;
    int rc = zsock_send(&s->sock, r->id, r->len, msg);
    if (rc == -EHOSTUNREACH)
        forget_route(s, peer);
    else if (rc && rc != -EAGAIN)
        log_error("link.send", "address=%s error=%d", s->address, -rc);
    return rc && rc != -EHOSTUNREACH ? -EAGAIN : rc;
}

static void server_readable(evutil_socket_t fd, short what, void *arg)
{
    struct link_server *s = arg;
    struct parts p;
    struct link_msg msg;
    int n;
    (void)fd, (void)what;

    for (n = 0; n < BATCH && zsock_receive(&s->sock, true, &p) == 0; n++) {
        struct route *r = route_of_id(s, p.id, p.id_len);
        uint64_t peer = r->peer;
        if (decode(&p, &msg, &s->refused, s->address)) {
            outlet_receive(s->outlet, peer, &msg, clock_mono_ns());
            link_msg_fini(&msg);
        }
        parts_fini(&p);
    }
    if (n == BATCH)
        zsock_again(&s->sock);
}

static void server_tick(evutil_socket_t fd, short what, void *arg)
{
    struct link_server *s = arg;
    (void)fd, (void)what;
    outlet_tick(s->outlet, clock_mono_ns());
}

/* ZeroMQ takes the path of an ipc socket from whoever listens there: ask before. */
static bool ipc_taken(const char *address)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    if (strncmp(address, "ipc://", 6) != 0 || strlen(address + 6) >= sizeof sun.sun_path)
        return false;
    strcpy(sun.sun_path, address + 6);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool taken = fd >= 0 && (connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0 ||
                             errno == EAGAIN); /* its queue is full */
    struct ucred who;
    socklen_t len = sizeof who;
    if (taken && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.pid == getpid())
        taken = false; /* a socket of ours that ZeroMQ is still closing */
    if (fd >= 0)
        close(fd);
    return taken;
}

static int bind_socket(void *zmq, const char *address)
{
    bool taken = ipc_taken(address);
    if (!taken && zmq_bind(zmq, address) == 0)
        return 0;
    int err = taken ? EADDRINUSE : errno;
    log_error("link.bind",
              "address=%s cause=\"%s\" do=\"stop the process that has it, or give this stage "
              "another `listen`\"",
              address, zmq_strerror(err));
    return -err;
}

/* The keys of this end: the stage's own pair, and its neighbour's public one. */
static struct curve_conf keys_of(const struct conf_link *conf, int step)
{
    struct curve_conf k = {.dir = conf->keys, .self = conf->stage};
    if (k.dir && k.self)
        k.peer = conf_stage_beside(k.self, step);
    return k;
}

static int bind_with_keys(struct link_server *s, struct event_base *base, const char *address,
                          const struct conf_link *conf)
{
    struct curve_conf keys = keys_of(conf, 1);
    int r = 0;

    if (curve_applies(&keys, address)) {
        assert(keys.peer);
        ctx_take();
        r = curve_guard_create(base, ctx, s->sock.zmq, &keys, &s->guard);
        if (r < 0)
            ctx_give();
    }
    return r < 0 ? r : bind_socket(s->sock.zmq, address);
}

int link_server_create(struct event_base *base, const char *address, const struct conf_link *conf,
                       unsigned role, const struct outlet_ops *ops, void *arg,
                       struct link_server **out)
{
    struct link_server *s = xcalloc(1, sizeof *s);
    struct outlet_conf oc = {
        .heartbeat_ns = conf->heartbeat_ms * NS_PER_MS,
        .silence_ns = conf->silence_ms * NS_PER_MS,
        .source = role & LINK_SOURCE,
        .sticky = role & LINK_STICKY,
        .incarnation = random_u64(),
    };
    struct outlet_ops own = *ops;

    own.send = server_send;
    own.send_arg = s;
    s->address = xstrdup(address);
    s->routes = xcalloc(PEERS_MAX, sizeof *s->routes);
    zsock_open(&s->sock, base, ZMQ_ROUTER, server_readable, s);
    int r = bind_with_keys(s, base, address, conf);
    if (r < 0) {
        link_server_destroy(&s, false);
        return r;
    }
    s->outlet = outlet_create(&oc, &own, arg);
    s->tick = start_tick(base, conf, server_tick, s);
    zsock_again(&s->sock);
    *out = s;
    return 0;
}

struct outlet *link_server_outlet(struct link_server *s)
{
    return s->outlet;
}

uint64_t link_server_refused(const struct link_server *s)
{
    return s->refused + outlet_refused(s->outlet);
}

void link_server_destroy(struct link_server **server, bool drain)
{
    struct link_server *s = *server;
    *server = NULL;
    if (!s)
        return;
    if (drain)
        set_int(s->sock.zmq, ZMQ_LINGER, DRAIN_MS);
    if (s->tick)
        event_free(s->tick);
    outlet_destroy(&s->outlet);
    if (s->guard) {
        curve_guard_destroy(&s->guard);
        ctx_give();
    }
    zsock_close(&s->sock);
    free(s->routes);
    free(s->address);
    free(s);
}

/* ---- inlet side ---- */

struct dealer {
    struct link_client *client;
    unsigned link;
    char *address; /* NULL: slot not used */
    struct zsock sock;
    struct zmq_watch *watch; /* tells of reconnects */
    struct event *retry;
    bool keys, up;
};

#define DEALERS_MAX 128

struct link_client {
    struct event_base *base;
    struct inlet *inlet;
    struct dealer *dealers[DEALERS_MAX];
    struct resolve *resolve;
    struct conf_link conf;
    struct event *tick, *flush;
    uint64_t refused;
};

static void client_send(void *arg, unsigned link, const struct link_msg *msg)
{
    struct link_client *c = arg;
    struct dealer *d = link < DEALERS_MAX ? c->dealers[link] : NULL;
    int r;

    if (d && (r = zsock_send(&d->sock, NULL, 0, msg)) < 0 && r != -EAGAIN)
        log_error("link.send", "address=%s error=%d", d->address, -r);
}

static void client_readable(evutil_socket_t fd, short what, void *arg)
{
    struct dealer *d = arg;
    struct link_client *c = d->client;
    struct parts p;
    struct link_msg msg;
    int n;
    (void)fd, (void)what;

    for (n = 0; n < BATCH && zsock_receive(&d->sock, false, &p) == 0; n++) {
        if (decode(&p, &msg, &c->refused, d->address)) {
            inlet_receive(c->inlet, d->link, &msg, clock_mono_ns());
            link_msg_fini(&msg);
        }
        parts_fini(&p);
    }
    if (n == BATCH)
        zsock_again(&d->sock);
    event_active(c->flush, 0, 0); /* after the stage had its turn */
}

/* A refused handshake ends ZeroMQ's own tries to connect, but keys can be put right. */
static void dealer_retry(evutil_socket_t fd, short what, void *arg)
{
    struct dealer *d = arg;
    (void)fd, (void)what;
    zmq_disconnect(d->sock.zmq, d->address);
    if (zmq_connect(d->sock.zmq, d->address) < 0)
        log_error("link.connect", "address=%s cause=\"%s\"", d->address, zmq_strerror(errno));
}

static void on_connection(void *arg, unsigned event, int value)
{
    static const struct timeval soon = {.tv_sec = TRY_AGAIN_S};
    struct dealer *d = arg;

    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        log_info("link.connected", "to=%s%s", d->address, d->keys ? " keys=yes" : "");
        d->up = true;
        inlet_link_up(d->client->inlet, d->link, clock_mono_ns());
    } else if (event == ZMQ_EVENT_DISCONNECTED) {
        if (d->up)
            log_info("link.disconnected", "from=%s", d->address);
        d->up = false;
        inlet_link_down(d->client->inlet, d->link); /* else heartbeats would pile up in there */
    } else {
        if (d->keys || event != ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
            curve_log_failure(d->address, event, value, d->keys);
        event_add(d->retry, &soon);
    }
}

static int connect_dealer(struct dealer *d)
{
    struct curve_conf keys = keys_of(&d->client->conf, -1);

    d->keys = curve_applies(&keys, d->address);
    assert(!d->keys || keys.peer);
    int r = d->keys ? curve_connect(d->sock.zmq, &keys) : 0;
    if (r < 0)
        return r;
    r = zmq_watch_create(d->client->base, ctx, d->sock.zmq,
                         ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_WATCH_FAILED,
                         on_connection, d, &d->watch);
    if (r < 0)
        log_error("link.monitor", "address=%s cause=\"%s\"", d->address, zmq_strerror(-r));
    if (zmq_connect(d->sock.zmq, d->address) < 0)
        log_error("link.connect", "address=%s cause=\"%s\"", d->address, zmq_strerror(errno));
    return 0;
}

static void open_dealer(struct link_client *c, unsigned link, const char *address)
{
    struct dealer *d = xcalloc(1, sizeof *d);

    d->client = c;
    d->link = link;
    d->address = xstrdup(address);
    c->dealers[link] = d;
    zsock_open(&d->sock, c->base, ZMQ_DEALER, client_readable, d);
    d->retry = event_new(c->base, -1, 0, dealer_retry, d);
    connect_dealer(d);
}

static void close_dealer(struct link_client *c, unsigned link, bool drain)
{
    struct dealer *d = c->dealers[link];

    c->dealers[link] = NULL;
    inlet_link_down(c->inlet, link);
    if (drain)
        set_int(d->sock.zmq, ZMQ_LINGER, DRAIN_MS);
    event_free(d->retry);
    zmq_watch_destroy(&d->watch);
    zsock_close(&d->sock);
    free(d->address);
    free(d);
}

static void add_address(struct link_client *c, const char *address)
{
    for (unsigned i = 0; i < DEALERS_MAX; i++)
        if (c->dealers[i] && strcmp(c->dealers[i]->address, address) == 0)
            return;
    for (unsigned i = 0; i < DEALERS_MAX; i++) {
        if (c->dealers[i])
            continue;
        open_dealer(c, i, address);
        return;
    }
    log_warn("link.too_many", "address=%s cause=\"more than %d upstream addresses\"", address,
             DEALERS_MAX);
}

/* The set of upstream addresses was looked up: connect to new ones, leave those that are gone. */
static void client_resolved(void *arg, char *const *addresses, unsigned n)
{
    struct link_client *c = arg;

    for (unsigned i = 0; i < DEALERS_MAX; i++) {
        bool still = false;
        for (unsigned k = 0; c->dealers[i] && k < n; k++)
            still = still || strcmp(c->dealers[i]->address, addresses[k]) == 0;
        if (c->dealers[i] && !still)
            close_dealer(c, i, false);
    }
    for (unsigned k = 0; k < n; k++)
        add_address(c, addresses[k]);
}

static void client_tick(evutil_socket_t fd, short what, void *arg)
{
    struct link_client *c = arg;
    (void)fd, (void)what;
    inlet_tick(c->inlet, clock_mono_ns());
}

static void client_flush(evutil_socket_t fd, short what, void *arg)
{
    struct link_client *c = arg;
    (void)fd, (void)what;
    inlet_flush_urgent(c->inlet);
}

int link_client_create(struct event_base *base, const char *address, const struct conf_link *conf,
                       const char *instance, const struct inlet_ops *ops, void *arg,
                       struct link_client **out)
{
    struct link_client *c = xcalloc(1, sizeof *c);
    struct inlet_conf ic = {.heartbeat_ns = conf->heartbeat_ms * NS_PER_MS,
                            .incarnation = random_u64()};
    struct inlet_ops own = *ops;

    own.send = client_send;
    own.send_arg = c;
    snprintf(ic.instance, sizeof ic.instance, "%s", instance);
    c->base = base;
    c->conf = *conf;
    c->inlet = inlet_create(&ic, &own, arg);
    c->flush = event_new(base, -1, 0, client_flush, c);
    c->tick = start_tick(base, conf, client_tick, c);
    int r = resolve_create(base, address, conf->resolve_ms, client_resolved, c, &c->resolve);
    if (r < 0) {
        link_client_destroy(&c, false);
        return r;
    }
    *out = c;
    return 0;
}

struct inlet *link_client_inlet(struct link_client *c)
{
    return c->inlet;
}

uint64_t link_client_refused(const struct link_client *c)
{
    return c->refused + inlet_refused(c->inlet);
}

void link_client_destroy(struct link_client **client, bool drain)
{
    struct link_client *c = *client;
    *client = NULL;
    if (!c)
        return;
    resolve_destroy(&c->resolve);
    if (drain)
        inlet_drain(c->inlet);
    for (unsigned i = 0; i < DEALERS_MAX; i++)
        if (c->dealers[i])
            close_dealer(c, i, drain);
    event_free(c->tick);
    event_free(c->flush);
    inlet_destroy(&c->inlet);
    free(c);
}
