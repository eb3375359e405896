/* Fragment numbers: 47 decimal digits on the wire, a 63-bit sequence inside.
 * Relies on nothing.
 * Leaves the choice of the next sequence to the store. */
#include "server/fragment_number.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "91343852333181432"
#define PREFIX_LEN 17
#define DIGITS 47

void fragment_number_format(int64_t seq, char out[FRAGMENT_NUMBER_LEN])
{
    snprintf(out, FRAGMENT_NUMBER_LEN, PREFIX "%030" PRId64, seq < 0 ? 0 : seq);
}

int fragment_number_parse(const char *text, int64_t *seq)
{
    size_t n = strlen(text);
    if (n < 1 || n > 128 || strspn(text, "0123456789") != n)
        return -EINVAL;
    while (*text == '0')
        text++, n--;
    int order = n != DIGITS ? (n < DIGITS ? -1 : 1) : memcmp(text, PREFIX, PREFIX_LEN);
    if (order) {
        *seq = order < 0 ? -1 : INT64_MAX;
        return 0;
    }
    int64_t value = 0;
    for (const char *p = text + PREFIX_LEN; *p; p++) {
        if (value > (INT64_MAX - (*p - '0')) / 10) {
            *seq = INT64_MAX;
            return 0;
        }
        value = value * 10 + (*p - '0');
    }
    *seq = value;
    return 0;
}
