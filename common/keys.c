/* Makes files of secrets: access keys, random bytes, the monitor's token.
 * Relies on getrandom(2); the file appears under its name only when it is whole, so that a racing
 * reader never sees half. Leaves reading it to credentials. */
#include "common/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/dirs.h"
#include "common/mem.h"

#define RANDOM_MAX_BYTES 256
#define TOKEN_ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* Fills `text` with n characters of the alphabet, each equally likely. */
static int random_text(char *text, size_t n, const char *alphabet)
{
    size_t letters = strlen(alphabet), most = 256 - 256 % letters;
    for (size_t i = 0; i < n;) {
        unsigned char byte;
        ssize_t got = getrandom(&byte, 1, 0);
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 1 && byte < most)
            text[i++] = alphabet[byte % letters];
    }
    text[n] = '\0';
    return 0;
}

static int write_all(int fd, const void *data, size_t len)
{
    if (write(fd, data, len) != (ssize_t)len)
        return -(errno ? errno : EIO);
    return fsync(fd) < 0 ? -errno : 0;
}

static int write_token(int fd, size_t unused)
{
    char token[KEYS_TOKEN_CHARS + 2];
    int r = random_text(token, KEYS_TOKEN_CHARS, TOKEN_ALPHABET);
    token[KEYS_TOKEN_CHARS] = '\n';
    token[KEYS_TOKEN_CHARS + 1] = '\0';
    if (r == 0)
        r = write_all(fd, token, KEYS_TOKEN_CHARS + 1);
    explicit_bzero(token, sizeof token);
    return r;
}

int keys_random(const char *prefix, char id[KEYS_ID_LEN], char secret[KEYS_SECRET_LEN])
{
    size_t n = strlen(prefix);
    memcpy(id, prefix, n);
    int r = random_text(id + n, KEYS_ID_LEN - 1 - n, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    if (r == 0)
        r = random_text(secret, KEYS_SECRET_LEN - 1,
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    return r;
}

static int write_keys(int fd, size_t unused)
{
    char id[KEYS_ID_LEN], secret[KEYS_SECRET_LEN];
    int r = keys_random("AKIA", id, secret);
    if (r < 0)
        return r;
    char *text = xasprintf(
        "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n" KEYS_MADE " = yes\n", id,
        secret);
    r = write_all(fd, text, strlen(text));
    explicit_bzero(text, strlen(text));
    explicit_bzero(secret, sizeof secret);
    free(text);
    return r;
}

static int write_random(int fd, size_t len)
{
    unsigned char bytes[RANDOM_MAX_BYTES];
    if (len > sizeof bytes)
        return -EINVAL;
    if (getrandom(bytes, len, 0) != (ssize_t)len) /* up to 256 bytes come whole */
        return -(errno ? errno : EIO);
    int r = write_all(fd, bytes, len);
    explicit_bzero(bytes, sizeof bytes);
    return r;
}

static int ensure(const char *path, int (*fill)(int fd, size_t len), size_t len)
{
    if (access(path, F_OK) == 0)
        return 0;
    int r = dirs_make_for(path, 0755);
    if (r < 0)
        return r;
    char *draft = xasprintf("%s.%d.new", path, (int)getpid());
    unlink(draft); /* of an earlier process with our pid that was killed here */
    int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    r = fd < 0 ? -errno : fill(fd, len);
    if (fd >= 0)
        close(fd);
    /* link fails with EEXIST where rename would replace the other process's keys */
    if (r == 0 && link(draft, path) < 0 && errno != EEXIST)
        r = -errno;
    if (fd >= 0)
        unlink(draft);
    free(draft);
    return r;
}

int keys_ensure(const char *path)
{
    return ensure(path, write_keys, 0);
}

int keys_ensure_random(const char *path, size_t len)
{
    return ensure(path, write_random, len);
}

int keys_token_read(const char *path, char token[KEYS_TOKEN_CHARS + 1])
{
    char text[KEYS_TOKEN_CHARS + 2] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    int r = n < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (r == 0 && (n != KEYS_TOKEN_CHARS + 1 || text[KEYS_TOKEN_CHARS] != '\n' ||
                   strspn(text, TOKEN_ALPHABET) != KEYS_TOKEN_CHARS))
        r = -EBADMSG;
    if (r == 0) {
        memcpy(token, text, KEYS_TOKEN_CHARS);
        token[KEYS_TOKEN_CHARS] = '\0';
    }
    explicit_bzero(text, sizeof text);
    return r;
}

int keys_token_ensure(const char *path, char token[KEYS_TOKEN_CHARS + 1])
{
    int r = ensure(path, write_token, 0);
    return r < 0 ? r : keys_token_read(path, token);
}
