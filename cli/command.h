/* The subcommands of `kvpipe`.
 * Relies on nothing.
 * Leaves each to its cmd_NAME.c. */
#ifndef KVPIPE_CLI_COMMAND_H
#define KVPIPE_CLI_COMMAND_H

struct command {
    const char *name, *arguments, *summary;
    /* argv[0] is the subcommand's name. Returns the exit code: 0 done, 1 failed, 2 bad arguments or
     * config. */
    int (*run)(int argc, char **argv);
};

extern const struct command cmd_run, cmd_reload, cmd_check, cmd_keys, cmd_conform;
extern const struct command cmd_status, cmd_page, cmd_events, cmd_gaps, cmd_still;
extern const struct command cmd_keyframe, cmd_metadata, cmd_restart;
extern const struct command cmd_streams, cmd_fragments, cmd_get_media;

/* Prints "usage: kvpipe NAME ARGUMENTS" to stderr and returns 2. */
int command_usage(const struct command *c);

#endif
