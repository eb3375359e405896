/* What subcommands share in how they speak.
 * Relies on stdio.
 * Leaves the rest to each of them. */
#include "cli/command.h"

#include <stdio.h>

int command_usage(const struct command *c)
{
    fprintf(stderr, "usage: kvpipe %s %s\n%s\n", c->name, c->arguments, c->summary);
    return 2;
}
