/* NAL units of H.264 and H.265: iteration, conversion and bits.
 * Relies on common/buf.
 * Leaves the meaning of NAL types to h264 and h265. */
#include "media/nal.h"

#include <errno.h>
#include <string.h>

void nal_iter_annexb(struct nal_iter *it, const uint8_t *data, size_t len)
{
    *it = (struct nal_iter){.p = data, .end = len ? data + len : data};
}

int nal_iter_avcc(struct nal_iter *it, const uint8_t *data, size_t len, unsigned length_size)
{
    if (length_size != 1 && length_size != 2 && length_size != 4)
        return -EINVAL;
    nal_iter_annexb(it, data, len);
    it->length_size = length_size;
    return 0;
}

/* Finds 00 00 01 in [p, end). Returns its first byte, or end. */
static const uint8_t *find_start_code(const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 3) {
        const uint8_t *one = memchr(p + 2, 1, (size_t)(end - p) - 2);
        if (!one)
            break;
        if (one[-1] == 0 && one[-2] == 0)
            return one - 2;
        p = one - 1;
    }
    return end;
}

/* Passes the zeros and the first start code. */
static int start_annexb(struct nal_iter *it)
{
    it->started = true;
    const uint8_t *code = find_start_code(it->p, it->end);
    for (const uint8_t *p = it->p; p < code; p++)
        if (*p != 0)
            return -EBADMSG;
    if (code == it->end) /* empty, or nothing but zeros */
        return it->p == it->end ? 0 : -EBADMSG;
    it->p = code + 3;
    return 0;
}

static int next_annexb(struct nal_iter *it, struct nal *nal)
{
    int r = it->started ? 0 : start_annexb(it);
    if (r < 0)
        return r;
    while (it->p < it->end) {
        const uint8_t *begin = it->p;
        const uint8_t *code = find_start_code(begin, it->end);
        const uint8_t *last = code;
        it->p = code == it->end ? it->end : code + 3;
        /* trailing_zero_8bits and the fourth byte of a start code: no unit ends in a zero byte */
        while (last > begin && last[-1] == 0)
            last--;
        *nal = (struct nal){begin, (size_t)(last - begin)};
        if (nal->len)
            return 1;
    }
    return 0;
}

static int next_avcc(struct nal_iter *it, struct nal *nal)
{
    while (it->p < it->end) {
        size_t len = 0;
        if ((size_t)(it->end - it->p) < it->length_size)
            return -EBADMSG;
        for (unsigned i = 0; i < it->length_size; i++)
            len = len << 8 | *it->p++;
        if (len > (size_t)(it->end - it->p))
            return -EBADMSG;
        *nal = (struct nal){it->p, len};
        it->p += len;
        if (len)
            return 1;
    }
    return 0;
}

int nal_next(struct nal_iter *it, struct nal *nal)
{
    return it->length_size ? next_avcc(it, nal) : next_annexb(it, nal);
}

static int append_with_length(struct buf *out, const struct nal *nal)
{
    uint8_t head[4] = {(uint8_t)(nal->len >> 24), (uint8_t)(nal->len >> 16),
                       (uint8_t)(nal->len >> 8), (uint8_t)nal->len};
    if (nal->len > UINT32_MAX)
        return -EBADMSG;
    int r = buf_append(out, head, sizeof head);
    return r < 0 ? r : buf_append(out, nal->data, nal->len);
}

int nal_annexb_to_avcc(struct buf *out, const uint8_t *data, size_t len,
                       bool (*skip)(const struct nal *nal, unsigned flags), unsigned flags)
{
    struct nal_iter it;
    struct nal nal;
    size_t before = out->len;
    int r;
    nal_iter_annexb(&it, data, len);
    while ((r = nal_next(&it, &nal)) > 0) {
        if (skip && skip(&nal, flags))
            continue;
        r = append_with_length(out, &nal);
        if (r < 0)
            break;
    }
    if (r < 0)
        out->len = before;
    return r;
}

int nal_avcc_to_annexb(struct buf *out, const uint8_t *data, size_t len, unsigned length_size)
{
    static const uint8_t start_code[4] = {0, 0, 0, 1};
    struct nal_iter it;
    struct nal nal;
    size_t before = out->len;
    int r = nal_iter_avcc(&it, data, len, length_size);
    if (r < 0)
        return r;
    while ((r = nal_next(&it, &nal)) > 0) {
        r = buf_append(out, start_code, sizeof start_code);
        if (r == 0)
            r = buf_append(out, nal.data, nal.len);
        if (r < 0)
            break;
    }
    if (r < 0)
        out->len = before;
    return r;
}

void nal_bits_init(struct nal_bits *b, const uint8_t *data, size_t len)
{
    *b = (struct nal_bits){.p = data, .end = len ? data + len : data};
}

/* Loads the next byte that is no emulation prevention byte. */
static bool load(struct nal_bits *b)
{
    if (b->zeros >= 2 && b->p < b->end && *b->p == 3) {
        b->p++;
        b->zeros = 0;
    }
    if (b->p == b->end) {
        b->bad = true;
        return false;
    }
    b->byte = *b->p++;
    b->zeros = b->byte ? 0 : b->zeros + 1;
    b->left = 8;
    return true;
}

uint32_t nal_bits_u(struct nal_bits *b, unsigned n)
{
    uint64_t v = 0;
    while (n > 0) {
        if (b->left == 0 && !load(b))
            return 0;
        unsigned take = n < b->left ? n : b->left;
        b->left -= take;
        v = v << take | (b->byte >> b->left & ((1u << take) - 1));
        n -= take;
    }
    return (uint32_t)v;
}

void nal_bits_skip(struct nal_bits *b, unsigned n)
{
    while (n > 32 && !b->bad) {
        nal_bits_u(b, 32);
        n -= 32;
    }
    if (!b->bad)
        nal_bits_u(b, n);
}

uint32_t nal_bits_ue(struct nal_bits *b)
{
    unsigned zeros = 0;
    while (!b->bad && nal_bits_u(b, 1) == 0)
        zeros++;
    if (b->bad || zeros > 31) {
        b->bad = true;
        return 0;
    }
    uint32_t suffix = nal_bits_u(b, zeros);
    return b->bad ? 0 : (UINT32_C(1) << zeros) - 1 + suffix;
}

int32_t nal_bits_se(struct nal_bits *b)
{
    uint32_t k = nal_bits_ue(b);
    return k & 1 ? (int32_t)(k / 2 + 1) : -(int32_t)(k / 2);
}
