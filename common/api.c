/* Signed calls to the service.
 * Relies on common/http_client, sigv4, credentials, jansson.
 * Leaves which calls to make to its users. */
#include "common/api.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/blob.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/sandbox.h"
#include "common/sigv4.h"

#define ASK_PAUSE_NS (30 * NS_PER_S) /* between two questions for the time */
#define SAY_PAUSE_NS (60 * NS_PER_S)

struct api_call {
    struct api *api;
    struct http_call *http;
    void (*done)(void *arg, const struct api_answer *a);
    void *arg;
    char type[128], date[64];
};

char *api_url(const char *base, const char *path)
{
    size_t n = strlen(base);
    while (n && base[n - 1] == '/')
        n--;
    return xasprintf("%.*s%s", (int)n, base, path);
}

void api_headers_add(struct api_headers *h, const char *name, const char *fmt, ...)
{
    char *value = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&value, fmt, ap);
    va_end(ap);
    if (n >= 0 && h->n < API_HEADERS_MAX) {
        h->name[h->n] = xstrdup(name);
        h->line[h->n++] = xasprintf("%s: %s", name, value);
    }
    if (n >= 0)
        free(value);
}

void api_headers_fini(struct api_headers *h)
{
    for (size_t i = 0; i < h->n; i++) {
        free(h->name[i]);
        free(h->line[i]);
    }
    h->n = 0;
}

/* http(s)://HOST[/PATH] */
static int split_url(const char *url, char **host, const char **path)
{
    const char *start = strstr(url, "://");
    if (!start)
        return -EINVAL;
    start += 3;
    size_t n = strcspn(start, "/");
    *path = start[n] ? start + n : "/";
    *host = xasprintf("%.*s", (int)n, start);
    return n ? 0 : (free(*host), -EINVAL);
}

static void sign_with(struct api *api, const struct sigv4_key *key, const char *path,
                      const char *hash, time_t now, struct api_headers *h)
{
    struct sigv4_header signed_headers[API_HEADERS_MAX];
    struct sigv4_request req = {
        .method = "POST", .path = path, .headers = signed_headers, .payload_hash = hash};
    struct buf out;
    for (size_t i = 0; i < h->n; i++)
        if (strcasecmp(h->name[i], "Host") == 0 || strncasecmp(h->name[i], "x-amz", 5) == 0)
            signed_headers[req.nheaders++] =
                (struct sigv4_header){h->name[i], h->line[i] + strlen(h->name[i]) + 2};
    buf_init(&out, 8192);
    if (sigv4_sign(&req, key, api->region, api->service ? api->service : "kinesisvideo", now,
                   &out) == 0)
        api_headers_add(h, "Authorization", "%.*s", (int)out.len, (const char *)out.data);
    buf_fini(&out);
}

/* ---- the signing clock ---- */

static struct signing_clock_now clocks(void)
{
    struct timespec wall, steady;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &steady);
    return (struct signing_clock_now){wall.tv_sec, steady.tv_sec};
}

/* The service's time, as far as it is known. */
static time_t service_now(const struct api *api)
{
    return signing_clock_time(&api->clock, clocks());
}

bool api_refuses_time(int status)
{
    return status == 400 || status == 401 || status == 403;
}

static void say_ignored(struct api *api, const char *date, const char *cause)
{
    int64_t now = clock_mono_ns();
    if (api->ignored_said_ns && now - api->ignored_said_ns < SAY_PAUSE_NS)
        return;
    api->ignored_said_ns = now;
    log_warn("uploader.clock.ignored",
             "date=\"%s\" cause=\"%s\" do=\"set this machine's clock (NTP); if it is right, check "
             "that endpoint.url is the service\"",
             date, cause);
}

void api_learn_time(struct api *api, const char *date)
{
    struct signing_clock_now now = clocks();
    if (!*date)
        return;
    switch (signing_clock_learn(&api->clock, date, now)) {
    case SIGNING_CLOCK_SAME:
        break;
    case SIGNING_CLOCK_CORRECTED:
        log_warn("uploader.clock",
                 "skew_s=%lld cause=\"%s\" do=\"set this machine's clock (NTP): archived times are "
                 "by it\"",
                 (long long)(service_now(api) - now.wall),
                 api->clock.corrected
                     ? "this machine's clock differs from the endpoint's; requests "
                       "are signed with the endpoint's"
                     : "requests are signed with this machine's clock again");
        break;
    case SIGNING_CLOCK_ABSURD:
        say_ignored(api, date, "the endpoint's time is too far from this machine's to be believed");
        break;
    case SIGNING_CLOCK_UNSTEADY:
        say_ignored(api, date, "the endpoint's time jumps");
        break;
    }
}

static void on_time_header(void *arg, int status, const char *name, const char *value)
{
    struct api *api = arg;
    if (strcasecmp(name, "Date") == 0)
        snprintf(api->date, sizeof api->date, "%s", value);
}

static void on_time(void *arg, const struct http_response *res)
{
    struct api *api = arg;
    if (res->status == 0)
        return;
    api_learn_time(api, api->date);
    if (api->clock.corrected && api->signable)
        api->signable(api->arg);
}

/* By our clock there are no credentials to sign with, so no answer to a signed request can tell
 * that it is wrong: asks without a signature, for the Date of whatever is answered. */
static void ask_time(struct api *api, const char *url)
{
    int64_t now = clock_mono_ns();
    if (api->asked_ns && now - api->asked_ns < ASK_PAUSE_NS)
        return;
    api->asked_ns = now;
    api->date[0] = '\0';
    const char *start = strstr(url, "://") + 3;
    char *root = xasprintf("%.*s/", (int)(start - url + strcspn(start, "/")), url);
    struct http_request req = {.method = "GET",
                               .url = root,
                               .timeout_ms = 15000,
                               .ca_file = api->ca_file,
                               .close_after = true,
                               .on_header = on_time_header,
                               .on_done = on_time,
                               .arg = api};
    int r = http_request(api->http, &req, NULL);
    if (r < 0)
        log_debug("uploader.clock.ask", "url=%s error=\"%s\"", root, strerror(-r));
    free(root);
}

static time_t service_time(void *arg)
{
    return service_now(arg);
}

static void on_provider_date(void *arg, const char *date)
{
    api_learn_time(arg, date);
}

struct credentials *api_credentials(struct api *api, struct event_base *base,
                                    struct http_client *http, const struct conf_credentials *c,
                                    credentials_ready_fn on_ready, void *arg)
{
    static const enum credentials_kind kinds[] = {[CONF_CRED_AUTO] = CREDENTIALS_AUTO,
                                                  [CONF_CRED_ENV] = CREDENTIALS_ENV,
                                                  [CONF_CRED_PROFILE] = CREDENTIALS_PROFILE,
                                                  [CONF_CRED_FILE] = CREDENTIALS_FILE,
                                                  [CONF_CRED_IOT] = CREDENTIALS_IOT};
    struct credentials_conf cc = {.kind = kinds[c->type],
                                  .profile = c->profile,
                                  .profile_file = c->profile_file,
                                  .file = c->file,
                                  .iot = {.endpoint = c->iot_endpoint,
                                          .cert_file = c->iot_cert,
                                          .key_file = c->iot_key,
                                          .ca_file = c->iot_ca,
                                          .role_alias = c->iot_role_alias,
                                          .thing_name = c->iot_thing},
                                  .now = service_time,
                                  .date = on_provider_date,
                                  .clock_arg = api};
    return credentials_create(base, http, &cc, on_ready, arg);
}

void api_needs(const struct conf_endpoint *endpoint, struct sandbox *needs)
{
    const struct conf_credentials *c = &endpoint->credentials;
    bool profile = c->type == CONF_CRED_AUTO || c->type == CONF_CRED_PROFILE;
    char *usual = profile && !c->profile_file ? credentials_profile_path() : NULL;
    const char *const files[] = {endpoint->ca_file, usual,       c->profile_file, c->file,
                                 c->iot_ca,         c->iot_cert, c->iot_key};
    needs->calls.network = SYSCALL_INET;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        sandbox_allow_file(needs, files[i]);
    free(usual);
}

/* ---- requests ---- */

int api_sign(struct api *api, const char *url, const char *payload_hash, struct api_headers *h)
{
    time_t now = service_now(api);
    char date[SIGV4_DATE_LEN], *host;
    const char *path;
    struct sigv4_key key;
    int r = split_url(url, &host, &path);
    if (r < 0)
        return r;
    r = credentials_get(api->credentials, &key);
    if (r == 0) {
        sigv4_format_date(now, date);
        api_headers_add(h, "Host", "%s", host);
        api_headers_add(h, "X-Amz-Date", "%s", date);
        if (key.session_token)
            api_headers_add(h, "X-Amz-Security-Token", "%s", key.session_token);
        sign_with(api, &key, path, payload_hash, now, h);
    }
    free(host);
    if (r == -EKEYEXPIRED)
        ask_time(api, url);
    return r;
}

const char *api_sign_error(const struct api *api, int r)
{
    const char *text = credentials_error(api->credentials);
    if (r == -EINVAL)
        return "endpoint.url is not a URL";
    if (r == -ENOENT || r == -EKEYEXPIRED || (r == -EAGAIN && *text))
        return text;
    return r == -EAGAIN ? "credentials are being fetched" : strerror(-r);
}

static void on_header(void *arg, int status, const char *name, const char *value)
{
    struct api_call *c = arg;
    if (strcasecmp(name, "x-amzn-ErrorType") == 0 || strcasecmp(name, "x-amz-ErrorType") == 0)
        snprintf(c->type, sizeof c->type, "%s", value);
    else if (strcasecmp(name, "Date") == 0)
        snprintf(c->date, sizeof c->date, "%s", value);
}

static const char *message_of(json_t *json)
{
    const char *m = json_string_value(json_object_get(json, "Message"));
    return m ? m : json_string_value(json_object_get(json, "message"));
}

/* What stands behind the tag, without what could upset a log. */
static bool xml_text(const char *body, const char *tag, char *out, size_t size)
{
    const char *at = body ? strstr(body, tag) : NULL;
    size_t n = 0;
    if (!at)
        return false;
    for (at += strlen(tag); *at && *at != '<' && n + 1 < size; at++)
        out[n++] = *at >= 0x20 && *at < 0x7f && *at != '"' ? *at : ' ';
    out[n] = '\0';
    return true;
}

static void on_done(void *arg, const struct http_response *res)
{
    struct api_call *c = arg;
    json_t *json =
        res->body_len ? json_loadb((const char *)res->body, res->body_len, 0, NULL) : NULL;
    const char *type = json_string_value(json_object_get(json, "__type")),
               *message = message_of(json);
    char message_in_xml[256];
    struct api_answer a = {
        .error = res->error, .status = res->status, .json = json_is_object(json) ? json : NULL};
    if (!c->type[0] && type)
        snprintf(c->type, sizeof c->type, "%s", strrchr(type, '#') ? strrchr(type, '#') + 1 : type);
    if (!json && res->status >= 400) {
        if (!c->type[0])
            xml_text((const char *)res->body, "<Code>", c->type, sizeof c->type);
        if (xml_text((const char *)res->body, "<Message>", message_in_xml, sizeof message_in_xml))
            message = message_in_xml;
    }
    a.type = c->type;
    a.message = res->error ? res->error_text : message ? message : "";
    if (res->error == 0 && api_refuses_time(res->status))
        api_learn_time(c->api, c->date);
    c->done(c->arg, &a);
    json_decref(json);
    free(c);
}

int api_sign_post(struct api *api, const char *url, const char *type, const struct blob *body,
                  struct api_headers *h)
{
    char hash[SIGV4_HEX_LEN];
    sigv4_sha256_hex(body->data, body->len, hash);
    api_headers_add(h, "Content-Type", "%s", type);
    api_headers_add(h, "User-Agent", "kvpipe/%s", KVPIPE_VERSION);
    return api_sign(api, url, hash, h);
}

int api_post_bytes(struct api *api, const char *url, const char *type, struct blob *body,
                   void (*done)(void *arg, const struct api_answer *a), void *arg,
                   struct api_call **out)
{
    struct api_headers h = {.n = 0};
    int r = api_sign_post(api, url, type, body, &h);
    if (r == 0) {
        struct api_call *c = xcalloc(1, sizeof *c);
        struct http_request req = {.method = "POST",
                                   .url = url,
                                   .headers = (const char *const *)h.line,
                                   .nheaders = h.n,
                                   .body = body,
                                   .timeout_ms = 15000,
                                   .ca_file = api->ca_file,
                                   .on_header = on_header,
                                   .on_done = on_done,
                                   .arg = c};
        *c = (struct api_call){.api = api, .done = done, .arg = arg};
        r = http_request(api->http, &req, &c->http);
        if (r < 0)
            free(c);
        else
            *out = c;
    }
    api_headers_fini(&h);
    return r;
}

int api_post(struct api *api, const char *url, json_t *body,
             void (*done)(void *arg, const struct api_answer *a), void *arg, struct api_call **out)
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(body);
    if (!text)
        return -ENOMEM;
    struct blob *blob = blob_copy(text, strlen(text));
    int r = api_post_bytes(api, url, "application/json", blob, done, arg, out);
    blob_unref(&blob);
    free(text);
    return r;
}

void api_cancel(struct api_call **call)
{
    if (!*call)
        return;
    http_request_cancel((*call)->http);
    free(*call);
    *call = NULL;
}
