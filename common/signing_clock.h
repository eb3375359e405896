/* The time that requests are signed with: this machine's, or the service's where its answers show
 * that the machine's clock is wrong. Relies on nothing: every time is passed in.
 * Leaves reading clocks and headers, and saying it in the log, to api.c. */
#ifndef KVPIPE_COMMON_SIGNING_CLOCK_H
#define KVPIPE_COMMON_SIGNING_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* So far a Date may be from a clock that somebody has set: a signature for a time far ahead would
 * be good for whoever catches it, when that time comes. */
#define SIGNING_CLOCK_MOST_S 86400
#define SIGNING_CLOCK_LEAST_S 30 /* less is no difference: the service accepts 15 minutes */
#define SIGNING_CLOCK_PAUSE_S 60 /* between two corrections: a Date that jumps is not followed */
/* 2024-01-01: older than this program. A machine that shows less has no clock, and takes any Date
 * up to 2100; a service that says less is wrong. */
#define SIGNING_CLOCK_FLOOR INT64_C(1704067200)

struct signing_clock { /* zeroed: the machine's clock is right */
    bool corrected;
    time_t service, steady; /* at the last correction */
};

/* Both clocks of the machine, read together, in seconds: one that people set, and one that only
 * goes on, also while the machine sleeps (CLOCK_BOOTTIME). */
struct signing_clock_now {
    time_t wall, steady;
};

enum signing_clock_result {
    SIGNING_CLOCK_SAME,      /* the Date agrees with the time signed with */
    SIGNING_CLOCK_CORRECTED, /* another time from now on */
    SIGNING_CLOCK_ABSURD,    /* not followed: unreadable, or too far away to be believed */
    SIGNING_CLOCK_UNSTEADY,  /* not followed: a correction was just made */
};

time_t signing_clock_time(const struct signing_clock *c, struct signing_clock_now now);
/* Takes the Date header (RFC 9110 5.6.7, hostile) of an answer that refused a request. */
enum signing_clock_result signing_clock_learn(struct signing_clock *c, const char *date,
                                              struct signing_clock_now now);

#endif
