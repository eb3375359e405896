/* The tag operations: TagStream, UntagStream, ListTagsForStream and the three for resources, which
 * take a stream's ARN here. Relies on the store and on tags.h. Leaves channels to the operations
 * that will make them. */
#include <stdlib.h>
#include <string.h>

#include "server/error.h"
#include "server/http.h"
#include "server/reply.h"
#include "server/route.h"
#include "server/store.h"
#include "server/tags.h"

/* Only these three operations have a name for a malformed ARN. */
static struct stream *tagged_stream(struct fields *f, struct server *server)
{
    const char *arn = json_string_value(json_object_get(f->object, "StreamARN"));
    if (!arn || field_matches(arn, 1, 1024, FIELD_ARN))
        return field_stream(f, server);
    f->failed = true;
    error_reply(f->ex, 400, "InvalidResourceFormatException", "StreamARN is not an ARN.");
    return NULL;
}

static struct stream *tagged_resource(struct fields *f, struct server *server)
{
    const char *arn = field_string(f, "ResourceARN", FIELD_REQUIRED, 1, 1024, FIELD_ARN);
    return f->failed ? NULL : field_find_stream(f->ex, server, NULL, arn);
}

static json_t *tags_of(const struct stream *st)
{
    json_t *tags = st->tags ? json_loads(st->tags, 0, NULL) : NULL;
    return tags ? tags : json_object();
}

static void store_tags(struct stream *st, json_t *tags, struct http_exchange *ex)
{
    free(st->tags);
    st->tags = json_dumps(tags, JSON_COMPACT);
    store_update(st, reply_done, reply_hold(ex));
}

static void add(struct stream *st, json_t *more, struct http_exchange *ex)
{
    json_t *tags = tags_of(st);
    json_object_update(tags, more);
    if (json_object_size(tags) > TAGS_MAX)
        error_reply(ex, 400, "TagsPerResourceExceededLimitException",
                    "The stream would have %zu tags; at most %d are allowed.",
                    json_object_size(tags), TAGS_MAX);
    else
        store_tags(st, tags, ex);
    json_decref(tags);
}

static void take(struct stream *st, json_t *keys, struct http_exchange *ex)
{
    json_t *tags = tags_of(st), *key;
    size_t i;
    json_array_foreach(keys, i, key) json_object_del(tags, json_string_value(key));
    store_tags(st, tags, ex);
    json_decref(tags);
}

/* Fifty tags fit one page: a token can only be one that was never given. */
static void show(struct fields *f, struct stream *st)
{
    const char *token = field_string(f, "NextToken", FIELD_OPTIONAL, 0, 512, NULL);
    if (f->failed)
        return;
    if (token && *token)
        error_invalid_argument(f->ex, "NextToken is not one that this operation gave.");
    else
        reply_json(f->ex, json_pack("{s:o}", "Tags", tags_of(st)));
}

static void tag_stream(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct fields f = {.ex = ex, .object = body};
    json_t *tags = tags_map(&f, FIELD_REQUIRED);
    struct stream *st = f.failed ? NULL : tagged_stream(&f, server);
    if (st)
        add(st, tags, ex);
}

static void untag_stream(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct fields f = {.ex = ex, .object = body};
    json_t *keys = tags_keys(&f);
    struct stream *st = f.failed ? NULL : tagged_stream(&f, server);
    if (st)
        take(st, keys, ex);
}

static void list_stream(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct fields f = {.ex = ex, .object = body};
    struct stream *st = tagged_stream(&f, server);
    if (st)
        show(&f, st);
}

static void tag_resource(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct fields f = {.ex = ex, .object = body};
    json_t *tags = tags_list(&f);
    struct stream *st = f.failed ? NULL : tagged_resource(&f, server);
    if (st)
        add(st, tags, ex);
    json_decref(tags);
}

static void untag_resource(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct fields f = {.ex = ex, .object = body};
    json_t *keys = tags_keys(&f);
    struct stream *st = f.failed ? NULL : tagged_resource(&f, server);
    if (st)
        take(st, keys, ex);
}

static void list_resource(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct fields f = {.ex = ex, .object = body};
    struct stream *st = tagged_resource(&f, server);
    if (st)
        show(&f, st);
}

const struct operation op_tag_stream = {.name = "TagStream",
                                        .method = "POST",
                                        .path = "/tagStream",
                                        .handle = tag_stream,
                                        .control = true};
const struct operation op_untag_stream = {.name = "UntagStream",
                                          .method = "POST",
                                          .path = "/untagStream",
                                          .handle = untag_stream,
                                          .control = true};
const struct operation op_list_tags_for_stream = {.name = "ListTagsForStream",
                                                  .method = "POST",
                                                  .path = "/listTagsForStream",
                                                  .handle = list_stream,
                                                  .control = true};
const struct operation op_tag_resource = {.name = "TagResource",
                                          .method = "POST",
                                          .path = "/TagResource",
                                          .handle = tag_resource,
                                          .control = true,
                                          .access_denied = true};
const struct operation op_untag_resource = {.name = "UntagResource",
                                            .method = "POST",
                                            .path = "/UntagResource",
                                            .handle = untag_resource,
                                            .control = true,
                                            .access_denied = true};
const struct operation op_list_tags_for_resource = {.name = "ListTagsForResource",
                                                    .method = "POST",
                                                    .path = "/ListTagsForResource",
                                                    .handle = list_resource,
                                                    .control = true,
                                                    .access_denied = true};
