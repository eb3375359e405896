/* The status server: GET /status, /gaps?stream=NAME[&since_ns=N], /healthz, /readyz; POST
 * /keyframe?stream=NAME. Relies on libevent's evhttp. Meant for loopback: it checks the Host
 * header, so that no web page reaches it by a name of its own. Leaves what is said to its
 * callbacks. */
#ifndef KVPIPE_MONITOR_STATUS_HTTP_H
#define KVPIPE_MONITOR_STATUS_HTTP_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct status_http;

struct status_http_ops {
    char *(*status)(void *arg); /* malloc'ed JSON */
    /* *text: malloc'ed JSON (common/gaps.h). 0, -ENOENT: no such stream, or another negative errno.
     */
    int (*gaps)(void *arg, const char *stream, int64_t since_ns, char **text);
    bool (*ready)(void *arg);
    int (*keyframe)(
        void *arg,
        const char *stream); /* NULL: all; 0 or a negative errno (-ENOENT: no such stream) */
};

/* Binds "host:port". Keeps ops and arg. Returns 0, or a negative errno after logging. */
int status_http_create(struct event_base *base, const char *listen,
                       const struct status_http_ops *ops, void *arg, struct status_http **out);
void status_http_destroy(struct status_http **h);
/* Whether a request with this Host header may be served: a literal IP address, "localhost", or the
 * host we listen on. */
bool status_http_host_allowed(const char *host_header, const char *listen);

#endif
