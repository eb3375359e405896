/* The service's own metrics of each stream, and who may read them.
 * Relies on common/report, which keeps them, and on common/prometheus for their form.
 * Leaves what is measured to the operations. */
#include "server/service_metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/prometheus.h"
#include "common/report.h"
#include "common/stage.h"
#include "server/access_keys.h"
#include "server/http.h"
#include "server/policy.h"
#include "server/stage.h"
#include "server/store.h"

static struct metrics *of_stream(struct server *server, struct stream *st)
{
    if (!st->metrics && server->stage)
        st->metrics = report_metrics(server->stage->report, st->name);
    return st->metrics;
}

void service_count(struct server *server, struct stream *st, enum metric id, double n)
{
    *metrics_value(of_stream(server, st), id, NULL) += n;
}

void service_gauge(struct server *server, struct stream *st, enum metric id, double value)
{
    *metrics_value(of_stream(server, st), id, NULL) = value;
}

void service_time(struct server *server, struct stream *st, enum metric id, int64_t ns)
{
    histogram_add(metrics_histogram(of_stream(server, st), id), ns);
}

void service_result(struct server *server, struct stream *st, enum metric id, bool ok)
{
    histogram_add(metrics_histogram(of_stream(server, st), id), ok);
}

void service_metrics_sample(struct server *server)
{
    struct stream *st;
    for (st = store_first(server->store); st; st = TAILQ_NEXT(st, link)) {
        struct metrics *m = of_stream(server, st);
        metrics_set(m, METRIC_FRAGMENTS_PERSISTED, (double)st->persisted);
        metrics_set(m, METRIC_ARCHIVED_BYTES, (double)st->persisted_bytes);
    }
    struct metrics *own = report_metrics(server->stage->report, NULL);
    metrics_set(own, METRIC_CONNECTIONS, http_server_connections(server->http));
    metrics_set(own, METRIC_ARCHIVE_SYNCS, (double)store_syncs(server->store));
}

/* ---- /metrics ---- */

static void add_all(struct samples *s, const struct metrics *m, const char *stream)
{
    for (size_t i = 0; m && i < metrics_count(m); i++) {
        const struct metrics_entry *e = metrics_at(m, i);
        const struct metrics_def *def = metrics_def(e->id);
        bool h = e->histogram != NULL;
        *samples_add(s) =
            (struct sample){.name = def->name,
                            .unit = def->unit,
                            .stage = "server",
                            .process = "",
                            .stream = stream,
                            .label = def->label ? def->label : "",
                            .label_value = e->label,
                            .def = def,
                            .kind = def->kind,
                            .value = h ? (double)e->histogram->sum * def->scale : e->value,
                            .scale = def->scale,
                            .histogram = e->histogram};
    }
}

static char *text_of(struct server *server)
{
    struct samples s = {0};
    struct stream *st;
    if (server->stage)
        service_metrics_sample(server);
    for (st = store_first(server->store); st; st = TAILQ_NEXT(st, link))
        add_all(&s, of_stream(server, st), st->name);
    if (server->stage)
        add_all(&s, report_metrics(server->stage->report, NULL), "");
    char *text = prometheus_text(&s);
    samples_fini(&s);
    return text;
}

/* "Basic BASE64(id:secret)" of a key that may read metrics. */
static bool basic_allowed(struct server *server, const char *header)
{
    unsigned char text[400] = "";
    size_t len = header ? strlen(header) : 0;
    if (len < 10 || len > 500 || strncasecmp(header, "Basic ", 6) || (len - 6) % 4)
        return false;
    if (EVP_DecodeBlock(text, (const unsigned char *)header + 6, (int)len - 6) < 0)
        return false;
    text[sizeof text - 1] = '\0';
    char *secret = strchr((char *)text, ':');
    if (!secret)
        return false;
    *secret++ = '\0';
    const struct access_key *key = access_keys_find(server->auth.keys, (char *)text);
    bool ok = key && !key->token && strlen(secret) == strlen(key->secret) &&
              !CRYPTO_memcmp(secret, key->secret, strlen(secret));
    OPENSSL_cleanse(text, sizeof text);
    return ok && (!key->policy || policy_decide(key->policy, "cloudwatch:GetMetricData", "*",
                                                NULL) == POLICY_ALLOW);
}

void service_metrics_handle(struct server *server, struct http_exchange *ex)
{
    if (!http_peer_is_local(ex) && !basic_allowed(server, http_header(ex, "Authorization"))) {
        http_add_header(ex, "WWW-Authenticate", "Basic realm=\"kvpipe-server\"");
        http_reply(ex, 401, NULL, 0);
        return;
    }
    char *text = text_of(server);
    http_add_header(ex, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    http_reply(ex, 200, text, strlen(text));
    free(text);
}
