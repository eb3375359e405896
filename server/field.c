/* Typed members of a JSON request, checked against the constraints of the API. Relies on jansson,
 * regex(3) and error.h. Leaves the meaning of values to the operations. */
#include "server/field.h"

#include <inttypes.h>
#include <math.h>
#include <regex.h>
#include <string.h>

#include "server/error.h"
#include "server/http.h"
#include "server/stage.h"
#include "server/store.h"

#define MAX_TIMESTAMP_S 253402300799.0

static size_t characters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += (*s & 0xc0) != 0x80;
    return n;
}

bool field_matches(const char *value, size_t min, size_t max, const char *pattern)
{
    size_t n = characters(value);
    if (n < min || n > max)
        return false;
    if (!pattern)
        return true;
    regex_t re;
    if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool ok = regexec(&re, value, 0, NULL, 0) == 0;
    regfree(&re);
    return ok;
}

static json_t *get(struct fields *f, const char *name, bool required)
{
    if (f->failed)
        return NULL;
    json_t *v = json_object_get(f->object, name);
    if (v && !json_is_null(v))
        return v;
    if (required) {
        f->failed = true;
        error_invalid_argument(f->ex, "%s is missing.", name);
    }
    return NULL;
}

static void bad(struct fields *f, const char *name, const char *expected)
{
    f->failed = true;
    error_invalid_argument(f->ex, "%s is not valid: expected %s.", name, expected);
}

const char *field_string(struct fields *f, const char *name, bool required, size_t min, size_t max,
                         const char *pattern)
{
    json_t *v = get(f, name, required);
    if (!v)
        return NULL;
    if (!json_is_string(v)) {
        bad(f, name, "a string");
        return NULL;
    }
    const char *s = json_string_value(v);
    if (field_matches(s, min, max, pattern))
        return s;
    f->failed = true;
    error_invalid_argument(f->ex, "%s is not valid: expected %zu to %zu characters%s%s.", name, min,
                           max, pattern ? " that match " : "", pattern ? pattern : "");
    return NULL;
}

int64_t field_int(struct fields *f, const char *name, bool required, int64_t min, int64_t max,
                  int64_t none)
{
    json_t *v = get(f, name, required);
    if (!v)
        return none;
    if (json_is_integer(v) && json_integer_value(v) >= min && json_integer_value(v) <= max)
        return json_integer_value(v);
    f->failed = true;
    error_invalid_argument(f->ex,
                           "%s is not valid: expected an integer from %" PRId64 " to %" PRId64 ".",
                           name, min, max);
    return none;
}

bool field_timestamp(struct fields *f, const char *name, bool required, int64_t *ms)
{
    json_t *v = get(f, name, required);
    if (!v)
        return false;
    double s = json_is_number(v) ? json_number_value(v) : -1;
    if (!(s >= 0 && s <= MAX_TIMESTAMP_S)) {
        bad(f, name, "a number of seconds since 1970");
        return false;
    }
    *ms = llround(s * 1000.0);
    return true;
}

json_t *field_object(struct fields *f, const char *name, bool required)
{
    json_t *v = get(f, name, required);
    if (v && !json_is_object(v)) {
        bad(f, name, "an object");
        return NULL;
    }
    return v;
}

struct fields field_enter(struct fields *f, const char *name, bool required)
{
    json_t *o = field_object(f, name, required);
    return (struct fields){.ex = f->ex, .object = o, .failed = !o};
}

void field_leave(struct fields *f, const struct fields *inner)
{
    if (inner->object && inner->failed)
        f->failed = true;
}

bool field_bool(struct fields *f, const char *name, bool none)
{
    json_t *v = get(f, name, FIELD_OPTIONAL);
    if (!v)
        return none;
    if (!json_is_boolean(v))
        bad(f, name, "true or false");
    return json_is_true(v);
}

int field_enum(struct fields *f, const char *name, bool required, const char *const *names)
{
    const char *s = field_string(f, name, required, 0, 64, NULL);
    if (!s)
        return -1;
    for (int i = 0; names[i]; i++)
        if (!strcmp(names[i], s))
            return i;
    bad(f, name, "one of the names that the API documents");
    return -1;
}

struct stream *field_find_stream(struct http_exchange *ex, struct server *server, const char *name,
                                 const char *arn)
{
    if (!name && !arn) {
        error_invalid_argument(ex, "StreamName or StreamARN is needed.");
        return NULL;
    }
    struct stream *by_name = name ? store_find(server->store, name) : NULL;
    struct stream *by_arn = arn ? store_find_arn(server->store, arn) : NULL;
    if (name && arn && by_name != by_arn) {
        error_invalid_argument(ex, "StreamName and StreamARN do not name the same stream.");
        return NULL;
    }
    struct stream *st = by_name ? by_name : by_arn;
    if (!st)
        error_stream_not_found(ex);
    return st;
}

struct stream *field_stream(struct fields *f, struct server *server)
{
    const char *name = field_string(f, "StreamName", FIELD_OPTIONAL, 1, 256, FIELD_NAME);
    const char *arn = field_string(f, "StreamARN", FIELD_OPTIONAL, 1, 1024, FIELD_ARN);
    return f->failed ? NULL : field_find_stream(f->ex, server, name, arn);
}
