/* Where a stream's media goes: DescribeStream, CreateStream when it is missing, GetDataEndpoint;
 * cached for 40 minutes. Relies on api, libevent for the wait until a new stream is ACTIVE. Leaves
 * backoff to session.c: one failure, one callback. */
#ifndef KVPIPE_UPLOADER_ENDPOINT_H
#define KVPIPE_UPLOADER_ENDPOINT_H

#include <stdbool.h>

#include "common/conf.h"
#include "common/api.h"
#include "uploader/session_policy.h"

struct endpoint;
struct event_base;

/* policy NULL: resolved. Else what went wrong, with text for a log. */
typedef void (*endpoint_done_fn)(void *arg, const struct policy *policy, const char *text);

/* Borrows all arguments for its life. */
struct endpoint *endpoint_create(struct event_base *base, struct api *api,
                                 const struct conf_endpoint *conf, const char *stream,
                                 endpoint_done_fn done, void *arg);
void endpoint_destroy(struct endpoint **e);
/* The cached data endpoint, or NULL: then it is asked for and the callback comes later. */
const char *endpoint_get(struct endpoint *e);
/* The next endpoint_get() asks again. */
void endpoint_forget(struct endpoint *e);
/* Of the stream, as the service says; 0: fragments are never PERSISTED. */
unsigned endpoint_retention_hours(const struct endpoint *e);

#endif
