/* Master keys in a JSON file of this machine:
 *   {"keys": [{"id": "alias/cameras", "material": "<32 bytes in base64>", "state": "Enabled",
 *              "usage": "ENCRYPT_DECRYPT"}]}
 * id and material are needed. A data key is wrapped with AES-256-GCM: nonce, ciphertext, tag.
 * Relies on jansson and OpenSSL. Leaves what the keys are for to kms.h. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "common/log.h"
#include "common/mem.h"
#include "server/kms.h"

#define NONCE_LEN 12
#define TAG_LEN 16
#define WRAPPED_LEN (NONCE_LEN + KMS_DATA_KEY_LEN + TAG_LEN)
#define FILE_MAX_BYTES (1 << 20)
#define ID_MAX 2100

struct kms_file {
    struct kms kms;
    pthread_mutex_t lock;
    char *path;
    json_t *keys; /* NULL: the file could not be read */
    struct timespec mtime;
    ino_t inode;
};

/* ---- the file ---- */

/* The 32 bytes of a key. Returns 0 or -EINVAL. */
static int material(const json_t *key, uint8_t out[KMS_DATA_KEY_LEN])
{
    uint8_t bytes[48];
    const char *text = json_string_value(json_object_get(key, "material"));
    if (!text || strlen(text) != 44 || text[43] != '=' || text[42] == '=')
        return -EINVAL;
    if (EVP_DecodeBlock(bytes, (const unsigned char *)text, 44) != 33)
        return -EINVAL;
    memcpy(out, bytes, KMS_DATA_KEY_LEN);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return 0;
}

static const char *text_or(const json_t *key, const char *name, const char *none)
{
    const json_t *v = json_object_get(key, name);
    return v ? json_string_value(v) : none;
}

/* What is wrong with a key, or NULL. */
static const char *fault(const json_t *key)
{
    static const char *const known[] = {"id", "material", "state", "usage"};
    const char *name;
    json_t *v;
    uint8_t bytes[KMS_DATA_KEY_LEN];
    if (!json_is_object(key))
        return "a key is not an object";
    json_object_foreach((json_t *)key, name, v)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found |= !strcmp(name, known[i]);
        if (!found)
            return "a key has a member that is none of id, material, state, usage";
    }
    if (!json_is_string(json_object_get(key, "id")))
        return "a key has no id";
    if (material(key, bytes) < 0)
        return "a key's material is not 32 bytes in base64 (openssl rand -base64 32)";
    OPENSSL_cleanse(bytes, sizeof bytes);
    if (!text_or(key, "state", "") || !text_or(key, "usage", ""))
        return "a key's state and usage are texts";
    return NULL;
}

static int refuse(const struct kms_file *k, const char *why)
{
    log_error("server.master_keys", "file=%s error=\"%s\" action=\"correct the file\"", k->path,
              why);
    return -EINVAL;
}

static int parse(struct kms_file *k, json_t *root)
{
    json_t *keys = json_object_get(root, "keys"), *key;
    size_t i;
    if (!json_is_array(keys))
        return refuse(k, "there is no list \"keys\"");
    json_array_foreach(keys, i, key)
    {
        const char *why = fault(key);
        if (why)
            return refuse(k, why);
    }
    k->keys = json_incref(keys);
    return 0;
}

static int read_file(struct kms_file *k)
{
    struct stat sb;
    json_error_t err;
    FILE *f = fopen(k->path, "re");
    if (!f || fstat(fileno(f), &sb) < 0) {
        int r = -errno;
        log_error("server.master_keys", "file=%s error=\"%s\" action=\"make it readable\"", k->path,
                  strerror(errno));
        if (f)
            fclose(f);
        return r;
    }
    json_decref(k->keys);
    k->keys = NULL;
    k->mtime = sb.st_mtim;
    k->inode = sb.st_ino;
    int r;
    if (sb.st_mode & 077) {
        r = refuse(k, "others can read it: chmod 600");
    } else if (sb.st_size > FILE_MAX_BYTES) {
        r = refuse(k, "it is longer than 1 MiB");
    } else {
        json_t *root = json_loadf(f, JSON_REJECT_DUPLICATES, &err);
        if (!root)
            log_error("server.master_keys", "file=%s line=%d error=\"%s\" action=\"correct it\"",
                      k->path, err.line, err.text);
        r = root ? parse(k, root) : -EINVAL;
        json_decref(root);
    }
    fclose(f);
    return r;
}

static void read_again_if_changed(struct kms_file *k)
{
    struct stat sb;
    if (stat(k->path, &sb) < 0) {
        if (k->keys)
            log_error("server.master_keys", "file=%s error=\"%s\" action=\"bring it back\"",
                      k->path, strerror(errno));
        json_decref(k->keys);
        k->keys = NULL;
        k->inode = 0;
        return;
    }
    if (sb.st_ino == k->inode && sb.st_mtim.tv_sec == k->mtime.tv_sec &&
        sb.st_mtim.tv_nsec == k->mtime.tv_nsec)
        return;
    if (read_file(k) == 0)
        log_info("server.master_keys", "file=%s keys=%zu", k->path, json_array_size(k->keys));
}

/* ---- keys ---- */

static const json_t *find(struct kms_file *k, const char *id)
{
    char plain[ID_MAX];
    size_t i;
    json_t *key;
    json_array_foreach(k->keys, i, key)
    {
        kms_plain_id(json_string_value(json_object_get(key, "id")), plain, sizeof plain);
        if (!strcmp(plain, id))
            return key;
    }
    return NULL;
}

/* The key, ready for use, or the reason why not. */
static int usable(struct kms_file *k, const char *id, const json_t **key)
{
    read_again_if_changed(k);
    if (!k->keys)
        return -KMS_UNAVAILABLE;
    *key = find(k, id);
    if (!*key)
        return -KMS_NOT_FOUND;
    const char *state = text_or(*key, "state", "Enabled");
    if (!strcmp(state, "Disabled"))
        return -KMS_DISABLED;
    if (strcmp(state, "Enabled") != 0)
        return -KMS_INVALID_STATE;
    return strcmp(text_or(*key, "usage", "ENCRYPT_DECRYPT"), "ENCRYPT_DECRYPT") ? -KMS_INVALID_USAGE
                                                                                : 0;
}

static bool file_has(struct kms *kms, const char *id)
{
    struct kms_file *k = (struct kms_file *)kms;
    pthread_mutex_lock(&k->lock);
    read_again_if_changed(k);
    /* A file that cannot be read may have it: what follows then fails instead of storing in clear.
     */
    bool has = !k->keys || find(k, id);
    pthread_mutex_unlock(&k->lock);
    return has;
}

static int file_check(struct kms *kms, const char *id)
{
    struct kms_file *k = (struct kms_file *)kms;
    const json_t *key;
    pthread_mutex_lock(&k->lock);
    int r = usable(k, id, &key);
    pthread_mutex_unlock(&k->lock);
    return r;
}

/* AES-256-GCM over a data key; the tag is in[…] or out[…] behind the ciphertext. */
static bool gcm(bool encrypt, const uint8_t master[KMS_DATA_KEY_LEN], const uint8_t *nonce,
                const char *context, const uint8_t *in, uint8_t *out)
{
    int n;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    bool ok = c && EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, master, nonce, encrypt) &&
              EVP_CipherUpdate(c, NULL, &n, (const uint8_t *)context, (int)strlen(context)) &&
              EVP_CipherUpdate(c, out, &n, in, KMS_DATA_KEY_LEN);
    if (ok && !encrypt)
        ok = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_LEN, (void *)(in + KMS_DATA_KEY_LEN));
    ok = ok && EVP_CipherFinal_ex(c, out + KMS_DATA_KEY_LEN, &n) > 0;
    if (ok && encrypt)
        ok = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_LEN, out + KMS_DATA_KEY_LEN);
    EVP_CIPHER_CTX_free(c);
    return ok;
}

/* The bytes of a key that may be used, or the reason why not. The caller cleanses them. */
static int take_material(struct kms_file *k, const char *id, uint8_t m[KMS_DATA_KEY_LEN])
{
    const json_t *master = NULL;
    pthread_mutex_lock(&k->lock);
    int r = usable(k, id, &master);
    if (r == 0)
        material(master, m);
    pthread_mutex_unlock(&k->lock);
    return r;
}

static int file_generate(struct kms *kms, const char *id, const char *context,
                         uint8_t key[KMS_DATA_KEY_LEN], uint8_t wrapped[KMS_WRAPPED_MAX],
                         size_t *len)
{
    uint8_t m[KMS_DATA_KEY_LEN];
    int r = take_material((struct kms_file *)kms, id, m);
    if (r)
        return r;
    if (RAND_bytes(key, KMS_DATA_KEY_LEN) != 1 || RAND_bytes(wrapped, NONCE_LEN) != 1 ||
        !gcm(true, m, wrapped, context, key, wrapped + NONCE_LEN))
        r = -KMS_UNAVAILABLE;
    OPENSSL_cleanse(m, sizeof m);
    *len = WRAPPED_LEN;
    return r;
}

static int file_unwrap(struct kms *kms, const char *id, const char *context, const uint8_t *wrapped,
                       size_t len, uint8_t key[KMS_DATA_KEY_LEN])
{
    uint8_t m[KMS_DATA_KEY_LEN];
    int r = take_material((struct kms_file *)kms, id, m);
    if (r)
        return r;
    uint8_t out[KMS_DATA_KEY_LEN + TAG_LEN];
    if (len != WRAPPED_LEN || !gcm(false, m, wrapped, context, wrapped + NONCE_LEN, out))
        r = -KMS_VALIDATION;
    else
        memcpy(key, out, KMS_DATA_KEY_LEN);
    OPENSSL_cleanse(out, sizeof out);
    OPENSSL_cleanse(m, sizeof m);
    return r;
}

static void file_free(struct kms *kms)
{
    struct kms_file *k = (struct kms_file *)kms;
    json_decref(k->keys);
    pthread_mutex_destroy(&k->lock);
    free(k->path);
    free(k);
}

int kms_file_open(const char *path, struct kms **out)
{
    static const struct kms_ops ops = {.has = file_has,
                                       .check = file_check,
                                       .generate = file_generate,
                                       .unwrap = file_unwrap,
                                       .free = file_free};
    struct kms_file *k = xcalloc(1, sizeof *k);
    k->kms.ops = &ops;
    k->path = xstrdup(path);
    pthread_mutex_init(&k->lock, NULL);
    int r = read_file(k);
    if (r)
        file_free(&k->kms);
    *out = r ? NULL : &k->kms;
    return r;
}
