/* The watch over processes that are not our children.
 * Relies on their reports alone.
 * Leaves their looks to status.c. */
#include "monitor/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/mem.h"
#include "monitor/docker.h"
#include "monitor/supervisor.h"

#define PROCESSES_MAX 1024
#define AGAIN_NS (30 * NS_PER_S)    /* a restart that did not help is asked for again, */
#define GIVE_UP_NS (300 * NS_PER_S) /* until then; afterwards it is taken for gone */

struct process {
    char *instance, *stage;
    uint32_t pid;
    struct supervisor supervisor;
    int64_t asked_ns; /* when a restart was asked for last */
};

struct remote {
    const struct conf *conf;
    struct docker *docker; /* NULL: nobody to ask */
    struct process *list;
    size_t count;
};

struct remote *remote_create(struct event_base *base, const struct conf *conf)
{
    if (conf->monitor.driver == CONF_DRIVER_LOCAL)
        return NULL;
    struct remote *r = xcalloc(1, sizeof *r);
    r->conf = conf;
    if (conf->monitor.driver == CONF_DRIVER_DOCKER)
        r->docker = docker_create(base, conf->monitor.docker_socket);
    return r;
}

static void forget(struct remote *r, size_t i)
{
    free(r->list[i].instance);
    free(r->list[i].stage);
    r->list[i] = r->list[--r->count];
}

void remote_destroy(struct remote **remote)
{
    struct remote *r = *remote;
    *remote = NULL;
    if (!r)
        return;
    docker_destroy(&r->docker);
    while (r->count)
        forget(r, 0);
    free(r->list);
    free(r);
}

static struct process *find(struct remote *r, const char *instance)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->list[i].instance, instance) == 0)
            return &r->list[i];
    return NULL;
}

static void meet(struct process *p, const struct report_row *row)
{
    if (p->pid)
        log_info("monitor.remote.new_process", "instance=%s pid=%u", p->instance, row->pid);
    p->pid = row->pid;
    supervisor_started(&p->supervisor, row->heard_ns);
}

void remote_heard(struct remote *r, const struct report_row *row)
{
    struct process *p = r ? find(r, row->instance) : NULL;
    if (!r || strcmp(row->stage, "monitor") == 0 || (!p && r->count == PROCESSES_MAX))
        return;
    if (!p) {
        r->list = xrealloc(r->list, (r->count + 1) * sizeof *r->list);
        p = &r->list[r->count++];
        *p = (struct process){.instance = xstrdup(row->instance), .stage = xstrdup(row->stage)};
        supervisor_init(&p->supervisor, row->pid);
        p->supervisor.silence_ns = r->conf->monitor.hang_s * NS_PER_S;
    }
    /* a pid may come again in a new container; what hung and speaks again goes on */
    if (p->pid != row->pid || p->supervisor.state == SUPERVISOR_HUNG)
        meet(p, row);
    supervisor_heard(&p->supervisor, row->heard_ns, row->ready, row->draining);
}

static void ask(struct remote *r, struct process *p, int64_t now_ns)
{
    log_warn("monitor.remote.hung", "instance=%s silent_s=%lld (%s)", p->instance,
             (long long)((now_ns - p->supervisor.heard_ns) / NS_PER_S),
             r->docker ? "restarting its container"
                       : "its own watchdog, or whoever started it, is to end it");
    p->asked_ns = now_ns;
    if (r->docker)
        docker_restart(r->docker, p->instance);
}

/* Returns false when it is to be forgotten. */
static bool look(struct remote *r, struct process *p, int64_t now_ns)
{
    bool kill = supervisor_tick(&p->supervisor, now_ns) == SUPERVISOR_KILL;
    if (kill && p->supervisor.draining)
        return false; /* it said that it ends */
    if (kill)
        ask(r, p, now_ns);
    if (p->supervisor.state != SUPERVISOR_HUNG)
        return true;
    if (now_ns - p->supervisor.heard_ns > GIVE_UP_NS)
        return false;
    if (now_ns - p->asked_ns > AGAIN_NS)
        ask(r, p, now_ns);
    return true;
}

void remote_tick(struct remote *r, int64_t now_ns)
{
    for (size_t i = 0; r && i < r->count;)
        if (look(r, &r->list[i], now_ns))
            i++;
        else
            forget(r, i);
}

int remote_restart(struct remote *r, const char *instance)
{
    if (!r || !find(r, instance))
        return -ENOENT;
    return r->docker ? docker_restart(r->docker, instance) : -ENOTSUP;
}

bool remote_ready(const struct remote *r)
{
    static const char *const needed[] = {"capture", "encoder", "muxer", "uploader"};
    unsigned seen = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (r->list[i].supervisor.state != SUPERVISOR_READY)
            return false;
        for (unsigned k = 0; k < 4; k++)
            seen |= (unsigned)(strcmp(r->list[i].stage, needed[k]) == 0) << k;
    }
    return seen == 15;
}
