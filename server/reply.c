/* Answers with JSON, at once or when a job is done.
 * Relies on http and jansson.
 * Leaves errors to error.h. */
#include "server/reply.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "server/call.h"
#include "server/error.h"
#include "server/http.h"

/* Ten digits of seconds and three decimals; more would show the binary fraction. */
#define PRECISION 13

json_t *reply_timestamp(int64_t ms)
{
    return json_real((double)ms / 1000.0);
}

void reply_json(struct http_exchange *ex, json_t *object)
{
    call_end(ex, object ? NULL : "InternalFailure", "no memory", object);
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(PRECISION)) : NULL;
    json_decref(object);
    if (!text) {
        error_internal(ex);
        return;
    }
    http_add_header(ex, "Content-Type", "application/json");
    http_reply(ex, 200, text, strlen(text));
    free(text);
}

static void reply_empty(struct http_exchange *ex)
{
    call_end(ex, NULL, NULL, NULL);
    http_reply(ex, 200, NULL, 0);
}

static void on_closed(struct http_exchange *ex)
{
    struct reply_hold *h = ex->data;
    call_end(ex, "ClientDisconnected", "The client went away before the answer.", NULL);
    h->ex = NULL;
}

struct reply_hold *reply_hold(struct http_exchange *ex)
{
    struct reply_hold *h = xcalloc(1, sizeof *h);
    h->ex = ex;
    ex->data = h;
    http_on_closed(ex, on_closed);
    return h;
}

void reply_done(void *hold, int result)
{
    struct http_exchange *ex = reply_release(&(struct reply_hold *){hold});
    if (ex && result)
        error_internal(ex);
    else if (ex)
        reply_empty(ex);
}

struct http_exchange *reply_release(struct reply_hold **h)
{
    struct http_exchange *ex = (*h)->ex;
    if (ex)
        http_on_closed(ex, NULL);
    free(*h);
    *h = NULL;
    return ex;
}
