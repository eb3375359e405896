/* kvpipe get-media STREAM: the media of a stream as one Matroska document, to a file or a player.
 * Relies on service and mkv_merge; writes where it reads, so a slow player slows the endpoint down.
 * Leaves playing it to others. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/command.h"
#include "cli/service.h"
#include "cli/when.h"
#include "common/clock.h"
#include "media/mkv_merge.h"

#define TOKEN_MAX 129
#define PAUSE_MAX_MS 5000

struct get {
    const char *config, *stream, *from, *to, *after, *token, *file;
    bool server_clock, follow, raw;
    int64_t to_ns; /* 0: until it has caught up, or never when it follows */

    int fd, write_error;
    struct mkv_merge merge;
    char resume[TOKEN_MAX]; /* token of the last whole chunk, "" before the first */
    char error[16], text[256];
    bool got;   /* since the last request */
    bool ended; /* all that was wanted is out */
};

/* ---- what comes ---- */

static int write_all(struct get *g, const void *data, size_t len)
{
    const char *p = data;
    while (len) {
        ssize_t n = write(g->fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            g->write_error = errno;
            return -errno;
        }
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int on_out(void *arg, const void *data, size_t len)
{
    struct get *g = arg;
    return g->raw ? 0 : write_all(g, data, len);
}

static bool is_behind(const struct get *g, const struct mkv_tag *t)
{
    const char *name = g->server_clock ? "AWS_KINESISVIDEO_SERVER_TIMESTAMP"
                                       : "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP";
    return g->to_ns && strcmp(t->name, name) == 0 &&
           strtod(t->value, NULL) * 1000 > (double)(g->to_ns / NS_PER_MS);
}

static int on_tags(void *arg, const struct mkv_tag *tags, unsigned n)
{
    struct get *g = arg;
    for (unsigned i = 0; i < n; i++) {
        if (is_behind(g, &tags[i])) {
            g->ended = true;
            return -ECANCELED;
        }
        if (!g->follow && !g->to_ns && strcmp(tags[i].value, "0") == 0 &&
            strcmp(tags[i].name, "AWS_KINESISVIDEO_MILLIS_BEHIND_NOW") == 0)
            g->ended = true; /* with this chunk */
        if (strcmp(tags[i].name, "AWS_KINESISVIDEO_CONTINUATION_TOKEN") == 0)
            snprintf(g->resume, sizeof g->resume, "%s", tags[i].value);
        else if (strcmp(tags[i].name, "AWS_KINESISVIDEO_ERROR_ID") == 0)
            snprintf(g->error, sizeof g->error, "%s", tags[i].value);
        else if (strcmp(tags[i].name, "AWS_KINESISVIDEO_ERROR_CODE") == 0)
            snprintf(g->text, sizeof g->text, "%s", tags[i].value);
    }
    return 0;
}

static const struct mkv_merge_ops merge_ops = {on_out, on_tags};

static int on_data(void *arg, const void *data, size_t len)
{
    struct get *g = arg;
    g->got = true;
    if (g->raw && write_all(g, data, len) < 0)
        return -1;
    int r = mkv_merge_feed(&g->merge, data, len);
    if (r < 0 && !g->write_error && !g->ended)
        fprintf(stderr, "kvpipe: what the endpoint sends is no Matroska as GetMedia answers\n");
    return g->ended ? -ECANCELED : r;
}

/* ---- what is asked ---- */

static json_t *selector(const struct get *g)
{
    int64_t ns;
    if (*g->resume)
        return json_pack("{s:s, s:s}", "StartSelectorType", "CONTINUATION_TOKEN",
                         "ContinuationToken", g->resume);
    if (g->token)
        return json_pack("{s:s, s:s}", "StartSelectorType", "CONTINUATION_TOKEN",
                         "ContinuationToken", g->token);
    if (g->after)
        return json_pack("{s:s, s:s}", "StartSelectorType", "FRAGMENT_NUMBER",
                         "AfterFragmentNumber", g->after);
    if (!g->from || strcmp(g->from, "now") == 0)
        return json_pack("{s:s}", "StartSelectorType", "NOW");
    if (strcmp(g->from, "earliest") == 0)
        return json_pack("{s:s}", "StartSelectorType", "EARLIEST");
    if (when_parse("--from", g->from, clock_wall_ns(), &ns) < 0)
        return NULL;
    return json_pack("{s:s, s:f}", "StartSelectorType",
                     g->server_clock ? "SERVER_TIMESTAMP" : "PRODUCER_TIMESTAMP", "StartTimestamp",
                     (double)(ns / NS_PER_MS) / 1000);
}

/* Returns 0 to ask on, 1 when it is over, -1 after printing what is wrong. */
static int once(struct service *s, struct get *g)
{
    json_t *start = selector(g);
    json_t *body =
        start ? json_pack("{s:s, s:o}", "StreamName", g->stream, "StartSelector", start) : NULL;
    if (!body)
        return -1;
    g->got = false;
    g->error[0] = '\0';
    enum service_end end = service_stream(s, "GET_MEDIA", "/getMedia", g->stream, body, on_data, g);
    mkv_merge_cut(&g->merge);
    if (g->write_error == EPIPE) /* the player was closed */
        return 1;
    if (g->write_error)
        return fprintf(stderr, "kvpipe: %s: %s\n", g->file ? g->file : "standard output",
                       strerror(g->write_error)),
               -1;
    if (g->ended)
        return 1;
    if (end == SERVICE_REFUSED || end == SERVICE_STOPPED)
        return -1;
    if (*g->error && strcmp(g->error, "4000") == 0)
        return fprintf(stderr,
                       "kvpipe: the fragment to go on after is not there any more (or never was); "
                       "start with --from earliest or a time\n"),
               -1;
    if (*g->error)
        return fprintf(stderr, "kvpipe: the endpoint stopped with error %s %s\n", g->error,
                       g->text),
               -1;
    if (!g->follow)
        return end == SERVICE_ENDED ? 1 : -1;
    return 0;
}

static void pause_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

static int get(struct service *s, struct get *g)
{
    int r, wait = 0;
    mkv_merge_init(&g->merge, &merge_ops, g);
    while ((r = once(s, g)) == 0) {
        wait = g->got ? 250 : wait ? wait * 2 : 250;
        wait = wait > PAUSE_MAX_MS ? PAUSE_MAX_MS : wait;
        pause_ms(wait);
    }
    mkv_merge_fini(&g->merge);
    return r;
}

/* ---- the command line ---- */

static void usage(void)
{
    command_usage(&cmd_get_media);
    fprintf(
        stderr,
        "  --from now|earliest|TIME  where to start: 90s, 30m, 12h, 7d ago or 2026-01-31T12:00\n"
        "  --after NUMBER            behind the fragment of that number\n"
        "  --token TOKEN             behind the chunk that gave it\n"
        "  --server-clock            TIME is when the endpoint got it, not when it was filmed\n"
        "  --follow                  go on with what comes (as from now)\n"
        "  --raw                     a document for each fragment, as the endpoint answers\n"
        "  -o FILE                   not to standard output\n");
}

static int parse(int argc, char **argv, struct get *g)
{
    const struct arg args[] = {{"-c", .value = &g->config},
                               {"-o", .value = &g->file},
                               {"--from", .value = &g->from},
                               {"--to", .value = &g->to},
                               {"--after", .value = &g->after},
                               {"--token", .value = &g->token},
                               {"--server-clock", .flag = &g->server_clock},
                               {"--follow", .flag = &g->follow},
                               {"--raw", .flag = &g->raw},
                               {.name = NULL}};
    if (args_parse(argc, argv, args, &g->stream) < 0)
        return usage(), -1;
    if (!!g->from + !!g->after + !!g->token > 1)
        return fprintf(stderr, "kvpipe: one of --from, --after and --token says where to start\n"),
               -1;
    if (g->to && when_parse("--to", g->to, clock_wall_ns(), &g->to_ns) < 0)
        return -1;
    if (g->to && (g->raw || g->follow))
        return fprintf(stderr, "kvpipe: --to does not go with --raw or --follow\n"), -1;
    if (!g->to && !g->after && !g->token && (!g->from || strcmp(g->from, "now") == 0))
        g->follow = true;
    return 0;
}

static int open_output(struct get *g)
{
    if (!g->file || strcmp(g->file, "-") == 0) {
        g->fd = STDOUT_FILENO;
        if (!isatty(g->fd))
            return 0;
        fprintf(
            stderr,
            "kvpipe: this would be bytes on a terminal; play them: kvpipe get-media %s | ffplay "
            "-, or keep them: -o FILE\n",
            g->stream);
        return -1;
    }
    g->fd = open(g->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (g->fd < 0)
        fprintf(stderr, "kvpipe: %s: %s\n", g->file, strerror(errno));
    return g->fd < 0 ? -1 : 0;
}

static int run(int argc, char **argv)
{
    struct get g = {.fd = -1};
    if (parse(argc, argv, &g) < 0)
        return 2;
    struct service *s = service_open(g.config);
    if (!s || open_output(&g) < 0) {
        service_close(&s);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int r = get(s, &g);
    if (close(g.fd) < 0 && r >= 0) {
        fprintf(stderr, "kvpipe: %s: %s\n", g.file ? g.file : "standard output", strerror(errno));
        r = -1;
    }
    service_close(&s);
    return r < 0 ? 1 : 0;
}

const struct command cmd_get_media = {"get-media", "[-c FILE] STREAM [OPTIONS]",
                                      "its media as Matroska, to a file or a player", run};
