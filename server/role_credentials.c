/* Credentials for devices by their certificate, as AWS IoT's credentials provider gives them. A
 * certificate stands for the thing that its common name names. Relies on http.h's client
 * certificate and on sessions.h. Leaves using them to auth.h. */
#include "server/role_credentials.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/error.h"
#include "server/http.h"
#include "server/sessions.h"
#include "server/stage.h"

#define PREFIX "/role-aliases/"
#define SUFFIX "/credentials"

bool role_credentials_path(const char *path)
{
    return !strncmp(path, PREFIX, sizeof PREFIX - 1);
}

/* The role that the path names; false when it has another form. */
static bool read_role(const char *path, char role[SESSION_NAME_MAX + 1])
{
    size_t len = strlen(path), more = sizeof PREFIX - 1 + sizeof SUFFIX - 1;
    if (len <= more || len - more > SESSION_NAME_MAX ||
        strcmp(path + len - (sizeof SUFFIX - 1), SUFFIX))
        return false;
    snprintf(role, SESSION_NAME_MAX + 1, "%.*s", (int)(len - more), path + sizeof PREFIX - 1);
    return true;
}

static bool is_thing(const char *s)
{
    size_t len = strlen(s);
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr(":_-", s[i]))
            return false;
    return len && len <= SESSION_NAME_MAX;
}

static void refuse(struct http_exchange *ex, const char *thing, int status, const char *name,
                   const char *message, const char *why)
{
    log_info("server.role.refused", "peer=%s thing=%s path=%s message=\"%s\" reason=\"%s\"",
             ex->peer, thing, ex->path, message, why);
    error_reply_lower(ex, status, name, message);
}

static void give(struct http_exchange *ex, const struct session *s, const char *token)
{
    char expires[32];
    time_t t = (time_t)s->expires_s;
    struct tm tm;
    strftime(expires, sizeof expires, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    json_t *o =
        json_pack("{s:{s:s, s:s, s:s, s:s}}", "credentials", "accessKeyId", s->access_key,
                  "secretAccessKey", s->secret, "sessionToken", token, "expiration", expires);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    log_info("server.role.taken", "peer=%s role=%s thing=%s key=%s expires=%s", ex->peer, s->role,
             *s->thing ? s->thing : "-", s->access_key, expires);
    http_add_header(ex, "Content-Type", "application/json");
    if (text)
        http_reply(ex, 200, text, strlen(text));
    else
        error_internal(ex);
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

/* Certificate, thing, role: each in the order and with the words of the service. */
void role_credentials_handle(struct server *server, struct http_exchange *ex)
{
    struct http_certificate cert;
    struct session session;
    char role[SESSION_NAME_MAX + 1], token[SESSION_TOKEN_MAX];
    const char *thing = http_header(ex, "x-amzn-iot-thingname");
    if (!thing)
        thing = "";
    if (strcmp(ex->method, "GET")) {
        error_reply_lower(ex, 405, "MethodNotAllowedException", "Expected GET.");
        return;
    }
    int r = http_client_certificate(ex, &cert);
    if (!server->auth.sessions || r || cert.invalid) {
        const char *why = !server->auth.sessions ? "server.device_ca is not set"
                          : r                    ? "the client showed no certificate"
                                                 : cert.invalid;
        refuse(ex, "-", 403, "AccessDeniedException", "Certificate is invalid on this endpoint",
               why);
    } else if (*thing && (strcmp(thing, cert.name) || !is_thing(thing))) {
        refuse(ex, is_thing(thing) ? thing : "-", 403, "AccessDeniedException",
               "Invalid thing name passed", "the certificate's common name is another");
    } else if (!read_role(ex->path, role)) {
        refuse(ex, "-", 404, "ResourceNotFoundException", "Role alias does not exist",
               "expected /role-aliases/NAME/credentials");
    } else if ((r = sessions_issue(server->auth.sessions, role, thing, cert.id,
                                   clock_wall_ns() / NS_PER_S, &session, token)) == -ENOENT) {
        refuse(ex, "-", 404, "ResourceNotFoundException", "Role alias does not exist",
               "not in server.roles");
    } else if (r == -EACCES) {
        refuse(ex, *thing ? thing : "-", 403, "AccessDeniedException", "Access Denied",
               "the role's `things` are others");
    } else if (r) {
        error_internal(ex);
    } else {
        give(ex, &session, token);
        explicit_bzero(&session, sizeof session);
        explicit_bzero(token, sizeof token);
    }
}
