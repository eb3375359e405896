/* From a request to its operation: path table, authentication, JSON.
 * Relies on http, auth, error.
 * Leaves each operation to its op_*.c. */
#ifndef KVPIPE_SERVER_ROUTE_H
#define KVPIPE_SERVER_ROUTE_H

#include <stdbool.h>

#include <jansson.h>

struct http_exchange;
struct server;

struct operation {
    const char *name, *method, *path;
    bool streams; /* handled when the headers are read, with no body */
    /* body: the request's JSON object (borrowed), {} for an empty one; NULL when `streams`.
     * Signature checked. */
    void (*handle)(struct server *server, struct http_exchange *ex, json_t *body);
};

extern const struct operation op_create_stream, op_describe_stream, op_list_streams,
    op_delete_stream, op_get_data_endpoint, op_put_media, op_get_media, op_list_fragments;

/* The server's http_request_fn. */
void route_request(void *server, struct http_exchange *ex);

#endif
