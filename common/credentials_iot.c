/* AWS IoT credentials provider: a device certificate is exchanged for temporary credentials over
 * mutual TLS. Relies on http_client and jansson. GET
 * https://<endpoint>/role-aliases/<alias>/credentials, header x-amzn-iot-thingname. Leaves the
 * times of fetching and retrying to credentials.c. */
#include "common/credentials_source.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "common/credentials.h"
#include "common/http_client.h"
#include "common/mem.h"

#define MAX_ANSWER_BYTES 16384
#define TIMEOUT_MS 10000
#define MAX_NAME 128 /* of aliases and things, as the service has it */

struct credentials_iot {
    struct http_client *http;
    struct http_call *call;
    char *url, *thing_header, *cert, *key, *ca;
    credentials_iot_fn done;
    void *arg;
    char date[64], answer[MAX_ANSWER_BYTES];
    size_t answer_len;
};

static bool made_of(const char *s, const char *extra, size_t most)
{
    size_t len = s ? strlen(s) : 0;
    if (len == 0 || len > most)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr(extra, s[i]))
            return false;
    return true;
}

static const char *check(const struct credentials_iot_conf *c)
{
    if (!made_of(c->endpoint, ".-:[]", 255))
        return "endpoint must be a host name, without https://";
    if (!made_of(c->role_alias, "_=,@-", MAX_NAME))
        return "role_alias is missing or has characters other than letters, digits and _=,@-";
    if (c->thing_name && *c->thing_name && !made_of(c->thing_name, ":_-", MAX_NAME))
        return "thing_name has characters other than letters, digits and :_-";
    if (!c->cert_file || !*c->cert_file || !c->key_file || !*c->key_file)
        return "cert_file and key_file (device certificate and private key) are needed";
    return NULL;
}

struct credentials_iot *credentials_iot_create(struct http_client *http,
                                               const struct credentials_iot_conf *conf,
                                               credentials_iot_fn done, void *arg,
                                               char error[CREDENTIALS_ERROR_LEN])
{
    const char *wrong = http ? check(conf) : "no HTTP client";
    if (wrong) {
        snprintf(error, CREDENTIALS_ERROR_LEN, "iot: %s", wrong);
        return NULL;
    }
    struct credentials_iot *iot = xcalloc(1, sizeof(*iot));
    iot->http = http;
    iot->url =
        xasprintf("https://%s/role-aliases/%s/credentials", conf->endpoint, conf->role_alias);
    if (conf->thing_name && *conf->thing_name)
        iot->thing_header = xasprintf("x-amzn-iot-thingname: %s", conf->thing_name);
    iot->cert = xstrdup(conf->cert_file);
    iot->key = xstrdup(conf->key_file);
    iot->ca = conf->ca_file && *conf->ca_file ? xstrdup(conf->ca_file) : NULL;
    iot->done = done;
    iot->arg = arg;
    return iot;
}

void credentials_iot_destroy(struct credentials_iot *iot)
{
    if (!iot)
        return;
    http_request_cancel(iot->call);
    free(iot->url);
    free(iot->thing_header);
    free(iot->cert);
    free(iot->key);
    free(iot->ca);
    explicit_bzero(iot->answer, sizeof(iot->answer));
    free(iot);
}

/* jansson's own copy of a secret is wiped in place before it is given back. */
static void wipe_strings(json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (json_is_string(value))
            explicit_bzero((char *)json_string_value(value), json_string_length(value));
    }
}

int credentials_iot_parse(const char *body, size_t len, struct credentials_value *v,
                          char error[CREDENTIALS_ERROR_LEN])
{
    json_error_t why;
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, &why);
    json_t *c = json_object_get(root, "credentials");
    const char *access = json_string_value(json_object_get(c, "accessKeyId"));
    const char *secret = json_string_value(json_object_get(c, "secretAccessKey"));
    const char *token = json_string_value(json_object_get(c, "sessionToken"));
    const char *expiration = json_string_value(json_object_get(c, "expiration"));
    time_t expires = 0;
    int r = access && secret && token ? credentials_value_set(v, access, secret, token) : -EINVAL;
    if (r) {
        snprintf(
            error, CREDENTIALS_ERROR_LEN,
            "iot: the answer has no complete credentials; check that iot_endpoint is the host of "
            "the credentials provider");
    } else if (!expiration || credentials_parse_time(expiration, &expires) != 0) {
        snprintf(error, CREDENTIALS_ERROR_LEN, "iot: the answer has no readable expiration");
        r = -EINVAL;
    }
    v->expires = expires;
    if (r)
        credentials_value_wipe(v);
    wipe_strings(c);
    json_decref(root);
    return r;
}

static int on_body(void *arg, const void *data, size_t len)
{
    struct credentials_iot *iot = arg;
    if (len > sizeof(iot->answer) - iot->answer_len)
        return -EMSGSIZE;
    memcpy(iot->answer + iot->answer_len, data, len);
    iot->answer_len += len;
    return 0;
}

static const struct {
    int status;
    const char *message; /* begins so; NULL: any */
    const char *advice;
} refusals[] = {
    {403, "Invalid thing name", "attach the certificate to the thing, or correct iot_thing"},
    {403, "Access Denied",
     "allow iot:AssumeRoleWithCertificate on the role alias in the certificate's IoT policy"},
    {403, NULL, "check that the certificate is active and belongs to this account and region"},
    {404, NULL, "check iot_role_alias (upper and lower case count)"},
    {400, NULL, "check the role alias: its role, the role's trust policy and the duration"},
    {429, NULL, "asked too often; it is tried again"},
};

const char *credentials_iot_advice(int status, const char *message)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
        if (refusals[i].status == status &&
            (!refusals[i].message ||
             strncmp(message, refusals[i].message, strlen(refusals[i].message)) == 0))
            return refusals[i].advice;
    return status >= 500 ? "the provider has a fault of its own; it is tried again"
                         : "check that iot_endpoint is the host of the credentials provider";
}

static void say_refusal(const struct credentials_iot *iot, int status,
                        char error[CREDENTIALS_ERROR_LEN])
{
    json_error_t why;
    json_t *root = json_loadb(iot->answer, iot->answer_len, 0, &why);
    const char *message = json_string_value(json_object_get(root, "message"));
    if (!message)
        message = "no message";
    snprintf(error, CREDENTIALS_ERROR_LEN, "iot: %.160s answered %d: %.120s; %s", iot->url, status,
             message, credentials_iot_advice(status, message));
    json_decref(root);
}

static void say_broken(const struct credentials_iot *iot, const struct http_response *res,
                       char error[CREDENTIALS_ERROR_LEN])
{
    const char *advice = res->error == -EACCES   ? "check iot_ca and this machine's clock"
                         : res->error == -ENOENT ? "check iot_cert, iot_key and iot_ca"
                         : res->error == -EPROTO
                             ? "check iot_endpoint, and that the certificate is active"
                             : "check iot_endpoint and the network";
    snprintf(error, CREDENTIALS_ERROR_LEN, "iot: %.160s: %.160s; %s", iot->url, res->error_text,
             advice);
}

static void on_header(void *arg, int status, const char *name, const char *value)
{
    struct credentials_iot *iot = arg;
    if (strcasecmp(name, "Date") == 0)
        snprintf(iot->date, sizeof(iot->date), "%s", value);
}

static void on_done(void *arg, const struct http_response *res)
{
    struct credentials_iot *iot = arg;
    struct credentials_value v = {0};
    char error[CREDENTIALS_ERROR_LEN] = "";
    int r = res->error;
    iot->call = NULL;
    if (r) {
        say_broken(iot, res, error);
    } else if (res->status != 200) {
        say_refusal(iot, res->status, error);
        r = -EACCES;
    } else {
        r = credentials_iot_parse(iot->answer, iot->answer_len, &v, error);
    }
    explicit_bzero(iot->answer, sizeof(iot->answer));
    iot->done(iot->arg, r, r ? NULL : &v, iot->date, error);
    credentials_value_wipe(&v);
}

int credentials_iot_fetch(struct credentials_iot *iot)
{
    if (iot->call)
        return 0;
    const char *headers[] = {iot->thing_header};
    struct http_request req = {
        .method = "GET",
        .url = iot->url,
        .headers = headers,
        .nheaders = iot->thing_header ? 1 : 0,
        .ca_file = iot->ca,
        .cert_file = iot->cert,
        .key_file = iot->key,
        .timeout_ms = TIMEOUT_MS,
        .close_after = true,
        .max_body_bytes = MAX_ANSWER_BYTES,
        .on_header = on_header,
        .on_body = on_body,
        .on_done = on_done,
        .arg = iot,
    };
    iot->answer_len = 0;
    iot->date[0] = '\0';
    return http_request(iot->http, &req, &iot->call);
}
