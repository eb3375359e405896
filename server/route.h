/* From a request to its operation: path table, authentication, JSON.
 * Relies on http, auth, error.
 * Leaves each operation to its op_*.c. */
#ifndef KVPIPE_SERVER_ROUTE_H
#define KVPIPE_SERVER_ROUTE_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

struct http_exchange;
struct server;

struct operation {
    const char *name, *method, *path;
    bool access_denied; /* who may not gets AccessDeniedException, else NotAuthorizedException */
    bool on_all;        /* names no stream: what it is allowed on is all of them */
    bool control;       /* of the control plane: its calls are counted and recorded */
    bool audits_answer; /* the record has its answer, too */
    unsigned all_per_s, stream_per_s; /* calls of control operations; 0: 50 and 5 */
    bool streams;                     /* handled when the headers are read, with no body */
    size_t body_max_bytes;            /* 0: 64 KiB */
    /* body: the request's JSON object (borrowed), {} for an empty one; NULL when `streams`.
     * Signature checked. NULL: not built yet. */
    void (*handle)(struct server *server, struct http_exchange *ex, json_t *body);
};

extern const struct operation op_create_stream, op_describe_stream, op_list_streams,
    op_delete_stream, op_get_data_endpoint, op_put_media, op_get_media, op_list_fragments,
    op_get_media_for_fragment_list, op_update_stream, op_update_data_retention, op_tag_stream,
    op_untag_stream, op_list_tags_for_stream, op_tag_resource, op_untag_resource,
    op_list_tags_for_resource, op_update_image_generation, op_describe_image_generation,
    op_update_notification, op_describe_notification, op_start_edge_configuration_update,
    op_describe_edge_configuration, op_delete_edge_configuration, op_list_edge_agent_configurations;

/* The operations that are built, by number from 0. */
unsigned route_count(void);
const struct operation *route_at(unsigned i);
unsigned route_index(const struct operation *op);
/* The server's http_request_fn. */
void route_request(void *server, struct http_exchange *ex);
/* Prints every operation of the API, a line each: name, path, "built" or "not yet". */
void route_print(FILE *out);

#endif
