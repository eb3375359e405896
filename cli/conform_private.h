/* What the files of the kit share: conform_kit.c (sockets, time), conform_above.c and
 * conform_below.c (its two ends). Relies on conform.h. */
#ifndef KVPIPE_CLI_CONFORM_PRIVATE_H
#define KVPIPE_CLI_CONFORM_PRIVATE_H

#include "cli/conform.h"

/* Notes what no stage may ever do. The first of them counts. */
void conform_fault(struct conform_kit *k, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Waits a moment for messages, takes what came, beats when it is time. */
void conform_turn(struct conform_kit *k);

/* A message came up, from the connection with this id. */
void conform_above_heard(struct conform_kit *k, const struct link_msg *m, const uint8_t *id,
                         size_t len);
void conform_above_beat(struct conform_kit *k);
/* A message came down to an inlet. */
void conform_below_heard(struct conform_kit *k, unsigned inlet, const struct link_msg *m);
void conform_below_beat(struct conform_kit *k, unsigned inlet);

#endif
