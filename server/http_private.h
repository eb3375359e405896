/* The connection struct that http.c (one connection) and http_listen.c (all of them) share.
 * Relies on libevent and llhttp.
 * Leaves everything public to http.h. */
#ifndef KVPIPE_SERVER_HTTP_PRIVATE_H
#define KVPIPE_SERVER_HTTP_PRIVATE_H

#include <stdlib.h>
#include <sys/queue.h>

#include <llhttp.h>

#include "common/buf.h"
#include "server/http.h"

#define HTTP_HEADERS_MAX 64

struct bufferevent;
struct event;

struct http_conn {
    TAILQ_ENTRY(http_conn) link;
    struct http_server *srv;
    http_request_fn srv_fn;
    void *srv_arg;
    const struct http_limits *limits;
    struct bufferevent *bev;
    struct event *deadline, *step;
    llhttp_t parser;
    char peer[80];

    struct buf head; /* target and headers, each ended by NUL */
    uint32_t name_at[HTTP_HEADERS_MAX], value_at[HTTP_HEADERS_MAX];
    struct http_header headers[HTTP_HEADERS_MAX];
    unsigned nheaders;
    struct buf body, answer_head;

    struct http_exchange ex;
    const struct http_body_ops *stream;
    void (*read_done)(struct http_exchange *ex, const uint8_t *body, size_t len);
    void (*closed)(struct http_exchange *ex);
    void (*writable)(struct http_exchange *ex);

    int refuse;      /* status for a head that is not taken, 0 = 400 */
    size_t lingered; /* bytes thrown away after the answer */
    size_t trailer_bytes;
    bool in_value, head_started;
    bool served;      /* has had an answer */
    bool in_exchange; /* between the request callback and the closed callback */
    bool request_done, answer_started, answer_done;
    bool keep_alive, http10, head_request, expects;
    bool paused; /* the user does not want more of the body now */
    bool eof;    /* the client sends no more */
    bool broken; /* the parser gave up */
    bool closing, lingering, cut;
};

/* Starts a connection whose bev, srv, limits, peer and ex.tls are set. */
void http_conn_init(struct http_conn *c, struct event_base *base);
void http_conn_destroy(struct http_conn *c);
/* Serves a client at the other end of it; takes it. */
struct http_conn *http_server_adopt(struct http_server *srv, struct bufferevent *bev);
struct bufferevent *http_conn_bev(const struct http_exchange *ex);
/* Takes a connection out of the server's list. */
void http_server_conn_gone(struct http_conn *c);

#endif
