/* DescribeStream. Relies on the store's memory, so it shows the latest state. Leaves StreamInfo's
 * members to stream_info. */
#include "server/field.h"
#include "server/reply.h"
#include "server/route.h"
#include "server/stream_info.h"

static void handle(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct fields f = {.ex = ex, .object = body};
    struct stream *st = field_stream(&f, server);
    if (st)
        reply_json(ex, json_pack("{s:o}", "StreamInfo", stream_info(st)));
}

const struct operation op_describe_stream = {.name = "DescribeStream",
                                             .method = "POST",
                                             .path = "/describeStream",
                                             .handle = handle,
                                             .control = true,
                                             .all_per_s = 300};
