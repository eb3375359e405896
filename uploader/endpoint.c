/* DescribeStream, CreateStream, GetDataEndpoint.
 * Relies on api and libevent.
 * Leaves backoff to session.c. */
#include "uploader/endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define CACHE_NS (40 * 60 * NS_PER_S)
#define ACTIVE_TRIES 60

struct endpoint {
    struct api *api;
    const struct conf_endpoint *conf;
    const char *stream;
    endpoint_done_fn done;
    void *arg;
    struct api_call *call;
    struct event *poll;
    bool asking;
    unsigned tries; /* looks at a stream that is not ACTIVE yet */
    char *url;
    int64_t since_ns;
    unsigned retention_hours;
};

typedef void (*answer_fn)(void *arg, const struct api_answer *a);

static void finish(struct endpoint *e, const struct policy *policy, const char *text)
{
    e->asking = false;
    e->done(e->arg, policy, text);
}

static const struct policy *policy_of(const struct api_answer *a)
{
    return a->error ? session_policy_broken(a->error) : session_policy_answer(a->status, a->type);
}

static void fail(struct endpoint *e, const char *what, const struct api_answer *a)
{
    char *text = xasprintf("%s: status=%d %s %s", what, a->status, a->type, a->message);
    finish(e, policy_of(a), text);
    free(text);
}

static void ask(struct endpoint *e, const char *path, json_t *body, answer_fn fn)
{
    char *url = api_url(e->conf->url, path);
    int r = api_post(e->api, url, body, fn, e, &e->call);
    free(url);
    if (r < 0)
        finish(e, session_policy_unsigned(), api_sign_error(e->api, r));
}

static void on_endpoint(void *arg, const struct api_answer *a)
{
    struct endpoint *e = arg;
    e->call = NULL;
    const char *url = json_string_value(json_object_get(a->json, "DataEndpoint"));
    if (a->error || a->status != 200 || !url) {
        fail(e, "GetDataEndpoint", a);
        return;
    }
    free(e->url);
    e->url = xstrdup(url);
    e->since_ns = clock_mono_ns();
    finish(e, NULL, "");
}

static void ask_describe(struct endpoint *e);

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
    ask_describe(arg);
}

static void poll_later(struct endpoint *e)
{
    static const struct timeval second = {.tv_sec = 1};
    evtimer_add(e->poll, &second);
}

static void on_created(void *arg, const struct api_answer *a)
{
    struct endpoint *e = arg;
    e->call = NULL;
    /* ResourceInUse: somebody else made it meanwhile. */
    if (a->error || (a->status != 200 && !strstr(a->type, "ResourceInUse"))) {
        fail(e, "CreateStream", a);
        return;
    }
    log_info("uploader.endpoint.created", "stream=%s retention_hours=%u", e->stream,
             e->conf->retention_hours);
    if (e->tries++ == 0)
        ask_describe(e);
    else
        poll_later(e);
}

static void on_described(void *arg, const struct api_answer *a)
{
    struct endpoint *e = arg;
    e->call = NULL;
    json_t *info = json_object_get(a->json, "StreamInfo"),
           *hours = json_object_get(info, "DataRetentionInHours");
    const char *status = json_string_value(json_object_get(info, "Status"));
    if (!a->error && a->status == 404 && e->conf->create && e->tries < ACTIVE_TRIES) {
        ask(e, "/createStream",
            json_pack("{s:s, s:i, s:s}", "StreamName", e->stream, "DataRetentionInHours",
                      (int)e->conf->retention_hours, "MediaType", "video/h264"),
            on_created);
        return;
    }
    if (a->error || a->status != 200 || !status) {
        fail(e, "DescribeStream", a);
        return;
    }
    e->retention_hours = json_is_integer(hours) ? (unsigned)json_integer_value(hours) : 1;
    if (strcmp(status, "ACTIVE") == 0 || strcmp(status, "UPDATING") == 0)
        ask(e, "/getDataEndpoint",
            json_pack("{s:s, s:s}", "StreamName", e->stream, "APIName", "PUT_MEDIA"), on_endpoint);
    else if (++e->tries < ACTIVE_TRIES)
        poll_later(e);
    else
        finish(e, session_policy_ack(4008, ""), status);
}

static void ask_describe(struct endpoint *e)
{
    ask(e, "/describeStream", json_pack("{s:s}", "StreamName", e->stream), on_described);
}

const char *endpoint_get(struct endpoint *e)
{
    if (e->url && clock_mono_ns() - e->since_ns < CACHE_NS)
        return e->url;
    if (!e->asking) {
        static const struct timeval now = {0};
        e->asking = true;
        e->tries = 0;
        evtimer_add(e->poll, &now); /* later, so that no callback comes from in here */
    }
    return NULL;
}

void endpoint_forget(struct endpoint *e)
{
    free(e->url);
    e->url = NULL;
}

unsigned endpoint_retention_hours(const struct endpoint *e)
{
    return e->retention_hours;
}

struct endpoint *endpoint_create(struct event_base *base, struct api *api,
                                 const struct conf_endpoint *conf, const char *stream,
                                 endpoint_done_fn done, void *arg)
{
    struct endpoint *e = xcalloc(1, sizeof *e);
    *e = (struct endpoint){
        .api = api, .conf = conf, .stream = stream, .done = done, .arg = arg, .retention_hours = 1};
    e->poll = evtimer_new(base, on_poll, e);
    return e;
}

void endpoint_destroy(struct endpoint **ep)
{
    struct endpoint *e = *ep;
    if (!e)
        return;
    api_cancel(&e->call);
    event_free(e->poll);
    free(e->url);
    free(e);
    *ep = NULL;
}
