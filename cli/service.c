/* Calls to the endpoint of a config, or of the pipeline that runs here.
 * Relies on common/api and an event loop of its own.
 * Leaves what is asked to the commands. */
#include "cli/service.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "cli/fetch.h"
#include "cli/target.h"
#include "common/api.h"
#include "common/blob.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/conf.h"
#include "common/mem.h"

#define CREDENTIALS_S 15
#define BUSY_TRIES 10 /* a second apart */
#define SILENCE_S 20
#define STREAM_MAX_MS (INT64_C(7) * 24 * 3600 * 1000)
#define ERROR_BODY_BYTES 4096

struct service {
    struct conf *conf;
    struct event_base *base;
    struct http_client *http;
    struct credentials *credentials;
    struct api api;
    char *data_url; /* of the last stream and API, while they are the same */
    char data_for[320];
};

/* ---- which endpoint ---- */

/* The monitor's config may be named relative to where it was started. */
static char *config_path(const json_t *status)
{
    const char *file = json_string_value(json_object_get(status, "config"));
    json_int_t pid = json_integer_value(json_object_get(status, "pid"));
    if (!file || *file == '/' || access(file, R_OK) == 0)
        return file ? xstrdup(file) : NULL;
    return xasprintf("/proc/%lld/cwd/%s", (long long)pid, file);
}

static char *running_config(void)
{
    int argc = 1;
    char *argv[] = {NULL, NULL}, *base = target_take(&argc, argv), *file = NULL;
    json_t *status = NULL;
    if (base && fetch_status(base, &status) == 0)
        file = config_path(status);
    if (!file)
        fprintf(stderr,
                "kvpipe: no pipeline runs here (no monitor at %s), so say which endpoint: -c FILE, "
                "a config\n",
                base);
    json_decref(status);
    free(base);
    return file;
}

static void on_credentials(void *arg, int error)
{
    struct service *s = arg;
    event_base_loopbreak(s->base);
}

struct service *service_open(const char *config)
{
    struct conf *conf = NULL;
    char *file = config ? xstrdup(config) : running_config();
    int r = file ? conf_load(file, &conf) : -EINVAL;
    free(file);
    if (r < 0)
        return NULL;
    struct service *s = xcalloc(1, sizeof *s);
    s->conf = conf;
    s->base = event_base_new();
    s->http = http_client_create(s->base);
    s->credentials =
        api_credentials(&s->api, s->base, s->http, &conf->endpoint.credentials, on_credentials, s);
    s->api = (struct api){.http = s->http,
                          .credentials = s->credentials,
                          .region = conf->endpoint.region,
                          .ca_file = conf->endpoint.ca_file};
    return s;
}

void service_close(struct service **sp)
{
    struct service *s = *sp;
    if (!s)
        return;
    credentials_destroy(s->credentials);
    http_client_destroy(s->http);
    event_base_free(s->base);
    conf_free(&s->conf);
    free(s->data_url);
    free(s);
    *sp = NULL;
}

/* ---- what went wrong ---- */

static bool is(const char *type, const char *name)
{
    return strncmp(type, name, strlen(name)) == 0; /* "…Exception", or without */
}

static bool is_busy(const char *type)
{
    return is(type, "ClientLimitExceeded") || is(type, "ConnectionLimitExceeded") ||
           is(type, "Throttling");
}

static enum service_end refused(struct service *s, const char *stream, int status, const char *type,
                                const char *message)
{
    const char *url = s->conf->endpoint.url;
    if (is(type, "ResourceNotFound"))
        fprintf(stderr,
                "kvpipe: there is no stream '%s' at %s; `kvpipe streams` lists those there are\n",
                stream, url);
    else if (is_busy(type))
        fprintf(stderr, "kvpipe: %s is busy: %s\n", url, *message ? message : type);
    else if (is(type, "AccessDenied") || is(type, "NotAuthorized"))
        fprintf(stderr, "kvpipe: %s does not allow it: %s; give the key of %s that right\n", url,
                *message ? message : type, credentials_source(s->credentials));
    else if (status == 403 || is(type, "InvalidSignature") || is(type, "InvalidClientTokenId") ||
             is(type, "UnrecognizedClient"))
        fprintf(stderr,
                "kvpipe: %s does not accept the credentials (from %s): %s %s; check "
                "endpoint.credentials of the config\n",
                url, credentials_source(s->credentials), type, message);
    else
        fprintf(stderr, "kvpipe: %s answers %d %s %s\n", url, status, type, message);
    return is_busy(type) ? SERVICE_BUSY : status >= 500 ? SERVICE_BROKEN : SERVICE_REFUSED;
}

static enum service_end unreachable(struct service *s, const char *url, int error, const char *text)
{
    const char *own = s->conf->endpoint.own ? "; start it with the pipeline: kvpipe run FILE"
                                            : "; check endpoint.url of the config, and the network";
    if (error == -EACCES)
        own = "; endpoint.ca_file of the config names the certificates to trust";
    fprintf(stderr, "kvpipe: no answer from %s: %s%s\n", url, *text ? text : strerror(-error), own);
    return error == -EACCES || error == -ENOENT ? SERVICE_REFUSED : SERVICE_BROKEN;
}

/* Waits for credentials that are being fetched. Returns 0, or -1 after printing. */
static int wait_signable(struct service *s)
{
    struct sigv4_key key;
    int r = credentials_get(s->credentials, &key);
    if (r == -EAGAIN) {
        struct timeval tv = {CREDENTIALS_S, 0};
        event_base_loopexit(s->base, &tv);
        event_base_dispatch(s->base);
        r = credentials_get(s->credentials, &key);
    }
    if (r < 0)
        fprintf(stderr, "kvpipe: no credentials to sign with: %s\n", api_sign_error(&s->api, r));
    return r < 0 ? -1 : 0;
}

/* ---- JSON calls ---- */

struct wait {
    struct service *s;
    const char *url, *stream;
    json_t *answer;
    unsigned tries; /* left, of a call that is refused because there are too many */
    bool done, again;
};

static void on_answer(void *arg, const struct api_answer *a)
{
    struct wait *w = arg;
    w->done = true;
    w->again = !a->error && a->status != 200 && is_busy(a->type) && w->tries;
    if (w->again)
        w->tries--;
    else if (a->error)
        unreachable(w->s, w->url, a->error, a->message);
    else if (a->status != 200 || !a->json)
        refused(w->s, w->stream, a->status, a->type, a->message);
    else
        w->answer = json_incref(a->json);
    event_base_loopbreak(w->s->base);
}

/* Returns 0 when an answer came, or one is to be asked for again. */
static int call_once(struct service *s, const char *url, const json_t *body, struct wait *w)
{
    struct api_call *c = NULL;
    int r = wait_signable(s);
    if (r < 0)
        return r;
    w->done = w->again = false;
    r = api_post(&s->api, url, json_deep_copy(body), on_answer, w, &c);
    if (r < 0)
        fprintf(stderr, "kvpipe: %s: %s\n", w->url, api_sign_error(&s->api, r));
    while (r == 0 && !w->done)
        event_base_dispatch(s->base);
    return r;
}

static int call(struct service *s, const char *base, const char *path, const char *stream,
                json_t *body, json_t **answer)
{
    struct wait w = {.s = s, .url = base, .stream = stream, .tries = BUSY_TRIES};
    char *url = api_url(base, path);
    while (call_once(s, url, body, &w) == 0 && w.again)
        sleep(1);
    json_decref(body);
    free(url);
    *answer = w.answer;
    return w.answer ? 0 : -1;
}

int service_control(struct service *s, const char *path, const char *stream, json_t *body,
                    json_t **answer)
{
    return call(s, s->conf->endpoint.url, path, stream, body, answer);
}

static const char *data_endpoint(struct service *s, const char *api, const char *stream)
{
    char key[sizeof s->data_for];
    json_t *answer;
    snprintf(key, sizeof key, "%s %s", api, stream);
    if (s->data_url && strcmp(key, s->data_for) == 0)
        return s->data_url;
    free(s->data_url);
    s->data_url = NULL;
    json_t *body = json_pack("{s:s, s:s}", "StreamName", stream, "APIName", api);
    if (!body) {
        fprintf(stderr, "kvpipe: '%s' is no name of a stream\n", stream);
        return NULL;
    }
    if (service_control(s, "/getDataEndpoint", stream, body, &answer) < 0)
        return NULL;
    const char *url = json_string_value(json_object_get(answer, "DataEndpoint"));
    if (url)
        s->data_url = xstrdup(url);
    else
        fprintf(stderr, "kvpipe: %s names no endpoint for %s\n", s->conf->endpoint.url, api);
    snprintf(s->data_for, sizeof s->data_for, "%s", key);
    json_decref(answer);
    return s->data_url;
}

int service_data(struct service *s, const char *api, const char *path, const char *stream,
                 json_t *body, json_t **answer)
{
    const char *url = data_endpoint(s, api, stream);
    *answer = NULL;
    if (!url) {
        json_decref(body);
        return -1;
    }
    return call(s, url, path, stream, body, answer);
}

/* ---- answers without end ---- */

struct flow {
    struct service *s;
    const char *url, *stream;
    int (*on_data)(void *arg, const void *data, size_t len);
    void *arg;
    struct http_call *http;
    struct event *silence;
    struct buf error;
    char type[128];
    int status;
    bool done, stopped;
    enum service_end end;
};

static void on_header(void *arg, int status, const char *name, const char *value)
{
    struct flow *f = arg;
    f->status = status;
    if (strcasecmp(name, "x-amzn-ErrorType") == 0 || strcasecmp(name, "x-amz-ErrorType") == 0)
        snprintf(f->type, sizeof f->type, "%s", value);
}

static void await_data(struct flow *f)
{
    struct timeval tv = {SILENCE_S, 0};
    evtimer_add(f->silence, &tv);
}

static int on_body(void *arg, const void *data, size_t len)
{
    struct flow *f = arg;
    await_data(f);
    if (f->status != 200) {
        buf_append(&f->error, data, len); /* one that is too long is not shown */
        return 0;
    }
    f->stopped = f->on_data(f->arg, data, len) < 0;
    return f->stopped ? -ECANCELED : 0;
}

static void finish(struct flow *f, enum service_end end)
{
    f->done = true;
    f->end = end;
    event_base_loopbreak(f->s->base);
}

static void on_done(void *arg, const struct http_response *res)
{
    struct flow *f = arg;
    if (f->stopped) {
        finish(f, SERVICE_STOPPED);
    } else if (res->error) {
        finish(f, unreachable(f->s, f->url, res->error, res->error_text));
    } else if (res->status == 200) {
        finish(f, SERVICE_ENDED);
    } else {
        json_t *json = json_loadb((const char *)f->error.data, f->error.len, 0, NULL);
        const char *message = json_string_value(json_object_get(json, "Message"));
        finish(f, refused(f->s, f->stream, res->status, f->type, message ? message : ""));
        json_decref(json);
    }
}

static void on_silence(evutil_socket_t fd, short what, void *arg)
{
    struct flow *f = arg;
    http_request_cancel(f->http);
    fprintf(stderr, "kvpipe: %s has sent nothing for %d s\n", f->url, SILENCE_S);
    finish(f, SERVICE_BROKEN);
}

static int start_flow(struct flow *f, const char *url, json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(15));
    struct api_headers h = {.n = 0};
    struct blob *blob = blob_copy(text, strlen(text));
    int r = api_sign_post(&f->s->api, url, "application/json", blob, &h);
    struct http_request req = {.method = "POST",
                               .url = url,
                               .headers = (const char *const *)h.line,
                               .nheaders = h.n,
                               .body = blob,
                               .timeout_ms = STREAM_MAX_MS,
                               .ca_file = f->s->api.ca_file,
                               .close_after = true,
                               .on_header = on_header,
                               .on_body = on_body,
                               .on_done = on_done,
                               .arg = f};
    if (r == 0)
        r = http_request(f->s->http, &req, &f->http);
    if (r < 0)
        fprintf(stderr, "kvpipe: %s: %s\n", url, api_sign_error(&f->s->api, r));
    blob_unref(&blob);
    api_headers_fini(&h);
    free(text);
    return r;
}

enum service_end service_stream(struct service *s, const char *api, const char *path,
                                const char *stream, json_t *body,
                                int (*on_data)(void *arg, const void *data, size_t len), void *arg)
{
    struct flow f = {.s = s, .stream = stream, .on_data = on_data, .arg = arg};
    f.end = SERVICE_REFUSED;
    f.url = wait_signable(s) == 0 ? data_endpoint(s, api, stream) : NULL;
    char *url = f.url ? api_url(f.url, path) : NULL;
    buf_init(&f.error, ERROR_BODY_BYTES);
    f.silence = evtimer_new(s->base, on_silence, &f);
    if (url && start_flow(&f, url, body) == 0) {
        await_data(&f);
        while (!f.done)
            event_base_dispatch(s->base);
    }
    event_free(f.silence);
    buf_fini(&f.error);
    free(url);
    json_decref(body);
    return f.end;
}
