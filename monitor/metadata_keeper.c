/* Which fragment metadata stays, and which muxer knows it.
 * Relies on report_table for the muxers' addresses.
 * Leaves the Tags to the muxer. */
#include "monitor/metadata_keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/metadata.h"
#include "common/report.h"

struct kept {
    char *stream;
    struct metadata items; /* the persistent ones */
};

struct muxer {
    char *instance;
    uint32_t pid; /* of the process that was told */
};

struct metadata_keeper {
    struct report_table *table;
    struct kept *kept; /* at most one a stream of the config */
    size_t nkept;
    struct muxer *muxers; /* at most one a row of the table's names */
    size_t nmuxers;
};

struct metadata_keeper *metadata_keeper_create(struct report_table *table)
{
    struct metadata_keeper *k = xcalloc(1, sizeof *k);
    k->table = table;
    return k;
}

void metadata_keeper_destroy(struct metadata_keeper **keeper)
{
    struct metadata_keeper *k = *keeper;
    *keeper = NULL;
    if (!k)
        return;
    for (size_t i = 0; i < k->nkept; i++) {
        free(k->kept[i].stream);
        metadata_fini(&k->kept[i].items);
    }
    for (size_t i = 0; i < k->nmuxers; i++)
        free(k->muxers[i].instance);
    free(k->kept);
    free(k->muxers);
    free(k);
}

static int tell(struct metadata_keeper *k, const char *instance, const char *stream,
                const char *name, const char *value, bool persistent)
{
    struct report_command c = {.verb = "metadata",
                               .stream = stream,
                               .name = name,
                               .value = value,
                               .persistent = persistent};
    return report_table_command(k->table, instance, &c);
}

static struct muxer *muxer_of(struct metadata_keeper *k, const char *instance)
{
    for (size_t i = 0; i < k->nmuxers; i++)
        if (strcmp(k->muxers[i].instance, instance) == 0)
            return &k->muxers[i];
    k->muxers = xrealloc(k->muxers, (k->nmuxers + 1) * sizeof *k->muxers);
    k->muxers[k->nmuxers] = (struct muxer){.instance = xstrdup(instance)};
    return &k->muxers[k->nmuxers++];
}

void metadata_keeper_heard(struct metadata_keeper *k, const struct report_row *row)
{
    if (!k->nkept || strcmp(row->stage, "muxer") != 0)
        return;
    struct muxer *m = muxer_of(k, row->instance);
    if (m->pid == row->pid)
        return;
    m->pid = row->pid;
    for (size_t i = 0; i < k->nkept; i++)
        for (size_t j = 0; j < k->kept[i].items.count; j++)
            tell(k, row->instance, k->kept[i].stream, k->kept[i].items.items[j].name,
                 k->kept[i].items.items[j].value, true);
}

static struct metadata *items_of(struct metadata_keeper *k, const char *stream)
{
    for (size_t i = 0; i < k->nkept; i++)
        if (strcmp(k->kept[i].stream, stream) == 0)
            return &k->kept[i].items;
    k->kept = xrealloc(k->kept, (k->nkept + 1) * sizeof *k->kept);
    k->kept[k->nkept] = (struct kept){.stream = xstrdup(stream)};
    return &k->kept[k->nkept++].items;
}

/* To every muxer: the stream may move. */
static int put_persistent(struct metadata_keeper *k, const char *stream, const char *name,
                          const char *value, size_t configured)
{
    struct metadata *items = items_of(k, stream);
    int told = 0;
    if (*value && !metadata_persistent(items, name) &&
        items->count + configured >= METADATA_PER_FRAGMENT)
        return -ENOSPC;
    int r = metadata_put(items, name, value, true);
    if (r == -ENOENT)
        r = 0; /* put by an earlier monitor: the muxers may know it */
    for (size_t i = 0; r == 0 && i < report_table_count(k->table); i++) {
        const struct report_row *row = report_table_row(k->table, i);
        if (strcmp(row->stage, "muxer") != 0)
            continue;
        metadata_keeper_heard(k, row);
        told += tell(k, row->instance, stream, name, value, true) == 0;
    }
    return r < 0 ? r : told ? 0 : -ENXIO;
}

/* To the one muxer that has the stream. */
static int put_once(struct metadata_keeper *k, const char *stream, const char *name,
                    const char *value)
{
    const struct report_row *best = NULL;
    if (!metadata_usable(name, value))
        return -EINVAL;
    for (size_t i = 0; i < report_table_count(k->table); i++) {
        const struct report_row *row = report_table_row(k->table, i);
        const struct report_subject *s = report_row_subject(row, stream);
        if (strcmp(row->stage, "muxer") == 0 && s && (!best || strcmp(s->state, "live") == 0))
            best = row;
    }
    return best && tell(k, best->instance, stream, name, value, false) == 0 ? 0 : -ENXIO;
}

int metadata_keeper_put(struct metadata_keeper *k, const char *stream, const char *name,
                        const char *value, bool persistent, size_t configured)
{
    return persistent ? put_persistent(k, stream, name, value, configured)
                      : put_once(k, stream, name, value);
}
