/* Tags of a stream: read from requests, kept as a JSON object of strings.
 * Relies on jansson, field.h and error.h.
 * Leaves storing them to the operations. */
#include "server/tags.h"

#include <string.h>

#include <glib.h>

#include "server/error.h"

#define EXPECTED                                                                                   \
    "keys of 1 to 128 and values of up to 256 letters, digits, spaces and _.:/=+-@, at most 50"

/* A letter, a separator or a number of Unicode. */
static bool is_text(gunichar c)
{
    switch (g_unichar_type(c)) {
    case G_UNICODE_UPPERCASE_LETTER:
    case G_UNICODE_LOWERCASE_LETTER:
    case G_UNICODE_TITLECASE_LETTER:
    case G_UNICODE_MODIFIER_LETTER:
    case G_UNICODE_OTHER_LETTER:
    case G_UNICODE_SPACE_SEPARATOR:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
    case G_UNICODE_DECIMAL_NUMBER:
    case G_UNICODE_LETTER_NUMBER:
    case G_UNICODE_OTHER_NUMBER:
        return true;
    default:
        return false;
    }
}

/* TAGKEY and TAGVAL of the API. jansson has seen to the UTF-8. */
static bool text_ok(json_t *v, size_t min, size_t max)
{
    const char *s = json_string_value(v);
    if (!s || !field_matches(s, min, max, NULL))
        return false;
    for (; *s; s = g_utf8_next_char(s)) {
        gunichar c = g_utf8_get_char(s);
        if (!is_text(c) && (c > 0x7f || !strchr("_.:/=+-@", (int)c)))
            return false;
    }
    return true;
}

static bool key_ok(const char *key)
{
    json_t *v = json_string(key);
    bool ok = text_ok(v, 1, 128);
    json_decref(v);
    return ok;
}

static bool refuse(struct fields *f, const char *name)
{
    f->failed = true;
    error_invalid_argument(f->ex, "%s is not valid: expected " EXPECTED ".", name);
    return false;
}

json_t *tags_map(struct fields *f, bool required)
{
    json_t *tags = field_object(f, "Tags", required), *value;
    const char *key;
    if (!tags)
        return NULL;
    bool ok = json_object_size(tags) <= TAGS_MAX && (!required || json_object_size(tags) >= 1);
    json_object_foreach(tags, key, value) ok = ok && key_ok(key) && text_ok(value, 0, 256);
    return ok || refuse(f, "Tags") ? tags : NULL;
}

/* An array of 1 to 50 under that name. */
static json_t *list_of(struct fields *f, const char *name)
{
    json_t *list = f->failed ? NULL : json_object_get(f->object, name);
    if (f->failed)
        return NULL;
    if (!json_is_array(list) || json_array_size(list) < 1 || json_array_size(list) > TAGS_MAX)
        return refuse(f, name) ? list : NULL;
    return list;
}

json_t *tags_list(struct fields *f)
{
    json_t *list = list_of(f, "Tags"), *entry;
    size_t i;
    if (!list)
        return NULL;
    json_t *map = json_object();
    json_array_foreach(list, i, entry)
    {
        json_t *key = json_object_get(entry, "Key"), *value = json_object_get(entry, "Value");
        if (!text_ok(key, 1, 128) || !text_ok(value, 0, 256)) {
            json_decref(map);
            return refuse(f, "Tags") ? map : NULL;
        }
        json_object_set(map, json_string_value(key), value);
    }
    return map;
}

json_t *tags_keys(struct fields *f)
{
    json_t *list = list_of(f, "TagKeyList"), *key;
    size_t i;
    json_array_foreach(list, i, key) if (!text_ok(key, 1, 128)) return refuse(f, "TagKeyList")
        ? list
        : NULL;
    return list;
}
