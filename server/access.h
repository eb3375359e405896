/* Whether a caller's policy allows an operation on the stream that the request names.
 * Relies on auth.h and the store.
 * Leaves the check of the request's fields to the operations. */
#ifndef KVPIPE_SERVER_ACCESS_H
#define KVPIPE_SERVER_ACCESS_H

#include <stdbool.h>

#include <jansson.h>

struct auth_caller;
struct http_exchange;
struct operation;
struct server;
struct stream;

/* Answers a refusal, NotAuthorizedException or AccessDeniedException as the operation has it, and
 * returns false. body: the request's JSON object, NULL for an operation whose stream is named in
 * headers. */
bool access_allowed(struct server *server, struct http_exchange *ex, const struct operation *op,
                    const struct auth_caller *caller, json_t *body);
/* Whether the caller of the operation that runs may use the stream's key: "kms:GenerateDataKey" to
 * write, "kms:Decrypt" to read. The default key needs no permission. Logs a refusal. */
bool access_key_allowed(struct server *server, const struct stream *st, const char *action);
/* The name of the error for a caller who may not. */
const char *access_denied_name(const struct operation *op);
/* The stream that StreamName or StreamARN of the request name (borrowed), NULL when there is none.
 */
struct stream *access_stream(struct server *server, struct http_exchange *ex, json_t *body);

#endif
