/* Rings of samples.
 * Relies on the status as status.c makes it.
 * Leaves drawing to the page. */
#include "monitor/history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define SERIES 5

static const struct {
    const char *name, *key;
    double step; /* values are told in multiples of it: fewer digits to send */
} series[SERIES] = {{"fps", "frames_per_s", 0.1},
                    {"kbps", "kbit_per_s", 1},
                    {"latency", "latency_s", 0.01},
                    {"backlog", "backlog_s", 0.1},
                    {"offsite", "offsite_s", 0.1}};

struct ring {
    char *name;
    float values[SERIES][HISTORY_SAMPLES]; /* NAN: not known */
    uint64_t from, last;                   /* first and last sample of it */
};

struct history {
    struct ring **rings;
    size_t count;
    uint64_t samples; /* taken so far; the next goes to samples % HISTORY_SAMPLES */
    int64_t end_ms;
};

struct history *history_create(void)
{
    return xcalloc(1, sizeof(struct history));
}

void history_destroy(struct history **h)
{
    if (!*h)
        return;
    for (size_t i = 0; i < (*h)->count; i++) {
        free((*h)->rings[i]->name);
        free((*h)->rings[i]);
    }
    free((*h)->rings);
    free(*h);
    *h = NULL;
}

static struct ring *ring_of(struct history *h, const char *name)
{
    for (size_t i = 0; i < h->count; i++)
        if (strcmp(h->rings[i]->name, name) == 0)
            return h->rings[i];
    struct ring *r = xcalloc(1, sizeof *r);
    r->name = xstrdup(name);
    r->from = r->last = h->samples;
    h->rings = xrealloc(h->rings, (h->count + 1) * sizeof *h->rings);
    h->rings[h->count++] = r;
    return r;
}

/* Nothing is known of any stream at this sample; those of which nothing is known at all go. */
static void blank(struct history *h)
{
    for (size_t i = 0; i < h->count;) {
        struct ring *r = h->rings[i];
        if (h->samples - r->last > HISTORY_SAMPLES) {
            free(r->name);
            free(r);
            h->rings[i] = h->rings[--h->count];
            continue;
        }
        for (size_t k = 0; k < SERIES; k++)
            r->values[k][h->samples % HISTORY_SAMPLES] = NAN;
        i++;
    }
}

void history_sample(struct history *h, const json_t *streams, int64_t wall_ms)
{
    const json_t *s, *value;
    size_t i;
    if (h->samples && wall_ms >= h->end_ms && wall_ms - h->end_ms < HISTORY_STEP_MS - 100)
        return;
    blank(h);
    json_array_foreach(streams, i, s)
    {
        struct ring *r = ring_of(h, json_string_value(json_object_get(s, "name")));
        r->last = h->samples;
        for (size_t k = 0; k < SERIES; k++) {
            value = json_object_get(s, series[k].key);
            r->values[k][h->samples % HISTORY_SAMPLES] =
                json_is_number(value) ? (float)json_number_value(value) : NAN;
        }
    }
    h->samples++;
    h->end_ms = wall_ms;
}

static json_t *values_of(const struct history *h, const struct ring *r, size_t k)
{
    json_t *list = json_array();
    uint64_t first = h->samples > HISTORY_SAMPLES ? h->samples - HISTORY_SAMPLES : 0;
    for (uint64_t i = first; i < h->samples; i++) {
        float v = r->values[k][i % HISTORY_SAMPLES];
        json_array_append_new(list, i < r->from || !isfinite(v)
                                        ? json_null()
                                        : json_real(round(v / series[k].step) * series[k].step));
    }
    return list;
}

json_t *history_json(const struct history *h)
{
    json_t *o = json_object(), *streams = json_object();
    json_object_set_new(o, "step_ms", json_integer(HISTORY_STEP_MS));
    json_object_set_new(o, "end_ms", json_integer(h->end_ms));
    for (size_t i = 0; i < h->count; i++) {
        json_t *s = json_object();
        for (size_t k = 0; k < SERIES; k++)
            json_object_set_new(s, series[k].name, values_of(h, h->rings[i], k));
        json_object_set_new(streams, h->rings[i]->name, s);
    }
    json_object_set_new(o, "streams", streams);
    return o;
}
