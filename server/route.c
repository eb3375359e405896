/* From a request to its operation: path table, authentication, JSON.
 * Relies on http, auth, error.
 * Leaves each operation to its op_*.c. */
#include "server/route.h"

#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/auth.h"
#include "server/error.h"
#include "server/http.h"
#include "server/stage.h"

#define BODY_MAX_BYTES 65536

static const struct operation *const operations[] = {
    &op_create_stream,     &op_describe_stream, &op_list_streams, &op_delete_stream,
    &op_get_data_endpoint, &op_put_media,       &op_get_media,    &op_list_fragments,
};

static const struct operation *find(const char *path)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (!strcmp(operations[i]->path, path))
            return operations[i];
    return NULL;
}

/* What the body callback needs to know; ex->data carries it until the operation takes over. */
static struct server *server_of(struct http_exchange *ex)
{
    return ex->data;
}

static bool allowed(struct server *server, struct http_exchange *ex, enum auth_body kind,
                    const uint8_t *body, size_t len)
{
    struct auth_error error;
    if (auth_check(server->keys, ex, kind, body, len, clock_wall_ns() / NS_PER_S, &error) == 0)
        return true;
    log_info("server.refused", "peer=%s path=%s error=%s", ex->peer, ex->path, error.name);
    error_reply(ex, error.status, error.name, "%s", error.message);
    return false;
}

static void on_body(struct http_exchange *ex, const uint8_t *body, size_t len)
{
    struct server *server = server_of(ex);
    const struct operation *op = find(ex->path);
    ex->data = NULL;
    if (!allowed(server, ex, AUTH_BODY_KNOWN, body, len))
        return;
    json_error_t err;
    json_t *json =
        len ? json_loadb((const char *)body, len, JSON_REJECT_DUPLICATES, &err) : json_object();
    if (!json_is_object(json)) {
        if (json)
            error_invalid_argument(ex, "The body is not a JSON object.");
        else
            error_invalid_argument(ex, "The body is not JSON: line %d: %s.", err.line, err.text);
    } else {
        log_debug("server.request", "peer=%s operation=%s", ex->peer, op->name);
        op->handle(server, ex, json);
    }
    json_decref(json);
}

void route_request(void *arg, struct http_exchange *ex)
{
    struct server *server = arg;
    error_request_id(ex);
    if (server->draining) {
        error_reply(ex, 503, "ServiceUnavailable", "The server is stopping.");
        return;
    }
    const struct operation *op = find(ex->path);
    if (!op) {
        error_reply(ex, 400, "InvalidAction", "There is no operation at %.200s here.", ex->path);
    } else if (strcmp(op->method, ex->method)) {
        error_reply(ex, 405, "InvalidAction", "%s takes %s, not %s.", op->name, op->method,
                    ex->method);
    } else if (op->streams) {
        if (allowed(server, ex, AUTH_BODY_STREAMED, NULL, 0))
            op->handle(server, ex, NULL);
    } else {
        ex->data = server;
        http_read_body(ex, BODY_MAX_BYTES, on_body);
    }
}
