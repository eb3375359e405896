/* kvpipe fragments STREAM: what of a stream is archived at the endpoint.
 * Relies on service.
 * Leaves the fragments' media to cmd_get_media.c. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/command.h"
#include "cli/service.h"
#include "cli/view.h"
#include "cli/when.h"
#include "common/clock.h"

#define PAGES_MAX 10000 /* of 1000 fragments: more than any archive has */

struct options {
    const char *stream, *config;
    int64_t from_ns, to_ns;
    bool server_clock, json;
};

static int parse(int argc, char **argv, struct options *o)
{
    int64_t now = clock_wall_ns();
    const char *from = NULL, *to = NULL;
    const struct arg args[] = {
        {"-c", .value = &o->config},  {"--from", .value = &from},
        {"--to", .value = &to},       {"--server-clock", .flag = &o->server_clock},
        {"--json", .flag = &o->json}, {.name = NULL}};
    o->to_ns = now + 86400 * NS_PER_S; /* as far ahead as the service takes any */
    if (args_parse(argc, argv, args, &o->stream) < 0)
        return command_usage(&cmd_fragments), -1;
    if ((from && when_parse("--from", from, now, &o->from_ns) < 0) ||
        (to && when_parse("--to", to, now, &o->to_ns) < 0))
        return -1;
    if (o->to_ns < o->from_ns)
        return fprintf(stderr, "kvpipe: --to is before --from\n"), -1;
    return 0;
}

static json_t *request(const struct options *o, json_t *token)
{
    json_t *body = json_pack("{s:s, s:i}", "StreamName", o->stream, "MaxResults", 1000);
    if (token)
        json_object_set(body, "NextToken", token);
    else
        json_object_set_new(body, "FragmentSelector",
                            json_pack("{s:s, s:{s:f, s:f}}", "FragmentSelectorType",
                                      o->server_clock ? "SERVER_TIMESTAMP" : "PRODUCER_TIMESTAMP",
                                      "TimestampRange", "StartTimestamp",
                                      (double)(o->from_ns / NS_PER_MS) / 1000, "EndTimestamp",
                                      (double)(o->to_ns / NS_PER_MS) / 1000));
    return body;
}

static int list(struct service *s, const struct options *o, json_t *all)
{
    json_t *answer, *token = NULL;
    int r = 0;
    for (int page = 0; r == 0 && page < PAGES_MAX; page++) {
        r = service_data(s, "LIST_FRAGMENTS", "/listFragments", o->stream, request(o, token),
                         &answer);
        json_decref(token);
        token = NULL;
        if (r < 0)
            break;
        json_array_extend(all, json_object_get(answer, "Fragments"));
        token = json_incref(json_object_get(answer, "NextToken"));
        json_decref(answer);
        if (!json_is_string(token))
            break;
    }
    json_decref(token);
    return r;
}

/* Numbers of equal length compare as text. */
static int by_number(const void *a, const void *b)
{
    const char *x = view_text(*(json_t *const *)a, "FragmentNumber"),
               *y = view_text(*(json_t *const *)b, "FragmentNumber");
    size_t m = strlen(x), n = strlen(y);
    return m != n ? (m < n ? -1 : 1) : strcmp(x, y);
}

/* The answer has no order, not even from page to page. */
static json_t *sorted(const json_t *all)
{
    size_t n = json_array_size(all), i;
    json_t **list = calloc(n + 1, sizeof *list), *out = json_array(), *o;
    json_array_foreach(all, i, o) list[i] = o;
    qsort(list, n, sizeof *list, by_number);
    for (i = 0; i < n; i++)
        json_array_append(out, list[i]);
    free(list);
    return out;
}

static void print(const json_t *all, const char *stream)
{
    double bytes = 0, ms = 0;
    const json_t *o;
    size_t i;
    json_array_foreach(all, i, o)
    {
        char at[40];
        when_print((int64_t)(view_number(o, "ProducerTimestamp") * 1000 + 0.5) * NS_PER_MS, at);
        double length = view_number(o, "FragmentLengthInMilliseconds"),
               size = view_number(o, "FragmentSizeInBytes");
        printf("%s  %7.2f s  %9.0f bytes  %s\n", at, length / 1000, size,
               view_text(o, "FragmentNumber"));
        bytes += size;
        ms += length;
    }
    printf("%s: %zu fragments, %.1f s, %.1f MB (times are UTC, by the producer's clock)\n", stream,
           json_array_size(all), ms / 1000, bytes / 1e6);
}

static int run(int argc, char **argv)
{
    struct options o = {0};
    if (parse(argc, argv, &o) < 0)
        return 2;
    struct service *s = service_open(o.config);
    if (!s)
        return 2;
    json_t *all = json_array(), *list_ = NULL;
    int r = list(s, &o, all);
    if (r == 0) {
        list_ = sorted(all);
        if (o.json)
            json_dumpf(list_, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
        else
            print(list_, o.stream);
    }
    json_decref(list_);
    json_decref(all);
    service_close(&s);
    return r < 0 ? 1 : 0;
}

const struct command cmd_fragments = {
    "fragments", "[-c FILE] STREAM [--from TIME] [--to TIME] [--server-clock] [--json]",
    "what of it is archived", run};
