/* Makes the file of access keys.
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

#define ACCESS_CHARS 20
#define SECRET_CHARS 40

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

static int write_all(int fd, const char *text)
{
    size_t len = strlen(text);
    if (write(fd, text, len) != (ssize_t)len)
        return -(errno ? errno : EIO);
    return fsync(fd) < 0 ? -errno : 0;
}

static int write_keys(int fd)
{
    char access_key[ACCESS_CHARS + 1] = "AKIA", secret[SECRET_CHARS + 1];
    int r = random_text(access_key + 4, ACCESS_CHARS - 4, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    if (r == 0)
        r = random_text(secret, SECRET_CHARS,
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    if (r < 0)
        return r;
    char *text = xasprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
                           access_key, secret);
    r = write_all(fd, text);
    explicit_bzero(text, strlen(text));
    explicit_bzero(secret, sizeof secret);
    free(text);
    return r;
}

static int make_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return 0;
    char *dir = xasprintf("%.*s", (int)(slash - path), path);
    int r = dirs_make(dir, 0755);
    free(dir);
    return r;
}

int keys_ensure(const char *path)
{
    if (access(path, F_OK) == 0)
        return 0;
    int r = make_parent(path);
    if (r < 0)
        return r;
    char *draft = xasprintf("%s.%d.new", path, (int)getpid());
    unlink(draft); /* of an earlier process with our pid that was killed here */
    int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    r = fd < 0 ? -errno : write_keys(fd);
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
