/* CreateStream. Answers once the stream is durable; it is ACTIVE then. Relies on the store and on
 * tags.h. Leaves changes to the other operations. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "server/error.h"
#include "server/field.h"
#include "server/http.h"
#include "server/reply.h"
#include "server/route.h"
#include "server/stage.h"
#include "server/store.h"
#include "server/tags.h"

#define RETENTION_MAX_H 87600
#define STREAMS_BIG_REGION 10000
#define STREAMS_OTHER_REGION 5000

static void created(void *arg, struct stream *st, int result)
{
    struct reply_hold *hold = arg;
    struct http_exchange *ex = reply_release(&hold);
    if (!ex)
        return;
    if (result)
        error_internal(ex);
    else
        reply_json(ex, json_pack("{s:s}", "StreamARN", st->arn));
}

/* Whether there may be one more stream: as many as the config says, or as the service has it. */
static bool room(struct server *server, struct http_exchange *ex)
{
    const char *region = store_region(server->store);
    bool big = !strcmp(region, "us-east-1") || !strcmp(region, "us-west-2");
    unsigned max = server->limits->streams ? server->limits->streams
                   : big                   ? STREAMS_BIG_REGION
                                           : STREAMS_OTHER_REGION;
    if (store_count(server->store) < max)
        return true;
    error_reply(ex, 400, "AccountStreamLimitExceededException",
                "There are %u streams, as many as there may be (server.limits.streams).", max);
    return false;
}

static void handle(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct fields f = {.ex = ex, .object = body};
    struct stream_spec spec = {
        .name = field_string(&f, "StreamName", FIELD_REQUIRED, 1, 256, FIELD_NAME),
        .retention_h =
            (uint32_t)field_int(&f, "DataRetentionInHours", FIELD_OPTIONAL, 0, RETENTION_MAX_H, 0),
        .device_name = field_string(&f, "DeviceName", FIELD_OPTIONAL, 1, 128, FIELD_NAME),
        .kms_key = field_string(&f, "KmsKeyId", FIELD_OPTIONAL, 1, 2048, NULL),
        .media_type = field_string(&f, "MediaType", FIELD_OPTIONAL, 1, 128, FIELD_MEDIA_TYPE),
    };
    json_t *given = tags_map(&f, FIELD_OPTIONAL);
    char *tags = given ? json_dumps(given, JSON_COMPACT) : NULL;
    spec.tags = tags;
    if (!f.failed && store_find(server->store, spec.name)) {
        f.failed = true;
        error_reply(ex, 400, "ResourceInUseException", "The stream %s already exists.", spec.name);
    }
    if (!f.failed)
        f.failed = !room(server, ex);
    if (!f.failed)
        store_create(server->store, &spec, created, reply_hold(ex));
    free(tags);
}

const struct operation op_create_stream = {.name = "CreateStream",
                                           .method = "POST",
                                           .path = "/createStream",
                                           .handle = handle,
                                           .control = true,
                                           .audits_answer = true,
                                           .stream_per_s = 50};
