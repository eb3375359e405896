/* kvpipe check FILE: says what is wrong with a config, or that nothing is.
 * Relies on conf.
 * Leaves cameras, ports and credentials to the stages: they can come and go. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "common/conf.h"

static int run(int argc, char **argv)
{
    struct conf *conf;
    if (argc != 2 || argv[1][0] == '-')
        return command_usage(&cmd_check);
    if (conf_load(argv[1], &conf) < 0)
        return 2;
    int r = conf_check_files(conf, stderr);
    if (r == 0)
        printf("%s: configuration OK: %u stream%s to %s%s\n", argv[1], conf->streams_count,
               conf->streams_count == 1 ? "" : "s", conf->endpoint.url,
               conf->endpoint.own ? " (own server)" : "");
    conf_free(&conf);
    return r < 0 ? 2 : 0;
}

const struct command cmd_check = {"check", "FILE",
                                  "say what is wrong with a config, with file and line", run};
