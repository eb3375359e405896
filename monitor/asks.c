/* What people may ask for, one function a verb.
 * Relies on the stages for the work.
 * Leaves who may ask to status_http.c. */
#include "monitor/asks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <event2/http.h>

#include "common/log.h"
#include "common/metadata.h"
#include "common/report.h"

static const char *field(const struct evkeyvalq *fields, const char *name)
{
    const char *value = evhttp_find_header(fields, name);
    return value ? value : "";
}

static void note(const struct asks *a, const char *about, const char *text)
{
    log_info("monitor.asked", "about=%s what=\"%s\"", about, text);
    pulse_note(
        a->pulse,
        &(struct event_text){
            .level = EVENT_INFO, .kind = "asked", .about = about, .text = text, .advice = ""});
}

static int no_stream(const char *stream, char *text, size_t size)
{
    snprintf(text, size, "the pipeline has no stream '%.64s'", stream);
    return 404;
}

/* Whoever makes the frames makes the key frame: the encoder, or a capture with an encoder in it.
 * Others ignore it. */
static int keyframe(const struct asks *a, const struct evkeyvalq *fields, int64_t now_ns,
                    char *text, size_t size)
{
    const char *stream = field(fields, "stream");
    const struct report_command c = {.verb = "keyframe", .stream = stream};
    int asked = 0;
    if (!conf_stream(a->conf, stream))
        return no_stream(stream, text, size);
    for (size_t i = 0; i < report_table_count(a->table); i++) {
        const struct report_row *row = report_table_row(a->table, i);
        if (strcmp(row->stage, "encoder") == 0 || strcmp(row->stage, "capture") == 0)
            asked += report_table_command(a->table, row->instance, &c) == 0;
    }
    snprintf(text, size, "%s",
             asked ? "asked for a key frame" : "no stage is there to make a key frame");
    if (asked)
        note(a, stream, "was asked for a key frame");
    return asked ? 200 : 503;
}

static bool is_meant(const struct instance *in, const char *name)
{
    return strcmp(in->plan->instance, name) == 0 || strcmp(in->plan->stage, name) == 0;
}

static unsigned restart_remote(const struct asks *a, const char *name)
{
    unsigned n = 0;
    for (size_t i = 0; a->remote && i < report_table_count(a->table); i++) {
        const struct report_row *row = report_table_row(a->table, i);
        if ((strcmp(row->instance, name) != 0 && strcmp(row->stage, name) != 0) ||
            remote_restart(a->remote, row->instance) < 0)
            continue;
        note(a, row->instance, "was asked to restart");
        n++;
    }
    return n;
}

static int restart(const struct asks *a, const struct evkeyvalq *fields, int64_t now_ns, char *text,
                   size_t size)
{
    const char *name = field(fields, "stage");
    unsigned n = 0;
    for (size_t i = 0; i < a->instances->count; i++) {
        const char *instance = a->instances->list[i].plan->instance;
        if (!is_meant(&a->instances->list[i], name))
            continue;
        int r = instances_restart(a->instances, instance, now_ns);
        if (r < 0)
            continue;
        note(a, instance, "was asked to restart");
        n++;
    }
    n += restart_remote(a, name);
    if (n)
        snprintf(text, size, "restarting %u process%s", n, n == 1 ? "" : "es");
    else
        snprintf(text, size, "the pipeline has no stage or instance '%.64s'", name);
    return n ? 200 : 404;
}

static size_t configured(const struct conf_stream *s)
{
    size_t n = 0;
    for (unsigned i = 0; i < s->tags_count; i++)
        n += s->tags[i].persistent;
    return n;
}

static int metadata(const struct asks *a, const struct evkeyvalq *fields, int64_t now_ns,
                    char *text, size_t size)
{
    const char *stream = field(fields, "stream"), *name = field(fields, "name");
    const char *value = field(fields, "value");
    bool persistent = strcmp(field(fields, "persistent"), "1") == 0;
    const struct conf_stream *conf = conf_stream(a->conf, stream);
    if (!conf)
        return no_stream(stream, text, size);
    int r = metadata_keeper_put(a->metadata, stream, name, value, persistent, configured(conf));
    if (r == -EINVAL)
        snprintf(text, size,
                 "expected a name of 1 to %d bytes that does not begin with AWS, and a value of at "
                 "most %d bytes",
                 METADATA_NAME_MAX_BYTES, METADATA_VALUE_MAX_BYTES);
    else if (r == -ENOSPC)
        snprintf(text, size,
                 "a fragment takes %d items, the configured tags included: take one out with an "
                 "empty value and --persistent",
                 METADATA_PER_FRAGMENT);
    else if (r < 0)
        snprintf(text, size, "no muxer is there to take it");
    else
        snprintf(text, size, "%s", persistent && !*value ? "taken out" : "put into the stream");
    if (r == 0) {
        char what[METADATA_NAME_MAX_BYTES + 64];
        snprintf(what, sizeof what, "%s metadata '%s'%s",
                 persistent && !*value ? "no longer has" : "got", name,
                 persistent && *value ? " for all fragments from now on" : "");
        note(a, stream, what);
    }
    return r == -EINVAL ? 400 : r == -ENOSPC ? 409 : r < 0 ? 503 : 200;
}

int asks_do(const struct asks *a, const char *verb, const struct evkeyvalq *fields, int64_t now_ns,
            char *text, size_t size)
{
    static const struct {
        const char *verb;
        int (*ask)(const struct asks *a, const struct evkeyvalq *fields, int64_t now_ns, char *text,
                   size_t size);
    } table[] = {{"keyframe", keyframe}, {"restart", restart}, {"metadata", metadata}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].verb, verb) == 0)
            return table[i].ask(a, fields, now_ns, text, size);
    return 404;
}
