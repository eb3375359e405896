/* kvpipe events: what happened to the pipeline, and what to do.
 * Relies on the monitor, which keeps the last some hundred.
 * Leaves noticing to it. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/fetch.h"
#include "cli/target.h"
#include "cli/view.h"

#define FOLLOW_US 500000

/* Prints those above `last`. Returns the id of the newest. */
static json_int_t print_all(const json_t *answer, json_int_t last, bool json)
{
    const json_t *events = json_object_get(answer, "events"), *e;
    size_t i;
    json_array_foreach(events, i, e)
    {
        json_int_t id = json_integer_value(json_object_get(e, "id"));
        if (json) {
            json_dumpf(e, stdout, JSON_COMPACT);
            putchar('\n');
        } else {
            view_event(e);
        }
        last = id > last ? id : last;
    }
    fflush(stdout);
    return last;
}

/* A monitor that is started again counts from 1. */
static json_int_t one_look(const char *base, json_int_t last, bool json, int *error)
{
    json_t *answer;
    *error = fetch_events(base, last, &answer);
    if (*error == 0 && json_integer_value(json_object_get(answer, "last")) < last) {
        json_decref(answer);
        last = 0;
        *error = fetch_events(base, 0, &answer);
    }
    if (*error == 0) {
        last = print_all(answer, last, json);
        json_decref(answer);
    }
    return last;
}

static int run(int argc, char **argv)
{
    bool follow = false, json = false;
    char *base = target_take(&argc, argv);
    if (!base)
        return 2;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--follow") == 0 || strcmp(argv[i], "-f") == 0) {
            follow = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else {
            free(base);
            return command_usage(&cmd_events);
        }
    }
    int error = 0;
    json_int_t last = one_look(base, 0, json, &error);
    if (error < 0)
        target_silent(base, error);
    while (error == 0 && follow) {
        int while_away;
        usleep(FOLLOW_US);
        last = one_look(base, last, json, &while_away); /* a monitor that is away comes back */
    }
    free(base);
    return error < 0 ? 1 : 0;
}

const struct command cmd_events = {"events", "[-c FILE | URL] [--follow] [--json]",
                                   "what happened, and what to do", run};
