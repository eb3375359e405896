/* kvpipe streams: the streams at the endpoint.
 * Relies on service.
 * Leaves what is in them to cmd_fragments.c and cmd_get_media.c. */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/command.h"
#include "cli/service.h"
#include "cli/view.h"
#include "cli/when.h"
#include "common/clock.h"

static int list(struct service *s, json_t *all)
{
    json_t *answer, *token = NULL;
    do {
        json_t *body = json_pack("{s:i}", "MaxResults", 1000);
        if (token)
            json_object_set_new(body, "NextToken", token);
        if (service_control(s, "/listStreams", "", body, &answer) < 0)
            return -1;
        json_array_extend(all, json_object_get(answer, "StreamInfoList"));
        token = json_incref(json_object_get(answer, "NextToken"));
        if (!json_is_string(token)) {
            json_decref(token);
            token = NULL;
        }
        json_decref(answer);
    } while (token);
    return 0;
}

static void print(const json_t *all)
{
    const json_t *o;
    size_t i;
    int width = 6;
    json_array_foreach(all, i, o)
    {
        int n = (int)strlen(view_text(o, "StreamName"));
        width = n > width ? n : width;
    }
    width = width > 64 ? 64 : width;
    if (json_array_size(all))
        printf("%-*s  %-8s  %9s  %-21s  %s\n", width, "STREAM", "STATUS", "RETENTION",
               "CREATED (UTC)", "MEDIA");
    json_array_foreach(all, i, o)
    {
        char created[40];
        when_print((int64_t)(view_number(o, "CreationTime") * NS_PER_S), created);
        printf("%-*s  %-8s  %7.0f h  %-21s  %s\n", width, view_text(o, "StreamName"),
               view_text(o, "Status"), view_number(o, "DataRetentionInHours"), created,
               view_text(o, "MediaType"));
    }
}

static int run(int argc, char **argv)
{
    const char *config = NULL;
    bool json = false;
    const struct arg args[] = {{"-c", .value = &config}, {"--json", .flag = &json}, {.name = NULL}};
    if (args_parse(argc, argv, args, NULL) < 0)
        return command_usage(&cmd_streams);
    struct service *s = service_open(config);
    if (!s)
        return 2;
    json_t *all = json_array();
    int r = list(s, all);
    if (r == 0 && json)
        json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
    else if (r == 0)
        print(all);
    json_decref(all);
    service_close(&s);
    return r < 0 ? 1 : 0;
}

const struct command cmd_streams = {"streams", "[-c FILE] [--json]", "the streams at the endpoint",
                                    run};
