/* Reading the gap ledger.
 * Relies on jansson.
 * Leaves writing to uploader/ledger.c. */
#include "common/gaps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

static const char *const causes[GAPS_CAUSES] = {
    [GAPS_UNKNOWN] = "unknown",
    [GAPS_CAMERA] = "camera",
    [GAPS_WINDOW_FULL] = "window_full",
    [GAPS_DISK_FULL] = "disk_full",
    [GAPS_ENDPOINT_REFUSED] = "endpoint_refused",
    [GAPS_CAPTURE_RESTARTED] = "capture_restarted",
    [GAPS_STOPPED] = "stopped",
    [GAPS_NO_KEY_FRAME] = "no_key_frame",
    [GAPS_BAD_FORMAT] = "bad_format",
    [GAPS_BAD_TIMESTAMP] = "bad_timestamp",
    [GAPS_FRAGMENT_LIMIT] = "fragment_limit",
    [GAPS_ENCODER] = "encoder",
    [GAPS_DISK_DAMAGED] = "disk_damaged",
};

const char *gaps_cause_name(enum gaps_cause cause)
{
    return causes[cause];
}

enum gaps_cause gaps_cause_of(const char *reason)
{
    static const struct {
        const char *reason;
        enum gaps_cause cause;
    } other[] = {{"source", GAPS_CAMERA},
                 {"silent", GAPS_CAMERA},
                 {"format", GAPS_BAD_FORMAT},
                 {"timestamp", GAPS_BAD_TIMESTAMP}};
    for (unsigned i = 0; i < GAPS_CAUSES; i++)
        if (strcmp(reason, causes[i]) == 0)
            return i;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (strcmp(reason, other[i].reason) == 0)
            return other[i].cause;
    return strncmp(reason, "refused_", 8) == 0 ? GAPS_ENDPOINT_REFUSED : GAPS_UNKNOWN;
}

uint64_t gaps_number(const json_t *entry, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(entry, key));
    return n > 0 ? (uint64_t)n : 0;
}

json_t *gaps_parse(const char *line, size_t len)
{
    json_t *o = json_loadb(line, len, 0, NULL);
    if (json_is_object(o))
        return o;
    json_decref(o);
    return NULL;
}

/* ---- for people ---- */

struct reading {
    json_t *totals, *gaps;
    int64_t since_ns;
    uint64_t intervals[GAPS_CAUSES], frames[GAPS_CAUSES];
};

static bool same(const json_t *a, const json_t *b, const char *key)
{
    return json_equal(json_object_get(a, key), json_object_get(b, key));
}

/* A gap that lasts is written in several lines. */
static bool continues(const json_t *before, const json_t *e)
{
    return before && gaps_number(e, "count") && gaps_number(before, "count") &&
           same(before, e, "track") && same(before, e, "epoch") && same(before, e, "reason") &&
           gaps_number(before, "last") + 1 == gaps_number(e, "first");
}

/* The newest gap of the entry's track that is listed; only the last few can be continued. */
static json_t *newest_of_track(const json_t *gaps, const json_t *e)
{
    size_t n = json_array_size(gaps);
    for (size_t i = n; i > 0 && i + 8 > n; i--)
        if (same(json_array_get(gaps, i - 1), e, "track"))
            return json_array_get(gaps, i - 1);
    return NULL;
}

static void list(struct reading *r, json_t *e, enum gaps_cause cause)
{
    json_t *before = newest_of_track(r->gaps, e);
    r->frames[cause] += gaps_number(e, "count");
    if (continues(before, e)) {
        json_object_set(before, "last", json_object_get(e, "last"));
        json_object_set(before, "end_ns", json_object_get(e, "end_ns"));
        json_object_set_new(
            before, "count",
            json_integer((json_int_t)(gaps_number(before, "count") + gaps_number(e, "count"))));
        return;
    }
    r->intervals[cause]++;
    json_object_del(e, "stream");
    json_object_del(e, "file");
    json_object_del(e, "offset");
    json_object_del(e, "fragment");
    json_array_append(r->gaps, e);
}

/* The line that stands for those that compaction took away. */
static void add_compacted(struct reading *r, const json_t *compacted)
{
    for (unsigned i = 0; i < GAPS_CAUSES; i++) {
        const json_t *o = json_object_get(compacted, causes[i]);
        r->intervals[i] += gaps_number(o, "intervals");
        r->frames[i] += gaps_number(o, "frames");
    }
}

static void read_line(struct reading *r, const char *line, size_t len)
{
    json_t *e = len < GAPS_LINE_MAX ? gaps_parse(line, len) : NULL;
    const char *reason = json_string_value(json_object_get(e, "reason"));
    if (json_object_get(e, "compacted"))
        add_compacted(r, json_object_get(e, "compacted"));
    else if (reason)
        list(r, e, gaps_cause_of(reason));
    json_decref(e);
}

static void drop_early(struct reading *r)
{
    for (size_t i = json_array_size(r->gaps); i > 0; i--) {
        const json_t *end = json_object_get(json_array_get(r->gaps, i - 1), "end_ns");
        if (json_integer_value(end) < r->since_ns)
            json_array_remove(r->gaps, i - 1);
    }
}

static json_t *totals(const struct reading *r)
{
    json_t *o = json_object();
    for (unsigned i = 0; i < GAPS_CAUSES; i++)
        if (r->intervals[i])
            json_object_set_new(o, causes[i],
                                json_pack("{s:I, s:I}", "intervals", (json_int_t)r->intervals[i],
                                          "frames", (json_int_t)r->frames[i]));
    return o;
}

int gaps_read(const char *dir, const char *stream, int64_t since_ns, json_t **out)
{
    struct reading r = {.since_ns = since_ns, .gaps = json_array()};
    char *path = xasprintf("%s/%s/%s", dir, stream, GAPS_FILE), *line = NULL;
    size_t cap = 0;
    ssize_t n;
    FILE *f = fopen(path, "re");
    int error = f || errno == ENOENT ? 0 : -errno;
    free(path);
    while (f && (n = getline(&line, &cap, f)) > 0 && line[n - 1] == '\n')
        read_line(&r, line, (size_t)n - 1);
    free(line);
    if (f)
        fclose(f);
    drop_early(&r);
    *out = error ? NULL
                 : json_pack("{s:s, s:o, s:O}", "stream", stream, "totals", totals(&r), "gaps",
                             r.gaps);
    json_decref(r.gaps);
    return error;
}
