/* kvpipe status: a table of processes and a line per stream.
 * Relies on the monitor's JSON.
 * Leaves the looks to view.c. */
#include <stdlib.h>

#include "cli/command.h"
#include "cli/fetch.h"
#include "cli/target.h"
#include "cli/view.h"

static int run(int argc, char **argv)
{
    json_t *status;
    char *base = target_take(&argc, argv);
    if (!base)
        return 2;
    if (argc != 1) {
        free(base);
        return command_usage(&cmd_status);
    }
    int r = fetch_status(base, &status);
    if (r < 0)
        target_silent(base, r);
    else
        view_status(status);
    json_decref(status);
    free(base);
    return r < 0 ? 1 : 0;
}

const struct command cmd_status = {"status", "[-c FILE | URL]", "show processes and streams", run};
