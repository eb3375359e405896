/* A control call between the check of its signature and its answer: how often such calls may come,
 * and the record of it in the audit log, in CloudTrail's form. Relies on rate.h and audit.h. Leaves
 * the meaning of calls to the operations. */
#include "server/call.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/conf.h"
#include "common/mem.h"
#include "server/access.h"
#include "server/audit.h"
#include "server/auth.h"
#include "server/error.h"
#include "server/http.h"
#include "server/rate.h"
#include "server/route.h"
#include "server/stage.h"
#include "server/store.h"

#define ALL_PER_S 50
#define STREAM_PER_S 5
#define AGENT_MAX 512
#define HIDDEN "HIDDEN_DUE_TO_SECURITY_REASONS"

struct call {
    struct server *server;
    const struct operation *op;
    struct auth_caller caller;
    json_t *body;
};

/* ---- rates ---- */

static bool admit(struct server *server, struct http_exchange *ex, const struct operation *op,
                  struct rate **rates, unsigned per_s, const char *of)
{
    double rate = per_s * (server->limits->control_percent / 100.0);
    if (!*rates)
        *rates = xcalloc(route_count(), sizeof **rates);
    if (rate_admit(*rates + route_index(op), rate, rate < 1 ? 1 : rate, 1, clock_mono_ns()))
        return true;
    error_reply(ex, 400, "ClientLimitExceededException",
                "%s takes %g calls a second %s; try again later (server.limits).", op->name, rate,
                of);
    return false;
}

bool call_admitted(struct server *server, struct http_exchange *ex, const struct operation *op,
                   json_t *body)
{
    if (!op->control)
        return true;
    unsigned all = op->all_per_s ? op->all_per_s : ALL_PER_S;
    unsigned each = op->stream_per_s ? op->stream_per_s : STREAM_PER_S;
    struct stream *st = op->on_all ? NULL : access_stream(server, ex, body);
    return admit(server, ex, op, &server->calls, all, "from everybody together") &&
           (!st || admit(server, ex, op, &st->calls, each, "for a stream"));
}

/* ---- the record ---- */

/* "StreamARN" as CloudTrail writes it, "streamARN"; "APIName" as "apiName". */
static void member_name(const char *member, char *out, size_t size)
{
    size_t capitals = 0;
    while (isupper((unsigned char)member[capitals]))
        capitals++;
    if (capitals > 1 && member[capitals])
        capitals--; /* the last begins the next word */
    snprintf(out, size, "%s", member);
    for (size_t i = 0; i < capitals && i + 1 < size; i++)
        out[i] = (char)tolower((unsigned char)out[i]);
}

static json_t *parameters(json_t *value, bool keep_names);

static json_t *parameters_object(json_t *object, bool keep_names)
{
    json_t *out = json_object(), *v;
    const char *key;
    char name[128];
    json_object_foreach(object, key, v)
    {
        member_name(key, name, sizeof name);
        if (!strcmp(key, "MediaUriSecretArn"))
            json_object_set_new(out, name, json_string(HIDDEN));
        else /* of these the caller chose the names */
            json_object_set_new(
                out, keep_names ? key : name,
                parameters(v, !strcmp(key, "Tags") || !strcmp(key, "FormatConfig")));
    }
    return out;
}

static json_t *parameters(json_t *value, bool keep_names)
{
    json_t *out, *v;
    size_t i;
    if (json_is_object(value))
        return parameters_object(value, keep_names);
    if (!json_is_array(value))
        return json_incref(value);
    out = json_array();
    json_array_foreach(value, i, v) json_array_append_new(out, parameters(v, false));
    return out;
}

static json_t *identity(const struct auth_caller *c)
{
    const char *session = *c->thing ? c->thing : c->certificate;
    char *arn = c->temporary ? xasprintf("arn:aws:sts::" SERVER_ACCOUNT ":assumed-role/%s/%s",
                                         c->name, session)
                             : xasprintf("arn:aws:iam::" SERVER_ACCOUNT ":user/%s", c->name);
    char *principal = c->temporary ? xasprintf("%s:%s", c->name, session) : xstrdup(c->access_key);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s}", "type",
                          c->temporary ? "AssumedRole" : "IAMUser", "principalId", principal, "arn",
                          arn, "accountId", SERVER_ACCOUNT, "accessKeyId", c->access_key);
    if (!c->temporary)
        json_object_set_new(o, "userName", json_string(c->name));
    free(arn);
    free(principal);
    return o;
}

/* The peer without its port. */
static json_t *address(const char *peer)
{
    const char *colon = strrchr(peer, ':');
    size_t n = colon ? (size_t)(colon - peer) : strlen(peer);
    bool v6 = n > 2 && *peer == '[';
    return json_stringn_nocheck(peer + v6, n - (v6 ? 2 : 0));
}

static json_t *user_agent(const struct http_exchange *ex)
{
    const char *s = http_header(ex, "user-agent");
    char text[AGENT_MAX];
    size_t n = 0;
    for (; s && s[n] && n + 1 < sizeof text; n++)
        text[n] = (char)(isprint((unsigned char)s[n]) ? s[n] : '?');
    text[n] = '\0';
    return json_string(text);
}

static json_t *make_record(const struct call *c, const struct http_exchange *ex, const char *error,
                           const char *message, json_t *response)
{
    char when[32], id[HTTP_ID_LEN];
    time_t now = (time_t)(clock_wall_ns() / NS_PER_S);
    struct tm tm;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    error_make_id(id);
    json_t *answered = response && c->op->audits_answer ? parameters(response, false) : json_null();
    return json_pack(
        "{s:s, s:o, s:s, s:s, s:s, s:s, s:o, s:o, s:s*, s:s*, s:o, s:o, s:s, s:s, s:s, s:s}",
        "eventVersion", "1.05", "userIdentity", identity(&c->caller), "eventTime", when,
        "eventSource", "kinesisvideo.amazonaws.com", "eventName", c->op->name, "awsRegion",
        store_region(c->server->store), "sourceIPAddress", address(ex->peer), "userAgent",
        user_agent(ex), "errorCode", error, "errorMessage", error ? message : NULL,
        "requestParameters", c->body ? parameters(c->body, false) : json_null(), "responseElements",
        answered, "requestID", ex->id, "eventID", id, "eventType", "AwsApiCall",
        "recipientAccountId", SERVER_ACCOUNT);
}

void call_begin(struct server *server, struct http_exchange *ex, const struct operation *op,
                const struct auth_caller *caller, json_t *body)
{
    if (!op->control)
        return;
    struct call *c = xcalloc(1, sizeof *c);
    *c = (struct call){server, op, *caller, json_incref(body)};
    ex->call = c;
}

void call_end(struct http_exchange *ex, const char *error, const char *message, json_t *response)
{
    struct call *c = ex->call;
    if (!c)
        return;
    ex->call = NULL;
    if (c->server->audit)
        audit_write(c->server->audit, make_record(c, ex, error, message, response));
    json_decref(c->body);
    free(c);
}
