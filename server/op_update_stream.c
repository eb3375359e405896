/* UpdateStream and UpdateDataRetention: changes under the version lock.
 * Relies on the store.
 * Leaves tags, image, notification and edge settings to their own operations: they carry no
 * version. */
#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "server/error.h"
#include "server/field.h"
#include "server/http.h"
#include "server/reply.h"
#include "server/route.h"
#include "server/stage.h"
#include "server/store.h"

#define RETENTION_MAX_H 87600

/* The stream that may be changed by who knows its version; NULL after an answer. */
static struct stream *lock(struct fields *f, struct server *server)
{
    const char *version = field_string(f, "CurrentVersion", FIELD_REQUIRED, 1, 64, FIELD_VERSION);
    struct stream *st = f->failed ? NULL : field_stream(f, server);
    if (!st)
        return NULL;
    if (st->status == STREAM_ACTIVE && !strcmp(version, st->version))
        return st;
    if (st->status != STREAM_ACTIVE)
        error_reply(f->ex, 400, "ResourceInUseException", "The stream %s is not ACTIVE.", st->name);
    else
        error_reply(f->ex, 400, "VersionMismatchException",
                    "CurrentVersion is not the latest version of the stream.");
    return NULL;
}

static void update_stream(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct fields f = {.ex = ex, .object = body};
    const char *device = field_string(&f, "DeviceName", FIELD_OPTIONAL, 1, 128, FIELD_NAME);
    const char *media = field_string(&f, "MediaType", FIELD_OPTIONAL, 1, 128, FIELD_MEDIA_TYPE);
    struct stream *st = f.failed ? NULL : lock(&f, server);
    if (!st)
        return;
    if (device)
        stream_set(&st->device_name, device);
    if (media)
        stream_set(&st->media_type, media);
    stream_new_version(st);
    store_update(st, reply_done, reply_hold(ex));
}

static void update_data_retention(struct server *server, struct http_exchange *ex, json_t *body)
{
    static const char *const operations[] = {"INCREASE_DATA_RETENTION", "DECREASE_DATA_RETENTION",
                                             NULL};
    struct fields f = {.ex = ex, .object = body};
    int operation = field_enum(&f, "Operation", FIELD_REQUIRED, operations);
    int64_t delta =
        field_int(&f, "DataRetentionChangeInHours", FIELD_REQUIRED, 1, RETENTION_MAX_H, 0);
    struct stream *st = f.failed ? NULL : lock(&f, server);
    if (!st)
        return;
    int64_t hours = (int64_t)st->retention_h + (operation == 0 ? delta : -delta);
    if (hours < 0 || hours > RETENTION_MAX_H) {
        error_invalid_argument(ex,
                               "The retention would be %" PRId64
                               " hours: expected 0 to %d, the stream has %u now.",
                               hours, RETENTION_MAX_H, st->retention_h);
        return;
    }
    st->retention_h = (uint32_t)hours;
    stream_new_version(st);
    store_update(st, reply_done, reply_hold(ex));
    store_sweep(server->store, clock_wall_ns()); /* what is older than it now goes at once */
}

const struct operation op_update_stream = {.name = "UpdateStream",
                                           .method = "POST",
                                           .path = "/updateStream",
                                           .handle = update_stream,
                                           .control = true};
const struct operation op_update_data_retention = {.name = "UpdateDataRetention",
                                                   .method = "POST",
                                                   .path = "/updateDataRetention",
                                                   .handle = update_data_retention,
                                                   .control = true};
