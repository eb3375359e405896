/* The server's life. Requests enter over HTTP, fragments leave to the archive and to readers; what
 * a connection cut inside a fragment had sent of it is dropped. Relies on common/stage, http,
 * store, route. Leaves requests to route.c and the op_*.c files. */
#include "server/stage.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/report.h"
#include "common/stage.h"
#include "common/tls_files.h"
#include "server/access_keys.h"
#include "server/audit.h"
#include "server/http.h"
#include "server/kms.h"
#include "server/put_media.h"
#include "server/route.h"
#include "server/service_metrics.h"
#include "server/sessions.h"
#include "server/store.h"

#define SWEEP_S 3600
#define DESCRIPTORS 8192
#define DRAIN_POLL_MS 50
/* Fragments are big and come and go: from this size on each has pages of its own, which the C
 * library would soon stop to give them, so that no heap keeps what they once took. */
#define OWN_PAGES_BYTES (128 << 10)

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;
    store_sweep(server->store, clock_wall_ns());
}

static int make_certificate(const struct conf_server *conf)
{
    int r = conf->tls && conf->tls_made
                ? tls_files_ensure(conf->tls_cert, conf->tls_key, conf->listen, conf->tls_names)
                : 0;
    if (r)
        log_error(
            "server.certificate",
            "file=%s error=\"%s\" action=\"make its directory writable, or set server.tls_cert "
            "and tls_key\"",
            conf->tls_cert, strerror(-r));
    return r;
}

static int start_tls(struct server *server, const struct conf_server *conf)
{
    int r = http_server_tls(server->http, conf->tls_cert, conf->tls_key);
    if (r == 0 && conf->device_ca)
        r = http_server_client_ca(server->http, conf->device_ca);
    return r;
}

/* Beyond this machine only encrypted, and only with keys that a person chose. */
static int check_address(const struct server *server, const struct conf_server *conf)
{
    if (http_address_is_loopback(conf->listen))
        return 0;
    if (!conf->tls)
        log_error("server.listen",
                  "address=%s error=\"will not serve clear text beyond this machine\" "
                  "action=\"set server.tls: true (clients then trust RUN/tls/cert.pem), or "
                  "tls_cert and tls_key, or listen on 127.0.0.1\"",
                  conf->listen);
    else if (!access_keys_chosen(server->auth.keys))
        log_error(
            "server.listen",
            "address=%s keys=%s error=\"will not serve beyond this machine with only the key "
            "that was made for it\" action=\"add a profile with aws_access_key_id and "
            "aws_secret_access_key of your own to the keys file (openssl rand -hex 20 makes a "
            "secret), or listen on 127.0.0.1\"",
            conf->listen, conf->keys);
    else
        return 0;
    return -EINVAL;
}

static int start_http(struct server *server, const struct conf_server *conf)
{
    server->http = http_server_new(server->base, NULL, route_request, server);
    int r = check_address(server, conf);
    if (r == 0 && conf->tls)
        r = start_tls(server, conf);
    if (r)
        return r;
    r = http_server_listen(server->http, conf->listen);
    if (r == -EADDRINUSE)
        log_error(
            "server.listen",
            "address=%s error=\"the port is in use\" action=\"stop what uses it (ss -ltnp), or "
            "set server.listen to another\"",
            conf->listen);
    else if (r)
        log_error(
            "server.listen",
            "address=%s error=\"%s\" action=\"set server.listen to host:port of this machine\"",
            conf->listen, strerror(-r));
    return r;
}

static int open_audit(struct server *server, const struct conf_server *conf)
{
    char *path = xasprintf("%s/audit.jsonl", conf->data);
    int r = audit_open(server->base, path, &server->audit);
    free(path);
    return r;
}

static int open_sessions(struct server *server, const struct conf_server *conf)
{
    if (!conf->device_ca)
        return 0;
    char *path = xasprintf("%s/session.key", conf->data);
    int r = sessions_open(path, conf->roles, conf->roles_count, &server->auth.sessions);
    free(path);
    return r;
}

static void report_counts(struct stage *stage)
{
    service_metrics_sample(stage->state);
}

static void teardown(struct stage *stage)
{
    struct server *server = stage->state;
    if (!server)
        return;
    http_server_free(server->http);
    store_close(&server->store);
    kms_free(&server->kms);
    audit_close(&server->audit);
    free(server->calls);
    access_keys_free(&server->auth.keys);
    sessions_free(&server->auth.sessions);
    if (server->sweep)
        event_free(server->sweep);
    if (server->drained)
        event_free(server->drained);
    free(server);
    stage->state = NULL;
}

/* Each connection and each open file takes a descriptor; the usual soft limit is 1024. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= DESCRIPTORS)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_warn("server.descriptors", "limit=%llu error=\"%s\"",
                 (unsigned long long)limit.rlim_cur, strerror(errno));
}

/* Keys and a certificate that are not there are made, in folders where the server then may not
 * write. */
static int prepare(struct stage *stage)
{
    const struct conf_server *conf = &stage->conf->server;
    struct server *server = xcalloc(1, sizeof *server);
    TAILQ_INIT(&server->put_sessions);
    stage->state = server;
    int r = access_keys_load(conf->keys, &server->auth.keys);
    if (r == 0)
        r = make_certificate(conf);
    if (r)
        teardown(stage);
    return r;
}

static void needs(const struct stage *stage, const struct conf *conf, struct sandbox *needs)
{
    const struct conf_server *c = &conf->server;
    needs->calls.network = SYSCALL_INET;
    sandbox_allow(needs, c->data, LANDLOCK_READ | LANDLOCK_WRITE);
    if (c->tls) {
        sandbox_allow_file(needs, c->tls_cert);
        sandbox_allow_file(needs, c->tls_key);
    }
    sandbox_allow_file(needs, c->device_ca);
    sandbox_allow_file(needs, c->master_keys);
    for (unsigned i = 0; i < c->roles_count; i++)
        sandbox_allow_file(needs, c->roles[i].policy);
}

static int setup(struct stage *stage)
{
    struct timeval hourly = {SWEEP_S, 0};
    const struct conf *conf = stage->conf;
    struct server *server = stage->state;
    server->base = stage->base;
    server->stage = stage;
    server->limits = &conf->server.limits;
    raise_descriptor_limit();
    mallopt(M_MMAP_THRESHOLD, OWN_PAGES_BYTES);
    int r = store_open(server->base, conf->server.data, conf->endpoint.region, &server->store);
    if (r == 0 && conf->server.master_keys)
        r = kms_file_open(conf->server.master_keys, &server->kms);
    if (r == 0)
        store_use_kms(server->store, server->kms);
    if (r == 0)
        r = open_audit(server, &conf->server);
    if (r == 0)
        r = open_sessions(server, &conf->server);
    if (r == 0)
        r = start_http(server, &conf->server);
    if (r) {
        teardown(stage);
        return r;
    }
    server->sweep = event_new(server->base, -1, EV_PERSIST, on_sweep, server);
    event_add(server->sweep, &hourly);
    on_sweep(-1, 0, server);
    log_info("server.ready", "listen=%s port=%u tls=%s data=%s", conf->server.listen,
             http_server_port(server->http), conf->server.tls ? conf->server.tls_cert : "no",
             conf->server.data);
    stage_ready(stage);
    return 0;
}

static void on_drain_poll(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;
    bool done = TAILQ_EMPTY(&server->put_sessions) && store_backlog_bytes(server->store) == 0;
    if (done)
        stage_quit(server->stage, 0);
}

/* PutMedia sessions end with their acks out; readers are cut; what waits is written (store_close
 * does, too). */
static void drain(struct stage *stage)
{
    static const struct timeval poll = {0, DRAIN_POLL_MS * 1000};
    struct server *server = stage->state;
    server->draining = true;
    http_server_stop_accepting(server->http);
    put_media_end_all(server);
    server->drained = event_new(server->base, -1, EV_PERSIST, on_drain_poll, server);
    event_add(server->drained, &poll);
}

const struct stage_ops server_stage = {
    .name = "server",
    .summary = "self-hosted endpoint with the Kinesis Video Streams API",
    .prepare = prepare,
    .needs = needs,
    .setup = setup,
    .drain = drain,
    .teardown = teardown,
    .sample = report_counts,
};
