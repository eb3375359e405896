/* EBML (RFC 8794) ids, sizes and scalars.
 * Relies on common/buf.
 * Leaves the nesting of elements to mkv_reader and mkv_writer. */
#include "media/ebml.h"

#include <errno.h>
#include <string.h>

/* ebml_begin() keeps four bytes for the size: 28 value bits. */
#define SIZE_PLACE_BYTES 4
#define SIZE_PLACE_MAX ((UINT32_C(1) << 28) - 2)

/* Bytes of the vint that begins with this byte, 0 for none. */
static unsigned vint_width(uint8_t first)
{
    return first ? (unsigned)__builtin_clz(first) - 23 : 0;
}

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

int ebml_read_id(const uint8_t *p, size_t n, uint32_t *id)
{
    if (n == 0)
        return 0;
    unsigned width = vint_width(p[0]);
    if (width == 0 || width > 4)
        return -EBADMSG;
    if (n < width)
        return 0;
    uint32_t raw = (uint32_t)big_endian(p, width);
    uint32_t ones = (UINT32_C(1) << (7 * width)) - 1;
    if ((raw & ones) == 0 || (raw & ones) == ones)
        return -EBADMSG; /* reserved by RFC 8794 section 5 */
    *id = raw;
    return (int)width;
}

int ebml_read_size(const uint8_t *p, size_t n, uint64_t *size)
{
    if (n == 0)
        return 0;
    unsigned width = vint_width(p[0]);
    if (width == 0)
        return -EBADMSG;
    if (n < width)
        return 0;
    uint64_t ones = (UINT64_C(1) << (7 * width)) - 1;
    uint64_t value = big_endian(p, width) & ones;
    *size = value == ones ? EBML_UNKNOWN_SIZE : value;
    return (int)width;
}

int ebml_read_uint(const uint8_t *p, size_t n, uint64_t *value)
{
    if (n > 8)
        return -EBADMSG;
    *value = big_endian(p, n);
    return 0;
}

int ebml_read_float(const uint8_t *p, size_t n, double *value)
{
    if (n == 0) {
        *value = 0;
    } else if (n == 4) {
        uint32_t bits = (uint32_t)big_endian(p, 4);
        float f;
        memcpy(&f, &bits, sizeof f);
        *value = (double)f;
    } else if (n == 8) {
        uint64_t bits = big_endian(p, 8);
        memcpy(value, &bits, sizeof *value);
    } else {
        return -EBADMSG;
    }
    return 0;
}

/* Writes the low `n` bytes of v to `out`, most significant first. */
static void put_big_endian(uint8_t *out, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        out[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

static unsigned uint_bytes(uint64_t v)
{
    return v ? (71u - (unsigned)__builtin_clzll(v)) / 8 : 1;
}

/* Encodes an id into `out` (4 bytes). Returns its length or -EINVAL. */
static int encode_id(uint8_t *out, uint32_t id)
{
    unsigned n = uint_bytes(id);
    uint32_t parsed;
    put_big_endian(out, id, n);
    return ebml_read_id(out, n, &parsed) == (int)n ? (int)n : -EINVAL;
}

/* Encodes a size into `out` (8 bytes). Returns its length or -EINVAL. */
static int encode_size(uint8_t *out, uint64_t size)
{
    unsigned n = 1;
    if (size == EBML_UNKNOWN_SIZE) {
        put_big_endian(out, UINT64_C(0x01FFFFFFFFFFFFFF), 8);
        return 8;
    }
    if (size > EBML_SIZE_MAX)
        return -EINVAL;
    while (size > (UINT64_C(1) << (7 * n)) - 2)
        n++;
    put_big_endian(out, UINT64_C(1) << (7 * n) | size, n);
    return (int)n;
}

/* Encodes id and size into `out` (EBML_HEAD_MAX_BYTES). Returns the length or -EINVAL. */
static int encode_head(uint8_t *out, uint32_t id, uint64_t size)
{
    int a = encode_id(out, id);
    if (a < 0)
        return a;
    int b = encode_size(out + a, size);
    return b < 0 ? b : a + b;
}

int ebml_put_id(struct buf *b, uint32_t id)
{
    uint8_t bytes[4];
    int n = encode_id(bytes, id);
    return n < 0 ? n : buf_append(b, bytes, (size_t)n);
}

int ebml_put_size(struct buf *b, uint64_t size)
{
    uint8_t bytes[8];
    int n = encode_size(bytes, size);
    return n < 0 ? n : buf_append(b, bytes, (size_t)n);
}

int ebml_put_binary(struct buf *b, uint32_t id, const void *data, size_t len)
{
    uint8_t head[EBML_HEAD_MAX_BYTES];
    size_t before = b->len;
    int n = encode_head(head, id, len);
    if (n < 0)
        return n;
    int r = buf_append(b, head, (size_t)n);
    if (r == 0)
        r = buf_append(b, data, len);
    if (r < 0)
        b->len = before;
    return r;
}

int ebml_put_uint(struct buf *b, uint32_t id, uint64_t value)
{
    uint8_t bytes[8];
    unsigned n = uint_bytes(value);
    put_big_endian(bytes, value, n);
    return ebml_put_binary(b, id, bytes, n);
}

int ebml_put_float(struct buf *b, uint32_t id, double value)
{
    uint64_t bits;
    uint8_t bytes[8];
    memcpy(&bits, &value, sizeof bits);
    put_big_endian(bytes, bits, 8);
    return ebml_put_binary(b, id, bytes, 8);
}

int ebml_put_string(struct buf *b, uint32_t id, const char *text)
{
    return ebml_put_binary(b, id, text, strlen(text));
}

int ebml_begin(struct buf *b, uint32_t id, size_t *mark)
{
    uint8_t head[4 + SIZE_PLACE_BYTES] = {0};
    int n = encode_id(head, id);
    if (n < 0)
        return n;
    int r = buf_append(b, head, (size_t)n + SIZE_PLACE_BYTES);
    *mark = b->len;
    return r;
}

int ebml_end(struct buf *b, size_t mark)
{
    size_t size = b->len - mark;
    if (size > SIZE_PLACE_MAX)
        return -EFBIG;
    put_big_endian(b->data + mark - SIZE_PLACE_BYTES, UINT32_C(1) << 28 | size, SIZE_PLACE_BYTES);
    return 0;
}

int ebml_begin_unknown(struct buf *b, uint32_t id)
{
    uint8_t head[EBML_HEAD_MAX_BYTES];
    int n = encode_head(head, id, EBML_UNKNOWN_SIZE);
    return n < 0 ? n : buf_append(b, head, (size_t)n);
}
