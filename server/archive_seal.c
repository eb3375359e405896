/* Encrypted files of the archive: AES-256-GCM in segments of 64 KiB.
 * Relies on OpenSSL.
 * Leaves where data keys come from to kms.h. */
#include "server/archive_seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/mem.h"

struct archive_seal {
    EVP_CIPHER_CTX *enc, *dec;
};

struct archive_seal *archive_seal_new(const uint8_t *key)
{
    struct archive_seal *s = xcalloc(1, sizeof *s);
    s->enc = EVP_CIPHER_CTX_new();
    s->dec = EVP_CIPHER_CTX_new();
    if (!s->enc || !s->dec || !EVP_EncryptInit_ex(s->enc, EVP_aes_256_gcm(), NULL, key, NULL) ||
        !EVP_DecryptInit_ex(s->dec, EVP_aes_256_gcm(), NULL, key, NULL))
        abort(); /* no memory for small things */
    return s;
}

void archive_seal_free(struct archive_seal **s)
{
    if (!*s)
        return;
    EVP_CIPHER_CTX_free((*s)->enc);
    EVP_CIPHER_CTX_free((*s)->dec);
    free(*s);
    *s = NULL;
}

uint64_t archive_sealed_len(uint64_t n)
{
    return n + (n + ARCHIVE_SEGMENT_LEN - 1) / ARCHIVE_SEGMENT_LEN * ARCHIVE_TAG_LEN;
}

size_t archive_segment_len(size_t n, uint32_t i)
{
    size_t at = (size_t)i * ARCHIVE_SEGMENT_LEN;
    return at >= n ? 0 : n - at < ARCHIVE_SEGMENT_LEN ? n - at : ARCHIVE_SEGMENT_LEN;
}

static void big_endian(uint8_t *out, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--, value >>= 8)
        out[i] = (uint8_t)value;
}

/* The nonce and what is authenticated besides: the record's length. */
static void describe(uint64_t at, uint32_t i, size_t n, uint8_t nonce[12], uint8_t aad[8])
{
    big_endian(nonce, at, 8);
    big_endian(nonce + 8, i, 4);
    big_endian(aad, n, 8);
}

int archive_seal(struct archive_seal *s, uint64_t at, const uint8_t *in, size_t n, uint8_t *out)
{
    uint8_t nonce[12], aad[8];
    int len;
    for (uint32_t i = 0; archive_segment_len(n, i); i++) {
        size_t part = archive_segment_len(n, i);
        describe(at, i, n, nonce, aad);
        if (!EVP_EncryptInit_ex(s->enc, NULL, NULL, NULL, nonce) ||
            !EVP_EncryptUpdate(s->enc, NULL, &len, aad, sizeof aad) ||
            !EVP_EncryptUpdate(s->enc, out, &len, in, (int)part) ||
            !EVP_EncryptFinal_ex(s->enc, out + part, &len) ||
            !EVP_CIPHER_CTX_ctrl(s->enc, EVP_CTRL_GCM_GET_TAG, ARCHIVE_TAG_LEN, out + part))
            return -EIO;
        in += part;
        out += part + ARCHIVE_TAG_LEN;
    }
    return 0;
}

int archive_unseal(struct archive_seal *s, uint64_t at, size_t n, uint32_t i, const uint8_t *in,
                   uint8_t *out)
{
    uint8_t nonce[12], aad[8], rest[ARCHIVE_TAG_LEN];
    int len;
    size_t part = archive_segment_len(n, i);
    describe(at, i, n, nonce, aad);
    if (!EVP_DecryptInit_ex(s->dec, NULL, NULL, NULL, nonce) ||
        !EVP_DecryptUpdate(s->dec, NULL, &len, aad, sizeof aad) ||
        !EVP_DecryptUpdate(s->dec, out, &len, in, (int)part) ||
        !EVP_CIPHER_CTX_ctrl(s->dec, EVP_CTRL_GCM_SET_TAG, ARCHIVE_TAG_LEN, (void *)(in + part)) ||
        EVP_DecryptFinal_ex(s->dec, rest, &len) <= 0)
        return -EBADMSG;
    return 0;
}
