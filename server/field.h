/* Typed members of a JSON request, checked against the constraints of the API. Relies on jansson,
 * regex(3) and error.h: the first violation answers the request with InvalidArgumentException.
 * Leaves the meaning of values to the operations. */
#ifndef KVPIPE_SERVER_FIELD_H
#define KVPIPE_SERVER_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct http_exchange;
struct server;
struct stream;

#define FIELD_NAME "^[a-zA-Z0-9_.-]+$"
#define FIELD_ARN "^arn:[a-z0-9-]+:kinesisvideo:[a-z0-9-]+:[0-9]+:[a-z]+/[a-zA-Z0-9_.-]+/[0-9]+$"
#define FIELD_VERSION "^[a-zA-Z0-9]+$"
#define FIELD_THING_ARN "^arn:[a-z0-9-]+:iot:[a-z0-9-]+:[0-9]+:thing/[a-zA-Z0-9_.-]+$"
#define FIELD_SECRET_ARN "^arn:[a-z0-9-]+:secretsmanager:[a-z0-9-]+:[0-9]+:secret:[a-zA-Z0-9_.-]+$"
#define FIELD_DESTINATION_URI "^[a-zA-Z_0-9]+:(//)?([^/]+)/?([^*]*)$"
#define FIELD_REGION "^[a-z]+(-[a-z]+)?-[a-z]+-[0-9]$"
#define FIELD_DIGITS "^[0-9]+$"
#define FIELD_TOKEN "^[a-zA-Z0-9+/]+={0,2}$"
#define FIELD_MEDIA_TYPE "^[a-zA-Z0-9_.+-]+/[a-zA-Z0-9_.+-]+(,[a-zA-Z0-9_.+-]+/[a-zA-Z0-9_.+-]+)*$"

enum { FIELD_OPTIONAL = false, FIELD_REQUIRED = true };

/* Starts with all zero but ex and object. After a violation `failed` is set and the answer is out.
 */
struct fields {
    struct http_exchange *ex;
    json_t *object;
    bool failed;
};

/* The string, valid as long as the object; NULL when absent or null. Length in characters. */
const char *field_string(struct fields *f, const char *name, bool required, size_t min, size_t max,
                         const char *pattern);
/* An integer in [min, max]; `none` when absent. */
int64_t field_int(struct fields *f, const char *name, bool required, int64_t min, int64_t max,
                  int64_t none);
/* Epoch seconds with a fraction as ms. Returns false when absent. */
bool field_timestamp(struct fields *f, const char *name, bool required, int64_t *ms);
/* A nested object; NULL when absent. */
json_t *field_object(struct fields *f, const char *name, bool required);
/* The same as fields of their own, to be closed with field_leave(); `object` is NULL and `failed`
 * set when it is absent. */
struct fields field_enter(struct fields *f, const char *name, bool required);
/* Carries a violation inside over to the outer fields. */
void field_leave(struct fields *f, const struct fields *inner);
/* A JSON boolean; `none` when absent. */
bool field_bool(struct fields *f, const char *name, bool none);
/* One of the names, as its index; -1 when absent. */
int field_enum(struct fields *f, const char *name, bool required, const char *const *names);

/* Whether a string has that many characters and matches the pattern (NULL = any). */
bool field_matches(const char *value, size_t min, size_t max, const char *pattern);

/* The stream that StreamName or StreamARN name, borrowed. NULL after an answer. */
struct stream *field_stream(struct fields *f, struct server *server);
/* The same from two strings of which one may be NULL. */
struct stream *field_find_stream(struct http_exchange *ex, struct server *server, const char *name,
                                 const char *arn);

#endif
