/* Which monitor a command talks to.
 * Relies on conf.
 * Leaves the talking to fetch.c. */
#include "cli/target.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/fetch.h"
#include "common/conf.h"
#include "common/mem.h"

#define DEFAULT_BASE "http://127.0.0.1:8481"

static void drop(int *argc, char **argv, int at, int n)
{
    memmove(argv + at, argv + at + n, (size_t)(*argc - at - n) * sizeof *argv);
    *argc -= n;
}

static char *from_config(const char *file)
{
    struct conf *conf;
    if (conf_load(file, &conf) < 0)
        return NULL;
    char *base = fetch_base(conf->monitor.listen);
    conf_free(&conf);
    return base;
}

char *target_take(int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "-c") == 0) {
            if (i + 1 == *argc) {
                fprintf(stderr, "kvpipe: -c needs a config file\n");
                return NULL;
            }
            char *base = from_config(argv[i + 1]);
            drop(argc, argv, i, 2);
            return base;
        }
        if (strncmp(argv[i], "http://", 7) == 0 || strncmp(argv[i], "https://", 8) == 0) {
            char *base = xstrdup(argv[i]);
            drop(argc, argv, i, 1);
            for (size_t len = strlen(base); len && base[len - 1] == '/'; len--)
                base[len - 1] = '\0';
            return base;
        }
    }
    return xstrdup(DEFAULT_BASE);
}

void target_silent(const char *base, int error)
{
    if (error == -ECONNREFUSED)
        fprintf(
            stderr,
            "kvpipe: no monitor at %s; start the pipeline with 'kvpipe run FILE', or say where it "
            "is (-c FILE or http://HOST:PORT)\n",
            base);
    else
        fprintf(stderr, "kvpipe: %s does not answer as a monitor: %s\n", base, strerror(-error));
}
