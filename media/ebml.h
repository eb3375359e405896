/* EBML (RFC 8794): element ids, variable-length sizes and the scalar bodies, read from bytes and
 * written onto a buf. Relies on common/buf. Leaves the meaning of ids and the nesting of elements
 * to mkv_reader and mkv_writer. */
#ifndef KVPIPE_MEDIA_EBML_H
#define KVPIPE_MEDIA_EBML_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

/* A size with all value bits one: the element ends where its parent or a sibling says so. */
#define EBML_UNKNOWN_SIZE UINT64_MAX
/* The largest size that eight bytes can name. */
#define EBML_SIZE_MAX ((UINT64_C(1) << 56) - 2)
/* The longest element head: four bytes of id, eight of size. */
#define EBML_HEAD_MAX_BYTES 12

/* Reads an element id of one to four bytes, marker bits included (RFC 8794 section 5).
 * Returns the bytes used, 0 when `n` bytes are not enough, -EBADMSG for no valid id. */
int ebml_read_id(const uint8_t *p, size_t n, uint32_t *id);
/* Reads a size of one to eight bytes (section 6). Returns as ebml_read_id; *size may be
 * EBML_UNKNOWN_SIZE. */
int ebml_read_size(const uint8_t *p, size_t n, uint64_t *size);
/* Read the whole body of `n` bytes. Return 0, or -EBADMSG when no such type has that length. An
 * empty body is 0. */
int ebml_read_uint(const uint8_t *p, size_t n, uint64_t *value);
int ebml_read_float(const uint8_t *p, size_t n, double *value);

/* All writers return 0, -ENOBUFS when the buffer's maximum is reached, or -EINVAL for a value that
 * EBML cannot say. After an error the buffer is as it was before the call. Sizes take the fewest
 * bytes; EBML_UNKNOWN_SIZE takes eight. */
int ebml_put_id(struct buf *b, uint32_t id);
int ebml_put_size(struct buf *b, uint64_t size);
int ebml_put_uint(struct buf *b, uint32_t id, uint64_t value);
int ebml_put_float(struct buf *b, uint32_t id, double value);
int ebml_put_string(struct buf *b, uint32_t id, const char *text);
int ebml_put_binary(struct buf *b, uint32_t id, const void *data, size_t len);

/* Opens a master element whose size ebml_end() fills in; keeps its place in *mark. */
int ebml_begin(struct buf *b, uint32_t id, size_t *mark);
/* Closes it. Returns 0, or -EFBIG when the body passed 256 MiB. */
int ebml_end(struct buf *b, size_t mark);
/* Opens a master element of unknown size, which nothing needs to close. */
int ebml_begin_unknown(struct buf *b, uint32_t id);

#endif
