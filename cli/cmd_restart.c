/* kvpipe restart STAGE: restarts the processes of a stage, or one instance.
 * Relies on the monitor.
 * Leaves draining to the stage: what it holds comes again. */
#include <stdbool.h>
#include <stdlib.h>

#include "cli/ask.h"
#include "cli/command.h"
#include "cli/target.h"

static int run(int argc, char **argv)
{
    char *base = target_take(&argc, argv);
    if (!base)
        return 2;
    bool good = argc == 2 && argv[1][0] != '-';
    const struct ask_field stage = {"stage", argv[argc - 1]};
    int code = good ? ask(base, "restart", &stage, 1) : command_usage(&cmd_restart);
    free(base);
    return code;
}

const struct command cmd_restart = {"restart", "[-c FILE | URL] STAGE",
                                    "restart a stage, or one instance of it", run};
