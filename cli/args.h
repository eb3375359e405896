/* The arguments of a subcommand: options with and without values, and at most one word.
 * Relies on nothing.
 * Leaves the meaning of values to the commands. */
#ifndef KVPIPE_CLI_ARGS_H
#define KVPIPE_CLI_ARGS_H

#include <stdbool.h>

struct arg { /* the last of a list has no name */
    const char *name;
    const char **value; /* or, without one, */
    bool *flag;
};

/* Fills in what argv has; values point into it. word: NULL when the command takes none. Returns 0,
 * or -1 for anything unknown or left out. */
int args_parse(int argc, char **argv, const struct arg *args, const char **word);

#endif
