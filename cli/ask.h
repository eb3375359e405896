/* Asks the monitor to do something.
 * Relies on fetch; the token that this takes is read where the monitor keeps it, or in
 * KVPIPE_TOKEN. Leaves the doing to the monitor. */
#ifndef KVPIPE_CLI_ASK_H
#define KVPIPE_CLI_ASK_H

#include <stddef.h>

struct ask_field {
    const char *name, *value; /* value NULL: left out */
};

/* POST BASE/VERB with the fields. Prints what the monitor says, on stderr when it refuses. Returns
 * the exit code. Blocks at most some seconds. */
int ask(const char *base, const char *verb, const struct ask_field *fields, size_t n);
/* The address of the status page with the token, for a browser; caller frees. NULL after saying why
 * there is none. */
char *ask_page(const char *base);

#endif
