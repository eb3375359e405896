/* The edge configuration operations. No edge agent ever talks to this server, so a configuration
 * that is started fails to synchronize after 15 minutes, as the service has it, and one that is
 * deleted is gone at once: nothing lies on a device. Relies on settings.h and the wall clock.
 * Leaves streams to the store. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "server/error.h"
#include "server/field.h"
#include "server/http.h"
#include "server/reply.h"
#include "server/route.h"
#include "server/settings.h"
#include "server/stage.h"
#include "server/store.h"
#include "server/token.h"

#define SYNC_MS (15 * 60 * 1000)
#define LIST_MAX 10
#define LIST_DEFAULT 5

static void check_schedule(struct fields *outer, bool required)
{
    struct fields f = field_enter(outer, "ScheduleConfig", required);
    field_string(&f, "ScheduleExpression", FIELD_REQUIRED, 11, 100, "^[^\n]{11,100}$");
    field_int(&f, "DurationInSeconds", FIELD_REQUIRED, 60, 3600, 0);
    field_leave(outer, &f);
}

static void check_recorder(struct fields *outer)
{
    static const char *const types[] = {"RTSP_URI", "FILE_URI", NULL};
    struct fields f = field_enter(outer, "RecorderConfig", FIELD_REQUIRED);
    struct fields source = field_enter(&f, "MediaSourceConfig", FIELD_REQUIRED);
    field_string(&source, "MediaUriSecretArn", FIELD_REQUIRED, 20, 2048, FIELD_SECRET_ARN);
    field_enum(&source, "MediaUriType", FIELD_REQUIRED, types);
    field_leave(&f, &source);
    check_schedule(&f, FIELD_OPTIONAL);
    field_leave(outer, &f);
}

static void check_deletion(struct fields *outer)
{
    static const char *const strategies[] = {"DELETE_OLDEST_MEDIA", "DENY_NEW_MEDIA", NULL};
    struct fields f = field_enter(outer, "DeletionConfig", FIELD_OPTIONAL);
    field_int(&f, "EdgeRetentionInHours", FIELD_OPTIONAL, 1, 720, 0);
    field_bool(&f, "DeleteAfterUpload", true);
    struct fields size = field_enter(&f, "LocalSizeConfig", FIELD_OPTIONAL);
    field_int(&size, "MaxLocalMediaSizeInMB", FIELD_OPTIONAL, 64, 2000000, 0);
    field_enum(&size, "StrategyOnFullSize", FIELD_OPTIONAL, strategies);
    field_leave(&f, &size);
    field_leave(outer, &f);
}

/* The EdgeConfig (borrowed), checked; NULL after an answer. */
static json_t *read_config(struct fields *outer)
{
    struct fields f = field_enter(outer, "EdgeConfig", FIELD_REQUIRED);
    field_string(&f, "HubDeviceArn", FIELD_REQUIRED, 1, 1024, FIELD_THING_ARN);
    check_recorder(&f);
    struct fields uploader = field_enter(&f, "UploaderConfig", FIELD_OPTIONAL);
    check_schedule(&uploader, FIELD_OPTIONAL);
    field_leave(&f, &uploader);
    check_deletion(&f);
    field_leave(outer, &f);
    return outer->failed ? NULL : f.object;
}

static const char *hub(json_t *config)
{
    const char *s = json_string_value(json_object_get(config, "HubDeviceArn"));
    return s ? s : "";
}

static int64_t updated_ms(json_t *edge)
{
    return (int64_t)json_integer_value(json_object_get(edge, "updated_ms"));
}

static bool syncing(json_t *edge)
{
    return clock_wall_ns() / NS_PER_MS - updated_ms(edge) < SYNC_MS;
}

/* The members that all four operations share. */
static json_t *info(const struct stream *st, json_t *edge)
{
    bool waits = syncing(edge);
    return json_pack(
        "{s:s, s:s, s:o, s:o, s:O, s:s, s:s*}", "StreamName", st->name, "StreamARN", st->arn,
        "CreationTime",
        reply_timestamp((int64_t)json_integer_value(json_object_get(edge, "created_ms"))),
        "LastUpdatedTime", reply_timestamp(updated_ms(edge)), "EdgeConfig",
        json_object_get(edge, "config"), "SyncStatus", waits ? "SYNCING" : "SYNC_FAILED",
        "FailedStatusDetails",
        waits ? NULL : "No edge agent fetched the configuration within 15 minutes.");
}

struct answer {
    struct reply_hold *hold;
    json_t *object;
};

static void stored(void *arg, int result)
{
    struct answer *a = arg;
    struct http_exchange *ex = reply_release(&a->hold);
    if (ex && result)
        error_internal(ex);
    else if (ex)
        reply_json(ex, json_incref(a->object));
    json_decref(a->object);
    free(a);
}

static void put(struct stream *st, json_t *old, json_t *config, struct http_exchange *ex)
{
    int64_t now_ms = clock_wall_ns() / NS_PER_MS;
    int64_t created =
        old ? (int64_t)json_integer_value(json_object_get(old, "created_ms")) : now_ms;
    json_t *edge = json_pack("{s:I, s:I, s:O}", "created_ms", (json_int_t)created, "updated_ms",
                             (json_int_t)now_ms, "config", config);
    settings_put(st, SETTING_EDGE, edge);
    struct answer *a = xcalloc(1, sizeof *a);
    *a = (struct answer){.hold = reply_hold(ex), .object = info(st, edge)};
    store_update(st, stored, a);
    json_decref(edge);
}

static void start(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct fields f = {.ex = ex, .object = body};
    json_t *config = read_config(&f);
    struct stream *st = config ? field_stream(&f, server) : NULL;
    if (!st)
        return;
    json_t *old = settings_get(st, SETTING_EDGE);
    if (st->status != STREAM_ACTIVE || (old && syncing(old)))
        error_reply(ex, 400, "ResourceInUseException",
                    "The stream or its edge configuration is being changed; try again later.");
    else if (!st->retention_h)
        error_reply(ex, 400, "NoDataRetentionException",
                    "The stream %s keeps no data: its retention is 0 hours.", st->name);
    else if (old && strcmp(hub(json_object_get(old, "config")), hub(config)))
        error_invalid_argument(ex, "HubDeviceArn is another device's: delete the stream's edge "
                                   "configuration first.");
    else
        put(st, old, config, ex);
    json_decref(old);
}

/* The stream and its configuration (new); NULL after an answer. */
static json_t *find(struct server *server, struct http_exchange *ex, json_t *body,
                    struct stream **out)
{
    struct fields f = {.ex = ex, .object = body};
    *out = field_stream(&f, server);
    json_t *edge = *out ? settings_get(*out, SETTING_EDGE) : NULL;
    if (*out && !edge)
        error_reply(ex, 404, "StreamEdgeConfigurationNotFoundException",
                    "The stream %s has no edge configuration.", (*out)->name);
    return edge;
}

static void describe(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct stream *st;
    json_t *edge = find(server, ex, body, &st);
    if (edge)
        reply_json(ex, info(st, edge));
    json_decref(edge);
}

static void delete_edge(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct stream *st;
    json_t *edge = find(server, ex, body, &st);
    if (!edge)
        return;
    settings_put(st, SETTING_EDGE, NULL);
    store_update(st, reply_done, reply_hold(ex));
    json_decref(edge);
}

static void list(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct fields f = {.ex = ex, .object = body};
    const char *device = field_string(&f, "HubDeviceArn", FIELD_REQUIRED, 1, 1024, FIELD_THING_ARN);
    int64_t max = field_int(&f, "MaxResults", FIELD_OPTIONAL, 1, LIST_MAX, LIST_DEFAULT);
    const char *given = field_string(&f, "NextToken", FIELD_OPTIONAL, 0, 512, NULL);
    char after[TOKEN_TEXT_MAX] = "", next[TOKEN_MAX] = "";
    if (f.failed)
        return;
    if (given && *given && token_decode(given, after) < 0) {
        error_invalid_argument(ex, "NextToken is not one that this operation gave.");
        return;
    }
    json_t *items = json_array();
    struct stream *st, *last = NULL;
    for (st = store_first(server->store); st && !*next; st = TAILQ_NEXT(st, link)) {
        json_t *edge = strcmp(st->name, after) > 0 ? settings_get(st, SETTING_EDGE) : NULL;
        if (edge && !strcmp(hub(json_object_get(edge, "config")), device)) {
            if ((int64_t)json_array_size(items) == max)
                token_encode(last->name, next);
            else
                json_array_append_new(items, info(st, edge));
            last = st;
        }
        json_decref(edge);
    }
    reply_json(ex,
               json_pack("{s:o, s:s*}", "EdgeConfigs", items, "NextToken", *next ? next : NULL));
}

const struct operation op_start_edge_configuration_update = {.name = "StartEdgeConfigurationUpdate",
                                                             .method = "POST",
                                                             .path =
                                                                 "/startEdgeConfigurationUpdate",
                                                             .handle = start,
                                                             .control = true,
                                                             .all_per_s = 10,
                                                             .stream_per_s = 1,
                                                             .access_denied = true};
const struct operation op_describe_edge_configuration = {.name = "DescribeEdgeConfiguration",
                                                         .method = "POST",
                                                         .path = "/describeEdgeConfiguration",
                                                         .handle = describe,
                                                         .control = true,
                                                         .access_denied = true};
const struct operation op_delete_edge_configuration = {.name = "DeleteEdgeConfiguration",
                                                       .method = "POST",
                                                       .path = "/deleteEdgeConfiguration",
                                                       .handle = delete_edge,
                                                       .control = true,
                                                       .all_per_s = 10,
                                                       .stream_per_s = 1,
                                                       .access_denied = true};
const struct operation op_list_edge_agent_configurations = {.name = "ListEdgeAgentConfigurations",
                                                            .method = "POST",
                                                            .path = "/listEdgeAgentConfigurations",
                                                            .handle = list,
                                                            .control = true,
                                                            .on_all = true};
