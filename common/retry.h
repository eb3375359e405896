/* How long to wait before trying again: exponential, with a maximum and jitter.
 * Relies on nothing: time and random numbers are passed in.
 * Leaves timers to its users. */
#ifndef KVPIPE_COMMON_RETRY_H
#define KVPIPE_COMMON_RETRY_H

#include <stdint.h>

struct retry_conf {
    int64_t first_ns, max_ns;
    int64_t reset_ns; /* what worked for so long was a success: begin with first_ns again */
};

struct retry {
    const struct retry_conf *conf;
    unsigned failures;
    int64_t worked_since_ns; /* 0: not working */
};

void retry_init(struct retry *r, const struct retry_conf *conf);
/* It works from now on. */
void retry_works(struct retry *r, int64_t now_ns);
/* It failed; returns how long to wait: between half and all of first_ns * 2^failures, at most
 * max_ns. `random` is any 64 bits. */
int64_t retry_failed(struct retry *r, int64_t now_ns, uint64_t random);

#endif
