/* Opaque tokens of listings: base64 of a short text.
 * Relies on OpenSSL's base64.
 * Leaves checking the text to its users: clients choose it. */
#include "server/token.h"

#include <errno.h>
#include <string.h>

#include <openssl/evp.h>

void token_encode(const char *text, char out[TOKEN_MAX])
{
    size_t n = strlen(text);
    if (n >= TOKEN_TEXT_MAX)
        n = TOKEN_TEXT_MAX - 1;
    EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)text, (int)n);
}

int token_decode(const char *token, char out[TOKEN_TEXT_MAX])
{
    unsigned char raw[TOKEN_TEXT_MAX + 4];
    size_t n = strlen(token);
    if (n == 0 || n % 4 || n / 4 * 3 > TOKEN_TEXT_MAX)
        return -EINVAL;
    int len = EVP_DecodeBlock(raw, (const unsigned char *)token, (int)n);
    if (len < 0)
        return -EINVAL;
    len -= token[n - 1] == '=';
    len -= token[n - 2] == '=';
    if (len >= TOKEN_TEXT_MAX || memchr(raw, 0, (size_t)len))
        return -EINVAL;
    memcpy(out, raw, (size_t)len);
    out[len] = 0;
    return 0;
}
