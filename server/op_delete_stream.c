/* DeleteStream. The data is unreadable at once; the files go in the background. Relies on the
 * store. Leaves mapped signaling channels to the operations that will make them. */
#include <string.h>

#include "server/error.h"
#include "server/field.h"
#include "server/http.h"
#include "server/reply.h"
#include "server/route.h"
#include "server/stage.h"
#include "server/store.h"

static void handle(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct fields f = {.ex = ex, .object = body};
    const char *arn = field_string(&f, "StreamARN", FIELD_REQUIRED, 1, 1024, FIELD_ARN);
    const char *version = field_string(&f, "CurrentVersion", FIELD_OPTIONAL, 1, 64, FIELD_VERSION);
    if (f.failed)
        return;
    struct stream *st = field_find_stream(ex, server, NULL, arn);
    if (!st)
        return;
    if (st->status != STREAM_ACTIVE)
        error_reply(ex, 400, "ResourceInUseException", "The stream %s is not ACTIVE.", st->name);
    else if (version && strcmp(version, st->version))
        error_reply(ex, 400, "VersionMismatchException",
                    "CurrentVersion is not the latest version of the stream.");
    else
        store_delete(st, reply_done, reply_hold(ex));
}

const struct operation op_delete_stream = {.name = "DeleteStream",
                                           .method = "POST",
                                           .path = "/deleteStream",
                                           .handle = handle,
                                           .control = true};
