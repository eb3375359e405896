/* Temporary keys for devices: roles that certificates may take, and session tokens that carry all
 * there is to know about a key, sealed so that only this server reads or makes them. Relies on
 * OpenSSL (AES-256-GCM) and policy.h. Leaves who may ask to op_role_credentials.c, signatures to
 * auth.h. */
#include "server/sessions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "common/conf.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/policy.h"

#define SEAL_KEY_BYTES 32
#define NONCE_BYTES 12
#define TAG_BYTES 16
#define TEXT_MAX 1024
/* Bound into the seal: another form of the text gets another line here. */
#define FORM "kvpipe session 1"

struct role {
    const struct conf_role *conf;
    struct policy *policy;
};

struct sessions {
    unsigned char key[SEAL_KEY_BYTES];
    struct role *roles;
    unsigned nroles;
};

static int read_key(const char *path, unsigned char key[SEAL_KEY_BYTES])
{
    int r = keys_ensure_random(path, SEAL_KEY_BYTES);
    FILE *f = r ? NULL : fopen(path, "re");
    if (f && fread(key, 1, SEAL_KEY_BYTES, f) != SEAL_KEY_BYTES)
        r = -EINVAL;
    else if (!f && !r)
        r = -errno;
    if (f)
        fclose(f);
    if (r)
        log_error("server.session_key",
                  "file=%s error=\"%s\" expected=\"32 bytes\" action=\"make it readable, or remove "
                  "it: devices then fetch new credentials\"",
                  path, r == -EINVAL ? "too short" : strerror(-r));
    return r;
}

int sessions_open(const char *key_file, const struct conf_role *roles, unsigned nroles,
                  struct sessions **out)
{
    struct sessions *s = xcalloc(1, sizeof *s);
    s->roles = xcalloc(nroles ? nroles : 1, sizeof *s->roles);
    int r = read_key(key_file, s->key);
    for (; r == 0 && s->nroles < nroles; s->nroles++) {
        struct role *role = &s->roles[s->nroles];
        char error[POLICY_ERROR_LEN];
        role->conf = &roles[s->nroles];
        r = policy_load(role->conf->policy, &role->policy, error);
        if (r)
            log_error("server.role", "role=%s policy=%s error=\"%s\" action=\"correct the policy\"",
                      role->conf->alias, role->conf->policy, error);
    }
    if (r)
        sessions_free(&s);
    *out = s;
    return r;
}

void sessions_free(struct sessions **sp)
{
    struct sessions *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    for (unsigned i = 0; i < s->nroles; i++)
        policy_free(&s->roles[i].policy);
    free(s->roles);
    explicit_bzero(s->key, sizeof s->key);
    free(s);
}

static const struct role *find(const struct sessions *s, const char *alias)
{
    for (unsigned i = 0; i < s->nroles; i++)
        if (!strcmp(s->roles[i].conf->alias, alias))
            return &s->roles[i];
    return NULL;
}

/* ---- sealing: base64 of nonce, ciphertext, tag ---- */

static bool crypt_update(EVP_CIPHER_CTX *ctx, bool seal, const unsigned char *key,
                         const unsigned char *nonce, unsigned char *out, const unsigned char *in,
                         int len)
{
    int n;
    return EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce, seal) == 1 &&
           EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)FORM, sizeof FORM - 1) == 1 &&
           EVP_CipherUpdate(ctx, out, &n, in, len) == 1 && n == len;
}

static bool seal(const struct sessions *s, const char *text, char token[SESSION_TOKEN_MAX])
{
    unsigned char raw[NONCE_BYTES + TEXT_MAX + TAG_BYTES];
    int len = (int)strlen(text), n;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok =
        ctx && RAND_bytes(raw, NONCE_BYTES) == 1 &&
        crypt_update(ctx, true, s->key, raw, raw + NONCE_BYTES, (const unsigned char *)text, len) &&
        EVP_CipherFinal_ex(ctx, raw + NONCE_BYTES + len, &n) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, raw + NONCE_BYTES + len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (ok)
        EVP_EncodeBlock((unsigned char *)token, raw, NONCE_BYTES + len + TAG_BYTES);
    return ok;
}

static bool unseal(const struct sessions *s, const char *token, char text[TEXT_MAX + 1])
{
    unsigned char raw[SESSION_TOKEN_MAX], again[SESSION_TOKEN_MAX];
    size_t n = strlen(token);
    int none, len = n && n % 4 == 0 && n < SESSION_TOKEN_MAX
                        ? EVP_DecodeBlock(raw, (const unsigned char *)token, (int)n)
                        : -1;
    if (len < 0)
        return false;
    len -= (token[n - 1] == '=') + (token[n - 2] == '=');
    EVP_EncodeBlock(again, raw, len); /* the last bits may say nothing: one spelling is taken */
    len -= NONCE_BYTES + TAG_BYTES;
    if (strcmp((char *)again, token) != 0 || len < 1 || len > TEXT_MAX)
        return false;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok =
        ctx &&
        crypt_update(ctx, false, s->key, raw, (unsigned char *)text, raw + NONCE_BYTES, len) &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, raw + NONCE_BYTES + len) == 1 &&
        EVP_CipherFinal_ex(ctx, (unsigned char *)text + len, &none) == 1;
    EVP_CIPHER_CTX_free(ctx);
    text[ok ? len : 0] = '\0';
    return ok;
}

/* ---- sessions as text: a member a line ---- */

int sessions_issue(const struct sessions *s, const char *alias, const char *thing,
                   const char *certificate, int64_t now_s, struct session *out,
                   char token[SESSION_TOKEN_MAX])
{
    const struct role *role = find(s, alias);
    char text[TEXT_MAX];
    if (!role)
        return -ENOENT;
    if (!policy_glob(role->conf->things, thing))
        return -EACCES;
    *out = (struct session){.expires_s = now_s + role->conf->duration_s, .policy = role->policy};
    snprintf(out->role, sizeof out->role, "%s", alias);
    snprintf(out->thing, sizeof out->thing, "%s", thing);
    snprintf(out->certificate, sizeof out->certificate, "%s", certificate);
    if (keys_random("ASIA", out->access_key, out->secret) < 0)
        return -EIO;
    snprintf(text, sizeof text, "%s\n%s\n%s\n%s\n%s\n%" PRId64, out->access_key, out->secret,
             out->role, out->thing, out->certificate, out->expires_s);
    bool ok = seal(s, text, token);
    explicit_bzero(text, sizeof text);
    return ok ? 0 : -EIO;
}

static bool take(char **rest, char *out, size_t size)
{
    const char *part = strsep(rest, "\n");
    return part && (size_t)snprintf(out, size, "%s", part) < size;
}

int sessions_read(const struct sessions *s, const char *token, struct session *out)
{
    char text[TEXT_MAX + 1], *rest = text, expires[24];
    if (!unseal(s, token, text))
        return -EINVAL;
    *out = (struct session){0};
    bool ok = take(&rest, out->access_key, sizeof out->access_key) &&
              take(&rest, out->secret, sizeof out->secret) &&
              take(&rest, out->role, sizeof out->role) &&
              take(&rest, out->thing, sizeof out->thing) &&
              take(&rest, out->certificate, sizeof out->certificate) &&
              take(&rest, expires, sizeof expires);
    explicit_bzero(text, sizeof text);
    const struct role *role = ok ? find(s, out->role) : NULL;
    if (!role)
        return -EINVAL;
    out->expires_s = strtoll(expires, NULL, 10);
    out->policy = role->policy;
    return 0;
}
