/* What the credential sources share: the value, its time of expiry, reading of small secret files,
 * retry times. Relies on nothing but libc. Leaves the places to look in to credentials_*.c. */
#include "common/credentials_source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"

#define RETRY_FIRST_MS 1000
#define RETRY_MOST_MS 60000

static int copy_printable(char *out, size_t size, const char *in)
{
    size_t len = in ? strlen(in) : 0;
    if (len == 0 || len >= size)
        return -EINVAL;
    for (size_t i = 0; i < len; i++)
        if (in[i] <= ' ' || in[i] >= 0x7f)
            return -EINVAL;
    memcpy(out, in, len + 1);
    return 0;
}

int credentials_value_set(struct credentials_value *v, const char *access, const char *secret,
                          const char *token)
{
    *v = (struct credentials_value){0};
    int r = copy_printable(v->access_key, sizeof(v->access_key), access);
    if (r == 0)
        r = copy_printable(v->secret_key, sizeof(v->secret_key), secret);
    if (r == 0 && token && *token)
        r = copy_printable(v->session_token, sizeof(v->session_token), token);
    if (r)
        credentials_value_wipe(v);
    return r;
}

void credentials_value_wipe(struct credentials_value *v)
{
    explicit_bzero(v, sizeof(*v));
}

int credentials_parse_time(const char *text, time_t *out)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!end)
        return -EINVAL;
    if (*end == '.')
        for (end++; isdigit((unsigned char)*end);)
            end++;
    if (strcmp(end, "Z") != 0)
        return -EINVAL;
    time_t t = timegm(&tm);
    if (t <= 0)
        return -EINVAL;
    *out = t;
    return 0;
}

static int read_all(int fd, char *to, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = read(fd, to + got, len - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EAGAIN; /* it became shorter: somebody is writing it */
        got += (size_t)n;
    }
    return 0;
}

int credentials_read_text(const char *path, size_t max, char **text, struct stat *st)
{
    struct stat own;
    if (!st)
        st = &own;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int r = fstat(fd, st) < 0           ? -errno
            : !S_ISREG(st->st_mode)     ? -EINVAL
            : (size_t)st->st_size > max ? -E2BIG
                                        : 0;
    char *t = NULL;
    if (r == 0) {
        t = xcalloc(1, (size_t)st->st_size + 1);
        r = read_all(fd, t, (size_t)st->st_size);
    }
    if (r == 0 && strlen(t) != (size_t)st->st_size)
        r = -EINVAL; /* a NUL inside */
    close(fd);
    if (r) {
        credentials_free_text(t);
        return r;
    }
    *text = t;
    return 0;
}

void credentials_free_text(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

time_t credentials_renew_at(time_t expires, time_t now)
{
    time_t left = expires - now;
    return left > 2 * CREDENTIALS_GRACE_S ? expires - CREDENTIALS_GRACE_S : now + left / 2;
}

int64_t credentials_retry_ms(unsigned failures, uint32_t random)
{
    int64_t ms = RETRY_FIRST_MS;
    for (; failures > 0 && ms < RETRY_MOST_MS; failures--)
        ms *= 2;
    if (ms > RETRY_MOST_MS)
        ms = RETRY_MOST_MS;
    return ms - (int64_t)((uint64_t)random * (uint64_t)(ms / 2) >> 32);
}
