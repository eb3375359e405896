/* The arguments of a subcommand: options with and without values, and at most one word.
 * Relies on nothing.
 * Leaves the meaning of values to the commands. */
#include "cli/args.h"

#include <stddef.h>
#include <string.h>

static const struct arg *find(const struct arg *args, const char *name)
{
    for (; args->name; args++)
        if (strcmp(args->name, name) == 0)
            return args;
    return NULL;
}

int args_parse(int argc, char **argv, const struct arg *args, const char **word)
{
    for (int i = 1; i < argc; i++) {
        const struct arg *a = find(args, argv[i]);
        if (a && a->flag)
            *a->flag = true;
        else if (a && i + 1 < argc)
            *a->value = argv[++i];
        else if (a || argv[i][0] == '-' || !word || *word)
            return -1;
        else
            *word = argv[i];
    }
    return word && !*word ? -1 : 0;
}
