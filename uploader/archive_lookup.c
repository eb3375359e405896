/* ListFragments by producer time.
 * Relies on api.
 * Leaves matching with the spool to session.c. */
#include "uploader/archive_lookup.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define PAGES_MAX 1000

struct archive_lookup {
    struct api *api;
    const struct conf_endpoint *conf;
    const char *stream;
    struct archive_lookup_ops ops;
    void *arg;
    struct api_call *call;
    char *url;
    int64_t first_ms, last_ms;
    unsigned pages;
};

static void fail(struct archive_lookup *l, const char *what, const struct api_answer *a)
{
    char text[512];
    snprintf(text, sizeof text, "%s: status=%d %s %s", what, a->status, a->type, a->message);
    /* Not there, or not implemented: then nobody can tell. */
    bool cannot = !a->error && (a->status == 404 || a->status == 405 || a->status == 501);
    const struct policy *p =
        a->error ? session_policy_broken(a->error) : session_policy_answer(a->status, a->type);
    free(l->url);
    l->url = NULL;
    l->ops.done(l->arg, cannot ? NULL : p, text);
}

static int list(struct archive_lookup *l, const char *token);

static void go_on(struct archive_lookup *l, const char *token)
{
    int r = list(l, token);
    if (r < 0)
        l->ops.done(l->arg, session_policy_unsigned(), api_sign_error(l->api, r));
}

static void on_list(void *arg, const struct api_answer *a)
{
    struct archive_lookup *l = arg;
    json_t *fragments = json_object_get(a->json, "Fragments"), *f;
    const char *token = json_string_value(json_object_get(a->json, "NextToken"));
    size_t i;
    l->call = NULL;
    if (a->error || a->status != 200 || !json_is_array(fragments)) {
        fail(l, "ListFragments", a);
        return;
    }
    json_array_foreach(fragments, i, f)
    {
        double seconds = json_number_value(json_object_get(f, "ProducerTimestamp"));
        if (seconds > 0 && seconds < 1e12)
            l->ops.found(l->arg, (int64_t)llround(seconds * 1000));
    }
    if (token && ++l->pages < PAGES_MAX) {
        go_on(l, token);
        return;
    }
    l->ops.done(l->arg, NULL, NULL);
}

static int list(struct archive_lookup *l, const char *token)
{
    char *url = api_url(l->url, "/listFragments");
    json_t *body = json_pack("{s:s, s:i}", "StreamName", l->stream, "MaxResults", 1000);
    if (token)
        json_object_set_new(body, "NextToken", json_string(token));
    else
        json_object_set_new(body, "FragmentSelector",
                            json_pack("{s:s, s:{s:f, s:f}}", "FragmentSelectorType",
                                      "PRODUCER_TIMESTAMP", "TimestampRange", "StartTimestamp",
                                      (double)l->first_ms / 1000, "EndTimestamp",
                                      (double)l->last_ms / 1000));
    int r = api_post(l->api, url, body, on_list, l, &l->call);
    free(url);
    return r;
}

static void on_endpoint(void *arg, const struct api_answer *a)
{
    struct archive_lookup *l = arg;
    const char *url = json_string_value(json_object_get(a->json, "DataEndpoint"));
    l->call = NULL;
    if (a->error || a->status != 200 || !url) {
        fail(l, "GetDataEndpoint", a);
        return;
    }
    l->url = xstrdup(url);
    go_on(l, NULL);
}

int archive_lookup_start(struct archive_lookup *l, int64_t first_ms, int64_t last_ms)
{
    l->first_ms = first_ms;
    l->last_ms = last_ms;
    l->pages = 0;
    if (l->url)
        return list(l, NULL);
    char *url = api_url(l->conf->url, "/getDataEndpoint");
    json_t *body = json_pack("{s:s, s:s}", "StreamName", l->stream, "APIName", "LIST_FRAGMENTS");
    int r = api_post(l->api, url, body, on_endpoint, l, &l->call);
    free(url);
    return r;
}

void archive_lookup_stop(struct archive_lookup *l)
{
    api_cancel(&l->call);
}

struct archive_lookup *archive_lookup_create(struct api *api, const struct conf_endpoint *conf,
                                             const char *stream,
                                             const struct archive_lookup_ops *ops, void *arg)
{
    struct archive_lookup *l = xcalloc(1, sizeof *l);
    *l = (struct archive_lookup){
        .api = api, .conf = conf, .stream = stream, .ops = *ops, .arg = arg};
    return l;
}

void archive_lookup_destroy(struct archive_lookup **lp)
{
    struct archive_lookup *l = *lp;
    if (!l)
        return;
    api_cancel(&l->call);
    free(l->url);
    free(l);
    *lp = NULL;
}
