/* The folder of keys that encrypted links use.
 * Relies on libzmq for the keys, on rename(2): a file is there whole or not at all.
 * Leaves sockets to curve.c. */
#include "common/curve_keys.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "common/dirs.h"
#include "common/log.h"
#include "common/mem.h"

#define FILE_MAX_BYTES 4096
#define RING_MAX 1024

const char *const curve_stages[] = {"capture", "encoder", "muxer", "uploader",
                                    "monitor", "server",  NULL};

bool curve_keys_name_ok(const char *name)
{
    size_t len = strcspn(name, ".");
    bool ok = false;
    for (size_t i = 0; curve_stages[i]; i++)
        ok = ok || (strlen(curve_stages[i]) == len && strncmp(name, curve_stages[i], len) == 0);
    ok = ok && strlen(name) <= CURVE_NAME_MAX && (!name[len] || name[len + 1]);
    for (const char *p = name; *p; p++)
        ok = ok && (isalnum((unsigned char)*p) || strchr("_.-", *p));
    return ok;
}

static int write_whole(const char *path, const char *text, mode_t mode)
{
    char *draft = xasprintf("%s.%d.new", path, (int)getpid());
    unlink(draft);
    int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    size_t len = strlen(text);
    int r = fd < 0 ? -errno : 0;
    if (r == 0 && (write(fd, text, len) != (ssize_t)len || fsync(fd) < 0))
        r = errno ? -errno : -EIO;
    if (fd >= 0)
        close(fd);
    if (r == 0 && rename(draft, path) < 0)
        r = -errno;
    if (r < 0 && fd >= 0)
        unlink(draft);
    free(draft);
    return r;
}

/* Puts the value of `key = "VALUE"` into out: a line of its own, 40 characters of Z85. */
static int find(const char *text, const char *key, char out[CURVE_TEXT_SIZE])
{
    uint8_t raw[CURVE_KEY_BYTES];
    for (const char *p = text; p; p = strchr(p, '\n')) {
        p += strspn(p, " \t\r\n");
        size_t len = strlen(key);
        if (strncmp(p, key, len) != 0)
            continue;
        p += len + strspn(p + len, " \t");
        if (*p++ != '=')
            continue;
        p += strspn(p, " \t");
        if (*p++ != '"' || strnlen(p, CURVE_TEXT_SIZE) < CURVE_TEXT_SIZE ||
            p[CURVE_TEXT_SIZE - 1] != '"')
            return -EINVAL;
        memcpy(out, p, CURVE_TEXT_SIZE - 1);
        out[CURVE_TEXT_SIZE - 1] = '\0';
        return strchr(out, '"') || !zmq_z85_decode(raw, out) ? -EINVAL : 0;
    }
    return -EINVAL;
}

static int read_text(const char *path, char text[FILE_MAX_BYTES + 1], struct stat *st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd >= 0 && fstat(fd, st) == 0 ? read(fd, text, FILE_MAX_BYTES) : -1;
    int r = n < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    text[n < 0 ? 0 : n] = '\0';
    return r;
}

static int read_pair(const char *path, struct curve_pair *out, struct stat *st)
{
    char text[FILE_MAX_BYTES + 1], twin[CURVE_TEXT_SIZE];
    int r = read_text(path, text, st);
    if (r == 0)
        r = find(text, "secret-key", out->secret);
    explicit_bzero(text, sizeof text);
    if (r == 0 && zmq_curve_public(twin, out->secret) < 0)
        r = -EINVAL;
    if (r == 0)
        memcpy(out->public, twin, sizeof twin);
    return r;
}

static void complain(const char *path, int error)
{
    log_error("link.keys",
              "file=%s cause=\"%s\" do=\"`kvpipe keys init DIR` makes the pairs; copy this file to "
              "where the stage runs, readable to it\"",
              path, error == -EINVAL ? "it holds no key" : strerror(-error));
}

int curve_keys_pair(const char *dir, const char *name, struct curve_pair *out)
{
    struct stat st;
    char *path = xasprintf("%s/%s.secret", dir, name);
    int r = read_pair(path, out, &st);
    if (r < 0)
        complain(path, r);
    else if (st.st_mode & S_IROTH)
        log_warn("link.keys_open", "file=%s cause=\"everybody may read it\" do=\"chmod o-r\"",
                 path);
    free(path);
    return r;
}

static int read_public(const char *path, char out[CURVE_TEXT_SIZE])
{
    char text[FILE_MAX_BYTES + 1];
    struct stat st;
    int r = read_text(path, text, &st);
    return r < 0 ? r : find(text, "public-key", out);
}

int curve_keys_public(const char *dir, const char *name, char out[CURVE_TEXT_SIZE])
{
    char *path = xasprintf("%s/%s.pub", dir, name);
    int r = read_public(path, out);
    if (r < 0)
        complain(path, r);
    free(path);
    return r;
}

static int write_public(const char *dir, const char *name, const struct curve_pair *pair)
{
    char *path = xasprintf("%s/%s.pub", dir, name);
    char *text = xasprintf("# kvpipe %s: public key\nmetadata\n    name = \"%s\"\ncurve\n"
                           "    public-key = \"%s\"\n",
                           name, name, pair->public);
    int r = write_whole(path, text, 0644);
    free(text);
    free(path);
    return r;
}

static int write_secret(const char *path, const char *name, const struct curve_pair *pair)
{
    char *text = xasprintf("# kvpipe %s: SECRET key, for this stage alone\nmetadata\n"
                           "    name = \"%s\"\ncurve\n    public-key = \"%s\"\n"
                           "    secret-key = \"%s\"\n",
                           name, name, pair->public, pair->secret);
    int r = write_whole(path, text, 0600);
    explicit_bzero(text, strlen(text));
    free(text);
    return r;
}

int curve_keys_make(const char *dir, const char *name)
{
    struct curve_pair pair;
    struct stat st;
    char *path = xasprintf("%s/%s.secret", dir, name), *public = xasprintf("%s/%s.pub", dir, name);
    int r = dirs_make(dir, 0700), made = 0;

    if (r == 0 && (r = read_pair(path, &pair, &st)) == -ENOENT) {
        r = zmq_curve_keypair(pair.public, pair.secret) < 0 ? -errno : 0;
        if (r == 0)
            r = write_secret(path, name, &pair);
        made = 1;
    }
    if (r == 0 && (made || access(public, F_OK) < 0))
        r = write_public(dir, name, &pair);
    explicit_bzero(&pair, sizeof pair);
    free(path);
    free(public);
    return r < 0 ? r : made;
}

/* "encoder.pub" and "encoder.LABEL.pub" belong to the role "encoder". */
static bool belongs(const char *file, const char *role)
{
    size_t len = strlen(file), n = role ? strlen(role) : 0;
    return len > 4 && len - 4 <= CURVE_NAME_MAX && strcmp(file + len - 4, ".pub") == 0 &&
           (!role || (strncmp(file, role, n) == 0 && file[n] == '.'));
}

static void add(struct curve_ring *ring, const char *dir, const char *file)
{
    char text[CURVE_TEXT_SIZE];
    char *path = xasprintf("%s/%s", dir, file);
    int r = ring->count < RING_MAX ? read_public(path, text) : -E2BIG;
    if (r < 0) {
        LOG_WARN_FEW("link.key_left_out", "file=%s cause=\"%s\"", path,
                     r == -EINVAL ? "it holds no public key" : strerror(-r));
    } else {
        ring->peers = xrealloc(ring->peers, (ring->count + 1) * sizeof *ring->peers);
        struct curve_peer *p = &ring->peers[ring->count++];
        snprintf(p->name, sizeof p->name, "%.*s", (int)strlen(file) - 4, file);
        zmq_z85_decode(p->key, text);
    }
    free(path);
}

int curve_keys_ring(const char *dir, const char *role, struct curve_ring *ring)
{
    DIR *d = opendir(dir);
    if (!d)
        return -errno;
    curve_ring_fini(ring);
    for (struct dirent *e; (e = readdir(d));)
        if (belongs(e->d_name, role))
            add(ring, dir, e->d_name);
    closedir(d);
    return 0;
}

const char *curve_ring_find(const struct curve_ring *ring, const uint8_t key[CURVE_KEY_BYTES])
{
    for (unsigned i = 0; i < ring->count; i++)
        if (memcmp(ring->peers[i].key, key, CURVE_KEY_BYTES) == 0)
            return ring->peers[i].name;
    return NULL;
}

void curve_ring_fini(struct curve_ring *ring)
{
    free(ring->peers);
    *ring = (struct curve_ring){0};
}
