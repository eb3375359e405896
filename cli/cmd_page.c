/* kvpipe page: the address of the status page, with the token that its buttons take.
 * Relies on the monitor, and on being allowed to read its token.
 * Leaves opening it to a browser. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/ask.h"
#include "cli/command.h"
#include "cli/target.h"

static int run(int argc, char **argv)
{
    char *base = target_take(&argc, argv), *address = NULL;
    if (!base)
        return 2;
    int code = 0;
    if (argc != 1)
        code = command_usage(&cmd_page);
    else if ((address = ask_page(base)))
        puts(address);
    else
        code = 1;
    free(address);
    free(base);
    return code;
}

const struct command cmd_page = {"page", "[-c FILE | URL]", "the address of the status page", run};
