/* Temporary keys for devices: roles that certificates may take, and session tokens that carry all
 * there is to know about a key, sealed so that only this server reads or makes them: nothing is
 * stored, and they outlive a restart. Relies on OpenSSL (AES-256-GCM) and policy.h. Leaves who may
 * ask to op_role_credentials.c, signatures to auth.h. */
#ifndef KVPIPE_SERVER_SESSIONS_H
#define KVPIPE_SERVER_SESSIONS_H

#include <stdint.h>

#include "common/keys.h"

#define SESSION_NAME_MAX 128
#define SESSION_TOKEN_MAX 2048

struct conf_role;
struct policy;
struct sessions;

struct session {
    char access_key[KEYS_ID_LEN], secret[KEYS_SECRET_LEN];
    char role[SESSION_NAME_MAX + 1];
    char thing[SESSION_NAME_MAX + 1]; /* "" when the device named none */
    char certificate[65];             /* hex SHA-256 of the device's certificate */
    int64_t expires_s;
    const struct policy *policy; /* of the role; borrowed */
};

/* Reads the policies of the roles and the sealing key `key_file`, which is made (mode 0600) when
 * there is none. Blocks. Returns 0 or a negative errno after logging what to do. */
int sessions_open(const char *key_file, const struct conf_role *roles, unsigned nroles,
                  struct sessions **out);
void sessions_free(struct sessions **s);

/* Makes a key for a thing ("": none named) that showed the certificate. Returns 0, -ENOENT (no such
 * role), -EACCES (the role is not for this thing), -EIO (no random bytes). */
int sessions_issue(const struct sessions *s, const char *role, const char *thing,
                   const char *certificate, int64_t now_s, struct session *out,
                   char token[SESSION_TOKEN_MAX]);
/* Reads a token (hostile). Returns 0, or -EINVAL for one that this server did not make or whose
 * role is gone. The time is not checked. */
int sessions_read(const struct sessions *s, const char *token, struct session *out);

#endif
