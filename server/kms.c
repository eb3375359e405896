/* Keys that encrypt the archive's keys: what is the same for every keeper.
 * Relies on the keeper.
 * Leaves master keys to it. */
#include "server/kms.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ID_MAX 2100

void kms_plain_id(const char *id, char *out, size_t size)
{
    static const char *const defaults[] = {"aws/kinesisvideo", "aws/kinesis-video"};
    if (!strncmp(id, "arn:", 4) && strrchr(id, ':'))
        id = strrchr(id, ':') + 1;
    if (!strncmp(id, "key/", 4))
        id += 4;
    const char *alias = strncmp(id, "alias/", 6) ? id : id + 6;
    for (size_t i = 0; i < 2; i++)
        if (!strcasecmp(alias, defaults[i]))
            id = KMS_DEFAULT_KEY;
    snprintf(out, size, "%s", id);
}

static const char *plain(const char *id, char out[ID_MAX])
{
    kms_plain_id(id ? id : KMS_DEFAULT_KEY, out, ID_MAX);
    return out;
}

bool kms_wanted(struct kms *k, const char *id)
{
    char p[ID_MAX];
    return strcmp(plain(id, p), KMS_DEFAULT_KEY) != 0 || (k && k->ops->has(k, p));
}

int kms_check(struct kms *k, const char *id)
{
    char p[ID_MAX];
    if (!kms_wanted(k, id))
        return 0;
    return k ? k->ops->check(k, plain(id, p)) : -KMS_NOT_FOUND;
}

int kms_generate(struct kms *k, const char *id, const char *context, uint8_t key[KMS_DATA_KEY_LEN],
                 uint8_t wrapped[KMS_WRAPPED_MAX], size_t *len)
{
    char p[ID_MAX];
    return k ? k->ops->generate(k, plain(id, p), context, key, wrapped, len) : -KMS_NOT_FOUND;
}

int kms_unwrap(struct kms *k, const char *id, const char *context, const uint8_t *wrapped,
               size_t len, uint8_t key[KMS_DATA_KEY_LEN])
{
    char p[ID_MAX];
    return k ? k->ops->unwrap(k, plain(id, p), context, wrapped, len, key) : -KMS_NOT_FOUND;
}

void kms_free(struct kms **kp)
{
    if (*kp)
        (*kp)->ops->free(*kp);
    *kp = NULL;
}

bool kms_is_error(int result)
{
    return result <= -KMS_ACCESS_DENIED && result >= -KMS_NOT_FOUND;
}

const char *kms_error_name(int id)
{
    static const char *const names[] = {"KMS_KEY_ACCESS_DENIED",    "KMS_KEY_DISABLED",
                                        "KMS_KEY_VALIDATION_ERROR", "KMS_KEY_UNAVAILABLE",
                                        "KMS_KEY_INVALID_USAGE",    "KMS_KEY_INVALID_STATE",
                                        "KMS_KEY_NOT_FOUND"};
    return kms_is_error(-id) ? names[id - KMS_ACCESS_DENIED] : "NONE";
}
