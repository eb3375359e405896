/* How fast something may go: so much a second, with a burst. Relies on nothing: the time is passed
 * in. Leaves the choice between refusing and waiting to its users. */
#ifndef KVPIPE_SERVER_RATE_H
#define KVPIPE_SERVER_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate { /* zeroed: nothing was used */
    double used;
    int64_t at_ns;
};

/* Takes n when less than `burst` is in use, else takes nothing and returns false. More than what is
 * left is lent: the next are refused for so much longer. per_s 0: always true. now_ns: a clock that
 * only goes on. */
bool rate_admit(struct rate *r, double per_s, double burst, double n, int64_t now_ns);
/* Takes n in any case. Returns for how many ns no more should be taken, 0 for none. */
int64_t rate_spend(struct rate *r, double per_s, double burst, double n, int64_t now_ns);

#endif
