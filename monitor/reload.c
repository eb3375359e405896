/* From one config to the next.
 * Relies on stage_identity to tell what a process runs from what it shall run.
 * Leaves starts, restarts and deaths to instances.c. */
#include "monitor/reload.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pidfile.h"
#include "common/stage.h"
#include "monitor/instances.h"

#define TELL_NS (3 * NS_PER_S)   /* a stage that was told has so long to run the new config */
#define GROUP_NS (10 * NS_PER_S) /* the other groups do not wait longer for one */
#define LEAVE_NS (4500 * NS_PER_MS)

static struct instance *find(struct instances *all, const char *name)
{
    for (size_t i = 0; i < all->count; i++)
        if (!all->list[i].moved && strcmp(all->list[i].plan->instance, name) == 0)
            return &all->list[i];
    return NULL;
}

/* What was there and is no longer asked for stays at the end of the list until it has ended. */
void reload_plan(struct instances *all, const struct conf *conf)
{
    size_t count, kept;
    const struct conf *old = all->conf;
    all->conf = conf_hold(conf);
    struct plan_entry *plan = plan_make(conf, &count);
    struct instance *list = xcalloc(count + all->count, sizeof *list);
    kept = count;
    for (size_t i = 0; i < count; i++) {
        struct instance *in = find(all, plan[i].instance);
        if (in) {
            list[i] = *in;
            in->moved = true;
            supervisor_stay(&list[i].supervisor, clock_mono_ns());
        }
        instance_init(all, &list[i], &plan[i]);
    }
    for (size_t i = 0; i < all->count; i++)
        if (!all->list[i].moved) {
            list[kept] = all->list[i];
            list[kept++].leaving = true;
        }
    plan_free(plan, count);
    free(all->list);
    all->list = list;
    all->count = kept;
    for (size_t i = 0; i < kept; i++)
        instance_moved(all, &list[i]);
    conf_release(&old);
    reload_begin(all);
}

void reload_begin(struct instances *all)
{
    all->step = 0;
    all->applied = false;
}

/* What it says of itself; what it was started with, when it has no pid file. */
static bool runs(const struct instances *all, const struct instance *in, bool *can_be_told)
{
    struct pidfile_process p;
    const char *line = in->started;
    bool own = pidfile_open_holder(all->conf->run, in->plan->instance, &p) == 0;
    if (own) {
        close(p.pidfd);
        line = p.pid == in->pid ? p.identity : line;
    }
    *can_be_told = own && line && stage_identity_is_close(line, in->identity);
    return line && strcmp(line, in->identity) == 0;
}

static void update(struct instances *all, struct instance *in, int64_t now_ns)
{
    bool can_be_told;
    if (runs(all, in, &can_be_told) || !in->started)
        return;
    if (can_be_told && in->pid > 0) {
        log_info("monitor.child.reload", "instance=%s pid=%d (its streams have changed)",
                 in->plan->instance, (int)in->pid);
        instance_signal(in, SIGHUP);
        return;
    }
    log_info("monitor.child.replace", "instance=%s pid=%d (its config has changed)",
             in->plan->instance, (int)in->pid);
    instance_restart(in, now_ns);
}

/* Nothing of the group is worth waiting for any longer. */
static bool is_updated(struct instances *all, struct instance *in, int64_t now_ns)
{
    bool can_be_told;
    if (!supervisor_running(&in->supervisor) && in->supervisor.state != SUPERVISOR_WAITING)
        return true;
    if (in->supervisor.state == SUPERVISOR_READY && runs(all, in, &can_be_told))
        return true;
    if (in->supervisor.state == SUPERVISOR_READY && now_ns - all->step_ns >= TELL_NS) {
        log_warn("monitor.child.reload.late",
                 "instance=%s pid=%d (does not take the new config over: restarting it)",
                 in->plan->instance, (int)in->pid);
        instance_restart(in, now_ns);
    }
    return now_ns - all->step_ns >= GROUP_NS;
}

static bool update_group(struct instances *all, unsigned group, int64_t now_ns)
{
    bool done = true;
    for (size_t i = 0; i < all->count; i++) {
        struct instance *in = &all->list[i];
        if (in->plan->group != group || in->leaving)
            continue;
        if (!all->applied)
            update(all, in, now_ns);
        done = is_updated(all, in, now_ns) && done;
    }
    return done;
}

static void remove_at(struct instances *all, size_t i)
{
    log_info("monitor.child.left", "instance=%s (no longer in the config)",
             all->list[i].plan->instance);
    instance_fini(&all->list[i]);
    all->count--;
    for (; i < all->count; i++) {
        all->list[i] = all->list[i + 1];
        instance_moved(all, &all->list[i]);
    }
}

static bool leave_group(struct instances *all, unsigned group, int64_t now_ns)
{
    bool done = true;
    for (size_t i = 0; i < all->count;) {
        struct instance *in = &all->list[i];
        if (in->plan->group != group || !in->leaving) {
            i++;
            continue;
        }
        if (!all->applied) {
            supervisor_stop(&in->supervisor);
            instance_signal(in, SIGTERM);
        }
        if (in->pid <= 0) {
            remove_at(all, i);
            continue;
        }
        if (now_ns - all->step_ns >= LEAVE_NS)
            instance_signal(in, SIGKILL);
        done = false;
        i++;
    }
    return done;
}

bool reload_leaves(const struct instances *all)
{
    return all->step >= 0 && all->step < PLAN_GROUPS;
}

void reload_tick(struct instances *all, int64_t now_ns)
{
    while (all->step >= 0) {
        unsigned step = (unsigned)all->step;
        if (!all->applied)
            all->step_ns = now_ns;
        bool done = step < PLAN_GROUPS ? leave_group(all, PLAN_GROUPS - 1 - step, now_ns)
                                       : update_group(all, step - PLAN_GROUPS, now_ns);
        all->applied = true;
        if (!done)
            return;
        all->applied = false;
        all->step = step + 1 < 2 * PLAN_GROUPS ? all->step + 1 : -1;
        if (all->step < 0)
            log_info("monitor.reloaded", "every process runs the config as it is now");
    }
}
