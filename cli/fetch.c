/* Requests to the monitor's status server.
 * Relies on libcurl, never by a proxy, with bounds on time and size.
 * Leaves the looks to view.c. */
#include "cli/fetch.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <curl/curl.h>

#include "common/buf.h"
#include "common/conf.h"
#include "common/mem.h"

#define ANSWER_MAX_BYTES (16u << 20)

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
    return buf_append(arg, data, size * n) == 0 ? size * n : 0;
}

static int error_of(CURLcode c)
{
    switch (c) {
    case CURLE_OK:
        return 0;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return -ECONNREFUSED;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_WRITE_ERROR:
        return -EFBIG;
    default:
        return -EIO;
    }
}

/* Posts when there is a token. Returns the HTTP status or a negative errno. */
static int request(const char *url, const char *token, struct buf *body)
{
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = NULL;
    long status = 0;
    if (!curl)
        return -ENOMEM;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 3000L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    if (token) {
        char *header = xasprintf("Authorization: Bearer %s", token);
        headers = curl_slist_append(NULL, header);
        free(header);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    }
    int r = error_of(curl_easy_perform(curl));
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    return r < 0 ? r : (int)status;
}

/* Frees url. Returns as request(); with 200, *out is the object that was answered. */
static int get_object(char *url, json_t **out)
{
    struct buf body;
    buf_init(&body, ANSWER_MAX_BYTES);
    int r = request(url, NULL, &body);
    *out = r == 200 ? json_loadb((const char *)body.data, body.len, 0, NULL) : NULL;
    buf_fini(&body);
    free(url);
    if (r != 200 || json_is_object(*out))
        return r;
    json_decref(*out);
    *out = NULL;
    return -EPROTO;
}

int fetch_status(const char *base, json_t **status)
{
    int r = get_object(xasprintf("%s/status", base), status);
    return *status ? 0 : r < 0 ? r : -EPROTO;
}

int fetch_gaps(const char *base, const char *stream, int64_t since_ns, json_t **gaps)
{
    char *escaped = curl_easy_escape(NULL, stream, 0);
    int r = get_object(xasprintf("%s/gaps?stream=%s&since_ns=%lld", base, escaped ? escaped : "",
                                 (long long)since_ns),
                       gaps);
    curl_free(escaped);
    return r;
}

int fetch_events(const char *base, json_int_t since, json_t **events)
{
    int r = get_object(xasprintf("%s/events?since=%lld", base, (long long)since), events);
    return *events ? 0 : r < 0 ? r : -EPROTO;
}

int fetch_still(const char *base, const char *stream, struct buf *jpeg)
{
    char *escaped = curl_easy_escape(NULL, stream, 0);
    char *url = xasprintf("%s/still?stream=%s", base, escaped ? escaped : "");
    buf_clear(jpeg);
    int r = request(url, NULL, jpeg);
    free(url);
    curl_free(escaped);
    return r;
}

/* "BASE/VERB?name=value&..." */
static char *address(const char *base, const char *verb, const struct ask_field *fields, size_t n)
{
    char *url = xasprintf("%s/%s", base, verb);
    char mark = '?';
    for (size_t i = 0; i < n; i++) {
        if (!fields[i].value)
            continue;
        char *escaped = curl_easy_escape(NULL, fields[i].value, 0);
        char *longer = xasprintf("%s%c%s=%s", url, mark, fields[i].name, escaped ? escaped : "");
        mark = '&';
        curl_free(escaped);
        free(url);
        url = longer;
    }
    return url;
}

int fetch_post(const char *base, const char *verb, const char *token,
               const struct ask_field *fields, size_t n, struct buf *answer)
{
    char *url = address(base, verb, fields, n);
    int r = request(url, token, answer);
    free(url);
    return r;
}

char *fetch_base(const char *listen)
{
    char host[256];
    uint16_t port;
    if (conf_host_port(listen, host, sizeof host, &port) < 0)
        return NULL;
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0)
        return xasprintf("http://127.0.0.1:%u", port);
    return xasprintf(strchr(host, ':') ? "http://[%s]:%u" : "http://%s:%u", host, port);
}
