/* Encrypted links: who may connect to a serving socket, and connecting with keys.
 * Relies on libzmq: its I/O thread asks inproc://zeromq.zap.01 about each key and waits without
 * blocking; one REP socket on the loop answers for all guards. Leaves files to curve_keys.c. */
#include "common/curve.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <zmq.h>

#include "common/clock.h"
#include "common/curve_keys.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/zmq_watch.h"

#define ZAP_ADDRESS "inproc://zeromq.zap.01"
#define ZAP_PARTS 7 /* version, request, domain, address, identity, mechanism, key */
#define ZAP_PART_MAX 256
#define RING_AGE_NS NS_PER_S /* files are looked at anew, at most so often */
#define HANDSHAKES_MAX 64    /* connections whose address is remembered until they are settled */

struct handshake {
    int fd;
    char from[64];
};

struct curve_guard {
    LIST_ENTRY(curve_guard) entry;
    char domain[16];
    char *dir, *role, *self;
    uint8_t own[CURVE_KEY_BYTES]; /* a process may report to itself */
    struct curve_ring ring;
    int64_t ring_ns;
    struct zmq_watch *watch;
    struct handshake handshakes[HANDSHAKES_MAX];
    unsigned next;
    unsigned failed; /* the event that the disconnect after it belongs to; 0 none */
    int failed_value;
};

/* The process's answering socket, while there are guards. */
static struct {
    LIST_HEAD(, curve_guard) guards;
    void *ctx, *rep;
    struct event *readable, *again;
} zap;

/* An IPv4 address as people know it: the sockets are of IPv6. */
static const char *shown(const char *host)
{
    return strncmp(host, "::ffff:", 7) == 0 ? host + 7 : host;
}

/* ---- questions about keys ---- */

struct request {
    char parts[ZAP_PARTS][ZAP_PART_MAX + 1];
    size_t len[ZAP_PARTS];
    int count;
    bool too_long;
};

static bool receive(struct request *q)
{
    int more = 1;
    *q = (struct request){0};
    while (more) {
        zmq_msg_t msg;
        zmq_msg_init(&msg);
        int got = zmq_msg_recv(&msg, zap.rep, ZMQ_DONTWAIT);
        more = got >= 0 && zmq_msg_more(&msg);
        if (got > ZAP_PART_MAX || q->count >= ZAP_PARTS) {
            q->too_long = true;
        } else if (got >= 0) {
            memcpy(q->parts[q->count], zmq_msg_data(&msg), (size_t)got);
            q->len[q->count++] = (size_t)got;
        }
        zmq_msg_close(&msg);
        if (got < 0)
            return false;
    }
    return true;
}

static void answer(const struct request *q, bool yes, const char *name)
{
    zmq_send(zap.rep, "1.0", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(zap.rep, q->parts[1], q->len[1], ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(zap.rep, yes ? "200" : "400", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(zap.rep, yes ? "OK" : "unknown key", yes ? 2 : 11, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(zap.rep, name, strlen(name), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(zap.rep, "", 0, ZMQ_DONTWAIT);
}

static struct curve_guard *guard_of(const char *domain)
{
    struct curve_guard *g;
    LIST_FOREACH (g, &zap.guards, entry)
        if (strcmp(g->domain, domain) == 0)
            return g;
    return NULL;
}

static void refresh(struct curve_guard *g, int64_t now)
{
    if (g->ring_ns && now - g->ring_ns < RING_AGE_NS)
        return;
    g->ring_ns = now;
    int r = curve_keys_ring(g->dir, g->role, &g->ring);
    if (r < 0)
        LOG_WARN_FEW("link.keys", "dir=%s cause=\"%s\" effect=\"the keys read before count\"",
                     g->dir, strerror(-r));
}

static void decide(const struct request *q)
{
    struct curve_guard *g = q->count > 2 ? guard_of(q->parts[2]) : NULL;
    bool whole = !q->too_long && q->count == ZAP_PARTS && strcmp(q->parts[0], "1.0") == 0 &&
                 strcmp(q->parts[5], "CURVE") == 0 && q->len[6] == CURVE_KEY_BYTES;
    const char *name = NULL;
    char text[CURVE_TEXT_SIZE] = "";

    if (g && whole) {
        refresh(g, clock_mono_ns());
        name = memcmp(q->parts[6], g->own, sizeof g->own) == 0
                   ? g->self
                   : curve_ring_find(&g->ring, (const uint8_t *)q->parts[6]);
        zmq_z85_encode(text, (const uint8_t *)q->parts[6], CURVE_KEY_BYTES);
    }
    if (name)
        log_info("link.key_accepted", "from=%s key=%s", shown(q->parts[3]), name);
    else
        LOG_WARN_FEW("link.key_refused",
                     "from=%s public_key=\"%s\" cause=\"no %s*.pub in %s holds this key\" do=\"if "
                     "it is one of yours put its .pub there, else find out who connects\"",
                     shown(q->parts[3]), text, g && g->role ? g->role : "", g ? g->dir : "?");
    answer(q, name != NULL, name ? name : "");
}

static void on_question(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval now;
    struct request q;
    (void)fd, (void)what, (void)arg;
    while (receive(&q)) {
        decide(&q);
        event_add(zap.again, &now); /* the sends may have swallowed the edge */
    }
}

static int zap_open(struct event_base *base, void *ctx)
{
    int fd = -1;
    size_t len = sizeof fd;
    int none = 0;

    assert(!zap.rep || zap.ctx == ctx);
    if (zap.rep)
        return 0;
    zap.ctx = ctx;
    zap.rep = zmq_socket(ctx, ZMQ_REP);
    if (!zap.rep)
        return -errno;
    zmq_setsockopt(zap.rep, ZMQ_LINGER, &none, sizeof none);
    zmq_getsockopt(zap.rep, ZMQ_FD, &fd, &len);
    zap.readable = event_new(base, fd, EV_READ | EV_PERSIST, on_question, NULL);
    zap.again = event_new(base, -1, 0, on_question, NULL);
    event_add(zap.readable, NULL);
    return zmq_bind(zap.rep, ZAP_ADDRESS) < 0 ? -errno : 0;
}

static void zap_close(void)
{
    if (!LIST_EMPTY(&zap.guards) || !zap.rep)
        return;
    event_free(zap.readable);
    event_free(zap.again);
    zmq_close(zap.rep);
    zap.rep = zap.ctx = NULL;
}

/* ---- connections that come to nothing before there is a key to ask about ---- */

static void remember(struct curve_guard *g, int fd)
{
    struct handshake *h = &g->handshakes[g->next++ % HANDSHAKES_MAX];
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    char host[48], port[8];

    h->fd = fd;
    snprintf(h->from, sizeof h->from, "unknown");
    if (getpeername(fd, (struct sockaddr *)&a, &len) == 0 &&
        getnameinfo((struct sockaddr *)&a, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(h->from, sizeof h->from, "%s:%s", shown(host), port);
}

static const char *remembered(struct curve_guard *g, int fd)
{
    for (unsigned i = 1; i <= HANDSHAKES_MAX; i++) { /* the newest first: numbers are used again */
        struct handshake *h = &g->handshakes[(g->next - i) % HANDSHAKES_MAX];
        if (h->from[0] && h->fd == fd)
            return h->from;
    }
    return "unknown";
}

static void log_refused(struct curve_guard *g, int fd)
{
    const char *cause = "it is no peer that speaks ZeroMQ with keys, or left in the middle";
    if (g->failed == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        return; /* said when it was asked */
    if (g->failed_value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
        cause = "it speaks without keys (plaintext)";
    else if (g->failed_value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC)
        cause = "it does not know this stage's public key";
    LOG_WARN_FEW("link.peer_refused",
                 "from=%s cause=\"%s\" do=\"give it `link.keys` with the .pub files of %s, or find "
                 "out who connects\"",
                 remembered(g, fd), cause, g->dir);
}

/* The I/O thread tells of a failure and of the disconnect after it one behind the other; only the
 * second says of which connection. */
static void on_connection(void *arg, unsigned event, int value)
{
    struct curve_guard *g = arg;

    if (event == ZMQ_EVENT_ACCEPTED) {
        remember(g, value);
    } else if (event & ZMQ_WATCH_FAILED) {
        g->failed = event;
        g->failed_value = event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ? value : 0;
    } else if (event == ZMQ_EVENT_DISCONNECTED && g->failed) {
        log_refused(g, value);
        g->failed = 0;
    }
}

/* ---- sockets ---- */

bool curve_applies(const struct curve_conf *conf, const char *address)
{
    return conf->dir && strncmp(address, "tcp://", 6) == 0;
}

static int set_key(void *socket, int option, const char *text)
{
    return zmq_setsockopt(socket, option, text, CURVE_TEXT_SIZE) < 0 ? -errno : 0;
}

static int serve_with(void *socket, const struct curve_conf *conf, struct curve_guard *g)
{
    struct curve_pair own;
    int one = 1, r = curve_keys_pair(conf->dir, conf->self, &own);
    if (r == 0)
        zmq_z85_decode(g->own, own.public);
    if (r == 0 && zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &one, sizeof one) < 0)
        r = -errno;
    if (r == 0)
        r = set_key(socket, ZMQ_CURVE_SECRETKEY, own.secret);
    if (r == 0 && zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, g->domain, strlen(g->domain)) < 0)
        r = -errno;
    explicit_bzero(&own, sizeof own);
    return r;
}

int curve_guard_create(struct event_base *base, void *ctx, void *socket,
                       const struct curve_conf *conf, struct curve_guard **out)
{
    static unsigned guards;
    struct curve_guard *g = xcalloc(1, sizeof *g);

    snprintf(g->domain, sizeof g->domain, "kvpipe-%u", ++guards);
    g->dir = xstrdup(conf->dir);
    g->role = xstrdup(conf->peer);
    g->self = xstrdup(conf->self);
    LIST_INSERT_HEAD(&zap.guards, g, entry);
    int r = serve_with(socket, conf, g);
    if (r == 0)
        r = zap_open(base, ctx);
    if (r == 0)
        r = zmq_watch_create(base, ctx, socket,
                             ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_WATCH_FAILED,
                             on_connection, g, &g->watch);
    if (r < 0) {
        curve_guard_destroy(&g);
        return r;
    }
    *out = g;
    return 0;
}

void curve_guard_destroy(struct curve_guard **guard)
{
    struct curve_guard *g = *guard;
    *guard = NULL;
    if (!g)
        return;
    zmq_watch_destroy(&g->watch);
    LIST_REMOVE(g, entry);
    zap_close();
    curve_ring_fini(&g->ring);
    free(g->dir);
    free(g->role);
    free(g->self);
    free(g);
}

int curve_connect(void *socket, const struct curve_conf *conf)
{
    struct curve_pair own;
    char server[CURVE_TEXT_SIZE];
    int r = curve_keys_pair(conf->dir, conf->self, &own);
    if (r == 0 && strcmp(conf->self, conf->peer) == 0) /* a process that reports to itself */
        memcpy(server, own.public, sizeof server);
    else if (r == 0)
        r = curve_keys_public(conf->dir, conf->peer, server);
    if (r == 0)
        r = set_key(socket, ZMQ_CURVE_SERVERKEY, server);
    if (r == 0)
        r = set_key(socket, ZMQ_CURVE_PUBLICKEY, own.public);
    if (r == 0)
        r = set_key(socket, ZMQ_CURVE_SECRETKEY, own.secret);
    explicit_bzero(&own, sizeof own);
    return r;
}

void curve_log_failure(const char *address, unsigned event, int value, bool with_keys)
{
    const char *cause = "the handshake came to nothing";
    const char *what = "see the other side's log";

    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
        cause = "the other side does not know this stage's key";
        what = "put this stage's .pub into the other side's `link.keys` folder";
    } else if (value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH && with_keys) {
        cause = "the other side speaks without keys (plaintext)";
        what = "give it `link.keys`, too";
    } else if (value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH) {
        cause = "the other side wants keys";
        what = "set `link.keys` here, too";
    } else if (with_keys) {
        cause = "the other side closed it: it may have another key than the .pub here says";
        what = "compare the .pub of the stage above with the one where it runs";
    }
    LOG_WARN_FEW("link.handshake", "to=%s cause=\"%s\" do=\"%s\"", address, cause, what);
}
