/* Fuzzes media/au_splitter: what comes out, with what was thrown away, is what went in, in order.
 * Relies on it alone. The first byte chooses the codec and the size of the pieces.
 * Leaves where access units end to tests/unit/test_au_splitter. */
#include "media/au_splitter.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES (1 << 16)

struct seen {
    const uint8_t *data; /* what is not seen yet */
    size_t left, bytes;
};

/* Each access unit must stand in the input, behind the one before. */
static void on_unit(void *arg, const uint8_t *unit, size_t len, const struct au_times *times)
{
    struct seen *seen = arg;
    (void)times;
    const uint8_t *found = len ? memmem(seen->data, seen->left, unit, len) : seen->data;
    if (!found)
        abort();
    seen->left -= (size_t)(found + len - seen->data);
    seen->data = found + len;
    seen->bytes += len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {1, 3, 7, 64, 188, 1400, 4096, MAX_BYTES};
    struct au_splitter s;
    struct au_times times = {.given = true};

    if (size < 1)
        return 0;
    size_t step = steps[data[0] >> 1 & 7];
    struct seen seen = {.data = data + 1, .left = size - 1};
    au_splitter_init(&s, data[0] & 1, MAX_BYTES);
    for (size_t at = 1; at < size; at += step) {
        size_t n = size - at < step ? size - at : step;
        times.pts_ns = times.dts_ns = (int64_t)at;
        au_splitter_push(&s, data + at, n, &times, on_unit, &seen);
        if (data[0] & 0x80)
            au_splitter_end(&s, on_unit, &seen);
    }
    au_splitter_flush(&s, on_unit, &seen);
    if (seen.bytes + au_splitter_junk(&s) != size - 1)
        abort();
    au_splitter_fini(&s);
    return 0;
}
