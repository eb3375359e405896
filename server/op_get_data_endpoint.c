/* GetDataEndpoint. One server serves everything: the answer is the address the client used. Relies
 * on the Host header, checked. Leaves proxies that change ports to their configuration. */
#include <stdio.h>
#include <string.h>

#include "server/error.h"
#include "server/field.h"
#include "server/http.h"
#include "server/reply.h"
#include "server/route.h"

/* Some producers send Host without the port they connected to: then it is the port the connection
 * came in on. */
static void address(const struct http_exchange *ex, char *out, size_t size)
{
    const char *host = http_header(ex, "host");
    const char *scheme = ex->tls ? "https" : "http";
    unsigned standard = ex->tls ? 443 : 80;
    bool with_port =
        host && field_matches(host, 3, 261, "^([a-zA-Z0-9._-]+|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}$");
    bool bare = host && field_matches(host, 1, 255, "^([a-zA-Z0-9._-]+|\\[[0-9a-fA-F:.]+\\])$");
    if (with_port || (bare && ex->local_port == standard))
        snprintf(out, size, "%s://%s", scheme, host);
    else
        snprintf(out, size, "%s://%s:%u", scheme, bare ? host : "127.0.0.1", ex->local_port);
}

static void handle(struct server *server, struct http_exchange *ex, json_t *body)
{
    static const char *const names[] = {"PUT_MEDIA",
                                        "GET_MEDIA",
                                        "LIST_FRAGMENTS",
                                        "GET_MEDIA_FOR_FRAGMENT_LIST",
                                        "GET_HLS_STREAMING_SESSION_URL",
                                        "GET_DASH_STREAMING_SESSION_URL",
                                        "GET_CLIP",
                                        "GET_IMAGES",
                                        NULL};
    struct fields f = {.ex = ex, .object = body};
    char url[320];
    field_enum(&f, "APIName", FIELD_REQUIRED, names);
    if (!field_stream(&f, server))
        return;
    address(ex, url, sizeof url);
    reply_json(ex, json_pack("{s:s}", "DataEndpoint", url));
}

const struct operation op_get_data_endpoint = {.name = "GetDataEndpoint",
                                               .method = "POST",
                                               .path = "/getDataEndpoint",
                                               .handle = handle,
                                               .control = true,
                                               .all_per_s = 300};
