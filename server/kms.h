/* Keys that encrypt the archive's keys, as a key management service has them: a master key never
 * leaves its keeper, each file has a data key of its own that lies beside it, wrapped.
 * Relies on its keeper; kms_file.c keeps master keys in a local file.
 * Leaves the encryption of data to archive_seal.h, who may use a key to the caller's policy. */
#ifndef KVPIPE_SERVER_KMS_H
#define KVPIPE_SERVER_KMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KMS_DATA_KEY_LEN 32
#define KMS_WRAPPED_MAX 512

/* What a stream without a key of its own has. */
#define KMS_DEFAULT_KEY "alias/aws/kinesisvideo"

/* The ids of ERROR acks and of GetMedia's error tags. Functions return them negated: they cannot be
 * taken for an errno. */
enum kms_error {
    KMS_ACCESS_DENIED = 4500,
    KMS_DISABLED,
    KMS_VALIDATION,
    KMS_UNAVAILABLE,
    KMS_INVALID_USAGE,
    KMS_INVALID_STATE,
    KMS_NOT_FOUND,
};

struct kms;
/* A keeper's functions, called in any thread, which may block. Each returns 0 or a negated
 * kms_error. `context` binds a wrapped key to the place it belongs to. */
struct kms_ops {
    /* Whether there is such a key at all. */
    bool (*has)(struct kms *k, const char *id);
    /* Whether it can be used now. */
    int (*check)(struct kms *k, const char *id);
    int (*generate)(struct kms *k, const char *id, const char *context,
                    uint8_t key[KMS_DATA_KEY_LEN], uint8_t wrapped[KMS_WRAPPED_MAX], size_t *len);
    int (*unwrap)(struct kms *k, const char *id, const char *context, const uint8_t *wrapped,
                  size_t len, uint8_t key[KMS_DATA_KEY_LEN]);
    void (*free)(struct kms *k);
};

struct kms { /* begins the keeper's own struct */
    const struct kms_ops *ops;
};

/* A keeper of the master keys in a JSON file, mode 0600, which is read again when it changes.
 * Blocks. Returns 0, or a negative errno after logging what to do. Never logs a key. */
int kms_file_open(const char *path, struct kms **out);
/* NULL is fine. */
void kms_free(struct kms **k);

/* The rest takes k NULL (no keeper: no keys) and id NULL (the default key). An ARN, a key id and an
 * alias are taken as KmsKeyId takes them. */

/* Whether a stream with this KmsKeyId is encrypted: always with a key of its own, with the default
 * key when the keeper has that. */
bool kms_wanted(struct kms *k, const char *id);
/* Whether what a stream with this KmsKeyId needs can be done now; 0 for one in clear, too. */
int kms_check(struct kms *k, const char *id);
int kms_generate(struct kms *k, const char *id, const char *context, uint8_t key[KMS_DATA_KEY_LEN],
                 uint8_t wrapped[KMS_WRAPPED_MAX], size_t *len);
int kms_unwrap(struct kms *k, const char *id, const char *context, const uint8_t *wrapped,
               size_t len, uint8_t key[KMS_DATA_KEY_LEN]);

bool kms_is_error(int result); /* a negated kms_error */
const char *kms_error_name(int id);

/* The part of an id that names the key: what is behind "key/" of an ARN, an alias with "alias/".
 * out is cut to its size. */
void kms_plain_id(const char *id, char *out, size_t size);

#endif
