/* Fragment numbers: 47 decimal digits on the wire, a 63-bit sequence inside.
 * Relies on nothing.
 * Leaves the choice of the next sequence to the store. */
#ifndef KVPIPE_SERVER_FRAGMENT_NUMBER_H
#define KVPIPE_SERVER_FRAGMENT_NUMBER_H

#include <stdint.h>

#define FRAGMENT_NUMBER_LEN 48 /* with NUL */

/* Writes the number of a sequence (>= 0). Numbers compare as text in the order of their sequences.
 */
void fragment_number_format(int64_t seq, char out[FRAGMENT_NUMBER_LEN]);
/* Maps 1 to 128 decimal digits to the greatest sequence whose number is not above them: -1 when
 * there is none, INT64_MAX when all are. Returns 0, or -EINVAL for other text. */
int fragment_number_parse(const char *text, int64_t *seq);

#endif
