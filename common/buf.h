/* A growable byte buffer that cannot be made without a maximum.
 * Relies on nothing.
 * Leaves the meaning of the bytes to its users. */
#ifndef KVPIPE_COMMON_BUF_H
#define KVPIPE_COMMON_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;
    size_t len, cap, max_bytes;
};

/* Makes an empty buffer that will never hold more than max_bytes. Allocates nothing yet. */
void buf_init(struct buf *b, size_t max_bytes);
void buf_fini(struct buf *b);
/* Appends a copy. Returns 0, or -ENOBUFS when it would pass the maximum (nothing is appended then).
 */
int buf_append(struct buf *b, const void *data, size_t len);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drops `len` bytes (at most all) from the front. */
void buf_consume(struct buf *b, size_t len);
void buf_clear(struct buf *b);

#endif
