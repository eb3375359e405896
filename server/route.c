/* From a request to its operation: path table, authentication, JSON.
 * Relies on http, auth, error.
 * Leaves each operation to its op_*.c. */
#include "server/route.h"

#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/access.h"
#include "server/auth.h"
#include "server/call.h"
#include "server/error.h"
#include "server/http.h"
#include "server/role_credentials.h"
#include "server/service_metrics.h"
#include "server/stage.h"

#define BODY_MAX_BYTES 65536

static const struct operation *const operations[] = {
    &op_create_stream,
    &op_describe_stream,
    &op_list_streams,
    &op_delete_stream,
    &op_get_data_endpoint,
    &op_put_media,
    &op_get_media,
    &op_list_fragments,
    &op_get_media_for_fragment_list,
    &op_update_stream,
    &op_update_data_retention,
    &op_tag_stream,
    &op_untag_stream,
    &op_list_tags_for_stream,
    &op_tag_resource,
    &op_untag_resource,
    &op_list_tags_for_resource,
    &op_update_image_generation,
    &op_describe_image_generation,
    &op_update_notification,
    &op_describe_notification,
    &op_start_edge_configuration_update,
    &op_describe_edge_configuration,
    &op_delete_edge_configuration,
    &op_list_edge_agent_configurations,
};

/* Of the API and not built yet. */
static const struct operation later[] = {
    {.name = "CreateSignalingChannel", .method = "POST", .path = "/createSignalingChannel"},
    {.name = "DeleteSignalingChannel", .method = "POST", .path = "/deleteSignalingChannel"},
    {.name = "DescribeMappedResourceConfiguration",
     .method = "POST",
     .path = "/describeMappedResourceConfiguration"},
    {.name = "DescribeMediaStorageConfiguration",
     .method = "POST",
     .path = "/describeMediaStorageConfiguration"},
    {.name = "DescribeSignalingChannel", .method = "POST", .path = "/describeSignalingChannel"},
    {.name = "GetSignalingChannelEndpoint",
     .method = "POST",
     .path = "/getSignalingChannelEndpoint"},
    {.name = "ListSignalingChannels", .method = "POST", .path = "/listSignalingChannels"},
    {.name = "UpdateMediaStorageConfiguration",
     .method = "POST",
     .path = "/updateMediaStorageConfiguration"},
    {.name = "UpdateSignalingChannel", .method = "POST", .path = "/updateSignalingChannel"},
    {.name = "GetClip", .method = "POST", .path = "/getClip"},
    {.name = "GetDASHStreamingSessionURL", .method = "POST", .path = "/getDASHStreamingSessionURL"},
    {.name = "GetHLSStreamingSessionURL", .method = "POST", .path = "/getHLSStreamingSessionURL"},
    {.name = "GetImages", .method = "POST", .path = "/getImages"},
    {.name = "GetIceServerConfig", .method = "POST", .path = "/v1/get-ice-server-config"},
    {.name = "SendAlexaOfferToMaster", .method = "POST", .path = "/v1/send-alexa-offer-to-master"},
    {.name = "JoinStorageSession", .method = "POST", .path = "/joinStorageSession"},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct operation *find(const char *path)
{
    for (size_t i = 0; i < COUNT(operations); i++)
        if (!strcmp(operations[i]->path, path))
            return operations[i];
    for (size_t i = 0; i < COUNT(later); i++)
        if (!strcmp(later[i].path, path))
            return &later[i];
    return NULL;
}

unsigned route_count(void)
{
    return COUNT(operations);
}

const struct operation *route_at(unsigned i)
{
    return operations[i];
}

unsigned route_index(const struct operation *op)
{
    unsigned i = 0;
    while (operations[i] != op)
        i++;
    return i;
}

void route_print(FILE *out)
{
    for (size_t i = 0; i < COUNT(operations); i++)
        fprintf(out, "%-38s %-36s built\n", operations[i]->name, operations[i]->path);
    for (size_t i = 0; i < COUNT(later); i++)
        fprintf(out, "%-38s %-36s not yet\n", later[i].name, later[i].path);
}

/* What the body callback needs to know; ex->data carries it until the operation takes over. */
static struct server *server_of(struct http_exchange *ex)
{
    return ex->data;
}

static bool known(struct server *server, struct http_exchange *ex, const struct operation *op,
                  enum auth_body kind, const uint8_t *body, size_t len, struct auth_caller *caller)
{
    struct auth_error error;
    int64_t now_s = clock_wall_ns() / NS_PER_S;
    if (auth_check(&server->auth, ex, kind, body, len, now_s, caller, &error) == 0)
        return true;
    const char *name = error.name ? error.name : access_denied_name(op);
    log_info("server.refused", "peer=%s path=%s error=%s", ex->peer, ex->path, name);
    error_reply(ex, error.status, name, "%s", error.message);
    return false;
}

/* From here on the call is recorded: who cannot sign cannot fill the log. */
static json_t *read_json(struct http_exchange *ex, const uint8_t *body, size_t len,
                         struct server *server, const struct operation *op,
                         const struct auth_caller *caller)
{
    json_error_t err;
    json_t *json =
        len ? json_loadb((const char *)body, len, JSON_REJECT_DUPLICATES, &err) : json_object();
    call_begin(server, ex, op, caller, json);
    if (json_is_object(json))
        return json;
    if (json)
        error_invalid_argument(ex, "The body is not a JSON object.");
    else
        error_invalid_argument(ex, "The body is not JSON: line %d: %s.", err.line, err.text);
    json_decref(json);
    return NULL;
}

static void on_body(struct http_exchange *ex, const uint8_t *body, size_t len)
{
    struct server *server = server_of(ex);
    const struct operation *op = find(ex->path);
    struct auth_caller caller;
    ex->data = NULL;
    if (!known(server, ex, op, AUTH_BODY_KNOWN, body, len, &caller))
        return;
    json_t *json = read_json(ex, body, len, server, op, &caller);
    if (json && access_allowed(server, ex, op, &caller, json) &&
        call_admitted(server, ex, op, json)) {
        log_debug("server.request", "peer=%s key=%s operation=%s", ex->peer, caller.access_key,
                  op->name);
        server->caller = &caller;
        op->handle(server, ex, json);
        server->caller = NULL;
    }
    json_decref(json);
}

static void start_stream(struct server *server, struct http_exchange *ex,
                         const struct operation *op)
{
    struct auth_caller caller;
    if (known(server, ex, op, AUTH_BODY_STREAMED, NULL, 0, &caller) &&
        access_allowed(server, ex, op, &caller, NULL)) {
        server->caller = &caller;
        op->handle(server, ex, NULL);
        server->caller = NULL;
    }
}

void route_request(void *arg, struct http_exchange *ex)
{
    struct server *server = arg;
    error_request_id(ex);
    if (server->draining) {
        error_reply(ex, 503, "ServiceUnavailable", "The server is stopping.");
        return;
    }
    if (role_credentials_path(ex->path)) {
        role_credentials_handle(server, ex);
        return;
    }
    if (!strcmp(ex->path, "/metrics") && !strcmp(ex->method, "GET")) {
        service_metrics_handle(server, ex);
        return;
    }
    const struct operation *op = find(ex->path);
    if (!op) {
        error_reply(ex, 400, "InvalidAction", "There is no operation at %.200s here.", ex->path);
    } else if (strcmp(op->method, ex->method)) {
        error_reply(ex, 405, "InvalidAction", "%s takes %s, not %s.", op->name, op->method,
                    ex->method);
    } else if (!op->handle) {
        error_reply(ex, 501, "NotImplemented",
                    "%s is an operation of the API that this kvpipe-server does not have yet.",
                    op->name);
    } else if (op->streams) {
        start_stream(server, ex, op);
    } else {
        ex->data = server;
        http_read_body(ex, op->body_max_bytes ? op->body_max_bytes : BODY_MAX_BYTES, on_body);
    }
}
