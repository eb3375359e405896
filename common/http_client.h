/* An HTTP/1.1 client on the event loop: control calls, and streaming requests whose answer arrives
 * while the body is still sent. Relies on libcurl's multi socket interface and libevent. TLS 1.2 or
 * newer; peer and host name are always verified. Leaves signing, retries and the meaning of
 * statuses to its users. Redirects are not followed. Proxy variables of the environment count. */
#ifndef KVPIPE_COMMON_HTTP_CLIENT_H
#define KVPIPE_COMMON_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct blob;
struct event_base;
struct http_client;
struct http_call; /* a request under way */

#define HTTP_MAX_HEADER_BYTES 65536 /* of all response headers together */
#define HTTP_DEFAULT_MAX_BODY 4194304
#define HTTP_UPLOAD_BUFFER 65536 /* most that on_upload is asked for at once */

struct http_response {
    int status; /* final status, 0 when none came */
    int error;  /* 0: the answer came whole. -EMSGSIZE: too large. -ETIMEDOUT. -ECONNREFUSED: no
                 * connection.  -EHOSTUNREACH: name not resolved. -EPROTO: TLS or HTTP broken.
                 * -ECONNRESET: cut off or bad chunking.  -EACCES: certificate not accepted. -ENOENT:
                 * certificate,  key  or CA file unusable. -ECANCELED: a callback refused. */
    const char *error_text; /* for a log, "" when error is 0 */
    const uint8_t *body;    /* the answer, when there was no on_body; NUL follows it */
    size_t body_len;
    uint64_t sent_bytes, received_bytes; /* of bodies, without chunk framing */
};

/* A request. Everything is copied or referenced by http_request(), nothing need outlive it. */
struct http_request {
    const char *method, *url;
    const char *const *headers; /* "Name: value"; nheaders of them. Host, Content-Length, chunking
                                   are added when absent */
    size_t nheaders;
    struct blob *body; /* whole body (a reference is taken), or NULL; not together with on_upload */
    int64_t connect_timeout_ms;       /* 0: 10 s */
    int64_t timeout_ms;               /* of the whole request; 0: 30 s, or none with on_upload */
    const char *ca_file;              /* PEM; NULL: the system's */
    const char *unix_socket;          /* path to connect to in place of the URL's host, or NULL */
    const char *cert_file, *key_file; /* PEM client certificate, or NULL */
    bool expect_continue;             /* ask for 100-continue before the body; default: do not */
    bool close_after;                 /* do not keep the connection for a next request */
    size_t max_body_bytes; /* of the answer; 0: HTTP_DEFAULT_MAX_BODY, or no limit with on_body */

    /* Streaming body, sent chunked: writes up to cap bytes to dst and returns how many; 0 ends the
     * body; -EAGAIN pauses until http_request_resume(); any other negative ends the request with
     * that error. */
    ssize_t (*on_upload)(void *arg, void *dst, size_t cap);
    /* Every header of the answer, status included with each; name "" once after the last. 1xx are
     * not shown. */
    void (*on_header)(void *arg, int status, const char *name, const char *value);
    /* Bytes of the answer as they arrive, also while the body is still being sent. Non-zero ends
     * the request. */
    int (*on_body)(void *arg, const void *data, size_t len);
    /* Exactly once, at the end, unless cancelled. The call is gone when it returns. An answer that
     * ends before the streaming body does ends the request, with error 0. */
    void (*on_done)(void *arg, const struct http_response *res);
    void *arg;
};

/* Returns a client; base is borrowed for its life. NULL when libcurl cannot start. */
struct http_client *http_client_create(struct event_base *base);
/* Cancels what is under way. Not from a callback. */
void http_client_destroy(struct http_client *client);

/* Starts a request; never blocks, no callback is called before it returns. Returns 0 and the call,
 * valid until on_done returns or it is cancelled; -EINVAL for a bad URL, header or combination;
 * -EBUSY inside on_upload, on_header and on_body (on_done may start requests); -ENOMEM. out may be
 * NULL. */
int http_request(struct http_client *client, const struct http_request *req,
                 struct http_call **out);
/* There is data to upload again (or the end of it). Cheap and harmless when it is not paused. From
 * anywhere on the loop's thread. */
void http_request_resume(struct http_call *call);
/* Ends the call, closes its connection; no callback comes afterwards. Allowed in its own callbacks,
 * also in on_done. NULL is fine. */
void http_request_cancel(struct http_call *call);

#endif
