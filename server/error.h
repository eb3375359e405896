/* Answers that say what went wrong, in the envelope that AWS SDKs read. Relies on http. Leaves the
 * choice of error to the operations. */
#ifndef KVPIPE_SERVER_ERROR_H
#define KVPIPE_SERVER_ERROR_H

#include "server/http.h"

/* Makes a random UUID. */
void error_make_id(char id[HTTP_ID_LEN]);
/* Names the exchange (ex->id) and adds the request id headers that every answer carries; call once
 * per exchange, before anything is answered. */
void error_request_id(struct http_exchange *ex);
/* Answers with status, error name (x-amzn-ErrorType and x-amz-ErrorType) and {"Message": text}. */
void error_reply(struct http_exchange *ex, int status, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with the message under "message", as the service's front doors write it. */
void error_reply_lower(struct http_exchange *ex, int status, const char *name, const char *message);
/* The usual ones. */
void error_invalid_argument(struct http_exchange *ex, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void error_stream_not_found(struct http_exchange *ex);
void error_internal(struct http_exchange *ex);

#endif
