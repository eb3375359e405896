/* Who may call: access keys from a profile-form file, requests checked by Signature V4.
 * Relies on common/sigv4 and common/keys.
 * Leaves what a key may do to later policies: every known key may do everything. */
#ifndef KVPIPE_SERVER_AUTH_H
#define KVPIPE_SERVER_AUTH_H

#include <stddef.h>
#include <stdint.h>

struct auth_keys;
struct http_exchange;

/* Reads the file; makes one with a random key (mode 0600) when there is none. Blocks. Returns 0 or
 * a negative errno after logging what to do. Never logs a secret. */
int auth_load(const char *path, struct auth_keys **keys);
void auth_free(struct auth_keys **keys);

enum auth_body { AUTH_BODY_KNOWN, AUTH_BODY_STREAMED };

struct auth_error { /* what to answer; static strings */
    int status;
    const char *name, *message;
};

/* Checks the signature in the Authorization header or in the query (media-api.md section 1.3). A
 * streamed body counts as empty, or as what x-amz-content-sha256 says. Returns 0, or -EACCES and
 * *error. */
int auth_check(const struct auth_keys *keys, const struct http_exchange *ex, enum auth_body kind,
               const uint8_t *body, size_t len, int64_t now_s, struct auth_error *error);

#endif
