/* Opaque tokens of listings: base64 of a short text.
 * Relies on OpenSSL's base64.
 * Leaves checking the text to its users: clients choose it. */
#ifndef KVPIPE_SERVER_TOKEN_H
#define KVPIPE_SERVER_TOKEN_H

#define TOKEN_TEXT_MAX 384
#define TOKEN_MAX 513

/* text: at most TOKEN_TEXT_MAX - 1 bytes. */
void token_encode(const char *text, char out[TOKEN_MAX]);
/* Returns 0 or -EINVAL. */
int token_decode(const char *token, char out[TOKEN_TEXT_MAX]);

#endif
