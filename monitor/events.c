/* A bounded list of entries, each a JSON object as its readers get it.
 * Relies on Jansson.
 * Leaves noticing to watch.c. */
#include "monitor/events.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/mem.h"

#define REPEAT_LOOK_BACK 8

struct events {
    json_t *list; /* oldest first */
    size_t most;
    json_int_t last_id;
    void (*added)(void *arg, const json_t *entry);
    void *arg;
};

struct events *events_create(size_t most, void (*added)(void *arg, const json_t *entry), void *arg)
{
    struct events *e = xcalloc(1, sizeof *e);
    *e = (struct events){.list = json_array(), .most = most, .added = added, .arg = arg};
    return e;
}

void events_destroy(struct events **e)
{
    if (!*e)
        return;
    json_decref((*e)->list);
    free(*e);
    *e = NULL;
}

static const char *level_name(enum event_level level)
{
    return level == EVENT_ERROR ? "error" : level == EVENT_WARN ? "warn" : "info";
}

static json_t *text_of(const char *text)
{
    json_t *s = json_string(text); /* NULL when it is not UTF-8 */
    return s ? s : json_string("?");
}

static json_t *entry_of(const struct event_text *t)
{
    json_t *o = json_object();
    json_object_set_new(o, "level", json_string(level_name(t->level)));
    json_object_set_new(o, "kind", text_of(t->kind));
    json_object_set_new(o, "about", text_of(t->about));
    json_object_set_new(o, "text", text_of(t->text));
    json_object_set_new(o, "advice", text_of(t->advice));
    return o;
}

/* Whether the texts of an entry are those of another. */
static bool says(const json_t *entry, const json_t *other)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)other, key, value)
    {
        if (!json_equal(json_object_get(entry, key), value))
            return false;
    }
    return true;
}

/* Takes a recent entry that says the same out of the list. Returns how often it was said. */
static json_int_t take_repeated(struct events *e, const json_t *entry)
{
    size_t n = json_array_size(e->list);
    for (size_t i = n; i > 0 && i + REPEAT_LOOK_BACK > n; i--) {
        const json_t *old = json_array_get(e->list, i - 1);
        if (!says(old, entry))
            continue;
        json_int_t times = json_integer_value(json_object_get(old, "times"));
        json_array_remove(e->list, i - 1);
        return times;
    }
    return 0;
}

void events_add(struct events *e, int64_t wall_ms, const struct event_text *text)
{
    json_t *entry = entry_of(text);
    json_int_t times = take_repeated(e, entry);
    json_object_set_new(entry, "times", json_integer(times + 1));
    json_object_set_new(entry, "id", json_integer(++e->last_id));
    json_object_set_new(entry, "at_ms", json_integer(wall_ms));
    if (json_array_size(e->list) == e->most)
        json_array_remove(e->list, 0);
    json_array_append_new(e->list, entry);
    if (e->added)
        e->added(e->arg, entry);
}

json_int_t events_last(const struct events *e)
{
    return e->last_id;
}

json_t *events_json(const struct events *e, json_int_t since)
{
    json_t *out = json_array(), *entry;
    size_t i;
    json_array_foreach(e->list, i, entry)
    {
        if (json_integer_value(json_object_get(entry, "id")) > since)
            json_array_append(out, entry);
    }
    return out;
}
