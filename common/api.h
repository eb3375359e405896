/* Signed calls to the service: builds and signs headers, does calls, keeps the signing clock right.
 * Relies on common/http_client, sigv4, credentials, signing_clock, jansson. Leaves which calls to
 * make to its users. */
#ifndef KVPIPE_COMMON_API_H
#define KVPIPE_COMMON_API_H

#include <jansson.h>
#include <stdint.h>

#include "common/credentials.h"
#include "common/http_client.h"
#include "common/signing_clock.h"

#define API_HEADERS_MAX 16

struct api { /* one per process */
    struct http_client *http;
    struct credentials *credentials;
    const char *service; /* it signs for; NULL: kinesisvideo */
    const char *region, *ca_file;
    void (*signable)(void *arg); /* what could not be signed perhaps can be now */
    void *arg;

    struct signing_clock clock;
    int64_t ignored_said_ns, asked_ns; /* 0: never */
    char date[64];                     /* of the answer to the question for the time */
};

struct blob;
struct conf_credentials;
struct conf_endpoint;
struct sandbox;

/* The credentials that the config names, judged by the api's clock. http may be that of *api;
 * on_ready(arg) as in credentials.h. *api is borrowed, and may be filled in later. */
struct credentials *api_credentials(struct api *api, struct event_base *base,
                                    struct http_client *http, const struct conf_credentials *c,
                                    credentials_ready_fn on_ready, void *arg);

/* Adds what talking to the endpoint needs: its network, CA file, and files of credentials. */
void api_needs(const struct conf_endpoint *endpoint, struct sandbox *needs);

struct api_headers {
    char *name[API_HEADERS_MAX], *line[API_HEADERS_MAX]; /* line: "Name: value" */
    size_t n;
};

void api_headers_add(struct api_headers *h, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void api_headers_fini(struct api_headers *h);
/* Adds Host, X-Amz-Date, the token and Authorization over Host and all x-amz headers. payload_hash
 * as in sigv4.h. Returns 0, -EAGAIN while credentials are fetched, -ENOENT without any,
 * -EKEYEXPIRED (then it asks the endpoint for the time: ours may be wrong), -EINVAL for a bad URL.
 */
int api_sign(struct api *api, const char *url, const char *payload_hash, struct api_headers *h);
/* The headers of a POST of `body` (borrowed) of this Content-Type: who asks, and api_sign()'s,
 * which says what is returned. */
int api_sign_post(struct api *api, const char *url, const char *type, const struct blob *body,
                  struct api_headers *h);

struct api_call;

struct api_answer { /* valid during the callback */
    int error;      /* negative errno: no answer (as in http_response), or from api_sign */
    int status;
    const char *type;    /* of the error, "" when not said */
    const char *message; /* for a log */
    json_t *json;        /* the body, NULL when it is no JSON object; borrowed */
};

/* POSTs a JSON object to url. Takes `body`. The callback comes once, later, unless cancelled.
 * Returns 0 or a negative errno (then no callback comes). */
int api_post(struct api *api, const char *url, json_t *body,
             void (*done)(void *arg, const struct api_answer *a), void *arg, struct api_call **out);
/* The same with a body of another type; borrows it. An error that is told in XML is understood. */
int api_post_bytes(struct api *api, const char *url, const char *type, struct blob *body,
                   void (*done)(void *arg, const struct api_answer *a), void *arg,
                   struct api_call **out);
void api_cancel(struct api_call **call);
/* Why api_sign() or api_post() failed with r, for people. */
const char *api_sign_error(const struct api *api, int r);
/* Takes the Date header, "" without, of an answer that may have been given for our time being
 * wrong. A correction is logged, and what is not believed. */
void api_learn_time(struct api *api, const char *date);
/* True for an answer that may mean that our time is wrong. */
bool api_refuses_time(int status);
/* Joins a base URL (trailing '/' allowed) and a path. Free it. */
char *api_url(const char *base, const char *path);

#endif
