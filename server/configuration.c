/* A stream's configurations that are replaced whole: image generation and notifications.
 * Relies on settings.h and field.h.
 * Leaves each one's members to its operation. */
#include "server/configuration.h"

#include "server/error.h"
#include "server/field.h"
#include "server/reply.h"
#include "server/settings.h"
#include "server/store.h"

const char *const configuration_status[] = {"ENABLED", "DISABLED", NULL};

void configuration_update(struct server *server, struct http_exchange *ex, json_t *body,
                          const char *member, const char *setting,
                          bool (*check)(struct fields *f, struct stream *st))
{
    struct fields f = {.ex = ex, .object = body};
    json_t *value = field_object(&f, member, FIELD_OPTIONAL);
    struct stream *st = f.failed ? NULL : field_stream(&f, server);
    if (!st || (value && !check(&f, st)))
        return;
    if (st->status != STREAM_ACTIVE) {
        error_reply(ex, 400, "ResourceInUseException", "The stream %s is not ACTIVE.", st->name);
    } else if (value && !st->retention_h) {
        error_reply(ex, 400, "NoDataRetentionException",
                    "The stream %s keeps no data: its retention is 0 hours.", st->name);
    } else {
        settings_put(st, setting, value);
        store_update(st, reply_done, reply_hold(ex));
    }
}

void configuration_describe(struct server *server, struct http_exchange *ex, json_t *body,
                            const char *member, const char *setting)
{
    struct fields f = {.ex = ex, .object = body};
    struct stream *st = field_stream(&f, server);
    if (st)
        reply_json(ex, json_pack("{s:o*}", member, settings_get(st, setting)));
}
