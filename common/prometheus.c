/* Text format: HELP and TYPE once for each name, then its series; histograms with round bounds.
 * Relies on sample.
 * Leaves the transport to its users. */
#include "common/prometheus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* A bucket of ours counts as below a bound when its middle is: right to 3 % of the bound. */
static const double seconds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                 1,     2.5,    5,     10,   30,    60,   300, 3600};
static const double bytes[] = {1024,    4096,    16384,    65536,   262144,
                               1048576, 4194304, 16777216, 67108864};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static int compare(const void *pa, const void *pb)
{
    const struct sample *a = pa, *b = pb;
    const char *const of_a[] = {a->name, a->process, a->stream, a->label_value};
    const char *const of_b[] = {b->name, b->process, b->stream, b->label_value};
    int r = 0;
    for (size_t i = 0; r == 0 && i < COUNT(of_a); i++)
        r = strcmp(of_a[i], of_b[i]);
    return r;
}

/* Bytes that are no ASCII could be no UTF-8, which would cost the whole scrape. */
static void put_escaped(FILE *f, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', f);
        putc((unsigned char)*text < 0x7f ? *text : '?', f);
    }
}

static void put_label(FILE *f, const char *name, const char *value, bool *any)
{
    if (!*value)
        return;
    fprintf(f, "%s%s=\"", *any ? "," : "{", name);
    put_escaped(f, value);
    putc('"', f);
    *any = true;
}

/* `le` NULL: no bound. */
static void put_series(FILE *f, const struct sample *s, const char *suffix, const char *le,
                       double value)
{
    bool any = false;
    fprintf(f, "kvpipe_%s%s", s->name, suffix);
    put_label(f, "stage", s->stage, &any);
    put_label(f, "process", s->process, &any);
    put_label(f, "stream", s->stream, &any);
    put_label(f, s->label, s->label_value, &any);
    put_label(f, "le", le ? le : "", &any);
    fprintf(f, "%s %.15g\n", any ? "}" : "", value);
}

static void put_histogram(FILE *f, const struct sample *s)
{
    bool sized = strcmp(s->unit, "Bytes") == 0;
    const double *bounds = sized ? bytes : seconds;
    size_t n = sized ? COUNT(bytes) : COUNT(seconds);
    uint64_t below = 0;
    unsigned b = 0;
    for (size_t i = 0; i < n; i++) {
        char le[32];
        for (; b < HISTOGRAM_BUCKETS; b++) {
            if (histogram_value(b) * s->scale > bounds[i])
                break;
            below += s->histogram->buckets[b];
        }
        snprintf(le, sizeof le, "%g", bounds[i]);
        put_series(f, s, "_bucket", le, (double)below);
    }
    put_series(f, s, "_bucket", "+Inf", (double)s->histogram->count);
    put_series(f, s, "_sum", NULL, s->value);
    put_series(f, s, "_count", NULL, (double)s->histogram->count);
}

static void put_head(FILE *f, const struct sample *s)
{
    static const char *const types[] = {"untyped", "counter", "gauge", "histogram"};
    const char *suffix = s->kind == METRICS_COUNTER ? "_total" : "";
    fprintf(f, "# HELP kvpipe_%s%s %s\n", s->name, suffix,
            s->def ? s->def->help : "A replacement stage's own number");
    fprintf(f, "# TYPE kvpipe_%s%s %s\n", s->name, suffix, types[s->kind]);
}

char *prometheus_text(struct samples *s)
{
    char *text = NULL;
    size_t size = 0;
    const struct sample *first = NULL, *before = NULL; /* of this name; the one written last */
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return xstrdup("");
    if (s->count)
        qsort(s->list, s->count, sizeof *s->list, compare);
    for (size_t i = 0; i < s->count; i++) {
        const struct sample *at = &s->list[i];
        if (before && compare(before, at) == 0)
            continue;
        bool named = first && strcmp(first->name, at->name) == 0;
        if (at->kind != (at->def ? at->def->kind : named ? first->kind : at->kind))
            continue;
        if (!named)
            put_head(f, first = at);
        if (at->histogram)
            put_histogram(f, at);
        else
            put_series(f, at, at->kind == METRICS_COUNTER ? "_total" : "", NULL, at->value);
        before = at;
    }
    fclose(f);
    return text ? text : xstrdup("");
}
