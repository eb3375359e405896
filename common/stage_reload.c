/* A new config for a process that runs.
 * Relies on conf_slice for what differs.
 * Leaves old streams' hold on the old config to the stage. */
#include "common/stage_reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf_slice.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/stage_sandbox.h"

static const char *copy_of(const struct stage *st)
{
    const char *copy = getenv(STAGE_CONFIG_COPY);
    return strcmp(st->ops->name, "monitor") != 0 && copy && *copy ? copy : NULL;
}

const char *stage_reload_file(const struct stage *st, const struct conf *conf)
{
    const char *copy = copy_of(st);
    return copy ? copy : conf->file;
}

int stage_reload_read(const struct stage *st, const char *file, struct conf **conf)
{
    const char *copy = copy_of(st);
    return conf_load_copy(file, copy ? copy : file, conf, stderr);
}

/* Reads it; faults go to stderr, and the first to st->fault. */
static int read_again(struct stage *st, struct conf **conf)
{
    const char *file = st->conf->file;
    char *faults = NULL;
    size_t len = 0;
    FILE *out = xmemstream(&faults, &len);
    int r = conf_load_copy(file, stage_reload_file(st, st->conf), conf, out);
    fclose(out);
    fputs(faults, stderr);
    if (r < 0)
        snprintf(st->fault, sizeof st->fault, "%.*s", (int)strcspn(faults, "\n"), faults);
    free(faults);
    return r;
}

static bool is_close(struct stage *st, const struct conf *conf)
{
    char *then = stage_identity(conf, st->ops->name, st->only_stream, st->instance);
    bool close = stage_identity_is_close(st->identity, then) &&
                 (!st->only_stream || conf_stream(conf, st->only_stream));
    free(then);
    return close;
}

static void tell_stream(struct stage *st, const struct conf *old, const char *name)
{
    if (!stage_serves(st, name) || conf_slice_same_stream(old, st->conf, st->ops->name, name))
        return;
    log_info("stage.reload.stream", "stream=%s change=%s", name,
             !conf_stream(old, name)        ? "new"
             : !conf_stream(st->conf, name) ? "removed"
                                            : "changed");
    st->ops->stream(st, name);
}

static void tell(struct stage *st, const struct conf *old)
{
    for (unsigned i = 0; st->ops->stream && i < old->streams_count; i++)
        tell_stream(st, old, old->streams[i].name);
    for (unsigned i = 0; st->ops->stream && i < st->conf->streams_count; i++)
        if (!conf_stream(old, st->conf->streams[i].name))
            tell_stream(st, old, st->conf->streams[i].name);
    if (st->ops->reload)
        st->ops->reload(st);
}

static void swap(struct stage *st, struct conf *conf)
{
    const struct conf *old = st->conf;
    free(st->identity);
    st->identity = stage_identity(conf, st->ops->name, st->only_stream, st->instance);
    conf_localize(conf, st->ops->name, st->only_stream, st->instance);
    st->conf = conf;
    if (strcmp(old->log, conf->log) != 0) /* -v stays as it is */
        log_set_level(log_level_parse(conf->log));
    tell(st, old);
    conf_release(&old);
}

bool stage_reload(struct stage *st)
{
    struct conf *conf = NULL;
    if (read_again(st, &conf) < 0) {
        log_error("stage.reload.refused",
                  "config=%s error=\"%s\" (the config of before goes on; correct the file, then "
                  "send SIGHUP again)",
                  st->conf->file, st->fault);
        return false;
    }
    const char *why = !is_close(st, conf) ? "more than streams has changed for this process"
                      : !stage_sandbox_covers(st, conf)
                          ? "a stream needs what this process gave up at its start"
                          : NULL;
    if (why) {
        snprintf(st->fault, sizeof st->fault, "%s: %s", conf->file, why);
        log_warn("stage.reload.restart",
                 "config=%s (%s: it goes on with the config of before until it is started anew)",
                 conf->file, why);
        conf_free(&conf);
        return false;
    }
    st->fault[0] = '\0';
    swap(st, conf);
    log_info("stage.reloaded", "instance=%s config=%s streams=%u", st->instance, st->conf->file,
             st->conf->streams_count);
    return true;
}
