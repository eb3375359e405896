/* kvpipe: the command for people. A table of subcommands.
 * Relies on cmd_*.c.
 * Leaves the work to them and to kvpipe-monitor. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "common/log.h"

static const struct command *const commands[] = {
    &cmd_run,      &cmd_reload,  &cmd_check,   &cmd_status,    &cmd_page,      &cmd_events,
    &cmd_gaps,     &cmd_still,   &cmd_streams, &cmd_fragments, &cmd_get_media, &cmd_keyframe,
    &cmd_metadata, &cmd_restart, &cmd_keys,    &cmd_conform,
};
#define COMMANDS (sizeof commands / sizeof *commands)

static void help(FILE *out)
{
    fprintf(out,
            "kvpipe: camera video to Amazon Kinesis Video Streams or to your own endpoint\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  kvpipe %-9s %-25s %s\n", commands[i]->name, commands[i]->arguments,
                commands[i]->summary);
    fprintf(out, "\n  --help, --version\n\nSee kvpipe(1) and kvpipe.yaml(5).\n");
}

int main(int argc, char **argv)
{
    log_init("kvpipe", LOG_WARN);
    if (argc < 2) {
        help(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("kvpipe %s\n", KVPIPE_VERSION);
        return 0;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i]->name) == 0)
            return commands[i]->run(argc - 1, argv + 1);
    fprintf(stderr, "kvpipe: no command '%s'; see kvpipe --help\n", argv[1]);
    return 2;
}
