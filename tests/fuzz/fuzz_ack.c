/* Fuzzes the ack parser: no split of the bytes may change what it reports, and its text stays
 * bounded. Relies on uploader/ack. Leaves expected results to tests/unit/test_ack.c. */
#include "uploader/ack.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mix(uint64_t *hash, const void *p, size_t n)
{
    const uint8_t *bytes = p;
    for (size_t i = 0; i < n; i++)
        *hash = (*hash ^ bytes[i]) * UINT64_C(1099511628211);
}

static uint64_t run(const uint8_t *data, size_t size, size_t step)
{
    struct ack_parser p;
    uint64_t hash = 1;
    ack_parser_init(&p);
    for (size_t at = 0; at < size; at += step) {
        const char *text = (const char *)data + at;
        size_t left = size - at < step ? size - at : step;
        enum ack_result r;
        struct ack a;
        while ((r = ack_parser_next(&p, &text, &left, &a)) != ACK_MORE) {
            mix(&hash, &r, sizeof r);
            if (r != ACK_ITEM) {
                if (!ack_parser_error(&p)[0])
                    abort();
                continue;
            }
            if (a.event <= ACK_NONE || a.event > ACK_IDLE || strlen(a.number) > 128)
                abort();
            mix(&hash, &a.event, sizeof a.event);
            mix(&hash, &a.timecode, sizeof a.timecode);
            mix(&hash, a.number, strlen(a.number));
        }
    }
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t whole = run(data, size, size ? size : 1);
    if (run(data, size, 1) != whole || run(data, size, 7) != whole)
        abort();
    return 0;
}
