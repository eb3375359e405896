/* The monitor: adopts or clears what an earlier one left, starts the stages, ticks their policy,
 * stops them in order. Relies on the stage runtime for arguments, signals and the deadline of a
 * stop. Leaves the parts to instances, report_table, status and status_http. */
#include "monitor/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/dirs.h"
#include "common/gaps.h"
#include "common/keys.h"
#include "common/leftover.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pidfile.h"
#include "common/prometheus.h"
#include "common/stage_reload.h"
#include "common/tls_files.h"
#include "monitor/asks.h"
#include "monitor/instances.h"
#include "monitor/offsite.h"
#include "monitor/outputs.h"
#include "monitor/log_file.h"
#include "monitor/metadata_keeper.h"
#include "monitor/pulse.h"
#include "monitor/reload.h"
#include "monitor/remote.h"
#include "monitor/report_table.h"
#include "monitor/samples.h"
#include "monitor/status.h"
#include "monitor/status_http.h"
#include "monitor/still.h"

#define TICK_MS 50
#define CLEAR_TERM_NS                                                                              \
    (4500 * NS_PER_MS)                 /* leftovers get a stage's own drain time before SIGKILL    \
                                        */
#define STOP_ALL_NS (3700 * NS_PER_MS) /* inside the runtime's drain deadline of 4 s */
#define LOG_CHECK_NS (10 * NS_PER_S)
#define FORGET_NS (60 * NS_PER_S)

enum phase { CLEARING, RUNNING, STOPPING, LEAVING };

struct monitor {
    struct stage *stage;
    struct instances instances;
    struct remote *remote; /* NULL: the stages are our children */
    struct report_table *table;
    struct offsite offsite;
    struct outputs *outputs;
    struct samples samples;
    struct status_http *http;
    struct metadata_keeper *metadata;
    struct pulse *pulse;
    struct still *still;
    char token[KEYS_TOKEN_CHARS + 1];
    struct event *tick, *child;
    char *own_log; /* where `kvpipe run` put our stderr; NULL: not in a file */
    enum phase phase;
    bool cleared; /* what runs beside us and is not in the plan is somebody else's */
    unsigned stopping_group;
    int64_t start_ns, phase_ns, group_ns, log_ns;
    int lock;
};

/* How long a group may take to end before the next is asked too: capture needs the others to take
 * its last frames. */
static const int64_t group_ns[PLAN_GROUPS] = {
    [4] = 1500 * NS_PER_MS, /* capture */
    [3] = 500 * NS_PER_MS,  [2] = 500 * NS_PER_MS,
    [1] = 1000 * NS_PER_MS, /* uploader: acks of the last fragment */
    [0] = 500 * NS_PER_MS,
};

static bool keep(void *arg, const char *instance, pid_t pid)
{
    const struct monitor *m = arg;
    return instances_own(&m->instances, pid) ||
           (m->cleared && !instances_planned(&m->instances, instance));
}

static size_t leftovers_all(struct monitor *m, int sig)
{
    /* what somebody else starts is not left over */
    return m->remote ? 0 : leftover_signal_others(m->stage->conf->run, NULL, sig, keep, m);
}

static size_t leftovers(struct monitor *m, int sig)
{
    static const char *const stages[PLAN_GROUPS] = {"server", "uploader", "muxer", "encoder",
                                                    "capture"};
    return m->remote ? 0
                     : leftover_signal_others(m->stage->conf->run, stages[m->stopping_group], sig,
                                              keep, m);
}

/* Leftovers are asked to end as our own are: what capture has must still find the others. */
static void clear_in_order(struct monitor *m, int64_t now_ns)
{
    while (m->stopping_group > 0 &&
           (!leftovers(m, 0) || now_ns - m->group_ns >= group_ns[m->stopping_group])) {
        m->stopping_group--;
        m->group_ns = now_ns;
        leftovers(m, SIGTERM);
    }
}

static void clear(struct monitor *m, int64_t now_ns)
{
    clear_in_order(m, now_ns);
    size_t left = leftovers_all(m, 0);
    if (left && now_ns - m->phase_ns > CLEAR_TERM_NS) {
        log_warn("monitor.leftover.kill", "processes=%zu", left);
        leftovers_all(m, SIGKILL);
        m->phase_ns = now_ns;
    }
    if (left)
        return;
    m->phase = RUNNING;
    m->cleared = true;
    stage_ready(m->stage);
}

static void ask(struct monitor *m, int64_t now_ns)
{
    m->group_ns = now_ns;
    instances_stop(&m->instances, m->stopping_group);
    leftovers(m, SIGTERM);
}

static bool group_runs(struct monitor *m)
{
    return instances_running(&m->instances, m->stopping_group) || leftovers(m, 0);
}

static void stop(struct monitor *m, int64_t now_ns)
{
    while (m->stopping_group > 0 &&
           (!group_runs(m) || now_ns - m->group_ns >= group_ns[m->stopping_group])) {
        m->stopping_group--;
        ask(m, now_ns);
    }
    size_t left = instances_running_all(&m->instances) + leftovers_all(m, 0);
    if (!left) {
        stage_quit(m->stage, 0);
    } else if (now_ns - m->phase_ns >= STOP_ALL_NS) {
        log_warn("monitor.stop.kill", "processes=%zu", left);
        instances_kill_all(&m->instances);
        leftovers_all(m, SIGKILL);
    }
}

static void bound_logs(struct monitor *m, int64_t now_ns)
{
    if (now_ns - m->log_ns < LOG_CHECK_NS)
        return;
    m->log_ns = now_ns;
    const struct conf_monitor *c = &m->stage->conf->monitor;
    if (m->own_log)
        log_file_bound(m->own_log, (uint64_t)c->log_megabytes * 1000000, c->log_files);
    report_table_expire(m->table, now_ns - FORGET_NS);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct monitor *m = arg;
    int64_t now_ns = clock_mono_ns();
    if (m->phase == CLEARING)
        clear(m, now_ns);
    if (m->phase == RUNNING) {
        instances_tick(&m->instances, now_ns);
        remote_tick(m->remote, now_ns);
    }
    if (m->phase == STOPPING)
        stop(m, now_ns);
    bound_logs(m, now_ns);
    pulse_look(m->pulse);
}

static void on_child(evutil_socket_t sig, short what, void *arg)
{
    struct monitor *m = arg;
    int64_t now_ns = clock_mono_ns();
    instances_collect(&m->instances, now_ns);
    if (m->phase == RUNNING)
        instances_tick(&m->instances, now_ns); /* what ran well is back at once */
    if (m->phase == STOPPING)
        stop(m, now_ns);
}

static void on_report(void *arg, const struct report_row *row)
{
    struct monitor *m = arg;
    instances_heard(&m->instances, row);
    remote_heard(m->remote, row);
    metadata_keeper_heard(m->metadata, row);
    offsite_heard(&m->offsite, row, m->table, clock_mono_ns());
}

static json_t *on_pulse(void *arg)
{
    struct monitor *m = arg;
    return status_make(m->stage->conf, &m->instances, m->table, &m->offsite, m->start_ns,
                       clock_mono_ns(), true);
}

static uint64_t on_mark(void *arg)
{
    const struct monitor *m = arg;
    uint64_t mark = 0;
    for (size_t i = 0; i < m->instances.count; i++)
        mark = mark * 31 + (uint64_t)m->instances.list[i].pid * 16 +
               m->instances.list[i].supervisor.state;
    return mark;
}

static const struct pulse_ops pulse_callbacks = {.status = on_pulse, .stages_mark = on_mark};

static void on_live(void *arg, struct evhttp_request *req)
{
    struct monitor *m = arg;
    pulse_open(m->pulse, req);
}

static char *on_events(void *arg, int64_t since)
{
    struct monitor *m = arg;
    return pulse_events(m->pulse, since);
}

static char *on_history(void *arg)
{
    struct monitor *m = arg;
    return pulse_history(m->pulse);
}

static int on_still(void *arg, const char *stream, struct still_picture *out)
{
    struct monitor *m = arg;
    if (!conf_stream(m->stage->conf, stream))
        return -ENXIO;
    return still_get(m->still, stream, clock_mono_ns(), out);
}

static char *on_status(void *arg)
{
    struct monitor *m = arg;
    return status_json(m->stage->conf, &m->instances, m->table, &m->offsite, m->start_ns,
                       clock_mono_ns());
}

static char *on_metrics(void *arg)
{
    struct monitor *m = arg;
    const struct conf *conf = m->stage->conf;
    if (!conf->monitor.prometheus.enabled)
        return NULL;
    samples_take(&m->samples, conf, &m->instances, m->table, &m->offsite, clock_mono_ns());
    return prometheus_text(&m->samples);
}

static bool on_ready(void *arg)
{
    struct monitor *m = arg;
    return m->phase == RUNNING &&
           (m->remote ? remote_ready(m->remote) : instances_ready(&m->instances));
}

static int on_gaps(void *arg, const char *stream, int64_t since_ns, char **text)
{
    struct monitor *m = arg;
    json_t *gaps;
    const struct conf *conf = m->stage->conf;
    int r = -ENOENT;
    for (unsigned i = 0; i < conf->streams_count && r == -ENOENT; i++)
        if (strcmp(conf->streams[i].name, stream) == 0)
            r = gaps_read(conf->spool.dir, stream, since_ns, &gaps);
    if (r == 0) {
        *text = json_dumps(gaps, JSON_COMPACT);
        json_decref(gaps);
    } else if (r != -ENOENT) {
        log_error("monitor.gaps", "stream=%s dir=%s error=\"%s\"", stream, conf->spool.dir,
                  strerror(-r));
    }
    return r;
}

static int on_ask(void *arg, const char *verb, const struct evkeyvalq *fields, char *text,
                  size_t size)
{
    struct monitor *m = arg;
    const struct asks a = {.conf = m->stage->conf,
                           .instances = &m->instances,
                           .remote = m->remote,
                           .table = m->table,
                           .metadata = m->metadata,
                           .pulse = m->pulse};
    return asks_do(&a, verb, fields, clock_mono_ns(), text, size);
}

static const struct status_http_ops http_callbacks = {.status = on_status,
                                                      .metrics = on_metrics,
                                                      .events = on_events,
                                                      .history = on_history,
                                                      .live = on_live,
                                                      .gaps = on_gaps,
                                                      .still = on_still,
                                                      .ready = on_ready,
                                                      .ask = on_ask};

/* One monitor a run directory, whatever its instance name: binding the report socket would take it
 * from the other. */
static int lock_run(struct monitor *m)
{
    pid_t holder = 0;
    m->lock = pidfile_lock(m->stage->conf->run, "monitor", NULL, &holder);
    if (m->lock < 0)
        log_error("monitor.already_running", "pid=%d run=%s (stop it, or choose another 'run')",
                  (int)holder, m->stage->conf->run);
    return m->lock < 0 ? m->lock : 0;
}

static int make_keys(const struct conf *conf)
{
    int r = conf->server.enabled ? keys_ensure(conf->server.keys) : 0;
    if (r < 0)
        log_error("monitor.keys",
                  "path=%s error=\"%s\" (make its directory writable, or set "
                  "server.keys)",
                  conf->server.keys, strerror(-r));
    return r;
}

/* The stages that talk to our own server trust it by this file. */
static int make_certificate(const struct conf *conf)
{
    const struct conf_server *s = &conf->server;
    int r = s->enabled && s->tls_made
                ? tls_files_ensure(s->tls_cert, s->tls_key, s->listen, s->tls_names)
                : 0;
    if (r < 0)
        log_error("monitor.certificate",
                  "path=%s error=\"%s\" (make its directory writable, or set server.tls_cert and "
                  "tls_key)",
                  s->tls_cert, strerror(-r));
    return r;
}

static int make_token(struct monitor *m)
{
    char *path = xasprintf("%s/" KEYS_TOKEN_FILE, m->stage->conf->run);
    int r = keys_token_ensure(path, m->token);
    if (r < 0)
        log_error("monitor.token", "path=%s error=\"%s\" (%s)", path, strerror(-r),
                  r == -EBADMSG ? "delete it, and a new one is made"
                                : "make its directory writable, or set run");
    free(path);
    return r;
}

/* What passed its check is what every stage runs, whatever becomes of the file: also one that is
 * started again later. */
static int keep_config(const struct conf *conf)
{
    char *path = xasprintf("%s/config/pipeline.yaml", conf->run),
         *fresh = xasprintf("%s.new", path);
    int r = dirs_make_for(path, 0700);
    int fd = r < 0 ? -1 : open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (r == 0 && fd < 0)
        r = -errno;
    if (r == 0 && write(fd, conf->text, conf->text_bytes) != (ssize_t)conf->text_bytes)
        r = -(errno ? errno : EIO);
    if (fd >= 0)
        close(fd);
    if (r == 0 && rename(fresh, path) < 0)
        r = -errno;
    if (r == 0)
        setenv(STAGE_CONFIG_COPY, path, 1);
    else
        log_error("monitor.config_copy", "path=%s error=\"%s\" (free space, or make it writable)",
                  path, strerror(-r));
    free(path);
    free(fresh);
    return r;
}

static void reload(struct stage *st)
{
    struct monitor *m = st->state;
    if (make_keys(st->conf) == 0 && make_certificate(st->conf) == 0 && keep_config(st->conf) == 0)
        reload_plan(&m->instances, st->conf);
}

static void teardown(struct stage *st)
{
    struct monitor *m = st->state;
    if (!m)
        return;
    if (m->phase != LEAVING)
        instances_kill_all(&m->instances);
    pulse_destroy(&m->pulse);
    status_http_destroy(&m->http);
    still_destroy(&m->still);
    metadata_keeper_destroy(&m->metadata);
    outputs_destroy(&m->outputs);
    report_table_destroy(&m->table);
    if (m->tick)
        event_free(m->tick);
    if (m->child)
        event_free(m->child);
    instances_fini(&m->instances);
    remote_destroy(&m->remote);
    offsite_fini(&m->offsite);
    samples_fini(&m->samples);
    free(m->own_log);
    if (m->lock >= 0)
        close(m->lock);
    free(m);
    st->state = NULL;
}

static int open_parts(struct monitor *m)
{
    const struct conf *conf = m->stage->conf;
    int r = lock_run(m);
    if (r == 0)
        r = make_keys(conf);
    if (r == 0)
        r = make_certificate(conf);
    if (r == 0)
        r = make_token(m);
    if (r == 0)
        r = keep_config(conf);
    if (r == 0)
        r = report_table_create(m->stage->base, conf->monitor.bind, conf->link.keys, on_report, m,
                                &m->table);
    if (r < 0)
        return r;
    r = outputs_create(m->stage->base,
                       &(struct outputs_from){.stage = m->stage,
                                              .instances = &m->instances,
                                              .table = m->table,
                                              .offsite = &m->offsite},
                       &m->outputs);
    if (r < 0)
        return r;
    m->metadata = metadata_keeper_create(m->table);
    m->still = still_create(m->stage->base, conf->spool.dir);
    m->pulse = pulse_create(m->stage->base, &pulse_callbacks, m);
    return status_http_create(m->stage->base, conf->monitor.listen, conf->monitor.names, m->token,
                              &http_callbacks, m, &m->http);
}

static int setup(struct stage *st)
{
    static const struct timeval every = {.tv_usec = TICK_MS * 1000};
    struct monitor *m = xcalloc(1, sizeof *m);

    m->stage = st;
    m->lock = -1;
    st->state = m;
    m->start_ns = m->phase_ns = clock_mono_ns();
    const char *log_dir = getenv("KVPIPE_LOG_DIR");
    m->own_log = log_dir ? xasprintf("%s/monitor.log", log_dir) : NULL;
    instances_init(&m->instances, st->base, st->conf, log_dir);
    m->instances.fault = st->fault;
    m->remote = remote_create(st->base, st->conf);
    int r = open_parts(m);
    if (r < 0) {
        teardown(st);
        return r;
    }
    instances_adopt(&m->instances, m->start_ns);
    size_t left = leftovers_all(m, 0);
    m->stopping_group = PLAN_GROUPS - 1;
    m->group_ns = m->phase_ns;
    leftovers(m, SIGTERM);
    if (left)
        log_warn(
            "monitor.leftover",
            "processes=%zu (of an earlier monitor, with another config or version: stopping them "
            "first)",
            left);
    m->child = evsignal_new(st->base, SIGCHLD, on_child, m);
    event_add(m->child, NULL);
    m->tick = event_new(st->base, -1, EV_PERSIST, on_tick, m);
    event_add(m->tick, &every);
    return 0;
}

static void drain(struct stage *st)
{
    struct monitor *m = st->state;
    if (st->conf->monitor.outlive == CONF_OUTLIVE_ALWAYS) {
        log_info("monitor.leaves", "processes=%zu (they go on: monitor.outlive is always)",
                 instances_running_all(&m->instances));
        m->phase = LEAVING;
        stage_quit(st, 0);
        return;
    }
    m->phase = STOPPING;
    m->phase_ns = clock_mono_ns();
    m->stopping_group = PLAN_GROUPS - 1;
    ask(m, m->phase_ns);
    stop(m, m->phase_ns);
}

/* Stages inherit what it may do, and which files they will need no monitor knows before they are in
 * a config. */
static void needs(const struct stage *st, const struct conf *conf, struct sandbox *needs)
{
    needs->any_file = needs->calls.any = needs->calls.exec = true;
    needs->calls.network = SYSCALL_ANY;
}

const struct stage_ops monitor_stage = {
    .name = "monitor",
    .summary = "starts the stages of a config, restarts what exits or hangs, serves the status",
    .needs = needs,
    .setup = setup,
    .reload = reload,
    .drain = drain,
    .teardown = teardown,
};
