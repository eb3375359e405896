/* Link addresses to connectable ones.
 * Relies on getaddrinfo(3), one thread per look-up, its result comes back over an eventfd; and on
 * glob(3).
 * Leaves connecting to link_socket.c. */
#include "common/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <glob.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

#define NAMES_MAX 64
#define ADDRESSES_MAX 128
#define PATTERN_MS 250

struct name {                  /* one word of the list */
    char *given, *host, *port; /* host NULL: no look-up needed */
    bool pattern;              /* given has a path with a * */
    char *found[ADDRESSES_MAX];
    unsigned nfound;
    bool failed; /* said so already */
};

struct lookup { /* shared with its thread; the last one to let go frees it */
    _Atomic int refs;
    int fd;
    unsigned n;
    struct {
        char *host, *port;
        int error;
        char *found[ADDRESSES_MAX];
        unsigned nfound;
    } names[NAMES_MAX];
};

struct resolve {
    struct event_base *base;
    struct event *timer, *done, *patterns;
    struct lookup *lookup;
    struct name names[NAMES_MAX];
    unsigned nnames;
    uint32_t every_ms;
    resolve_fn fn;
    void *arg;
};

static void lookup_unref(struct lookup *l)
{
    if (atomic_fetch_sub(&l->refs, 1) != 1)
        return;
    for (unsigned i = 0; i < l->n; i++) {
        free(l->names[i].host);
        free(l->names[i].port);
        for (unsigned k = 0; k < l->names[i].nfound; k++)
            free(l->names[i].found[k]);
    }
    if (l->fd >= 0)
        close(l->fd);
    free(l);
}

static void *lookup_thread(void *arg)
{
    struct lookup *l = arg;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *list, *a;
    char host[NI_MAXHOST];
    uint64_t one = 1;

    for (unsigned i = 0; i < l->n; i++) {
        if (!l->names[i].host)
            continue;
        l->names[i].error = getaddrinfo(l->names[i].host, l->names[i].port, &hints, &list);
        if (l->names[i].error)
            continue;
        for (a = list; a && l->names[i].nfound < ADDRESSES_MAX; a = a->ai_next) {
            if (getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST))
                continue;
            l->names[i].found[l->names[i].nfound++] = xasprintf(
                strchr(host, ':') ? "tcp://[%s]:%s" : "tcp://%s:%s", host, l->names[i].port);
        }
        freeaddrinfo(list);
    }
    if (write(l->fd, &one, sizeof one) < 0)
        log_warn("resolve.wake", "error=%m");
    lookup_unref(l);
    return NULL;
}

static void tell(struct resolve *r)
{
    char *all[ADDRESSES_MAX];
    unsigned n = 0;

    for (unsigned i = 0; i < r->nnames; i++) {
        if (!r->names[i].host && !r->names[i].pattern && n < ADDRESSES_MAX)
            all[n++] = r->names[i].given;
        for (unsigned k = 0; k < r->names[i].nfound && n < ADDRESSES_MAX; k++)
            all[n++] = r->names[i].found[k];
    }
    if (n || r->patterns)
        r->fn(r->arg, all, n);
}

/* ---- patterns ---- */

/* A socket whose process was killed stays in the file system; nobody listens there. */
static bool is_served(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool served = false;

    if (fd >= 0 && strlen(path) < sizeof address.sun_path) {
        strcpy(address.sun_path, path);
        served = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN;
    }
    if (fd >= 0)
        close(fd);
    return served;
}

static bool knows(const struct name *name, const char *path)
{
    for (unsigned k = 0; k < name->nfound; k++)
        if (strcmp(name->found[k] + 6, path) == 0)
            return true;
    return false;
}

/* Whether the set has changed. */
static bool look(struct name *name)
{
    glob_t g = {0};
    char *found[ADDRESSES_MAX];
    unsigned n = 0, kept = 0;

    if (glob(name->given + 6, GLOB_NOSORT, NULL, &g) == 0)
        for (size_t i = 0; i < g.gl_pathc && n < ADDRESSES_MAX; i++) {
            bool known = knows(name, g.gl_pathv[i]);
            kept += known;
            if (known || is_served(g.gl_pathv[i]))
                found[n++] = xasprintf("ipc://%s", g.gl_pathv[i]);
        }
    globfree(&g);
    bool changed = n != name->nfound || kept != n;
    for (unsigned k = 0; k < name->nfound; k++)
        free(name->found[k]);
    memcpy(name->found, found, n * sizeof *found);
    name->nfound = n;
    return changed;
}

static bool look_at_all(struct resolve *r)
{
    bool changed = false;
    for (unsigned i = 0; i < r->nnames; i++)
        if (r->names[i].pattern && look(&r->names[i]))
            changed = true;
    return changed;
}

static void on_patterns(evutil_socket_t fd, short what, void *arg)
{
    struct resolve *r = arg;
    (void)fd, (void)what;
    if (look_at_all(r))
        tell(r);
}

static void watch_patterns(struct resolve *r)
{
    const struct timeval tv = {.tv_usec = PATTERN_MS * 1000};
    r->patterns = event_new(r->base, -1, EV_PERSIST, on_patterns, r);
    event_add(r->patterns, &tv);
    look_at_all(r);
}

/* ---- names ---- */

static void take(struct resolve *r, struct lookup *l)
{
    for (unsigned i = 0; i < r->nnames; i++) {
        struct name *name = &r->names[i];
        if (!name->host)
            continue;
        if (l->names[i].error || !l->names[i].nfound) {
            if (!name->failed)
                log_warn("resolve.failed",
                         "name=%s cause=\"%s\" effect=\"tried again every %u ms\"", name->host,
                         l->names[i].error ? gai_strerror(l->names[i].error) : "no address",
                         r->every_ms);
            name->failed = true;
            continue;
        }
        name->failed = false;
        for (unsigned k = 0; k < name->nfound; k++)
            free(name->found[k]);
        memcpy(name->found, l->names[i].found, sizeof name->found);
        name->nfound = l->names[i].nfound;
        l->names[i].nfound = 0; /* taken */
    }
}

static void drop_lookup(struct resolve *r)
{
    if (r->done)
        event_free(r->done);
    r->done = NULL;
    if (r->lookup)
        lookup_unref(r->lookup);
    r->lookup = NULL;
}

static void again_later(struct resolve *r)
{
    struct timeval tv = {.tv_sec = r->every_ms / 1000, .tv_usec = (r->every_ms % 1000) * 1000};
    event_add(r->timer, &tv);
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
    struct resolve *r = arg;
    (void)fd, (void)what;
    take(r, r->lookup);
    drop_lookup(r);
    again_later(r);
    tell(r);
}

static void start(struct resolve *r)
{
    struct lookup *l = xcalloc(1, sizeof *l);
    pthread_t thread;

    l->refs = 1;
    l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->n = r->nnames;
    for (unsigned i = 0; i < r->nnames; i++) {
        l->names[i].host = xstrdup(r->names[i].host);
        l->names[i].port = xstrdup(r->names[i].port);
    }
    r->lookup = l;
    if (l->fd >= 0) {
        r->done = event_new(r->base, l->fd, EV_READ, on_done, r);
        event_add(r->done, NULL);
        l->refs = 2;
        if (pthread_create(&thread, NULL, lookup_thread, l) == 0) {
            pthread_detach(thread);
            return;
        }
        l->refs = 1; /* no thread has the other */
    }
    log_warn("resolve.start", "error=%m effect=\"tried again every %u ms\"", r->every_ms);
    drop_lookup(r);
    again_later(r);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    start(arg);
}

static bool is_numeric(const char *host)
{
    unsigned char any[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, any) == 1 || inet_pton(AF_INET6, host, any) == 1 ||
           host[0] == '[';
}

static int add_name(struct resolve *r, const char *word)
{
    struct name *name = &r->names[r->nnames];
    const char *colon = strrchr(word, ':');

    if (r->nnames == NAMES_MAX)
        return -EINVAL;
    if (strncmp(word, "ipc://", 6) != 0) {
        if (strncmp(word, "tcp://", 6) != 0 || colon < word + 7 || !colon[1])
            return -EINVAL;
        name->host = strndup(word + 6, (size_t)(colon - word - 6));
        name->port = xstrdup(colon + 1);
        if (is_numeric(name->host)) {
            free(name->host);
            name->host = NULL;
        }
    }
    name->pattern = !name->port && strchr(word, '*');
    name->given = xstrdup(word);
    r->nnames++;
    return 0;
}

int resolve_create(struct event_base *base, const char *addresses, uint32_t every_ms, resolve_fn fn,
                   void *arg, struct resolve **out)
{
    struct resolve *r = xcalloc(1, sizeof *r);
    char *words = xstrdup(addresses), *save = NULL;
    bool lookups = false, patterns = false;
    int err = 0;

    r->base = base;
    r->every_ms = every_ms;
    r->fn = fn;
    r->arg = arg;
    r->timer = event_new(base, -1, 0, on_timer, r);
    for (char *w = strtok_r(words, " ", &save); w && !err; w = strtok_r(NULL, " ", &save)) {
        err = add_name(r, w);
        if (err)
            log_error("link.address",
                      "address=\"%s\" cause=\"expected ipc://PATH or tcp://HOST:PORT\"", w);
    }
    free(words);
    if (err || !r->nnames) {
        resolve_destroy(&r);
        return -EINVAL;
    }
    for (unsigned i = 0; i < r->nnames; i++) {
        lookups = lookups || r->names[i].host;
        patterns = patterns || r->names[i].pattern;
    }
    *out = r;
    if (patterns)
        watch_patterns(r);
    tell(r);
    if (lookups)
        start(r);
    return 0;
}

void resolve_destroy(struct resolve **resolve)
{
    struct resolve *r = *resolve;
    *resolve = NULL;
    if (!r)
        return;
    drop_lookup(r);
    event_free(r->timer);
    if (r->patterns)
        event_free(r->patterns);
    for (unsigned i = 0; i < r->nnames; i++) {
        free(r->names[i].given);
        free(r->names[i].host);
        free(r->names[i].port);
        for (unsigned k = 0; k < r->names[i].nfound; k++)
            free(r->names[i].found[k]);
    }
    free(r);
}
