/* Reference-counted bytes: the unit in which media moves.
 * Relies on C11 atomics.
 * Leaves the meaning of the bytes to its users. */
#include "common/blob.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct blob *blob_wrap(const void *data, size_t len, void (*free_fn)(void *), void *arg)
{
    struct blob *b = xcalloc(1, sizeof *b);
    b->data = data;
    b->len = len;
    b->refs = 1;
    b->free_fn = free_fn;
    b->arg = arg;
    return b;
}

struct blob *blob_new(size_t len, uint8_t **data)
{
    uint8_t *p = xmalloc(len ? len : 1);
    *data = p;
    return blob_wrap(p, len, free, p);
}

struct blob *blob_copy(const void *data, size_t len)
{
    uint8_t *p;
    struct blob *b = blob_new(len, &p);
    if (len)
        memcpy(p, data, len);
    return b;
}

struct blob *blob_ref(struct blob *blob)
{
    if (blob)
        atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);
    return blob;
}

void blob_unref(struct blob **blob)
{
    struct blob *b = *blob;
    *blob = NULL;
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (b->free_fn)
        b->free_fn(b->arg);
    free(b);
}
