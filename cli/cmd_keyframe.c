/* kvpipe keyframe STREAM: asks for a key frame now.
 * Relies on the monitor, which passes it to the encoder.
 * Leaves it to the encoder when it comes. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/fetch.h"
#include "cli/target.h"

static int run(int argc, char **argv)
{
    char *base = target_take(&argc, argv);
    if (!base)
        return 2;
    if (argc != 2 || argv[1][0] == '-') {
        free(base);
        return command_usage(&cmd_keyframe);
    }
    int r = fetch_keyframe(base, argv[1]);
    if (r < 0)
        target_silent(base, r);
    else if (r == 404)
        fprintf(stderr, "kvpipe: the pipeline at %s has no stream '%s'\n", base, argv[1]);
    else if (r != 200)
        fprintf(stderr, "kvpipe: no encoder is there to make a key frame (see kvpipe status)\n");
    free(base);
    return r == 200 ? 0 : 1;
}

const struct command cmd_keyframe = {"keyframe", "[-c FILE | URL] STREAM",
                                     "ask for a key frame now", run};
