/* kvpipe keys init DIR [NAME...]: key pairs for encrypted links.
 * Relies on curve_keys.
 * Leaves carrying the files to where they are needed to the person who asked. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "common/curve_keys.h"

static int make(const char *dir, const char *name)
{
    int r = curve_keys_make(dir, name);
    if (r < 0) {
        fprintf(stderr, "kvpipe: keys of '%s' in %s: %s\n", name, dir,
                r == -EINVAL ? "the .secret that is there holds no key; move it away"
                             : strerror(-r));
        return r;
    }
    printf("%-8s %s/%s.secret, %s.pub\n", r ? "made" : "kept", dir, name, name);
    return 0;
}

static int run(int argc, char **argv)
{
    if (argc < 3 || strcmp(argv[1], "init") != 0 || argv[2][0] == '-')
        return command_usage(&cmd_keys);
    for (int i = 3; i < argc; i++)
        if (!curve_keys_name_ok(argv[i])) {
            fprintf(
                stderr,
                "kvpipe: '%s' is not a name of keys; expected STAGE or STAGE.LABEL, of capture, "
                "encoder, muxer, uploader, monitor, server\n",
                argv[i]);
            return 2;
        }
    int r = 0;
    for (int i = 3; r == 0 && i < argc; i++)
        r = make(argv[2], argv[i]);
    for (unsigned i = 0; r == 0 && argc == 3 && curve_stages[i]; i++)
        r = make(argv[2], curve_stages[i]);
    if (r < 0)
        return 1;
    printf(
        "\nIn the config:  link: {keys: %s}\nEach host needs STAGE.secret of the stages that run "
        "there, and the .pub of their neighbours.\n",
        argv[2]);
    return 0;
}

const struct command cmd_keys = {"keys", "init DIR [NAME...]",
                                 "make key pairs for links between hosts", run};
