/* A blob: immutable, reference-counted bytes that pass from stage to stage without a copy.
 * Relies on nothing. Counts are atomic: ZeroMQ's and GStreamer's threads release blobs too.
 * Leaves the meaning of the bytes to its users. */
#ifndef KVPIPE_COMMON_BLOB_H
#define KVPIPE_COMMON_BLOB_H

#include <stddef.h>
#include <stdint.h>

struct blob {
    const uint8_t *data;
    size_t len;
    /* private */
    _Atomic unsigned refs;
    void (*free_fn)(void *arg);
    void *arg;
};

/* Returns a new blob with room for `len` bytes, to be filled through *data before it is shared.
 * Aborts without memory. */
struct blob *blob_new(size_t len, uint8_t **data);
/* Returns a new blob holding a copy of `len` bytes. */
struct blob *blob_copy(const void *data, size_t len);
/* Returns a blob over foreign memory; free_fn(arg) runs, in any thread, when the last reference
 * goes. */
struct blob *blob_wrap(const void *data, size_t len, void (*free_fn)(void *), void *arg);
/* Takes one more reference and returns the same blob. NULL gives NULL. */
struct blob *blob_ref(struct blob *blob);
/* Gives back one reference and nulls *blob. *blob may be NULL. */
void blob_unref(struct blob **blob);

#endif
