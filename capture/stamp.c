/* Writes a frame's number into its picture.
 * Relies on nothing.
 * Leaves time stamps alone. */
#include "capture/stamp.h"

#include <stdio.h>
#include <string.h>

#define WHITE 235
#define BLACK 16

/* Digits of 3 by 5 cells, one octal number a row. */
static const uint16_t digits[10] = {075557, 026227, 071747, 071717, 055711,
                                    074717, 074757, 071111, 075757, 075717};

struct plane {
    uint8_t *luma;
    size_t stride;
    unsigned width, height;
};

static void cell(const struct plane *p, unsigned x, unsigned y, int level)
{
    if (x + STAMP_CELL > p->width || y + STAMP_CELL > p->height)
        return;
    for (unsigned row = 0; row < STAMP_CELL; row++)
        memset(p->luma + (y + row) * p->stride + x, level, STAMP_CELL);
}

static void digit(const struct plane *p, unsigned x, unsigned y, unsigned value)
{
    for (unsigned i = 0; i < 15; i++)
        cell(p, x + i % 3 * STAMP_CELL, y + i / 3 * STAMP_CELL,
             digits[value] >> (14 - i) & 1 ? WHITE : BLACK);
}

void stamp_write(uint8_t *luma, size_t stride, unsigned width, unsigned height, uint64_t number)
{
    struct plane p = {luma, stride, width, height};
    char text[24];

    for (unsigned i = 0; i < STAMP_BITS; i++)
        cell(&p, i * STAMP_CELL, 0, number >> (STAMP_BITS - 1 - i) & 1 ? WHITE : BLACK);
    snprintf(text, sizeof text, "%06llu", (unsigned long long)number);
    for (unsigned i = 0; text[i]; i++)
        digit(&p, i * 4 * STAMP_CELL, 2 * STAMP_CELL, (unsigned)(text[i] - '0'));
}

int64_t stamp_read(const uint8_t *luma, size_t stride, unsigned width, unsigned height)
{
    int64_t number = 0;

    if (width < STAMP_BITS * STAMP_CELL || height < STAMP_CELL)
        return -1;
    for (unsigned i = 0; i < STAMP_BITS; i++)
        number =
            number << 1 | (luma[STAMP_CELL / 2 * stride + i * STAMP_CELL + STAMP_CELL / 2] >= 126);
    return number;
}
