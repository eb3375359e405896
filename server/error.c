/* Answers that say what went wrong, in the envelope that AWS SDKs read. Relies on http, jansson for
 * escaping, OpenSSL for random request ids. Leaves the choice of error to the operations. */
#include "server/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/rand.h>

#include "common/log.h"
#include "server/call.h"

void error_make_id(char id[HTTP_ID_LEN])
{
    unsigned char r[16] = {0};
    RAND_bytes(r, sizeof r);
    r[6] = (r[6] & 0x0f) | 0x40;
    r[8] = (r[8] & 0x3f) | 0x80;
    snprintf(id, HTTP_ID_LEN,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1],
             r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14],
             r[15]);
}

void error_request_id(struct http_exchange *ex)
{
    error_make_id(ex->id);
    http_add_header(ex, "x-amzn-RequestId", ex->id);
    http_add_header(ex, "x-amz-RequestId", ex->id);
}

static void send_error(struct http_exchange *ex, int status, const char *name, const char *member,
                       const char *text)
{
    log_debug("server.error", "peer=%s path=%s status=%d error=%s message=\"%s\"", ex->peer,
              ex->path, status, name, text);
    call_end(ex, name, text, NULL);
    json_t *o = json_pack("{s:s}", member, text);
    char *body = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    http_add_header(ex, "x-amzn-ErrorType", name);
    http_add_header(ex, "x-amz-ErrorType", name);
    http_add_header(ex, "Content-Type", "application/json");
    http_reply(ex, status, body ? body : "{}", body ? strlen(body) : 2);
    free(body);
}

static void reply(struct http_exchange *ex, int status, const char *name, const char *fmt,
                  va_list ap)
{
    char text[1024];
    vsnprintf(text, sizeof text, fmt, ap);
    send_error(ex, status, name, "Message", text);
}

void error_reply_lower(struct http_exchange *ex, int status, const char *name, const char *message)
{
    send_error(ex, status, name, "message", message);
}

void error_reply(struct http_exchange *ex, int status, const char *name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    reply(ex, status, name, fmt, ap);
    va_end(ap);
}

void error_invalid_argument(struct http_exchange *ex, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    reply(ex, 400, "InvalidArgumentException", fmt, ap);
    va_end(ap);
}

void error_stream_not_found(struct http_exchange *ex)
{
    error_reply(ex, 404, "ResourceNotFoundException",
                "The requested stream is not found or not active.");
}

void error_internal(struct http_exchange *ex)
{
    error_reply(ex, 500, "InternalFailure", "The server could not do this; its log says why.");
}
