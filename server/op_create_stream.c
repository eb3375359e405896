/* CreateStream: control-plane.md section 5. Answers once the stream is durable; it is ACTIVE then.
 * Relies on the store.
 * Leaves tags' other operations to later files. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/error.h"
#include "server/field.h"
#include "server/http.h"
#include "server/reply.h"
#include "server/route.h"
#include "server/stage.h"
#include "server/store.h"

#define RETENTION_MAX_H 87600
#define TAGS_MAX 50

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

/* TAGKEY and TAGVAL of control-plane.md section 2; characters beyond ASCII are all taken for
 * letters. */
static bool tag_text(const char *s, size_t min, size_t max)
{
    if (!field_matches(s, min, max, NULL))
        return false;
    for (; *s; s++)
        if (!(*s & 0x80) &&
            !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _.:/=+-@", *s))
            return false;
    return true;
}

/* Returns the tags as JSON text (malloc), or NULL; answers bad ones. */
static char *tags_text(struct fields *f)
{
    json_t *tags = field_object(f, "Tags", FIELD_OPTIONAL), *value;
    const char *key;
    if (!tags)
        return NULL;
    bool ok = json_object_size(tags) <= TAGS_MAX;
    json_object_foreach(tags, key, value) ok = ok && tag_text(key, 1, 128) &&
                                               json_is_string(value) &&
                                               tag_text(json_string_value(value), 0, 256);
    if (ok)
        return json_dumps(tags, JSON_COMPACT);
    f->failed = true;
    error_invalid_argument(
        f->ex,
        "Tags is not valid: expected at most 50 pairs of strings, keys of 1 to 128 and values "
        "of up to 256 letters, digits, spaces and _.:/=+-@.");
    return NULL;
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
    char *tags = tags_text(&f);
    spec.tags = tags;
    if (!f.failed && store_find(server->store, spec.name)) {
        f.failed = true;
        error_reply(ex, 400, "ResourceInUseException", "The stream %s already exists.", spec.name);
    }
    if (!f.failed)
        store_create(server->store, &spec, created, reply_hold(ex));
    free(tags);
}

const struct operation op_create_stream = {
    .name = "CreateStream", .method = "POST", .path = "/createStream", .handle = handle};
