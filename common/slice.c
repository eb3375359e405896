/* A part of a text.
 * Relies on nothing.
 * Leaves the text to its owner. */
#include "common/slice.h"

#include <string.h>

struct slice slice_of(const char *s)
{
    return (struct slice){s, strlen(s)};
}

bool slice_is(struct slice a, const char *s)
{
    return a.len == strlen(s) && memcmp(a.s, s, a.len) == 0;
}

struct slice slice_part(struct slice *rest, char sep)
{
    const char *end = memchr(rest->s, sep, rest->len);
    struct slice part = {rest->s, end ? (size_t)(end - rest->s) : rest->len};
    size_t used = part.len + (end ? 1 : 0);
    rest->s += used;
    rest->len -= used;
    return part;
}
