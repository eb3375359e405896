/* kvpipe metadata STREAM NAME VALUE: puts fragment metadata into the running stream.
 * Relies on the monitor, which passes it to the muxer.
 * Leaves the Tags to the muxer. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/command.h"
#include "cli/target.h"

static bool take_flag(int *argc, char **argv, const char *flag)
{
    for (int i = 1; i < *argc; i++)
        if (strcmp(argv[i], flag) == 0) {
            memmove(argv + i, argv + i + 1, (size_t)(*argc - i - 1) * sizeof *argv);
            (*argc)--;
            return true;
        }
    return false;
}

static int run(int argc, char **argv)
{
    char *base = target_take(&argc, argv);
    if (!base)
        return 2;
    bool persistent = take_flag(&argc, argv, "--persistent");
    int code;
    if (argc != 4 || argv[1][0] == '-') {
        code = command_usage(&cmd_metadata);
    } else {
        const struct ask_field fields[] = {{"stream", argv[1]},
                                           {"name", argv[2]},
                                           {"value", argv[3]},
                                           {"persistent", persistent ? "1" : NULL}};
        code = ask(base, "metadata", fields, sizeof fields / sizeof *fields);
    }
    free(base);
    return code;
}

const struct command cmd_metadata = {"metadata", "[-c FILE | URL] STREAM NAME VALUE [--persistent]",
                                     "put fragment metadata into the stream", run};
