/* ListStreams. Ordered by name; the token holds the last name, so paging is stable. Relies on the
 * store's memory. Leaves StreamInfo's members to stream_info. */
#include <string.h>

#include "server/error.h"
#include "server/field.h"
#include "server/reply.h"
#include "server/route.h"
#include "server/stage.h"
#include "server/store.h"
#include "server/stream_info.h"
#include "server/token.h"

#define MAX_RESULTS 10000

/* Reads StreamNameCondition: *prefix is NULL without one. */
static void read_condition(struct fields *f, const char **prefix)
{
    static const char *const operators[] = {"BEGINS_WITH", NULL};
    *prefix = NULL;
    struct fields sub = field_enter(f, "StreamNameCondition", FIELD_OPTIONAL);
    field_enum(&sub, "ComparisonOperator", FIELD_OPTIONAL, operators);
    *prefix = field_string(&sub, "ComparisonValue", FIELD_OPTIONAL, 1, 256, FIELD_NAME);
    field_leave(f, &sub);
}

static void list(struct server *server, struct http_exchange *ex, const char *after,
                 const char *prefix, int64_t max)
{
    json_t *items = json_array();
    struct stream *st, *last = NULL;
    char token[TOKEN_MAX] = "";
    for (st = store_first(server->store); st; st = TAILQ_NEXT(st, link)) {
        if (strcmp(st->name, after) <= 0 || (prefix && strncmp(st->name, prefix, strlen(prefix))))
            continue;
        if ((int64_t)json_array_size(items) == max) {
            token_encode(last->name, token);
            break;
        }
        json_array_append_new(items, stream_info(st));
        last = st;
    }
    reply_json(
        ex, json_pack("{s:o, s:s*}", "StreamInfoList", items, "NextToken", *token ? token : NULL));
}

static void handle(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct fields f = {.ex = ex, .object = body};
    char after[TOKEN_TEXT_MAX] = "";
    const char *prefix;
    int64_t max = field_int(&f, "MaxResults", FIELD_OPTIONAL, 1, MAX_RESULTS, MAX_RESULTS);
    const char *token = field_string(&f, "NextToken", FIELD_OPTIONAL, 0, 512, NULL);
    read_condition(&f, &prefix);
    if (f.failed)
        return;
    if (token && *token && token_decode(token, after) < 0)
        error_invalid_argument(ex, "NextToken is not one that ListStreams gave.");
    else
        list(server, ex, after, prefix, max);
}

const struct operation op_list_streams = {.name = "ListStreams",
                                          .method = "POST",
                                          .path = "/listStreams",
                                          .handle = handle,
                                          .control = true,
                                          .on_all = true};
