/* Policy meets processes.
 * Relies on supervisor for every decision; says each of them in the log.
 * Leaves signals to the process itself and the looks to status.c. */
#include "monitor/instances.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "monitor/child.h"

#define CODE_NOT_STARTED 127

void instances_init(struct instances *all, const struct conf *conf, const char *log_dir)
{
    *all = (struct instances){.conf = conf};
    all->plan = plan_make(conf, &all->count);
    all->list = xcalloc(all->count, sizeof *all->list);
    for (size_t i = 0; i < all->count; i++) {
        struct instance *in = &all->list[i];
        in->plan = &all->plan[i];
        in->program =
            in->plan->program ? xstrdup(in->plan->program) : child_program(in->plan->stage);
        if (log_dir)
            in->log_path = xasprintf("%s/%s.log", log_dir, in->plan->instance);
        supervisor_init(&in->supervisor, (uint32_t)i + (uint32_t)clock_wall_ns());
    }
}

void instances_fini(struct instances *all)
{
    for (size_t i = 0; i < all->count; i++) {
        free(all->list[i].program);
        free(all->list[i].log_path);
    }
    free(all->list);
    plan_free(all->plan, all->count);
    *all = (struct instances){0};
}

static const char *where_to_look(const struct instance *in)
{
    return in->log_path ? in->log_path : "the lines above";
}

static void ended(struct instance *in, int64_t now_ns, int code)
{
    const char *name = in->plan->instance;
    in->ended = true;
    in->last_code = code;
    in->pid = 0;
    supervisor_exited(&in->supervisor, now_ns, code);
    switch (in->supervisor.state) {
    case SUPERVISOR_STOPPED:
        log_info("monitor.child.stopped", "instance=%s code=%d", name, code);
        break;
    case SUPERVISOR_DONE:
        log_info("monitor.child.done", "instance=%s (its sources are at their end)", name);
        break;
    case SUPERVISOR_GAVE_UP:
        log_error(
            "monitor.child.gave_up",
            "instance=%s code=%d (its arguments or config are wrong: see %s, then restart the "
            "pipeline)",
            name, code, where_to_look(in));
        break;
    default:
        log_warn("monitor.child.exited", "instance=%s code=%d restart_ms=%lld (see %s)", name, code,
                 (long long)((in->supervisor.next_start_ns - now_ns) / NS_PER_MS),
                 where_to_look(in));
    }
}

static void start(struct instances *all, struct instance *in, int64_t now_ns)
{
    struct child_conf cc = {.program = in->program,
                            .file = all->conf->file,
                            .instance = in->plan->instance,
                            .stream = in->plan->stream,
                            .log_path = in->log_path};
    if (in->log_path)
        child_log_bound(in->log_path);
    int r = child_start(&cc, &in->pid);
    supervisor_started(&in->supervisor, now_ns);
    if (r == 0) {
        log_info("monitor.child.start", "instance=%s pid=%d restarts=%u", in->plan->instance,
                 (int)in->pid, in->supervisor.restarts);
        return;
    }
    log_error("monitor.child.start", "instance=%s program=%s error=\"%s\"", in->plan->instance,
              in->program, strerror(-r));
    ended(in, now_ns, CODE_NOT_STARTED);
}

static void tick(struct instances *all, struct instance *in, int64_t now_ns)
{
    switch (supervisor_tick(&in->supervisor, now_ns)) {
    case SUPERVISOR_START:
        start(all, in, now_ns);
        break;
    case SUPERVISOR_KILL:
        log_warn("monitor.child.hung", "instance=%s pid=%d (no report for 5 s: killed)",
                 in->plan->instance, (int)in->pid);
        kill(in->pid, SIGKILL);
        break;
    case SUPERVISOR_NOTHING:
        break;
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

void instances_tick(struct instances *all, int64_t now_ns)
{
    for (;;) {
        for (size_t i = 0; i < all->count; i++)
            if (all->list[i].plan->group <= all->group)
                tick(all, &all->list[i], now_ns);
        if (all->group + 1 >= PLAN_GROUPS || !settled(all, all->group, now_ns))
            return;
        all->group++;
    }
}

void instances_heard(struct instances *all, const struct report_row *row)
{
    for (size_t i = 0; i < all->count; i++) {
        struct instance *in = &all->list[i];
        if (strcmp(in->plan->instance, row->instance) == 0 && in->pid > 0 &&
            (uint32_t)in->pid == row->pid)
            supervisor_heard(&in->supervisor, row->heard_ns, row->ready, row->draining);
    }
}

void instances_collect(struct instances *all, int64_t now_ns)
{
    for (size_t i = 0; i < all->count; i++) {
        int status;
        if (all->list[i].pid > 0 && waitpid(all->list[i].pid, &status, WNOHANG) > 0)
            ended(&all->list[i], now_ns, child_code(status));
    }
}

size_t instances_stop(struct instances *all, unsigned group)
{
    for (size_t i = 0; i < all->count; i++) {
        struct instance *in = &all->list[i];
        if (in->plan->group != group)
            continue;
        supervisor_stop(&in->supervisor);
        if (in->pid > 0)
            kill(in->pid, SIGTERM);
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
        if (all->list[i].pid > 0)
            kill(all->list[i].pid, SIGKILL);
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
