/* Fragment metadata on its way into a running stream.
 * Relies on nothing.
 * Leaves which fragment is written, and the bytes, to muxer/tags.c. */
#include "common/metadata.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

bool metadata_usable(const char *name, const char *value)
{
    static const char *const reserved[] = {"AWS_KINESISVIDEO_IMAGE_GENERATION",
                                           "AWS_KINESISVIDEO_IMAGE_PREFIX",
                                           "AWS_KINESISVIDEO_NOTIFICATION"};
    if (!name || !name[0] || strlen(name) > METADATA_NAME_MAX_BYTES ||
        (value && strlen(value) > METADATA_VALUE_MAX_BYTES))
        return false;
    if (strncmp(name, "AWS", 3) != 0)
        return true;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcmp(name, reserved[i]) == 0)
            return true;
    return false;
}

static struct metadata_item *find(const struct metadata *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->items[i].persistent && strcmp(m->items[i].name, name) == 0)
            return &m->items[i];
    return NULL;
}

const struct metadata_item *metadata_persistent(const struct metadata *m, const char *name)
{
    return find(m, name);
}

static void take_out(struct metadata *m, struct metadata_item *item)
{
    free(item->name);
    free(item->value);
    m->count--;
    memmove(item, item + 1, (size_t)(m->items + m->count - item) * sizeof *item);
}

static size_t count(const struct metadata *m, bool persistent)
{
    size_t n = 0;
    for (size_t i = 0; i < m->count; i++)
        n += m->items[i].persistent == persistent;
    return n;
}

/* The oldest item of one fragment that a fragment has: never one that still waits. */
static bool make_room(struct metadata *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (!m->items[i].persistent && m->items[i].fragment_ns) {
            take_out(m, &m->items[i]);
            return true;
        }
    return false;
}

static int put_persistent(struct metadata *m, const char *name, const char *value)
{
    struct metadata_item *old = find(m, name);
    if (old && *value) {
        free(old->value);
        old->value = xstrdup(value);
    } else if (old) {
        take_out(m, old);
    } else if (!*value) {
        return -ENOENT;
    }
    if (old)
        return 0;
    return count(m, true) < METADATA_PER_FRAGMENT ? 1 : -ENOSPC;
}

int metadata_put(struct metadata *m, const char *name, const char *value, bool persistent)
{
    if (!metadata_usable(name, value))
        return -EINVAL;
    if (persistent) {
        int r = put_persistent(m, name, value ? value : "");
        if (r <= 0)
            return r;
    } else if (count(m, false) >= METADATA_WAITING_MAX && !make_room(m)) {
        return -ENOSPC;
    }
    m->items = xrealloc(m->items, (m->count + 1) * sizeof *m->items);
    m->items[m->count++] = (struct metadata_item){
        .name = xstrdup(name), .value = xstrdup(value ? value : ""), .persistent = persistent};
    return 0;
}

bool metadata_is_for(const struct metadata_item *item, int64_t fragment_ns)
{
    return item->persistent || !item->fragment_ns || item->fragment_ns == fragment_ns;
}

void metadata_given(struct metadata_item *item, int64_t fragment_ns)
{
    item->fragment_ns = fragment_ns;
}

void metadata_fini(struct metadata *m)
{
    while (m->count)
        take_out(m, &m->items[m->count - 1]);
    free(m->items);
    *m = (struct metadata){0};
}
