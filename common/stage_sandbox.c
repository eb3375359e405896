/* From a config to what a process needs.
 * Relies on sandbox.
 * Leaves restarts to whoever reads that a config is not covered. */
#include "common/stage_sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/sandbox.h"
#include "common/stage_reload.h"

static bool has_tcp(const char *addresses)
{
    return addresses && strstr(addresses, "tcp://");
}

static void allow_bind(struct sandbox *s, const char *address)
{
    const char *path = address && strncmp(address, "ipc://", 6) == 0 ? address + 6 : NULL;
    const char *slash = path ? strrchr(path, '/') : NULL;
    char *folder = !path   ? NULL
                   : slash ? xasprintf("%.*s", slash == path ? 1 : (int)(slash - path), path)
                           : xstrdup(".");
    sandbox_allow(s, folder, LANDLOCK_BIND);
    free(folder);
}

/* The ends of the link, reports, and the door at which it is asked for its health. */
static void allow_links(const struct stage *st, const struct conf *conf, struct sandbox *s)
{
    const char *above = conf_stage_beside(st->ops->name, -1);
    const struct conf_stage *own = conf_stage((struct conf *)conf, st->ops->name);
    const struct conf_stage *other = above ? conf_stage((struct conf *)conf, above) : NULL;
    char *sockets = xasprintf("%s/" CONF_SOCKETS, conf->run);
    bool tcp = has_tcp(conf->monitor.socket) || (own && has_tcp(own->listen)) ||
               (own && has_tcp(own->connect)) || (other && has_tcp(other->listen));
    if (tcp && s->calls.network < SYSCALL_INET)
        s->calls.network = SYSCALL_INET;
    if (own)
        allow_bind(s, own->listen);
    sandbox_allow(s, sockets, LANDLOCK_BIND);
    sandbox_allow(s, conf->link.keys, LANDLOCK_READ);
    free(sockets);
}

static void gather(const struct stage *st, const struct conf *conf, struct sandbox *s)
{
    sandbox_allow_file(s, stage_reload_file(st, conf));
    allow_links(st, conf, s);
    st->ops->needs(st, conf, s);
}

static const char *held(int r)
{
    return r ? strerror(-r) : "held";
}

void stage_sandbox_enter(struct stage *st)
{
    static const char *const networks[] = {"unix", "unix,inet", "any"};
    struct sandbox *s = &st->sandbox;
    int files, calls;
    if (!st->ops->needs)
        return;
    if (!st->conf->sandbox) {
        s->any_file = s->calls.any = s->calls.exec = true;
        s->calls.network = SYSCALL_ANY;
        log_warn("stage.sandbox", "instance=%s held=no (sandbox is false in the config)",
                 st->instance);
        return;
    }
    gather(st, st->conf, s);
    sandbox_allow_system(s);
    sandbox_enter(s, &files, &calls);
    log_info("stage.sandbox", "instance=%s files=\"%s\" calls=\"%s\" programs=%s sockets=%s",
             st->instance, s->any_file ? "any" : held(files), held(calls),
             s->calls.exec ? "any" : "none", networks[s->calls.network]);
    if (files || calls)
        log_warn(
            "stage.sandbox.weak",
            "instance=%s (this kernel or container lacks %s: the process could do more than it "
            "needs; Linux 5.13 has both)",
            st->instance,
            !calls   ? "Landlock"
            : !files ? "seccomp"
                     : "Landlock and seccomp");
}

bool stage_sandbox_covers(const struct stage *st, const struct conf *conf)
{
    struct sandbox wanted = {0};
    if (!st->ops->needs)
        return true;
    gather(st, conf, &wanted);
    bool covers = sandbox_covers(&st->sandbox, &wanted);
    sandbox_fini(&wanted);
    return covers;
}
