/* An HTTP/1.1 server on libevent: requests with bounded or streamed bodies, answers that may start
 * before the body ends. Relies on bufferevents (TLS: bufferevent_openssl) and llhttp. Leaves
 * routing, authentication and the meaning of bodies to its user; knows nothing of KVS. */
#ifndef KVPIPE_SERVER_HTTP_H
#define KVPIPE_SERVER_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct http_server;

struct http_limits {      /* 0 takes the default */
    size_t head_bytes;    /* request line and headers, default 16 KiB */
    size_t unsent_bytes;  /* a reader that leaves more unread is cut, default 8 MiB */
    unsigned headers;     /* default 64, at most 64 */
    unsigned connections; /* default 1024; above it the oldest that waits for a request is ended */
    unsigned
        head_timeout_ms; /* from the first byte wanted to the end of the headers, default 10 s */
    unsigned body_timeout_ms; /* for a whole buffered body, default 30 s */
    unsigned idle_timeout_ms; /* between two requests, default 60 s */
    unsigned send_timeout_ms; /* without progress in sending, default 30 s */
};

#define HTTP_ID_LEN 37 /* a UUID with NUL */

struct http_header {
    const char *name, *value;
};

/* One request and its answer. Public members are valid from the request callback to the closed
 * callback. */
struct http_exchange {
    const char *method, *path, *query; /* as sent; query without '?', "" when absent */
    const struct http_header *headers;
    size_t nheaders;
    const char *peer;    /* address and port of the client, for logs */
    uint16_t local_port; /* that the connection came in on */
    int64_t begun_ns;    /* when the headers were read, monotonic */
    bool tls;
    bool cut;   /* in the closed callback: the connection ended before request and answer did */
    void *data; /* the user's own */
    void *call; /* the user's own, beside what each operation keeps in data */
    char id[HTTP_ID_LEN]; /* the user's name for it */
};

/* Called when the headers of a request are read. Must answer or call one of the two body functions
 * before it returns. */
typedef void (*http_request_fn)(void *arg, struct http_exchange *ex);

struct http_body_ops {
    /* A piece of the body, valid during the call only. */
    void (*data)(struct http_exchange *ex, const uint8_t *data, size_t len);
    /* The body ended as HTTP says it must (not called for a cut connection). */
    void (*end)(struct http_exchange *ex);
    /* The body is no HTTP, or the client ended the connection in its middle. An answer that has
     * begun may go on and must be finished; it may still be read. NULL: the connection is cut. */
    void (*broken)(struct http_exchange *ex);
};

/* Makes a server that borrows base and calls fn(arg, …) for each request. */
struct http_server *http_server_new(struct event_base *base, const struct http_limits *limits,
                                    http_request_fn fn, void *arg);
/* Serves TLS (1.2 or later) with the PEM files. Call before http_server_listen. Returns 0 or
 * -EINVAL after logging why. */
int http_server_tls(struct http_server *srv, const char *cert_file, const char *key_file);
/* Asks clients for a certificate and checks it against the CAs in the PEM file; one without or with
 * another is served all the same: http_client_certificate() tells. After http_server_tls. Returns 0
 * or -EINVAL after logging why. */
int http_server_client_ca(struct http_server *srv, const char *ca_file);
/* Listens on "host:port" ("[::1]:80" for IPv6; port 0 takes a free one). Resolves the name (blocks;
 * start-up only). Returns 0, -EINVAL for a bad or unknown address, -EADDRINUSE, or another negative
 * errno. Logs nothing. */
int http_server_listen(struct http_server *srv, const char *address);
/* True when every address of "host:port" is a loopback one. */
bool http_address_is_loopback(const char *address);
uint16_t http_server_port(const struct http_server *srv);
void http_server_stop_accepting(struct http_server *srv);
unsigned http_server_connections(const struct http_server *srv);
/* Cuts every connection (closed callbacks run) and frees the server. NULL is fine. */
void http_server_free(struct http_server *srv);

/* The first header of that name (any case), or NULL. */
const char *http_header(const struct http_exchange *ex, const char *name);

struct http_certificate {
    const char *invalid; /* why it is not accepted; NULL: it is */
    char name[129];      /* the subject's common name, "" without one */
    char id[65];         /* SHA-256 of the certificate, in hex */
};
/* The certificate that the client showed. Returns 0 or -ENOENT. */
int http_client_certificate(const struct http_exchange *ex, struct http_certificate *out);

/* Reads the body whole and calls done once. A body above max_bytes is answered with 413 here and
 * closed. */
void http_read_body(struct http_exchange *ex, size_t max_bytes,
                    void (*done)(struct http_exchange *ex, const uint8_t *body, size_t len));
/* Hands the body over as it comes. `ops` is borrowed. */
void http_stream_body(struct http_exchange *ex, const struct http_body_ops *ops);
/* Stops (true) or resumes reading from the client; up to 64 KiB may still come after a stop. */
void http_pause_body(struct http_exchange *ex, bool pause);

/* Exactly once when request and answer are over or the connection is cut; `ex` is invalid
 * afterwards. */
void http_on_closed(struct http_exchange *ex, void (*closed)(struct http_exchange *ex));
/* Whenever fewer than 64 KiB are left unsent after a write. NULL turns it off. */
void http_on_writable(struct http_exchange *ex, void (*writable)(struct http_exchange *ex));

/* Adds a header to the answer, before it starts. Control characters in the value are replaced. */
void http_add_header(struct http_exchange *ex, const char *name, const char *value);
/* Sends a whole answer. */
void http_reply(struct http_exchange *ex, int status, const void *body, size_t len);
/* Starts an answer whose body follows in chunks; may be called while the request body is still
 * coming. */
void http_start(struct http_exchange *ex, int status);
/* Sends one chunk (len > 0; copied). Returns 0, or -EPIPE once the connection is cut, as too slow a
 * reader is. */
int http_chunk(struct http_exchange *ex, const void *data, size_t len);
/* Ends the answer. When the request body is still coming it is thrown away for up to 2 s, so that
 * the client reads the answer before the connection closes. */
void http_finish(struct http_exchange *ex);
/* Ends the connection without finishing. The closed callback follows from the loop. */
void http_cut(struct http_exchange *ex);
/* Bytes that wait to be sent. */
size_t http_unsent(const struct http_exchange *ex);
/* True when the client sends no more: it has gone, or only waits for the rest of the answer. */
bool http_half_closed(const struct http_exchange *ex);
/* Whether the client is on this machine: its address is a loopback one. */
bool http_peer_is_local(const struct http_exchange *ex);

#endif
