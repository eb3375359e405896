/* A control call between the check of its signature and its answer: how often such calls may come,
 * and the record of it in the audit log. Relies on rate.h and audit.h. Leaves the meaning of calls
 * to the operations. */
#ifndef KVPIPE_SERVER_CALL_H
#define KVPIPE_SERVER_CALL_H

#include <stdbool.h>

#include <jansson.h>

struct auth_caller;
struct http_exchange;
struct operation;
struct server;

/* Begins a call of a control operation: it will be recorded. body is borrowed, NULL for one that
 * could not be read. Nothing for other operations. */
void call_begin(struct server *server, struct http_exchange *ex, const struct operation *op,
                const struct auth_caller *caller, json_t *body);
/* Counts it against the rates of the operation, for all and for the stream it names; answers
 * ClientLimitExceededException and returns false when it is one too many. */
bool call_admitted(struct server *server, struct http_exchange *ex, const struct operation *op,
                   json_t *body);
/* Ends and records it, if there is one: error NULL when it succeeded; response (borrowed) may be
 * NULL. Every answer comes through here. */
void call_end(struct http_exchange *ex, const char *error, const char *message, json_t *response);

#endif
