/* The status server: the page at /, what it and the kvpipe command read (/status, /live, /events,
 * /history, /gaps, /still), /metrics, /healthz and /readyz, and what may be asked for by POST.
 * Relies on libevent's evhttp. Meant for loopback: it checks the Host header, so that no web page
 * reaches it by a name of its own; a POST needs the token, and from a browser the page's own
 * origin. Leaves what is said and done to its callbacks. */
#ifndef KVPIPE_MONITOR_STATUS_HTTP_H
#define KVPIPE_MONITOR_STATUS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "monitor/still.h"

struct event_base;
struct evhttp_request;
struct evkeyvalq;
struct status_http;

struct status_http_ops {
    char *(*metrics)(void *arg); /* malloc'ed text for Prometheus; NULL: not served */
    char *(*status)(void *arg);  /* this and the next two: malloc'ed JSON */
    char *(*events)(void *arg, int64_t since);
    char *(*history)(void *arg);
    void (*live)(void *arg, struct evhttp_request *req); /* takes the request */
    /* *text: malloc'ed JSON (common/gaps.h). 0, -ENOENT: no such stream, or another negative errno.
     */
    int (*gaps)(void *arg, const char *stream, int64_t since_ns, char **text);
    /* As still_get(); -ENXIO: no such stream. */
    int (*still)(void *arg, const char *stream, struct still_picture *out);
    bool (*ready)(void *arg);
    /* Does what "/VERB?fields" asks for. Fills text for people, returns the HTTP status. */
    int (*ask)(void *arg, const char *verb, const struct evkeyvalq *fields, char *text,
               size_t size);
};

/* Binds "host:port"; `names` are those it may be asked by, too, separated by spaces. Keeps ops, arg
 * and token. Returns 0, or a negative errno after logging. */
int status_http_create(struct event_base *base, const char *listen, const char *names,
                       const char *token, const struct status_http_ops *ops, void *arg,
                       struct status_http **out);
void status_http_destroy(struct status_http **h);
/* Whether a request with this Host header may be served: a literal IP address, "localhost", the
 * host we listen on, or one of `names`. */
bool status_http_host_allowed(const char *host_header, const char *listen, const char *names);
/* Whether a browser that sends this Origin (NULL: none) asks from a page of this Host. */
bool status_http_same_origin(const char *origin, const char *host_header);

#endif
