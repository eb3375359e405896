/* Policy meets processes.
 * Relies on supervisor for every decision; says each of them in the log.
 * Leaves signals to the process itself and the looks to status.c. */
#include "monitor/instances.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pidfile.h"
#include "common/stage.h"
#include "monitor/child.h"
#include "monitor/log_file.h"
#include "monitor/reload.h"

#define CODE_NOT_STARTED 127
#define CODE_UNKNOWN -1 /* of an adopted process: only its parent learns it */
#define BLOCKED_TERM_NS (4500 * NS_PER_MS)
#define LOOK_NS NS_PER_S
#define VERDICT_LINES 3
#define STEADY_NS (10 * NS_PER_S) /* ready so long: what was wrong is over */

static void take_plan(struct instances *all, struct instance *in, struct plan_entry *entry)
{
    const struct conf *old = in->conf;
    if (in->plan)
        free(in->plan->instance);
    free(in->plan);
    in->plan = xmalloc(sizeof *in->plan);
    *in->plan = *entry;
    entry->instance = NULL;
    in->conf = conf_hold(all->conf);
    if (old)
        conf_release(&old);
    free(in->identity);
    in->identity = stage_identity(all->conf, in->plan->stage, in->plan->stream, in->plan->instance);
    in->supervisor.silence_ns = all->conf->monitor.hang_s * NS_PER_S;
    in->supervisor.start_ns = all->conf->monitor.start_s * NS_PER_S;
}

void instance_init(struct instances *all, struct instance *in, struct plan_entry *entry)
{
    if (!in->plan) {
        in->pidfd = -1;
        supervisor_init(&in->supervisor, all->seed++);
        if (all->log_dir)
            in->log_path = xasprintf("%s/%s.log", all->log_dir, entry->instance);
    }
    take_plan(all, in, entry);
    in->leaving = false;
}

void instances_init(struct instances *all, struct event_base *base, const struct conf *conf,
                    const char *log_dir)
{
    *all = (struct instances){.base = base,
                              .conf = conf_hold(conf),
                              .log_dir = xstrdup(log_dir),
                              .seed = (uint32_t)clock_wall_ns(),
                              .step = -1};
    struct plan_entry *plan = plan_make(conf, &all->count);
    all->list = xcalloc(all->count, sizeof *all->list);
    for (size_t i = 0; i < all->count; i++)
        instance_init(all, &all->list[i], &plan[i]);
    plan_free(plan, all->count);
}

static void release(struct instance *in)
{
    if (in->gone)
        event_free(in->gone);
    if (in->pidfd >= 0)
        close(in->pidfd);
    in->gone = NULL;
    in->pidfd = -1;
    in->pid = 0;
}

void instance_fini(struct instance *in)
{
    release(in);
    free(in->plan->instance);
    free(in->plan);
    conf_release(&in->conf);
    free(in->identity);
    free(in->started);
    free(in->program);
    free(in->log_path);
}

void instances_fini(struct instances *all)
{
    for (size_t i = 0; i < all->count; i++)
        instance_fini(&all->list[i]);
    free(all->list);
    free(all->log_dir);
    if (all->conf)
        conf_release(&all->conf);
    *all = (struct instances){0};
}

static const char *where_to_look(const struct instance *in)
{
    return in->log_path ? in->log_path : "the lines above";
}

/* A restart alone does not help: says so where people look, with what the process said last. */
static void judge(struct instance *in, const char *said)
{
    char last[384] = "";
    if (in->log_path)
        log_file_tail(in->log_path, VERDICT_LINES, last, sizeof last);
    snprintf(in->verdict, sizeof in->verdict, "crash loop: %u failures, exit code %s; it said: %s",
             in->supervisor.failures, said, *last ? last : "see the lines above in the log");
    log_error("monitor.child.crash_loop", "instance=%s failures=%u code=%s last=\"%s\" (see %s)",
              in->plan->instance, in->supervisor.failures, said, last, where_to_look(in));
}

static void say_exit(struct instance *in, int64_t now_ns, const char *said)
{
    if (supervisor_loops(&in->supervisor))
        judge(in, said);
    log_warn("monitor.child.exited", "instance=%s code=%s restart_ms=%lld (see %s)",
             in->plan->instance, said,
             (long long)((in->supervisor.next_start_ns - now_ns) / NS_PER_MS), where_to_look(in));
}

static void ended(struct instance *in, int64_t now_ns, int code)
{
    const char *name = in->plan->instance;
    char said[16];
    snprintf(said, sizeof said, code == CODE_UNKNOWN ? "unknown" : "%d", code);
    in->ended = code != CODE_UNKNOWN;
    in->last_code = code;
    release(in);
    supervisor_exited(&in->supervisor, now_ns, code == CODE_UNKNOWN ? 1 : code);
    switch (in->supervisor.state) {
    case SUPERVISOR_STOPPED:
        log_info("monitor.child.stopped", "instance=%s code=%s", name, said);
        break;
    case SUPERVISOR_WAITING:
        log_info("monitor.child.ended", "instance=%s code=%s (to be started again)", name, said);
        break;
    case SUPERVISOR_DONE:
        log_info("monitor.child.done", "instance=%s (its sources are at their end)", name);
        break;
    case SUPERVISOR_GAVE_UP:
        snprintf(in->verdict, sizeof in->verdict, "its arguments or config are wrong: see %s",
                 where_to_look(in));
        log_error(
            "monitor.child.gave_up",
            "instance=%s code=%s (its arguments or config are wrong: see %s, then restart the "
            "pipeline)",
            name, said, where_to_look(in));
        break;
    default:
        say_exit(in, now_ns, said);
    }
}

void instance_signal(const struct instance *in, int sig)
{
    if (in->pidfd >= 0)
        pidfd_send_signal(in->pidfd, sig, NULL, 0);
    else if (in->pid > 0)
        kill(in->pid, sig);
}

static void on_gone(evutil_socket_t fd, short what, void *arg)
{
    ended(arg, clock_mono_ns(), CODE_UNKNOWN);
}

static void watch_end(struct instances *all, struct instance *in)
{
    if (in->pidfd < 0)
        return;
    in->gone = event_new(all->base, in->pidfd, EV_READ, on_gone, in);
    event_add(in->gone, NULL);
}

void instance_moved(struct instances *all, struct instance *in)
{
    if (in->gone)
        event_free(in->gone);
    in->gone = NULL;
    watch_end(all, in);
}

static void adopt(struct instances *all, struct instance *in, const struct pidfile_process *p,
                  int64_t now_ns)
{
    in->pid = p->pid;
    in->pidfd = p->pidfd;
    in->blocked_ns = 0;
    watch_end(all, in);
    free(in->started);
    in->started = xstrdup(p->identity);
    if (strcmp(in->started, in->identity) != 0)
        reload_begin(all); /* the same but for streams */
    supervisor_adopted(&in->supervisor, now_ns);
    log_info("monitor.child.adopted", "instance=%s pid=%d", in->plan->instance, (int)in->pid);
}

/* An earlier monitor's last child may come up late, with another config. */
static void unblock(struct instance *in, const struct pidfile_process *p, int64_t now_ns)
{
    if (in->blocked_ns && now_ns - in->blocked_ns < BLOCKED_TERM_NS)
        return;
    log_warn("monitor.child.blocked", "instance=%s pid=%d (runs another config or version: %s)",
             in->plan->instance, (int)p->pid, in->blocked_ns ? "killed" : "stopping it first");
    pidfd_send_signal(p->pidfd, in->blocked_ns ? SIGKILL : SIGTERM, NULL, 0);
    in->blocked_ns = now_ns;
}

/* Whether a new process may be started: none of this name runs. One of the same identity is
 * adopted, another one asked to end. */
static bool is_free(struct instances *all, struct instance *in, int64_t now_ns)
{
    struct pidfile_process p;
    if (pidfile_open_holder(all->conf->run, in->plan->instance, &p) < 0)
        return true; /* or unclear: then the new one says so and is tried again */
    if (stage_identity_is_close(in->identity, p.identity)) {
        adopt(all, in, &p, now_ns);
        return false;
    }
    unblock(in, &p, now_ns);
    close(p.pidfd);
    return false;
}

void instances_adopt(struct instances *all, int64_t now_ns)
{
    struct pidfile_process p;
    for (size_t i = 0; i < all->count; i++) {
        struct instance *in = &all->list[i];
        if (pidfile_open_holder(all->conf->run, in->plan->instance, &p) < 0)
            continue;
        if (stage_identity_is_close(in->identity, p.identity))
            adopt(all, in, &p, now_ns);
        else
            close(p.pidfd);
    }
}

bool instances_own(const struct instances *all, pid_t pid)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->list[i].pid == pid)
            return true;
    return false;
}

bool instances_planned(const struct instances *all, const char *instance)
{
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->list[i].plan->instance, instance) == 0)
            return true;
    return false;
}

/* What a program in place of ours needs of the config, so that it need not read it. */
static char **replacement_variables(const struct conf *conf, const struct plan_entry *p)
{
    char **v = xcalloc(6, sizeof *v), *streams = xstrdup(p->stream ? p->stream : "");
    char *listen = conf_stage_listen(conf, p->stage, p->stream, p->instance);
    char *connect = conf_stage_connect(conf, p->stage, p->stream);

    for (unsigned i = 0; !p->stream && i < conf->streams_count; i++) {
        char *longer = xasprintf("%s%s%s", streams, i ? " " : "", conf->streams[i].name);
        free(streams);
        streams = longer;
    }
    v[0] = xasprintf("KVPIPE_LISTEN=%s", listen ? listen : "");
    v[1] = xasprintf("KVPIPE_CONNECT=%s", connect ? connect : "");
    v[2] = xasprintf("KVPIPE_STREAMS=%s", streams);
    v[3] = xasprintf("KVPIPE_KEYS=%s", conf->link.keys ? conf->link.keys : "");
    v[4] = xasprintf("KVPIPE_RUN=%s", conf->run);
    free(listen);
    free(connect);
    free(streams);
    return v;
}

static void start(struct instances *all, struct instance *in, int64_t now_ns)
{
    struct child_conf cc = {.file = all->conf->file,
                            .instance = in->plan->instance,
                            .stream = in->plan->stream,
                            .log_path = in->log_path,
                            .process = in->plan->process,
                            .dies_with_us = all->conf->monitor.outlive == CONF_OUTLIVE_NEVER};
    if (!is_free(all, in, now_ns))
        return;
    in->blocked_ns = 0;
    free(in->program); /* looked up each time: an upgrade may take it away for a moment */
    in->program = in->plan->program ? xstrdup(in->plan->program) : child_program(in->plan->stage);
    cc.program = in->program;
    char **variables = in->plan->program ? replacement_variables(all->conf, in->plan) : NULL;
    cc.variables = variables;
    int r = child_start(&cc, &in->pid);
    for (size_t i = 0; variables && variables[i]; i++)
        free(variables[i]);
    free(variables);
    supervisor_started(&in->supervisor, now_ns);
    free(in->started);
    in->started = xstrdup(in->identity);
    if (r == 0) {
        log_info("monitor.child.start", "instance=%s pid=%d restarts=%u", in->plan->instance,
                 (int)in->pid, in->supervisor.restarts);
        return;
    }
    log_error("monitor.child.start", "instance=%s program=%s error=\"%s\"", in->plan->instance,
              in->program, strerror(-r));
    ended(in, now_ns, CODE_NOT_STARTED);
}

static void kill_it(struct instance *in, int64_t now_ns)
{
    if (in->supervisor.state == SUPERVISOR_HUNG)
        log_warn("monitor.child.hung", "instance=%s pid=%d (no report for %lld s: killed)",
                 in->plan->instance, (int)in->pid,
                 (long long)((now_ns - in->supervisor.heard_ns) / NS_PER_S));
    else
        log_warn("monitor.child.kill", "instance=%s pid=%d (does not end when asked: killed)",
                 in->plan->instance, (int)in->pid);
    instance_signal(in, SIGKILL);
}

static void tick(struct instances *all, struct instance *in, int64_t now_ns)
{
    switch (supervisor_tick(&in->supervisor, now_ns)) {
    case SUPERVISOR_START:
        start(all, in, now_ns);
        break;
    case SUPERVISOR_KILL:
        kill_it(in, now_ns);
        break;
    case SUPERVISOR_NOTHING:
        break;
    }
    if (in->supervisor.state == SUPERVISOR_READY && !supervisor_loops(&in->supervisor) &&
        now_ns - in->supervisor.started_ns > STEADY_NS)
        *in->verdict = '\0';
}

static uint64_t resident_bytes(pid_t pid)
{
    char path[32];
    unsigned long long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%*u %llu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void instance_restart(struct instance *in, int64_t now_ns)
{
    if (supervisor_restart(&in->supervisor, now_ns))
        instance_signal(in, SIGTERM);
}

static void bound_memory(struct instance *in, int64_t now_ns)
{
    uint64_t limit =
        in->plan->process ? (uint64_t)in->plan->process->memory_megabytes * 1000000 : 0;
    uint64_t used = limit && in->supervisor.state == SUPERVISOR_READY ? resident_bytes(in->pid) : 0;
    if (used <= limit || !limit)
        return;
    snprintf(in->verdict, sizeof in->verdict,
             "used %llu MB of memory, more than process.memory_megabytes: restarted",
             (unsigned long long)(used / 1000000));
    log_warn("monitor.child.memory",
             "instance=%s pid=%d used_mb=%llu limit_mb=%u (restarting it; raise "
             "%s.process.memory_megabytes if it needs more)",
             in->plan->instance, (int)in->pid, (unsigned long long)(used / 1000000),
             in->plan->process->memory_megabytes, in->plan->stage);
    if (supervisor_fail(&in->supervisor, now_ns))
        instance_signal(in, SIGTERM);
}

static void bound(struct instances *all, int64_t now_ns)
{
    const struct conf_monitor *c = &all->conf->monitor;
    if (now_ns - all->looked_ns < LOOK_NS)
        return;
    all->looked_ns = now_ns;
    for (size_t i = 0; i < all->count; i++) {
        struct instance *in = &all->list[i];
        if (in->log_path)
            log_file_bound(in->log_path, (uint64_t)c->log_megabytes * 1000000, c->log_files);
        bound_memory(in, now_ns);
    }
}

static bool settled(const struct instances *all, unsigned group, int64_t now_ns)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->list[i].plan->group == group &&
            !supervisor_settled(&all->list[i].supervisor, now_ns))
            return false;
    return true;
}

static void start_due(struct instances *all, int64_t now_ns)
{
    for (;;) {
        for (size_t i = 0; i < all->count; i++)
            if (all->list[i].plan->group <= all->group &&
                (all->list[i].started || !reload_leaves(all)))
                tick(all, &all->list[i], now_ns);
        if (all->group + 1 >= PLAN_GROUPS || !settled(all, all->group, now_ns))
            return;
        all->group++;
    }
}

void instances_tick(struct instances *all, int64_t now_ns)
{
    start_due(all, now_ns);
    bound(all, now_ns);
    reload_tick(all, now_ns);
}

int instances_restart(struct instances *all, const char *instance, int64_t now_ns)
{
    for (size_t i = 0; i < all->count; i++) {
        if (strcmp(all->list[i].plan->instance, instance) != 0)
            continue;
        log_info("monitor.child.restart", "instance=%s (asked for)", instance);
        *all->list[i].verdict = '\0';
        instance_restart(&all->list[i], now_ns);
        return 0;
    }
    return -ENOENT;
}

void instances_heard(struct instances *all, const struct report_row *row)
{
    for (size_t i = 0; i < all->count; i++) {
        struct instance *in = &all->list[i];
        if (strcmp(in->plan->instance, row->instance) != 0 || in->pid <= 0 ||
            (uint32_t)in->pid != row->pid)
            continue;
        /* when another monitor started it, it knows that better than we do */
        if (in->supervisor.adopted && row->uptime_ms < (uint64_t)(row->heard_ns / NS_PER_MS))
            in->supervisor.started_ns = row->heard_ns - (int64_t)row->uptime_ms * NS_PER_MS;
        supervisor_heard(&in->supervisor, row->heard_ns, row->ready, row->draining);
    }
}

/* As PID 1 of a container every orphan of it is ours to collect. */
static void reap_orphans(void)
{
    pid_t pid;
    while (getpid() == 1 && (pid = waitpid(-1, NULL, WNOHANG)) > 0)
        log_debug("monitor.reaped", "pid=%d", (int)pid);
}

void instances_collect(struct instances *all, int64_t now_ns)
{
    for (size_t i = 0; i < all->count; i++) {
        int status;
        if (all->list[i].pid > 0 && all->list[i].pidfd < 0 &&
            waitpid(all->list[i].pid, &status, WNOHANG) > 0)
            ended(&all->list[i], now_ns, child_code(status));
    }
    reap_orphans();
}

size_t instances_stop(struct instances *all, unsigned group)
{
    for (size_t i = 0; i < all->count; i++) {
        struct instance *in = &all->list[i];
        if (in->plan->group != group)
            continue;
        supervisor_stop(&in->supervisor);
        instance_signal(in, SIGTERM);
    }
    return instances_running(all, group);
}

size_t instances_running(const struct instances *all, unsigned group)
{
    size_t n = 0;
    for (size_t i = 0; i < all->count; i++)
        n += all->list[i].plan->group == group && all->list[i].pid > 0;
    return n;
}

size_t instances_running_all(const struct instances *all)
{
    size_t n = 0;
    for (size_t i = 0; i < all->count; i++)
        n += all->list[i].pid > 0;
    return n;
}

void instances_kill_all(struct instances *all)
{
    for (size_t i = 0; i < all->count; i++) {
        supervisor_stop(&all->list[i].supervisor);
        instance_signal(&all->list[i], SIGKILL);
    }
}

bool instances_ready(const struct instances *all)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->list[i].supervisor.state != SUPERVISOR_READY &&
            all->list[i].supervisor.state != SUPERVISOR_DONE)
            return false;
    return true;
}
