/* The part of the screen that `kvpipe run` keeps up to date.
 * Relies on a terminal that knows "cursor up" and "clear to end"; without one, plain lines every 5
 * s. Leaves what the lines say to view.c. */
#ifndef KVPIPE_CLI_LIVE_H
#define KVPIPE_CLI_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct live {
    bool tty;
    int drawn; /* lines on the screen that the next drawing replaces */
    int64_t printed_ns;
};

void live_init(struct live *l);
/* Prints a line that stays. */
void live_say(struct live *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Draws a line per stream, and one per process that is not well. */
void live_show(struct live *l, const json_t *status, int64_t now_ns);

#endif
