/* NAL units of H.264 and H.265: iteration over Annex B and over length-prefixed data, and reading
 * bits out of one unit. Relies on common/buf. Leaves the meaning of NAL types and parameter sets to
 * h264 and h265. */
#ifndef KVPIPE_MEDIA_NAL_H
#define KVPIPE_MEDIA_NAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

/* One NAL unit with its header byte(s), without start code or length. Borrows the bytes. */
struct nal {
    const uint8_t *data;
    size_t len;
};

struct nal_iter {
    /* private */
    const uint8_t *p, *end;
    unsigned length_size; /* 0 = Annex B */
    bool started;
};

/* Starts over Annex B data (ISO 14496-10 annex B): start codes of three or four bytes, zeros before
 * and after units. */
void nal_iter_annexb(struct nal_iter *it, const uint8_t *data, size_t len);
/* Starts over units that each follow their length in 1, 2 or 4 bytes. Returns 0, or -EINVAL for
 * another length size. */
int nal_iter_avcc(struct nal_iter *it, const uint8_t *data, size_t len, unsigned length_size);
/* Gives the next non-empty unit. Returns 1, 0 at the end, -EBADMSG when the data begins with no
 * start code or a length points past the end. */
int nal_next(struct nal_iter *it, struct nal *nal);

/* Copies to *out with four-byte lengths, leaving out units for which skip(nal, flags) is true (skip
 * may be NULL). Returns 0, -EBADMSG or -ENOBUFS; after an error *out is as before. */
int nal_annexb_to_avcc(struct buf *out, const uint8_t *data, size_t len,
                       bool (*skip)(const struct nal *nal, unsigned flags), unsigned flags);
/* Copies to *out with four-byte start codes. Returns as above, and -EINVAL for a bad length_size.
 */
int nal_avcc_to_annexb(struct buf *out, const uint8_t *data, size_t len, unsigned length_size);

/* A reader of the bits of a unit that leaves out emulation prevention bytes. After the last bit it
 * gives zeros and sets `bad`. */
struct nal_bits {
    const uint8_t *p, *end;
    unsigned left;  /* unread bits of the current byte */
    unsigned zeros; /* zero bytes just read */
    uint8_t byte;
    bool bad;
};

void nal_bits_init(struct nal_bits *b, const uint8_t *data, size_t len);
/* u(n), n at most 32. */
uint32_t nal_bits_u(struct nal_bits *b, unsigned n);
void nal_bits_skip(struct nal_bits *b, unsigned n);
/* ue(v) and se(v); a code longer than 32 bits sets `bad`. */
uint32_t nal_bits_ue(struct nal_bits *b);
int32_t nal_bits_se(struct nal_bits *b);

#endif
