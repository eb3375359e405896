/* Writes a frame's number into its picture, for people and for programs. Pure; relies on nothing.
 * Leaves time stamps alone. */
#ifndef KVPIPE_CAPTURE_STAMP_H
#define KVPIPE_CAPTURE_STAMP_H

#include <stddef.h>
#include <stdint.h>

#define STAMP_BITS 24
#define STAMP_CELL 16 /* pixels */

/* In the luma plane: a row of STAMP_BITS squares of STAMP_CELL pixels from the top left corner, the
 * highest bit first, white (235) for 1 and black (16) for 0; below it the number in digits. What
 * does not fit the picture is left out. */
void stamp_write(uint8_t *luma, size_t stride, unsigned width, unsigned height, uint64_t number);
/* Reads the squares back. The number modulo 2^STAMP_BITS, or -1 when the picture is too small. */
int64_t stamp_read(const uint8_t *luma, size_t stride, unsigned width, unsigned height);

#endif
