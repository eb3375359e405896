/* The access keys that this server knows: a file in the form of a shared credentials file, with a
 * policy for each key that may not do everything. Relies on common/keys for making the file and on
 * policy.h. Leaves checking signatures to auth.h, temporary keys to sessions.h. */
#include "server/access_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/keys.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/policy.h"

#define KEYS_MAX 1000
#define LINE_MAX_BYTES 8192
#define ID_MAX 128

struct entry {
    STAILQ_ENTRY(entry) link;
    struct access_key key;
};

struct access_keys {
    STAILQ_HEAD(, entry) list;
    unsigned n;
};

struct reading {
    const char *path;
    int line;
    struct access_keys *keys;
    struct entry *open; /* the profile that the lines belong to */
    int section;        /* its line */
};

static void forget(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

static void entry_free(struct entry *e)
{
    if (!e)
        return;
    free(e->key.profile);
    free(e->key.id);
    forget(&e->key.secret);
    forget(&e->key.token);
    policy_free(&e->key.policy);
    free(e);
}

void access_keys_free(struct access_keys **kp)
{
    struct access_keys *keys = *kp;
    struct entry *e;
    while (keys && (e = STAILQ_FIRST(&keys->list))) {
        STAILQ_REMOVE_HEAD(&keys->list, link);
        entry_free(e);
    }
    free(keys);
    *kp = NULL;
}

const struct access_key *access_keys_find(const struct access_keys *keys, const char *id)
{
    const struct entry *e;
    STAILQ_FOREACH (e, &keys->list, link)
        if (!strcmp(e->key.id, id))
            return &e->key;
    return NULL;
}

bool access_keys_chosen(const struct access_keys *keys)
{
    const struct entry *e;
    STAILQ_FOREACH (e, &keys->list, link)
        if (!e->key.made)
            return true;
    return false;
}

static char *trim(char *s)
{
    s += strspn(s, " \t\r\n");
    size_t n = strlen(s);
    while (n && strchr(" \t\r\n", s[n - 1]))
        s[--n] = 0;
    return s;
}

static int refuse(const struct reading *r, int line, const char *error, const char *expected)
{
    log_error("server.keys", "file=%s line=%d error=\"%s\" expected=\"%s\"", r->path, line, error,
              expected);
    return -EINVAL;
}

/* Files lie relative to the keys file. */
static int read_policy(struct reading *r, const char *value)
{
    char error[POLICY_ERROR_LEN];
    const char *slash = strrchr(r->path, '/');
    char *path = *value == '/' || !slash
                     ? xstrdup(value)
                     : xasprintf("%.*s/%s", (int)(slash - r->path), r->path, value);
    int result = policy_load(path, &r->open->key.policy, error);
    if (result)
        log_error("server.keys",
                  "file=%s line=%d policy=%s error=\"%s\" action=\"correct the policy, or remove "
                  "the key\"",
                  r->path, r->line, path, error);
    free(path);
    return result ? -EINVAL : 0;
}

static int setting(struct reading *r, const char *name, const char *value)
{
    struct access_key *k = &r->open->key;
    char **at = !strcasecmp(name, "aws_access_key_id")       ? &k->id
                : !strcasecmp(name, "aws_secret_access_key") ? &k->secret
                : !strcasecmp(name, "aws_session_token")     ? &k->token
                                                             : NULL;
    if (at && (*at || !*value))
        return refuse(r, r->line, *at ? "this setting is there twice" : "no value",
                      "each setting once in a profile, with a value");
    if (at)
        *at = xstrdup(value);
    else if (!strcasecmp(name, KEYS_MADE))
        k->made = !strcasecmp(value, "yes");
    else if (!strcasecmp(name, "kvpipe_policy"))
        return k->policy ? refuse(r, r->line, "kvpipe_policy is there twice", "one policy file")
                         : read_policy(r, value);
    else if (!strncasecmp(name, "kvpipe_", 7))
        return refuse(r, r->line, "unknown setting", "kvpipe_policy = FILE");
    return 0;
}

/* Ends the profile that is open: one with a key is kept. */
static int end_profile(struct reading *r)
{
    struct entry *e = r->open;
    struct access_key *k = e ? &e->key : NULL;
    r->open = NULL;
    int result = 0;
    if (!e)
        return 0;
    if (!k->id != !k->secret)
        result = refuse(r, r->section, "half a key",
                        "aws_access_key_id and aws_secret_access_key in each profile");
    else if (k->id && strlen(k->id) > ID_MAX)
        result = refuse(r, r->section, "the access key id is too long", "at most 128 characters");
    else if (k->id && access_keys_find(r->keys, k->id))
        result = refuse(r, r->section, "the access key id is there twice", "each key once");
    else if (k->id && r->keys->n == KEYS_MAX)
        result = refuse(r, r->section, "too many keys", "at most 1000");
    if (result || !k->id) {
        entry_free(e);
        return result;
    }
    STAILQ_INSERT_TAIL(&r->keys->list, e, link);
    r->keys->n++;
    return 0;
}

static int take_line(struct reading *r, char *s)
{
    if (*s == '#' || *s == ';' || !*s)
        return 0;
    if (*s == '[') {
        char *end = strchr(s, ']');
        int result = end_profile(r);
        if (result)
            return result;
        if (!end)
            return refuse(r, r->line, "no ] after [", "[PROFILE]");
        *end = 0;
        r->open = xcalloc(1, sizeof *r->open);
        r->open->key.profile = xstrdup(trim(s + 1));
        r->section = r->line;
        return 0;
    }
    char *equals = strchr(s, '=');
    if (!equals || !r->open)
        return refuse(r, r->line, "not a setting in a profile", "[PROFILE], then NAME = VALUE");
    *equals = 0;
    return setting(r, trim(s), trim(equals + 1));
}

static int parse(struct reading *r, FILE *file)
{
    char line[LINE_MAX_BYTES];
    int result = 0;
    while (result == 0 && fgets(line, sizeof line, file)) {
        r->line++;
        if (!strchr(line, '\n') && !feof(file))
            result = refuse(r, r->line, "the line is too long", "at most 8191 bytes");
        else
            result = take_line(r, trim(line));
    }
    explicit_bzero(line, sizeof line);
    if (result == 0)
        result = end_profile(r);
    entry_free(r->open);
    return result;
}

static FILE *open_file(const char *path)
{
    int r = keys_ensure(path);
    FILE *file = r == 0 ? fopen(path, "re") : NULL;
    struct stat sb;
    if (!file) {
        r = r ? r : -errno;
        log_error(
            "server.keys",
            "file=%s error=\"%s\" action=\"make it readable and writable, or set server.keys\"",
            path, strerror(-r));
        errno = -r;
    } else if (fstat(fileno(file), &sb) == 0 && (sb.st_mode & 077)) {
        log_warn("server.keys.mode",
                 "file=%s mode=%03o action=\"chmod 600: others can read the secrets\"", path,
                 (unsigned)(sb.st_mode & 0777));
    }
    return file;
}

int access_keys_load(const char *path, struct access_keys **out)
{
    bool fresh = access(path, F_OK) < 0;
    FILE *file = open_file(path);
    if (!file)
        return -errno;
    struct access_keys *keys = xcalloc(1, sizeof *keys);
    STAILQ_INIT(&keys->list);
    struct reading r = {.path = path, .keys = keys};
    int result = parse(&r, file);
    fclose(file);
    if (result == 0 && !keys->n) {
        log_error("server.keys",
                  "file=%s error=\"no aws_access_key_id with aws_secret_access_key in it\" "
                  "action=\"add a profile, or remove the file to get a new key\"",
                  path);
        result = -EINVAL;
    }
    if (result) {
        access_keys_free(&keys);
        return result;
    }
    log_info("server.keys", "file=%s keys=%u%s", path, keys->n, fresh ? " made=yes" : "");
    *out = keys;
    return 0;
}
