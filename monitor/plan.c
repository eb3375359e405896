/* From a config to a list of processes.
 * Relies on struct conf.
 * Leaves starting them to child.c. */
#include "monitor/plan.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct list {
    struct plan_entry *entries;
    size_t count;
};

static void add(struct list *l, struct plan_entry e)
{
    l->entries = xrealloc(l->entries, (l->count + 1) * sizeof *l->entries);
    l->entries[l->count++] = e;
}

/* Streams of other programs come in behind the encoder. */
static bool is_before_muxer(const char *stage)
{
    return strcmp(stage, "capture") == 0 || strcmp(stage, "encoder") == 0;
}

static void add_stage(struct list *l, const struct conf *conf, unsigned group, const char *name,
                      const struct conf_stage *s)
{
    struct plan_entry e = {
        .stage = name, .group = group, .program = s->exec, .process = &s->process};
    bool before = is_before_muxer(name);
    for (unsigned i = 0; s->isolate && i < conf->streams_count; i++) {
        if (before && conf->streams[i].source.type == CONF_SOURCE_EXTERNAL)
            continue;
        e.stream = conf->streams[i].name;
        e.instance = xasprintf("%s-%s", name, e.stream);
        add(l, e);
    }
    for (unsigned i = 1; !s->isolate && i <= s->replicas; i++) {
        e.instance = xasprintf("%s-%u", name, i);
        add(l, e);
    }
}

struct plan_entry *plan_make(const struct conf *conf, size_t *count)
{
    struct list l = {0};
    bool local = conf->monitor.driver == CONF_DRIVER_LOCAL;
    if (local && conf->server.enabled)
        add(&l, (struct plan_entry){.stage = "server",
                                    .instance = xstrdup("server-1"),
                                    .process = &conf->server.process});
    if (local && conf->streams_count) {
        add_stage(&l, conf, 1, "uploader", &conf->uploader);
        add_stage(&l, conf, 2, "muxer", &conf->muxer);
        add_stage(&l, conf, 3, "encoder", &conf->encoder);
        add_stage(&l, conf, 4, "capture", &conf->capture);
    }
    *count = l.count;
    return l.entries;
}

void plan_free(struct plan_entry *plan, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(plan[i].instance);
    free(plan);
}
