/* The listening side of the HTTP server: addresses, accepting, the connection limit, TLS.
 * Relies on libevent's listener and OpenSSL.
 * Leaves what happens on a connection to http.c. */
#include "server/http.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/http_private.h"

struct http_server {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *again; /* accepting resumes after a lack of descriptors */
    struct http_limits limits;
    http_request_fn fn;
    void *arg;
    SSL_CTX *tls;
    uint16_t port;
    unsigned nconns;
    int64_t last_full_ns;
    TAILQ_HEAD(, http_conn) conns;
};

static void fill_limits(struct http_limits *l)
{
    if (!l->head_bytes)
        l->head_bytes = 16384;
    if (!l->unsent_bytes)
        l->unsent_bytes = 8u << 20;
    if (!l->headers || l->headers > HTTP_HEADERS_MAX)
        l->headers = HTTP_HEADERS_MAX;
    if (!l->connections)
        l->connections = 1024;
    if (!l->head_timeout_ms)
        l->head_timeout_ms = 10000;
    if (!l->body_timeout_ms)
        l->body_timeout_ms = 30000;
    if (!l->idle_timeout_ms)
        l->idle_timeout_ms = 60000;
    if (!l->send_timeout_ms)
        l->send_timeout_ms = 30000;
}

static void accept_again(evutil_socket_t fd, short what, void *arg)
{
    struct http_server *srv = arg;
    if (srv->listener)
        evconnlistener_enable(srv->listener);
}

struct http_server *http_server_new(struct event_base *base, const struct http_limits *limits,
                                    http_request_fn fn, void *arg)
{
    struct http_server *srv = xcalloc(1, sizeof *srv);
    srv->base = base;
    if (limits)
        srv->limits = *limits;
    fill_limits(&srv->limits);
    srv->fn = fn;
    srv->arg = arg;
    srv->again = evtimer_new(base, accept_again, srv);
    TAILQ_INIT(&srv->conns);
    return srv;
}

int http_server_tls(struct http_server *srv, const char *cert_file, const char *key_file)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    const char *bad = NULL;
    if (!ctx)
        return -ENOMEM;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
        bad = cert_file;
    else if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(ctx) != 1)
        bad = key_file;
    if (bad) {
        char text[160];
        ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
        log_error("http.tls", "file=%s error=\"%s\" expected=\"PEM certificate chain and its key\"",
                  bad, text);
        ERR_clear_error();
        SSL_CTX_free(ctx);
        return -EINVAL;
    }
    srv->tls = ctx;
    return 0;
}

/* The handshake goes on whatever is shown; the result stays with the session. */
static int keep_result(int ok, X509_STORE_CTX *store)
{
    return 1;
}

int http_server_client_ca(struct http_server *srv, const char *ca_file)
{
    static const unsigned char context[] = "kvpipe-server";
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca_file);
    if (!names || SSL_CTX_load_verify_locations(srv->tls, ca_file, NULL) != 1) {
        log_error("http.tls",
                  "file=%s error=\"no certificate in it\" expected=\"PEM certificates\"", ca_file);
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        ERR_clear_error();
        return -EINVAL;
    }
    SSL_CTX_set_client_CA_list(srv->tls, names);
    SSL_CTX_set_verify(srv->tls, SSL_VERIFY_PEER, keep_result);
    SSL_CTX_set_session_id_context(srv->tls, context, sizeof context - 1);
    return 0;
}

int http_client_certificate(const struct http_exchange *ex, struct http_certificate *out)
{
    SSL *ssl = ex->tls ? bufferevent_openssl_get_ssl(http_conn_bev(ex)) : NULL;
    X509 *x = ssl ? SSL_get0_peer_certificate(ssl) : NULL;
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!x)
        return -ENOENT;
    *out = (struct http_certificate){.invalid = NULL};
    long result = SSL_get_verify_result(ssl);
    if (result != X509_V_OK)
        out->invalid = X509_verify_cert_error_string(result);
    X509_NAME *subject = X509_get_subject_name(x);
    int n = X509_NAME_get_text_by_NID(subject, NID_commonName, NULL, 0);
    if (n > 0 && (size_t)n < sizeof out->name)
        X509_NAME_get_text_by_NID(subject, NID_commonName, out->name, sizeof out->name);
    if (strlen(out->name) != (size_t)(n > 0 ? n : 0))
        out->name[0] = '\0'; /* too long, or a NUL inside */
    X509_digest(x, EVP_sha256(), md, &len);
    for (unsigned i = 0; i < len && i < 32; i++)
        snprintf(out->id + 2 * i, 3, "%02x", md[i]);
    return 0;
}

static void name_peer(struct http_conn *c, const struct sockaddr *sa, int len)
{
    char host[64] = "?", port[8] = "0";
    getnameinfo(sa, (socklen_t)len, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(c->peer, sizeof c->peer, sa->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static struct bufferevent *make_bev(struct http_server *srv, evutil_socket_t fd)
{
    int flags = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
    if (!srv->tls)
        return bufferevent_socket_new(srv->base, fd, flags);
    SSL *ssl = SSL_new(srv->tls);
    if (!ssl)
        return NULL;
    struct bufferevent *bev =
        bufferevent_openssl_socket_new(srv->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, flags);
    if (bev)
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

static void refuse_full(struct http_server *srv, evutil_socket_t fd)
{
    static const char busy[] =
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    if (!srv->tls)
        (void)!send(fd, busy, sizeof busy - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    evutil_closesocket(fd);
}

static void say_full(struct http_server *srv)
{
    int64_t now = clock_mono_ns();
    if (srv->last_full_ns && now - srv->last_full_ns < 10 * NS_PER_S)
        return;
    srv->last_full_ns = now;
    log_warn("http.full", "connections=%u limit=%u", srv->nconns, srv->limits.connections);
}

/* Whether nothing is lost with it: no request is under way, or only its beginning has come. */
static bool can_go(const struct http_conn *c)
{
    return !c->closing && (!c->in_exchange || (c->read_done && !c->request_done));
}

/* Makes room for a new client by ending the oldest connection that waits, so that connections that
 * ask nothing keep nobody out: first one that never asked, then one between two requests. Returns
 * false when all are at work. */
static bool make_room(struct http_server *srv)
{
    struct http_conn *c, *idle = NULL;
    TAILQ_FOREACH (c, &srv->conns, link) {
        if (can_go(c) && !c->served)
            break;
        if (!idle && can_go(c))
            idle = c;
    }
    c = c ? c : idle;
    if (!c)
        return false;
    log_debug("http.evicted", "peer=%s", c->peer);
    http_conn_destroy(c);
    return true;
}

struct http_conn *http_server_adopt(struct http_server *srv, struct bufferevent *bev)
{
    struct http_conn *c = xcalloc(1, sizeof *c);
    c->srv = srv;
    c->srv_fn = srv->fn;
    c->srv_arg = srv->arg;
    c->limits = &srv->limits;
    c->bev = bev;
    c->ex.tls = srv->tls != NULL;
    c->ex.local_port = srv->port;
    TAILQ_INSERT_TAIL(&srv->conns, c, link);
    srv->nconns++;
    http_conn_init(c, srv->base);
    return c;
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
                      void *arg)
{
    struct http_server *srv = arg;
    if (srv->nconns >= srv->limits.connections) {
        say_full(srv);
        if (!make_room(srv)) {
            refuse_full(srv, fd);
            return;
        }
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    struct bufferevent *bev = make_bev(srv, fd);
    if (!bev) {
        evutil_closesocket(fd);
        return;
    }
    name_peer(http_server_adopt(srv, bev), sa, len);
}

static void on_accept_error(struct evconnlistener *l, void *arg)
{
    struct http_server *srv = arg;
    int err = EVUTIL_SOCKET_ERROR();
    log_warn("http.accept", "error=\"%s\" action=\"waiting 1 s\"", strerror(err));
    evconnlistener_disable(l);
    struct timeval tv = {1, 0};
    evtimer_add(srv->again, &tv);
}

/* Splits "host:port" and resolves it. Returns NULL when that cannot be done. */
static struct addrinfo *resolve(const char *address)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || !colon[1] || (size_t)(colon - address) >= sizeof host)
        return NULL;
    const char *start = address;
    size_t n = (size_t)(colon - address);
    if (*start == '[' && colon[-1] == ']') {
        start++;
        n -= 2;
    }
    memcpy(host, start, n);
    host[n] = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *list = NULL;
    if (getaddrinfo(host, colon + 1, &hints, &list) != 0)
        return NULL;
    return list;
}

static bool is_loopback(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr) >> 24) == 127;
    if (sa->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)sa)->sin6_addr);
    return false;
}

bool http_peer_is_local(const struct http_exchange *ex)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    int fd = bufferevent_getfd(http_conn_bev(ex));
    return getpeername(fd, (struct sockaddr *)&sa, &len) == 0 &&
           is_loopback((struct sockaddr *)&sa);
}

bool http_address_is_loopback(const char *address)
{
    struct addrinfo *list = resolve(address);
    bool yes = list != NULL;
    for (struct addrinfo *ai = list; ai; ai = ai->ai_next)
        yes = yes && is_loopback(ai->ai_addr);
    if (list)
        freeaddrinfo(list);
    return yes;
}

int http_server_listen(struct http_server *srv, const char *address)
{
    struct addrinfo *list = resolve(address);
    if (!list)
        return -EINVAL;
    srv->listener =
        evconnlistener_new_bind(srv->base, on_accept, srv,
                                LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC,
                                512, list->ai_addr, (int)list->ai_addrlen);
    int err = errno;
    freeaddrinfo(list);
    if (!srv->listener)
        return err ? -err : -EIO;
    evconnlistener_set_error_cb(srv->listener, on_accept_error);
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    if (getsockname(evconnlistener_get_fd(srv->listener), (struct sockaddr *)&ss, &len) == 0)
        srv->port = ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
                                                   : ((struct sockaddr_in *)&ss)->sin_port);
    return 0;
}

uint16_t http_server_port(const struct http_server *srv)
{
    return srv->port;
}

void http_server_stop_accepting(struct http_server *srv)
{
    evtimer_del(srv->again);
    if (srv->listener)
        evconnlistener_free(srv->listener);
    srv->listener = NULL;
}

unsigned http_server_connections(const struct http_server *srv)
{
    return srv->nconns;
}

void http_server_conn_gone(struct http_conn *c)
{
    TAILQ_REMOVE(&c->srv->conns, c, link);
    c->srv->nconns--;
}

void http_server_free(struct http_server *srv)
{
    if (!srv)
        return;
    http_server_stop_accepting(srv);
    struct http_conn *c;
    while ((c = TAILQ_FIRST(&srv->conns)))
        http_conn_destroy(c);
    event_free(srv->again);
    SSL_CTX_free(srv->tls);
    free(srv);
}
