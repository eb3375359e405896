/* Fragment metadata of a stream that a program puts.
 * Relies on common/metadata and link.h.
 * Leaves where fragments start to its caller. */
#include "capture/libkvpipe/frame_tags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

static void tag_set(struct frame_tag *tag, const char *name, const char *value, bool late)
{
    *tag = (struct frame_tag){.name = xstrdup(name), .value = xstrdup(value), .late = late};
}

static void tag_fini(struct frame_tag *tag)
{
    free(tag->name);
    free(tag->value);
}

/* The item of that name that can still be changed: what the first frame carried has gone. */
static struct frame_tag *find(struct frame_tags *t, const char *name)
{
    for (unsigned i = 0; i < t->nnow; i++)
        if (t->now[i].late == t->begun && strcmp(t->now[i].name, name) == 0)
            return &t->now[i];
    return NULL;
}

int frame_tags_put(struct frame_tags *t, const char *name, const char *value, bool persistent)
{
    value = value ? value : "";
    if (!metadata_usable(name, value))
        return -EINVAL;
    struct frame_tag *same = find(t, name);
    bool out = persistent && !*value;
    if (!out && !same && t->nnow == METADATA_PER_FRAGMENT)
        return -ENOSPC;
    int r = persistent ? metadata_put(&t->persistent, name, value, true) : 0;
    if (r < 0 || out)
        return r;
    if (same)
        tag_fini(same);
    tag_set(same ? same : &t->now[t->nnow++], name, value, t->begun);
    return 0;
}

struct link_tags *frame_tags_start(struct frame_tags *t)
{
    struct link_tag all[LINK_TAGS_MAX] = {0};
    struct frame_tag before[METADATA_PER_FRAGMENT];
    unsigned n = 0, nbefore = 0;

    if (t->begun) {
        nbefore = t->nnow;
        memcpy(before, t->now, nbefore * sizeof *before);
        t->nnow = 0;
        for (size_t i = 0; i < t->persistent.count; i++)
            tag_set(&t->now[t->nnow++], t->persistent.items[i].name, t->persistent.items[i].value,
                    false);
    }
    t->begun = true;
    for (unsigned i = 0; i < nbefore; i++)
        all[n++] = (struct link_tag){.name = before[i].name,
                                     .value = before[i].value,
                                     .previous = true,
                                     .late = before[i].late};
    for (unsigned i = 0; i < t->nnow; i++)
        all[n++] = (struct link_tag){.name = t->now[i].name, .value = t->now[i].value};
    struct link_tags *tags = link_tags_new(all, n);
    for (unsigned i = 0; i < nbefore; i++)
        tag_fini(&before[i]);
    return tags;
}

void frame_tags_fini(struct frame_tags *t)
{
    for (unsigned i = 0; i < t->nnow; i++)
        tag_fini(&t->now[i]);
    metadata_fini(&t->persistent);
    *t = (struct frame_tags){0};
}
