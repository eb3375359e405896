/* Whether a caller's policy allows an operation on the stream that the request names.
 * Relies on auth.h and the store.
 * Leaves the check of the request's fields to the operations. */
#include "server/access.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "server/auth.h"
#include "server/error.h"
#include "server/http.h"
#include "server/kms.h"
#include "server/route.h"
#include "server/stage.h"
#include "server/store.h"

#define ARN_MAX_BYTES 1024

const char *access_denied_name(const struct operation *op)
{
    return op->access_denied ? "AccessDeniedException" : "NotAuthorizedException";
}

static const char *given(struct http_exchange *ex, json_t *body, const char *member,
                         const char *header)
{
    const char *s = body     ? json_string_value(json_object_get(body, member))
                    : header ? http_header(ex, header)
                             : NULL;
    return s && *s ? s : NULL;
}

struct stream *access_stream(struct server *server, struct http_exchange *ex, json_t *body)
{
    const char *name = given(ex, body, "StreamName", "x-amzn-stream-name");
    const char *arn = given(ex, body, "StreamARN", "x-amzn-stream-arn");
    if (!arn)
        arn = given(ex, body, "ResourceARN", NULL);
    return name ? store_find(server->store, name) : arn ? store_find_arn(server->store, arn) : NULL;
}

static bool may(struct server *server, struct http_exchange *ex, const struct operation *op,
                const struct auth_caller *caller, const char *resource)
{
    char action[80];
    snprintf(action, sizeof action, "kinesisvideo:%s", op->name);
    if (auth_may(caller, action, resource))
        return true;
    log_info("server.denied", "peer=%s key=%s action=%s resource=%s", ex->peer, caller->access_key,
             action, resource);
    error_reply(ex, 401, access_denied_name(op),
                "The key %s (%s) is not authorized to perform: %s on resource: %s",
                caller->access_key, caller->name, action, resource);
    return false;
}

/* What has no stream yet gets an ARN that patterns over the code match: .../NAME/0. */
static void arn_of(struct server *server, const char *kind, const char *name,
                   char arn[ARN_MAX_BYTES])
{
    struct stream *st = strcmp(kind, "stream") ? NULL : store_find(server->store, name);
    if (st)
        snprintf(arn, ARN_MAX_BYTES, "%s", st->arn);
    else
        snprintf(arn, ARN_MAX_BYTES, "arn:aws:kinesisvideo:%s:" SERVER_ACCOUNT ":%s/%.256s/0",
                 store_region(server->store), kind, name);
}

static bool may_by_arn(struct server *server, struct http_exchange *ex, const struct operation *op,
                       const struct auth_caller *caller, json_t *body, bool *named)
{
    static const char *const members[] = {"StreamARN", "ResourceARN", "ChannelARN"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const char *arn = given(ex, body, members[i], i ? NULL : "x-amzn-stream-arn");
        if (arn && !may(server, ex, op, caller, arn))
            return false;
        *named = *named || arn;
    }
    return true;
}

static bool may_by_name(struct server *server, struct http_exchange *ex, const struct operation *op,
                        const struct auth_caller *caller, json_t *body, bool *named)
{
    static const char *const kinds[] = {"stream", "channel"};
    const char *names[] = {given(ex, body, "StreamName", "x-amzn-stream-name"),
                           given(ex, body, "ChannelName", NULL)};
    char arn[ARN_MAX_BYTES];
    for (size_t i = 0; i < 2; i++) {
        if (!names[i])
            continue;
        arn_of(server, kinds[i], names[i], arn);
        if (!may(server, ex, op, caller, arn))
            return false;
        *named = true;
    }
    return true;
}

/* Every resource that is named must be allowed: an operation may act on any of them. */
bool access_allowed(struct server *server, struct http_exchange *ex, const struct operation *op,
                    const struct auth_caller *caller, json_t *body)
{
    char all[ARN_MAX_BYTES];
    bool named = false;
    if (!caller->policy)
        return true;
    if (!op->on_all && (!may_by_arn(server, ex, op, caller, body, &named) ||
                        !may_by_name(server, ex, op, caller, body, &named)))
        return false;
    snprintf(all, sizeof all, "arn:aws:kinesisvideo:%s:" SERVER_ACCOUNT ":stream/*",
             store_region(server->store));
    return named || may(server, ex, op, caller, all);
}

bool access_key_allowed(struct server *server, const struct stream *st, const char *action)
{
    const struct auth_caller *caller = server->caller;
    char id[2100], arn[2300];
    kms_plain_id(st->kms_key ? st->kms_key : KMS_DEFAULT_KEY, id, sizeof id);
    if (!caller || !caller->policy || !strcmp(id, KMS_DEFAULT_KEY))
        return true;
    snprintf(arn, sizeof arn, "arn:aws:kms:%s:" SERVER_ACCOUNT ":%s%s", store_region(server->store),
             strncmp(id, "alias/", 6) ? "key/" : "", id);
    if (auth_may(caller, action, arn))
        return true;
    log_info("server.denied", "key=%s action=%s resource=%s", caller->access_key, action, arn);
    return false;
}
