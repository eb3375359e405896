/* kvpipe status: a table of processes and a line per stream, once or kept up to date.
 * Relies on the monitor's JSON.
 * Leaves the looks to view.c. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/fetch.h"
#include "cli/target.h"
#include "cli/view.h"

#define CLEAR "\033[H\033[2J"

static int show(const char *base, bool clear)
{
    json_t *status;
    int r = fetch_status(base, &status);
    if (clear && isatty(STDOUT_FILENO))
        fputs(CLEAR, stdout);
    if (r < 0)
        target_silent(base, r);
    else
        view_status(status);
    json_decref(status);
    fflush(stdout);
    return r;
}

static int run(int argc, char **argv)
{
    char *base = target_take(&argc, argv);
    if (!base)
        return 2;
    bool watch = argc == 2 && (strcmp(argv[1], "--watch") == 0 || strcmp(argv[1], "-w") == 0);
    if (argc != 1 + watch) {
        free(base);
        return command_usage(&cmd_status);
    }
    int r = show(base, watch);
    while (watch) {
        sleep(1);
        show(base, true);
    }
    free(base);
    return r < 0 ? 1 : 0;
}

const struct command cmd_status = {"status", "[-c FILE | URL] [--watch]",
                                   "show processes and streams", run};
