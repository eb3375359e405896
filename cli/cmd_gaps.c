/* kvpipe gaps STREAM: what is missing from a stream's archive, when, why, and how many frames.
 * Relies on the monitor's JSON, or on the spool's ledger where no monitor runs.
 * Leaves the ledger to the uploader. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/fetch.h"
#include "cli/target.h"
#include "cli/when.h"
#include "common/clock.h"
#include "common/conf.h"
#include "common/gaps.h"

struct options {
    const char *stream, *config;
    int64_t since_ns;
    bool json;
};

static int parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            o->json = true;
        else if (strcmp(argv[i], "--since") == 0 && i + 1 < argc) {
            if (when_parse("--since", argv[++i], clock_wall_ns(), &o->since_ns) < 0)
                return -1;
        } else if (argv[i][0] == '-' || o->stream)
            return command_usage(&cmd_gaps), -1;
        else
            o->stream = argv[i];
    }
    return o->stream ? 0 : (command_usage(&cmd_gaps), -1);
}

static const char *config_of(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "-c") == 0)
            return argv[i + 1];
    return NULL;
}

/* Without a monitor: the ledger lies in the config's spool. Returns as an HTTP status. */
static int read_here(const struct options *o, json_t **out)
{
    struct conf *conf;
    if (conf_load(o->config, &conf) < 0)
        return -1;
    int r = 404;
    for (unsigned i = 0; i < conf->streams_count; i++)
        if (strcmp(conf->streams[i].name, o->stream) == 0)
            r = gaps_read(conf->spool.dir, o->stream, o->since_ns, out) == 0 ? 200 : 500;
    conf_free(&conf);
    return r;
}

static void print_gap(const json_t *g)
{
    int64_t start = json_integer_value(json_object_get(g, "start_ns"));
    int64_t end = json_integer_value(json_object_get(g, "end_ns"));
    json_int_t count = json_integer_value(json_object_get(g, "count"));
    const char *reason = json_string_value(json_object_get(g, "reason"));
    char text[40];
    when_print(start, text);
    printf("%s %9.1f s  track %d  ", text, (double)(end - start) / NS_PER_S,
           (int)json_integer_value(json_object_get(g, "track")));
    if (count)
        printf("%6lld frames  ", (long long)count);
    else
        printf("never captured ");
    printf("%s\n", reason && strncmp(reason, "refused_", 8) == 0
                       ? reason
                       : gaps_cause_name(gaps_cause_of(reason ? reason : "")));
}

static void print(const json_t *o, const char *stream)
{
    const json_t *gaps = json_object_get(o, "gaps"), *g, *total;
    const char *cause;
    json_int_t intervals = 0, frames = 0;
    size_t i;
    json_array_foreach(gaps, i, g) print_gap(g);
    json_object_foreach((json_t *)json_object_get(o, "totals"), cause, total)
    {
        intervals += json_integer_value(json_object_get(total, "intervals"));
        frames += json_integer_value(json_object_get(total, "frames"));
    }
    if (!intervals)
        printf("%s: nothing is missing\n", stream);
    else
        printf("%s: %zu shown; in all %lld gaps, %lld captured frames missing (times are UTC)\n",
               stream, json_array_size(gaps), (long long)intervals, (long long)frames);
}

static int run(int argc, char **argv)
{
    struct options o = {.config = config_of(argc, argv)};
    json_t *gaps = NULL;
    char *base = target_take(&argc, argv);
    if (!base || parse(argc, argv, &o) < 0) {
        free(base);
        return 2;
    }
    int r = fetch_gaps(base, o.stream, o.since_ns, &gaps);
    if (r < 0 && o.config)
        r = read_here(&o, &gaps);
    else if (r < 0)
        target_silent(base, r);
    if (gaps && o.json) /* one object, indented, for other programs */
        json_dumpf(gaps, stdout, JSON_INDENT(1));
    else if (gaps)
        print(gaps, o.stream);
    else if (r == 404)
        fprintf(stderr, "kvpipe: the pipeline has no stream '%s'\n", o.stream);
    else if (r > 0)
        fprintf(stderr, "kvpipe: the ledger of '%s' cannot be read (see the monitor's log)\n",
                o.stream);
    json_decref(gaps);
    free(base);
    return gaps ? 0 : 1;
}

const struct command cmd_gaps = {"gaps", "[-c FILE | URL] STREAM",
                                 "what is missing from its archive, and why", run};
