/* Numbers of an interval.
 * Relies on samples.
 * Leaves sending to cloudwatch.c and emf.c. */
#include "monitor/rollup.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

#define BUCKETS 4096
#define FORGET_INTERVALS 10
#define FRESH_NS (15 * NS_PER_S) /* so long after the start older processes may still be met */

/* A datum that is being made, and how many series it is made of. */
struct making {
    struct datum d;
    char *key;
    uint64_t hash;
    struct making *next;
    unsigned refs;
    bool touched;
};

/* One number of one process. */
struct series {
    char *key;
    uint64_t hash;
    struct series *next;
    struct making *into; /* NULL: its name is not wanted */
    double before;
    struct histogram *before_histogram;
    unsigned unheard; /* intervals */
};

struct rollup {
    const char *names;
    struct series *series[BUCKETS];
    struct making *making[BUCKETS];
    size_t nseries, nmaking;
    int64_t start_ns;
};

static uint64_t hash_of(const char *text)
{
    uint64_t h = 14695981039346656037u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h;
}

struct rollup *rollup_create(const char *names)
{
    struct rollup *r = xcalloc(1, sizeof *r);
    r->names = names;
    return r;
}

static void making_free(struct making *m)
{
    for (unsigned i = 0; i < m->d.ndimensions; i++)
        free(m->d.dimensions[i].value);
    free(m->d.name);
    free(m->d.histogram);
    free(m->key);
    free(m);
}

static void series_free(struct series *s)
{
    if (s->into)
        s->into->refs--;
    free(s->before_histogram);
    free(s->key);
    free(s);
}

void rollup_destroy(struct rollup **rollup)
{
    struct rollup *r = *rollup;
    *rollup = NULL;
    for (size_t i = 0; r && i < BUCKETS; i++)
        for (struct series *s = r->series[i], *next; s; s = next) {
            next = s->next;
            series_free(s);
        }
    for (size_t i = 0; r && i < BUCKETS; i++) /* no series needs them any more */
        for (struct making *m = r->making[i], *next; m; m = next) {
            next = m->next;
            making_free(m);
        }
    free(r);
}

/* ---- names ---- */

static const char *name_of(const struct sample *s)
{
    return s->def ? s->def->cloudwatch : s->name;
}

static bool wanted(const char *names, const char *name)
{
    char pattern[256];
    for (const char *at = names; *at;) {
        at += strspn(at, " ");
        size_t len = strcspn(at, " ");
        snprintf(pattern, sizeof pattern, "%.*s", (int)len, at);
        if (len && fnmatch(pattern, name, 0) == 0)
            return true;
        at += len;
    }
    return false;
}

static void add_dimension(struct datum *d, const char *name, const char *value)
{
    if (!*value || d->ndimensions == ROLLUP_DIMENSIONS_MAX)
        return;
    unsigned i = d->ndimensions++;
    snprintf(d->dimensions[i].name, sizeof d->dimensions[i].name, "%s", name);
    d->dimensions[i].name[0] = (char)toupper((unsigned char)d->dimensions[i].name[0]);
    d->dimensions[i].value = xstrdup(value);
    for (char *c = d->dimensions[i].value; *c; c++)
        if ((unsigned char)*c >= 0x7f)
            *c = '?';
}

/* A stream's number has its stage only where other stages have one of the same name. */
static void add_dimensions(struct datum *d, const struct sample *s)
{
    bool many = !s->def || (s->def->from & (s->def->from - 1));
    add_dimension(d, "StreamName", s->stream);
    if (*s->stream && many)
        add_dimension(d, "Stage", s->stage);
    if (!*s->stream)
        add_dimension(d, "Process", s->process);
    add_dimension(d, s->label, s->label_value);
}

/* ---- the two tables ---- */

static struct making *make(struct rollup *r, const struct sample *s)
{
    struct making *m = xcalloc(1, sizeof *m);
    m->d.name = xstrdup(name_of(s));
    snprintf(m->d.unit, sizeof m->d.unit, "%s", *s->unit ? s->unit : "None");
    m->d.kind = s->kind;
    m->d.scale = s->scale;
    if (s->histogram)
        m->d.histogram = xcalloc(1, sizeof *m->d.histogram);
    add_dimensions(&m->d, s);
    m->key = xasprintf("%s|%s|%s|%s|%s|%d", m->d.name, s->stream,
                       *s->stream ? s->stage : s->process, s->label, s->label_value, (int)s->kind);
    m->hash = hash_of(m->key);
    for (struct making *at = r->making[m->hash % BUCKETS]; at; at = at->next)
        if (at->hash == m->hash && strcmp(at->key, m->key) == 0) {
            making_free(m);
            return at;
        }
    m->next = r->making[m->hash % BUCKETS];
    r->making[m->hash % BUCKETS] = m;
    r->nmaking++;
    return m;
}

static bool counts_from_zero(const struct rollup *r, const struct sample *s, int64_t now_ns)
{
    double since_s = (double)(now_ns - r->start_ns) / (double)NS_PER_S;
    return s->up_s < since_s + 2 || now_ns - r->start_ns > FRESH_NS;
}

static struct series *series_of(struct rollup *r, const struct sample *s, int64_t now_ns)
{
    char key[1024];
    snprintf(key, sizeof key, "%s|%s|%s|%s", s->name, s->process, s->stream, s->label_value);
    uint64_t hash = hash_of(key);
    struct series **bucket = &r->series[hash % BUCKETS];
    for (struct series *at = *bucket; at; at = at->next)
        if (at->hash == hash && strcmp(at->key, key) == 0)
            return at;
    if (r->nseries == ROLLUP_SERIES_MAX)
        return NULL;
    struct series *at = xcalloc(1, sizeof *at);
    at->key = xstrdup(key);
    at->hash = hash;
    if (wanted(r->names, name_of(s))) {
        at->into = make(r, s);
        at->into->refs++;
        if (s->histogram)
            at->before_histogram = xcalloc(1, sizeof *at->before_histogram);
        if (!counts_from_zero(r, s, now_ns)) {
            at->before = s->value;
            if (s->histogram)
                *at->before_histogram = *s->histogram;
        }
    }
    at->next = *bucket;
    *bucket = at;
    r->nseries++;
    return at;
}

/* ---- an interval ---- */

static void add_gauge(struct datum *d, double value)
{
    d->least = !d->samples || value < d->least ? value : d->least;
    d->most = !d->samples || value > d->most ? value : d->most;
    d->sum += value;
    d->samples++;
    d->value = value;
}

static void add_histogram(struct series *at, const struct histogram *now)
{
    static struct histogram since;
    if (now->count == at->before_histogram->count)
        return;
    histogram_since(now, at->before_histogram, &since);
    histogram_merge(at->into->d.histogram, &since);
    *at->before_histogram = *now;
}

void rollup_feed(struct rollup *r, const struct samples *s, int64_t now_ns)
{
    if (!r->start_ns)
        r->start_ns = now_ns;
    for (size_t i = 0; i < s->count; i++) {
        const struct sample *n = &s->list[i];
        struct series *at = series_of(r, n, now_ns);
        if (!at)
            continue;
        at->unheard = 0;
        if (!at->into || at->into->d.kind != n->kind)
            continue;
        at->into->touched = true;
        if (n->kind == METRICS_GAUGE) {
            add_gauge(&at->into->d, n->value);
        } else if (n->kind == METRICS_HISTOGRAM) {
            if (at->before_histogram)
                add_histogram(at, n->histogram);
        } else {
            at->into->d.value += n->value >= at->before ? n->value - at->before : n->value;
            at->before = n->value;
        }
    }
}

bool rollup_same_dimensions(const struct datum *a, const struct datum *b)
{
    bool same = a->ndimensions == b->ndimensions;
    for (unsigned i = 0; same && i < a->ndimensions; i++)
        same = strcmp(a->dimensions[i].name, b->dimensions[i].name) == 0 &&
               strcmp(a->dimensions[i].value, b->dimensions[i].value) == 0;
    return same;
}

static int by_dimensions(const void *pa, const void *pb)
{
    const struct datum *a = *(struct datum *const *)pa, *b = *(struct datum *const *)pb;
    for (unsigned i = 0; i < a->ndimensions && i < b->ndimensions; i++) {
        int r = strcmp(a->dimensions[i].name, b->dimensions[i].name);
        if (r == 0)
            r = strcmp(a->dimensions[i].value, b->dimensions[i].value);
        if (r)
            return r;
    }
    if (a->ndimensions != b->ndimensions)
        return a->ndimensions < b->ndimensions ? -1 : 1;
    return strcmp(a->name, b->name);
}

static void begin(struct datum *d)
{
    d->value = d->samples = d->sum = 0;
    if (d->histogram)
        *d->histogram = (struct histogram){0};
}

static void forget(struct rollup *r)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct series **at = &r->series[i], *s; (s = *at);) {
            if (s->unheard++ < FORGET_INTERVALS) {
                at = &s->next;
                continue;
            }
            *at = s->next;
            series_free(s);
            r->nseries--;
        }
        for (struct making **at = &r->making[i], *m; (m = *at);) {
            if (m->refs) {
                at = &m->next;
                continue;
            }
            *at = m->next;
            making_free(m);
            r->nmaking--;
        }
    }
}

void rollup_take(struct rollup *r, void (*fn)(void *arg, const struct datum *d), void *arg)
{
    struct datum **all = xcalloc(r->nmaking, sizeof(struct datum *));
    size_t n = 0;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct making *m = r->making[i]; m; m = m->next)
            if (m->touched) {
                m->touched = false;
                all[n++] = &m->d;
            }
    qsort(all, n, sizeof *all, by_dimensions);
    for (size_t i = 0; i < n; i++) {
        if (!all[i]->histogram || all[i]->histogram->count)
            fn(arg, all[i]);
        begin(all[i]);
    }
    free(all);
    forget(r);
}
