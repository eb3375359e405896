/* Who calls, and what they may do: requests checked by Signature V4 against lasting keys and
 * temporary ones, then against the caller's policy. Relies on common/sigv4, access_keys.h,
 * sessions.h and policy.h. Leaves the name of the resource to access.h. */
#include "server/auth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "common/sigv4.h"
#include "server/access_keys.h"
#include "server/http.h"
#include "server/policy.h"
#include "server/sessions.h"

#define SERVICE "kinesisvideo"

static const struct auth_error unsigned_request = {
    401, "NotAuthorizedException", "The request is not signed: Signature Version 4 is needed."};
static const struct auth_error incomplete = {
    400, "IncompleteSignature",
    "The signature is incomplete: Credential, SignedHeaders (with host), Signature and a date are "
    "needed."};
static const struct auth_error unknown_key = {403, "InvalidClientTokenId",
                                              "The access key is not known here."};
static const struct auth_error bad_signature = {
    403, "InvalidSignatureException",
    "The request signature we calculated does not match the signature you provided. Check your "
    "secret access key and "
    "signing method."};
static const struct auth_error expired = {
    400, "RequestExpired",
    "The request is dated more than 15 minutes off this server's clock, or has expired."};
static const struct auth_error bad_token = {
    403, "InvalidClientTokenId",
    "The security token included in the request is not one of this server's, or not of this key."};
static const struct auth_error ended = {
    401, NULL, "The security token included in the request has expired: fetch a new one."};
static const struct auth_error bad_scope = {
    403, "InvalidSignatureException",
    "The credential scope must name the date of the request and kinesisvideo."};

static int refuse(const struct auth_error *e, struct auth_error *out)
{
    *out = *e;
    return -EACCES;
}

/* The hash that the client signed, if it may be that one. */
static const char *payload_hash(const struct http_exchange *ex, enum auth_body kind,
                                const char *actual)
{
    const char *said = http_header(ex, "x-amz-content-sha256");
    if (kind == AUTH_BODY_STREAMED)
        return said ? said : SIGV4_EMPTY_SHA256;
    return said && !strcmp(said, SIGV4_UNSIGNED_PAYLOAD) ? said : actual;
}

static enum sigv4_result verify(const struct http_exchange *ex, const struct sigv4_auth *auth,
                                const char *secret, const char *hash, int64_t now_s)
{
    struct sigv4_header headers[64];
    size_t n = ex->nheaders < 64 ? ex->nheaders : 64;
    for (size_t i = 0; i < n; i++)
        headers[i] = (struct sigv4_header){ex->headers[i].name, ex->headers[i].value};
    struct sigv4_request req = {.method = ex->method,
                                .path = ex->path,
                                .query = ex->query,
                                .headers = headers,
                                .nheaders = n,
                                .payload_hash = hash};
    return sigv4_verify(&req, auth, secret, NULL, SERVICE, (time_t)now_s);
}

static enum sigv4_result verify_any(const struct http_exchange *ex, const struct sigv4_auth *auth,
                                    const char *secret, const char *hash, int64_t now_s)
{
    enum sigv4_result v = verify(ex, auth, secret, hash, now_s);
    if (v == SIGV4_BAD_SIGNATURE && auth->presigned)
        v = verify(ex, auth, secret, SIGV4_UNSIGNED_PAYLOAD, now_s);
    return v;
}

/* The secret of the key that is named, with whom it belongs to; NULL and *error when it is of no
 * use. `session` holds what a temporary one needs. */
static const char *find_secret(const struct auth *a, const char *id, const char *token,
                               int64_t now_s, struct session *session, struct auth_caller *caller,
                               const struct auth_error **error)
{
    const struct access_key *key = access_keys_find(a->keys, id);
    *caller = (struct auth_caller){0};
    snprintf(caller->access_key, sizeof caller->access_key, "%s", id);
    *error = &bad_token;
    if (key) {
        size_t n = key->token ? strlen(key->token) : 0;
        if (!key->token != !token ||
            (n && (strlen(token) != n || CRYPTO_memcmp(token, key->token, n))))
            return NULL;
        snprintf(caller->name, sizeof caller->name, "%s", key->profile);
        caller->policy = key->policy;
        return key->secret;
    }
    if (!token || !a->sessions)
        *error = &unknown_key;
    if (!token || !a->sessions || sessions_read(a->sessions, token, session) < 0 ||
        strcmp(session->access_key, id))
        return NULL;
    *error = &ended;
    if (now_s >= session->expires_s)
        return NULL;
    snprintf(caller->name, sizeof caller->name, "%s", session->role);
    snprintf(caller->thing, sizeof caller->thing, "%s", session->thing);
    snprintf(caller->certificate, sizeof caller->certificate, "%s", session->certificate);
    caller->temporary = true;
    caller->policy = session->policy;
    return session->secret;
}

static int conclude(enum sigv4_result v, struct auth_error *error)
{
    switch (v) {
    case SIGV4_OK:
        return 0;
    case SIGV4_INCOMPLETE:
        return refuse(&incomplete, error);
    case SIGV4_EXPIRED:
        return refuse(&expired, error);
    case SIGV4_BAD_SCOPE:
        return refuse(&bad_scope, error);
    case SIGV4_BAD_SIGNATURE:
        break;
    }
    return refuse(&bad_signature, error);
}

int auth_check(const struct auth *a, const struct http_exchange *ex, enum auth_body kind,
               const uint8_t *body, size_t len, int64_t now_s, struct auth_caller *caller,
               struct auth_error *error)
{
    struct sigv4_auth auth;
    const char *value = http_header(ex, "authorization");
    int r = value ? sigv4_parse_authorization(value, &auth) : sigv4_parse_query(ex->query, &auth);
    if (r)
        return refuse(r == -ENOENT ? &unsigned_request : &incomplete, error);
    const char *token = auth.presigned && *auth.session_token
                            ? auth.session_token
                            : http_header(ex, "x-amz-security-token");
    struct session session = {.expires_s = 0};
    const struct auth_error *unusable;
    const char *secret = find_secret(a, auth.access_key, token, now_s, &session, caller, &unusable);
    if (!secret)
        return refuse(unusable, error);
    char actual[SIGV4_HEX_LEN];
    sigv4_sha256_hex(body, len, actual);
    r = conclude(verify_any(ex, &auth, secret, payload_hash(ex, kind, actual), now_s), error);
    explicit_bzero(&session, sizeof session);
    return r;
}

bool auth_may(const struct auth_caller *caller, const char *action, const char *resource)
{
    const struct policy_variables variables = {
        .thing_name = *caller->thing ? caller->thing : NULL,
        .certificate_id = *caller->certificate ? caller->certificate : NULL};
    return !caller->policy ||
           policy_decide(caller->policy, action, resource, &variables) == POLICY_ALLOW;
}
