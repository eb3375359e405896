/* Restarts through the Docker Engine API.
 * Relies on http_client over a unix socket; every answer is bounded and checked.
 * Leaves starting what was never started to Docker. */
#include "monitor/docker.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/http_client.h"
#include "common/log.h"
#include "common/mem.h"

#define UNDER_WAY_MAX 64
#define GRACE_S 5       /* from SIGTERM to SIGKILL, in the container */
#define ANSWER_MS 30000 /* a restart is answered when it is done */
#define LIST_MAX_BYTES (8 << 20)

struct restart { /* of one container, under way */
    TAILQ_ENTRY(restart) entry;
    struct docker *docker;
    char *instance;
};

struct docker {
    struct http_client *http;
    char *socket;
    TAILQ_HEAD(, restart) restarts;
    unsigned count;
};

/* ---- which container ---- */

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static bool has_name(const json_t *container, const char *name)
{
    const json_t *one, *names = json_object_get(container, "Names");
    size_t i;
    json_array_foreach(names, i, one)
    {
        const char *s = json_string_value(one);
        if (s && strcmp(s + (*s == '/'), name) == 0)
            return true;
    }
    return false;
}

/* "muxer-HOST-1": what is between the first and the last dash. */
static char *host_of(const char *instance)
{
    const char *first = strchr(instance, '-'), *last = strrchr(instance, '-');
    return first && last > first ? xasprintf("%.*s", (int)(last - first - 1), first + 1)
                                 : xstrdup("");
}

static bool has_id(const json_t *container, const char *host)
{
    size_t len = strspn(host, "0123456789abcdef");
    return len >= 12 && !host[len] && strncmp(text(container, "Id"), host, len) == 0;
}

enum likeness { UNLIKE, SAME_SERVICE, SAME_NAME, SAME_ID, SAME_LABEL };

static enum likeness likeness(const json_t *container, const char *instance, const char *host)
{
    const json_t *labels = json_object_get(container, "Labels");
    const char *service = text(labels, "com.docker.compose.service");
    size_t stage = strcspn(instance, "-");
    if (strcmp(text(labels, "kvpipe.instance"), instance) == 0)
        return SAME_LABEL;
    if (has_id(container, host))
        return SAME_ID;
    if (has_name(container, instance) || (*host && has_name(container, host)))
        return SAME_NAME;
    if (*service && (*host ? strcmp(service, host) == 0
                           : strlen(service) == stage && strncmp(service, instance, stage) == 0))
        return SAME_SERVICE;
    return UNLIKE;
}

const char *docker_find(const json_t *containers, const char *instance)
{
    char *host = host_of(instance);
    const json_t *c;
    const char *found = NULL;
    enum likeness best = UNLIKE;
    size_t i, alike = 0;
    json_array_foreach(containers, i, c)
    {
        enum likeness like = likeness(c, instance, host);
        if (like == UNLIKE || like < best)
            continue;
        alike = like == best ? alike + 1 : 1;
        best = like;
        found = text(c, "Id");
    }
    free(host);
    return alike == 1 && *found ? found : NULL;
}

/* ---- asking ---- */

static void finish(struct restart *r)
{
    TAILQ_REMOVE(&r->docker->restarts, r, entry);
    r->docker->count--;
    free(r->instance);
    free(r);
}

static void fail(struct restart *r, const char *what)
{
    log_error("monitor.docker", "instance=%s socket=%s error=\"%s\"", r->instance,
              r->docker->socket, what);
    finish(r);
}

static int ask(struct restart *r, const char *method, const char *path,
               void (*done)(void *arg, const struct http_response *res))
{
    char *url = xasprintf("http://docker%s", path);
    struct http_request req = {.method = method,
                               .url = url,
                               .unix_socket = r->docker->socket,
                               .timeout_ms = ANSWER_MS,
                               .close_after = true,
                               .max_body_bytes = LIST_MAX_BYTES,
                               .on_done = done,
                               .arg = r};
    int e = http_request(r->docker->http, &req, NULL);
    free(url);
    return e;
}

static bool said_no(struct restart *r, const struct http_response *res, int wanted)
{
    if (res->error == 0 && res->status == wanted)
        return false;
    char *what = res->error
                     ? xasprintf("%s (is the socket mounted, and may we use it?)", res->error_text)
                     : xasprintf("the Engine answered %d", res->status);
    fail(r, what);
    free(what);
    return true;
}

static void on_restarted(void *arg, const struct http_response *res)
{
    struct restart *r = arg;
    if (said_no(r, res, 204))
        return;
    log_info("monitor.docker.restarted", "instance=%s", r->instance);
    finish(r);
}

static bool plain_id(const char *id)
{
    size_t len = strlen(id);
    return len >= 12 && len <= 64 && strspn(id, "0123456789abcdef") == len;
}

static void on_listed(void *arg, const struct http_response *res)
{
    struct restart *r = arg;
    if (said_no(r, res, 200))
        return;
    json_t *list = json_loadb((const char *)res->body, res->body_len, 0, NULL);
    const char *id = list ? docker_find(list, r->instance) : NULL;
    if (!id || !plain_id(id)) {
        fail(r, "no container of it is to be found: give one the label kvpipe.instance=NAME");
    } else {
        char *path = xasprintf("/containers/%s/restart?t=%d", id, GRACE_S);
        log_warn("monitor.docker.restart", "instance=%s container=%.12s", r->instance, id);
        if (ask(r, "POST", path, on_restarted) < 0)
            fail(r, "the request could not be made");
        free(path);
    }
    json_decref(list);
}

int docker_restart(struct docker *d, const char *instance)
{
    struct restart *r;
    TAILQ_FOREACH (r, &d->restarts, entry)
        if (strcmp(r->instance, instance) == 0)
            return -EALREADY;
    if (d->count == UNDER_WAY_MAX)
        return -EBUSY;
    r = xcalloc(1, sizeof *r);
    r->docker = d;
    r->instance = xstrdup(instance);
    TAILQ_INSERT_TAIL(&d->restarts, r, entry);
    d->count++;
    int e = ask(r, "GET", "/containers/json", on_listed);
    if (e < 0)
        fail(r, "the request could not be made");
    return e;
}

struct docker *docker_create(struct event_base *base, const char *socket)
{
    struct docker *d = xcalloc(1, sizeof *d);
    TAILQ_INIT(&d->restarts);
    d->socket = xstrdup(socket);
    d->http = http_client_create(base);
    return d;
}

void docker_destroy(struct docker **docker)
{
    struct docker *d = *docker;
    *docker = NULL;
    if (!d)
        return;
    http_client_destroy(d->http);
    while (!TAILQ_EMPTY(&d->restarts))
        finish(TAILQ_FIRST(&d->restarts));
    free(d->socket);
    free(d);
}
