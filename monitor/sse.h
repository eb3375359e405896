/* Server-sent events: the open pages, each told what is new. Relies on evhttp. Bounded: at most
 * SSE_CLIENTS_MAX, and one that does not read is closed (a browser comes back by itself). Never
 * blocks. Leaves what is said to its callers. */
#ifndef KVPIPE_MONITOR_SSE_H
#define KVPIPE_MONITOR_SSE_H

#include <stddef.h>

struct evhttp_request;
struct sse;

#define SSE_CLIENTS_MAX 32

struct sse *sse_create(void);
/* Call before the evhttp goes, then again sse_send is not allowed. */
void sse_destroy(struct sse **s);
/* Takes the request: answers it with a stream, or with 503 when there are too many. */
void sse_open(struct sse *s, struct evhttp_request *req);
/* To all that are open, or with `req` to that one; `data` has no line breaks. */
void sse_send(struct sse *s, struct evhttp_request *req, const char *event, const char *data);
size_t sse_count(const struct sse *s);

#endif
