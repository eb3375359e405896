/* Who may call: access keys from a profile-form file, requests checked by Signature V4.
 * Relies on common/sigv4 and common/keys.
 * Leaves what a key may do to later policies: every known key may do everything. */
#include "server/auth.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/keys.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/sigv4.h"
#include "server/http.h"

#define KEYS_MAX 1000
#define SERVICE "kinesisvideo"

struct key {
    STAILQ_ENTRY(key) link;
    char *id, *secret;
};

struct auth_keys {
    STAILQ_HEAD(, key) list;
    unsigned n;
};

static void forget(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void add_key(struct auth_keys *keys, char **id, char **secret)
{
    if (*id && *secret && keys->n < KEYS_MAX) {
        struct key *k = xcalloc(1, sizeof *k);
        k->id = *id;
        k->secret = *secret;
        STAILQ_INSERT_TAIL(&keys->list, k, link);
        keys->n++;
    } else {
        free(*id);
        forget(*secret);
    }
    *id = *secret = NULL;
}

static char *trim(char *s)
{
    s += strspn(s, " \t\r\n");
    size_t n = strlen(s);
    while (n && strchr(" \t\r\n", s[n - 1]))
        s[--n] = 0;
    return s;
}

static void parse_keys(FILE *file, struct auth_keys *keys)
{
    char line[1024], *id = NULL, *secret = NULL;
    while (fgets(line, sizeof line, file)) {
        char *s = trim(line);
        if (*s == '[') {
            add_key(keys, &id, &secret);
            continue;
        }
        char *eq = strchr(s, '=');
        if (!eq || *s == '#' || *s == ';')
            continue;
        *eq = 0;
        char *name = trim(s), *value = trim(eq + 1);
        if (!strcasecmp(name, "aws_access_key_id")) {
            free(id);
            id = xstrdup(value);
        } else if (!strcasecmp(name, "aws_secret_access_key")) {
            forget(secret);
            secret = xstrdup(value);
        }
    }
    add_key(keys, &id, &secret);
    explicit_bzero(line, sizeof line);
}

int auth_load(const char *path, struct auth_keys **out)
{
    bool fresh = access(path, F_OK) < 0;
    int r = keys_ensure(path);
    FILE *file = r == 0 ? fopen(path, "re") : NULL;
    if (!file) {
        r = r ? r : -errno;
        log_error(
            "server.keys",
            "file=%s error=\"%s\" action=\"make it readable and writable, or set server.keys\"",
            path, strerror(-r));
        return r;
    }
    struct stat sb;
    if (fstat(fileno(file), &sb) == 0 && (sb.st_mode & 077))
        log_warn("server.keys.mode",
                 "file=%s mode=%03o action=\"chmod 600: others can read the secrets\"", path,
                 (unsigned)(sb.st_mode & 0777));
    struct auth_keys *keys = xcalloc(1, sizeof *keys);
    STAILQ_INIT(&keys->list);
    parse_keys(file, keys);
    fclose(file);
    if (!keys->n) {
        log_error("server.keys",
                  "file=%s error=\"no aws_access_key_id with aws_secret_access_key in it\" "
                  "action=\"add a profile, or remove the file to get a new key\"",
                  path);
        auth_free(&keys);
        return -EINVAL;
    }
    log_info("server.keys", "file=%s keys=%u%s", path, keys->n, fresh ? " made=yes" : "");
    *out = keys;
    return 0;
}

void auth_free(struct auth_keys **kp)
{
    struct auth_keys *keys = *kp;
    struct key *k;
    while (keys && (k = STAILQ_FIRST(&keys->list))) {
        STAILQ_REMOVE_HEAD(&keys->list, link);
        free(k->id);
        forget(k->secret);
        free(k);
    }
    free(keys);
    *kp = NULL;
}

static const struct key *find(const struct auth_keys *keys, const char *id)
{
    const struct key *k;
    STAILQ_FOREACH (k, &keys->list, link)
        if (!strcmp(k->id, id))
            return k;
    return NULL;
}

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

int auth_check(const struct auth_keys *keys, const struct http_exchange *ex, enum auth_body kind,
               const uint8_t *body, size_t len, int64_t now_s, struct auth_error *error)
{
    struct sigv4_auth auth;
    const char *value = http_header(ex, "authorization");
    int r = value ? sigv4_parse_authorization(value, &auth) : sigv4_parse_query(ex->query, &auth);
    if (r == -ENOENT)
        return refuse(&unsigned_request, error);
    if (r)
        return refuse(&incomplete, error);
    const struct key *key = find(keys, auth.access_key);
    if (!key)
        return refuse(&unknown_key, error);
    char actual[SIGV4_HEX_LEN];
    sigv4_sha256_hex(body, len, actual);
    enum sigv4_result v = verify(ex, &auth, key->secret, payload_hash(ex, kind, actual), now_s);
    if (v == SIGV4_BAD_SIGNATURE && auth.presigned)
        v = verify(ex, &auth, key->secret, SIGV4_UNSIGNED_PAYLOAD, now_s);
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
