/* A part of a text, without a NUL at its end.
 * Relies on nothing.
 * Leaves the text to its owner. */
#ifndef KVPIPE_COMMON_SLICE_H
#define KVPIPE_COMMON_SLICE_H

#include <stdbool.h>
#include <stddef.h>

struct slice {
    const char *s;
    size_t len;
};

struct slice slice_of(const char *s);
bool slice_is(struct slice a, const char *s);
/* Cuts the part before `sep` off the front of *rest; the whole rest where there is none. */
struct slice slice_part(struct slice *rest, char sep);

#endif
