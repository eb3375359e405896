/* kvpipe keyframe STREAM: asks for a key frame now.
 * Relies on the monitor, which passes it to the encoder.
 * Leaves it to the encoder when it comes. */
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
    const struct ask_field stream = {"stream", argv[argc - 1]};
    int code = good ? ask(base, "keyframe", &stream, 1) : command_usage(&cmd_keyframe);
    free(base);
    return code;
}

const struct command cmd_keyframe = {"keyframe", "[-c FILE | URL] STREAM",
                                     "ask for a key frame now", run};
