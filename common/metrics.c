/* A set of numbers: a bounded list whose entries stay where they are, and an index by id.
 * Relies on histogram.
 * Leaves what each number is to metrics_table.c. */
#include "common/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct metrics {
    struct metrics_entry *plain[METRICS]; /* the entries without a label */
    struct metrics_entry *entries[METRICS_MAX];
    size_t count;
};

static double nowhere;
static struct histogram nowhere_histogram;

struct metrics *metrics_create(void)
{
    return xcalloc(1, sizeof(struct metrics));
}

void metrics_destroy(struct metrics **metrics)
{
    struct metrics *m = *metrics;
    *metrics = NULL;
    for (size_t i = 0; m && i < m->count; i++) {
        free(m->entries[i]->histogram);
        free(m->entries[i]);
    }
    free(m);
}

static struct metrics_entry *find(const struct metrics *m, enum metric id, const char *label)
{
    if (!label)
        return m->plain[id];
    for (size_t i = 0; i < m->count; i++)
        if (m->entries[i]->id == id &&
            strncmp(m->entries[i]->label, label, METRICS_LABEL_MAX - 1) == 0)
            return m->entries[i];
    return NULL;
}

static struct metrics_entry *find_or_add(struct metrics *m, enum metric id, const char *label)
{
    struct metrics_entry *e = m ? find(m, id, label) : NULL;
    if (!m || e || m->count == METRICS_MAX)
        return e;
    e = xcalloc(1, sizeof *e);
    e->id = id;
    snprintf(e->label, sizeof e->label, "%s", label ? label : "");
    if (metrics_def(id)->kind == METRICS_HISTOGRAM)
        e->histogram = xcalloc(1, sizeof *e->histogram);
    if (!label)
        m->plain[id] = e;
    m->entries[m->count++] = e;
    return e;
}

double *metrics_value(struct metrics *m, enum metric id, const char *label)
{
    struct metrics_entry *e = find_or_add(m, id, label);
    return e ? &e->value : &nowhere;
}

struct histogram *metrics_histogram(struct metrics *m, enum metric id)
{
    struct metrics_entry *e = find_or_add(m, id, NULL);
    return e && e->histogram ? e->histogram : &nowhere_histogram;
}

void metrics_set(struct metrics *m, enum metric id, double value)
{
    *metrics_value(m, id, NULL) = value;
}

void metrics_set_of(struct metrics *m, enum metric id, const char *label, double value)
{
    *metrics_value(m, id, label) = value;
}

double metrics_get(const struct metrics *m, enum metric id, const char *label)
{
    const struct metrics_entry *e = m ? find(m, id, label) : NULL;
    return e ? e->value : 0;
}

size_t metrics_count(const struct metrics *m)
{
    return m ? m->count : 0;
}

const struct metrics_entry *metrics_at(const struct metrics *m, size_t i)
{
    return m->entries[i];
}
