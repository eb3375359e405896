/* Who calls, and what they may do: requests checked by Signature V4 against lasting keys
 * (access_keys.h) and temporary ones (sessions.h), then against the caller's policy. Relies on
 * common/sigv4 and policy.h. Leaves the name of the resource to access.h. */
#ifndef KVPIPE_SERVER_AUTH_H
#define KVPIPE_SERVER_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct access_keys;
struct http_exchange;
struct policy;
struct sessions;

struct auth {
    struct access_keys *keys;
    struct sessions *sessions; /* NULL: no temporary keys here */
};

enum auth_body { AUTH_BODY_KNOWN, AUTH_BODY_STREAMED };

struct auth_caller {
    char access_key[129];
    char name[129]; /* the key's profile, or the role that was taken */
    bool temporary;
    char thing[129], certificate[65]; /* of a temporary key */
    const struct policy *policy;      /* NULL: everything is allowed */
};

struct auth_error { /* what to answer; static strings */
    int status;
    const char *name, *message; /* name NULL: the operation's own name for a caller who may not */
};

/* Checks the signature in the Authorization header or in the query. A streamed body counts as
 * empty, or as what x-amz-content-sha256 says. Returns 0 and *caller, or -EACCES and *error. */
int auth_check(const struct auth *auth, const struct http_exchange *ex, enum auth_body kind,
               const uint8_t *body, size_t len, int64_t now_s, struct auth_caller *caller,
               struct auth_error *error);

/* Whether the caller may: action "kinesisvideo:…" on the ARN. */
bool auth_may(const struct auth_caller *caller, const char *action, const char *resource);

#endif
