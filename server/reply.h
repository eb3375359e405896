/* Answers with JSON, at once or when a job is done.
 * Relies on http and jansson.
 * Leaves errors to error.h. */
#ifndef KVPIPE_SERVER_REPLY_H
#define KVPIPE_SERVER_REPLY_H

#include <stdint.h>

#include <jansson.h>

struct http_exchange;

/* A number of epoch seconds with three decimals. */
json_t *reply_timestamp(int64_t ms);
/* Answers 200 with the object; takes it. NULL counts as no memory: InternalFailure. */
void reply_json(struct http_exchange *ex, json_t *object);

/* Holds an exchange while a job runs. The client may go away meanwhile. */
struct reply_hold {
    struct http_exchange *ex;
};
struct reply_hold *reply_hold(struct http_exchange *ex);
/* Answers when a job without an output is done: empty for 0, InternalFailure for an errno. Takes
 * the hold. */
void reply_done(void *hold, int result);
/* Ends the hold. Returns the exchange, or NULL when the client has gone. */
struct http_exchange *reply_release(struct reply_hold **h);

#endif
