/* The life of a process: arguments, config, pid file, loop, signals, reports, drain, exit code.
 * Relies on libevent, conf, report, pidfile.
 * Leaves what the process does to its struct stage_ops. */
#include "common/stage.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/thread.h>

#include "common/conf_slice.h"
#include "common/dirs.h"
#include "common/health.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/notify.h"
#include "common/pidfile.h"
#include "common/report.h"
#include "common/stage_reload.h"
#include "common/stage_sandbox.h"
#include "common/watchdog.h"

#define DRAIN_DEADLINE_S 4

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

struct options {
    const char *file, *stream, *instance;
    const char *healthy; /* run directory of the process that is asked */
    bool check, verbose;
};

/* What the runtime keeps beside the public part. */
struct runtime {
    struct stage stage; /* first: stage pointers are turned back into runtime pointers */
    struct event *term, *interrupt, *hangup, *deadline;
    struct watchdog *watchdog;
    struct health *health;
    int pid_file;
    int exit_code;
    bool quit, ready;
};

static const struct {
    struct option option;
    const char *argument, *help;
} option_table[] = {
    {{"config", required_argument, NULL, 'c'}, "FILE", "the pipeline's YAML file (required)"},
    {{"check", no_argument, NULL, 'n'}, "", "check the config and exit"},
    {{"stream", required_argument, NULL, 's'}, "NAME", "serve this stream alone"},
    {{"instance", required_argument, NULL, 'i'}, "NAME", "name of this process (NAME-HOST-1)"},
    {{"verbose", no_argument, NULL, 'v'}, "", "log at level debug"},
    {{"healthy", required_argument, NULL, 'H'}, "RUN", "ask the one that runs: 0 when it is well"},
    {{"help", no_argument, NULL, 'h'}, "", "show this and exit"},
    {{"version", no_argument, NULL, 'V'}, "", "show the version and exit"},
};
#define OPTIONS (sizeof option_table / sizeof *option_table)

static void print_help(const struct stage_ops *ops)
{
    printf("kvpipe-%s: %s\n\nusage: kvpipe-%s -c FILE [options]\n\n", ops->name, ops->summary,
           ops->name);
    for (size_t i = 0; i < OPTIONS; i++)
        printf("  -%c, --%-8s %-5s %s\n", option_table[i].option.val, option_table[i].option.name,
               option_table[i].argument, option_table[i].help);
    printf("\nExit codes: 0 done or drained, 1 failed at run time, 2 bad arguments or config.\n"
           "See kvpipe-%s(1) and kvpipe.yaml(5).\n",
           ops->name);
}

/* Returns -1 to go on, else the exit code. */
static int parse_arguments(int argc, char **argv, const struct stage_ops *ops, struct options *o)
{
    struct option longs[OPTIONS + 1] = {{0}};
    int c;
    for (size_t i = 0; i < OPTIONS; i++)
        longs[i] = option_table[i].option;
    optind = 0; /* tests call this more than once in a process */
    while ((c = getopt_long(argc, argv, "c:ns:i:vH:hV", longs, NULL)) != -1) {
        switch (c) {
        case 'c':
            o->file = optarg;
            break;
        case 'n':
            o->check = true;
            break;
        case 's':
            o->stream = optarg;
            break;
        case 'i':
            o->instance = optarg;
            break;
        case 'v':
            o->verbose = true;
            break;
        case 'H':
            o->healthy = optarg;
            break;
        case 'h':
            print_help(ops);
            return EXIT_OK;
        case 'V':
            printf("kvpipe-%s %s\n", ops->name, KVPIPE_VERSION);
            return EXIT_OK;
        default:
            fprintf(stderr, "see kvpipe-%s --help\n", ops->name);
            return EXIT_USAGE;
        }
    }
    if (optind < argc)
        fprintf(stderr, "kvpipe-%s: unexpected argument '%s'; see --help\n", ops->name,
                argv[optind]);
    else if (!o->file && !o->healthy)
        fprintf(stderr, "kvpipe-%s: no config; expected -c FILE\n", ops->name);
    else
        return -1;
    return EXIT_USAGE;
}

static int set_instance(struct stage *st, const char *given)
{
    char host[65] = "";
    int n;
    gethostname(host, sizeof host - 1);
    if (given)
        n = snprintf(st->instance, sizeof st->instance, "%s", given);
    else
        n = snprintf(st->instance, sizeof st->instance, "%s-%s-1", st->ops->name,
                     *host ? host : "localhost");
    bool ok = n > 0 && (size_t)n < sizeof st->instance && st->instance[0] != '.';
    for (const char *p = st->instance; *p; p++)
        ok = ok && (isalnum((unsigned char)*p) || strchr("_.-", *p));
    if (ok)
        return 0;
    fprintf(stderr,
            "kvpipe-%s: instance name '%.32s' is not allowed; expected 1 to 128 of letters, "
            "digits, '_', '.', '-', not beginning with '.'\n",
            st->ops->name, given ? given : host);
    return -EINVAL;
}

/* For probes: needs no config, as the process may well run on while the file is being edited.
 * Returns the exit code. */
static int ask(struct stage *st, const struct options *o)
{
    char state[HEALTH_STATE_MAX] = "";
    if (set_instance(st, o->instance) < 0)
        return EXIT_USAGE;
    int r = health_ask(o->healthy, st->instance, state);
    if (r == -ETIMEDOUT)
        printf("%s hangs: its loop stands still for %d s\n", st->instance, HEALTH_WAIT_S);
    else if (r == -ENOENT || r == -ECONNREFUSED)
        printf("%s does not run in %s (-i names another)\n", st->instance, o->healthy);
    else if (r < 0)
        printf("%s in %s cannot be asked: %s\n", st->instance, o->healthy, strerror(-r));
    else
        printf("%s %s\n", st->instance, state);
    return strcmp(state, "ready") == 0 ? EXIT_OK : EXIT_FAILED;
}

/* Returns -1 to go on, else the exit code. */
static int load(struct stage *st, const struct options *o, struct conf **conf)
{
    if (set_instance(st, o->instance) < 0 || stage_reload_read(st, o->file, conf) < 0)
        return EXIT_USAGE;
    if (o->stream && !conf_stream(*conf, o->stream)) {
        fprintf(stderr, "kvpipe-%s: %s has no stream '%s'\n", st->ops->name, o->file, o->stream);
        return EXIT_USAGE;
    }
    if (o->check) {
        if (conf_check_files(*conf, stderr) < 0)
            return EXIT_USAGE;
        printf("configuration OK\n");
        return EXIT_OK;
    }
    st->identity = stage_identity(*conf, st->ops->name, o->stream, st->instance);
    conf_localize(*conf, st->ops->name, o->stream, st->instance);
    st->conf = conf_hold(*conf);
    st->only_stream = o->stream;
    return -1;
}

char *stage_identity(const struct conf *conf, const char *stage, const char *stream,
                     const char *instance)
{
    char process[CONF_SLICE_HEX], streams[CONF_SLICE_HEX];
    conf_slice_process(conf, stage, stream, instance, process);
    conf_slice_streams(conf, stage, stream, streams);
    return xasprintf("%s version=%s config=%s stream=%s streams=%s", stage, KVPIPE_VERSION, process,
                     stream ? stream : "-", streams);
}

bool stage_identity_is_close(const char *a, const char *b)
{
    const char *end = strstr(a, " streams=");
    return end && strncmp(a, b, (size_t)(end - a) + strlen(" streams=")) == 0;
}

/* Sockets lie apart, so that who may make and remove them may not touch what else is there. */
static int make_dirs(const char *run)
{
    char *sockets = xasprintf("%s/" CONF_SOCKETS, run);
    int r = pidfile_dirs(run);
    if (r == 0)
        r = dirs_make(sockets, 0755);
    free(sockets);
    return r;
}

static int lock_instance(struct stage *st, int *fd)
{
    pid_t holder = 0;
    int r = make_dirs(st->conf->run);
    if (r < 0) {
        log_error("stage.run_directory", "path=%s error=\"%s\" (make it writable or set 'run')",
                  st->conf->run, strerror(-r));
        return r;
    }
    *fd = pidfile_lock(st->conf->run, st->instance, st->identity, &holder);
    if (*fd >= 0)
        return 0;
    if (*fd == -EWOULDBLOCK)
        log_error("stage.already_running",
                  "instance=%s pid=%d run=%s (stop it, or choose another -i or 'run')",
                  st->instance, (int)holder, st->conf->run);
    else
        log_error("stage.pid_file", "instance=%s run=%s error=\"%s\"", st->instance, st->conf->run,
                  strerror(-*fd));
    return *fd;
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct runtime *rt = arg;
    log_warn("stage.drain_deadline", "seconds=%d (the rest is left to the next start)",
             DRAIN_DEADLINE_S);
    stage_quit(&rt->stage, EXIT_OK);
}

static void on_terminate(evutil_socket_t sig, short what, void *arg)
{
    static const struct timeval deadline = {.tv_sec = DRAIN_DEADLINE_S};
    struct runtime *rt = arg;
    struct stage *st = &rt->stage;
    if (st->draining)
        return;
    st->draining = true;
    log_info("stage.drain", "instance=%s signal=%d", st->instance, (int)sig);
    report_set_draining(st->report);
    health_say(rt->health, "draining");
    notify_stopping();
    event_add(rt->deadline, &deadline);
    if (st->ops->drain)
        st->ops->drain(st);
    else
        stage_quit(st, EXIT_OK);
}

static void on_hangup(evutil_socket_t sig, short what, void *arg)
{
    struct runtime *rt = arg;
    struct stage *st = &rt->stage;
    if (st->draining)
        return;
    notify_reloading();
    if (stage_reload(st) && pidfile_write(rt->pid_file, st->identity) < 0)
        log_warn("stage.pid_file", "instance=%s error=\"%s\"", st->instance, strerror(errno));
    if (rt->ready)
        notify_ready();
}

static void on_sample(void *arg)
{
    struct stage *st = arg;
    if (st->ops->sample)
        st->ops->sample(st);
}

static void on_command(void *arg, const struct report_command *command)
{
    struct stage *st = arg;
    int r = st->ops->command ? st->ops->command(st, command) : -ENOTSUP;
    if (r < 0)
        log_debug("stage.command", "verb=%s stream=%s error=\"%s\"", command->verb,
                  command->stream ? command->stream : "-", strerror(-r));
}

static struct event *on_signal(struct runtime *rt, int sig, event_callback_fn fn)
{
    struct event *e = evsignal_new(rt->stage.base, sig, fn, rt);
    event_add(e, NULL);
    return e;
}

static int start(struct runtime *rt)
{
    struct stage *st = &rt->stage;
    struct report_conf rc = {.address = st->conf->monitor.socket,
                             .stage = st->ops->name,
                             .instance = st->instance,
                             .keys = st->conf->link.keys,
                             .sample = on_sample,
                             .command = on_command,
                             .arg = st};
    signal(SIGPIPE, SIG_IGN);
    evthread_use_pthreads();
    st->base = event_base_new();
    if (!st->base)
        return -ENOMEM;
    rt->term = on_signal(rt, SIGTERM, on_terminate);
    rt->interrupt = on_signal(rt, SIGINT, on_terminate);
    rt->hangup = on_signal(rt, SIGHUP, on_hangup);
    rt->deadline = evtimer_new(st->base, on_deadline, rt);
    int r = st->ops->prepare ? st->ops->prepare(st) : 0;
    if (r < 0)
        return r;
    stage_sandbox_enter(st);
    rt->watchdog = watchdog_start(st->base, 2 * st->conf->monitor.hang_s);
    r = health_open(st->base, st->conf->run, st->instance, &rt->health);
    if (r < 0)
        log_warn("stage.health", "run=%s error=\"%s\" (--healthy cannot ask; all else goes on)",
                 st->conf->run, strerror(-r));
    return report_create(st->base, &rc, &st->report);
}

static void finish(struct runtime *rt)
{
    struct event *const events[] = {rt->term, rt->interrupt, rt->hangup, rt->deadline};
    watchdog_stop(&rt->watchdog);
    health_close(&rt->health);
    report_destroy(&rt->stage.report);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i])
            event_free(events[i]);
    if (rt->stage.base)
        event_base_free(rt->stage.base);
}

static int run(struct runtime *rt)
{
    struct stage *st = &rt->stage;
    if (lock_instance(st, &rt->pid_file) < 0)
        return EXIT_FAILED;
    log_info("stage.start", "instance=%s pid=%d version=%s config=%s", st->instance, (int)getpid(),
             KVPIPE_VERSION, st->conf->file);
    int r = start(rt);
    if (r == 0) {
        r = st->ops->setup(st);
        if (r == 0 && !rt->quit) /* a loopbreak before the loop would be forgotten */
            event_base_dispatch(st->base);
        watchdog_stop(&rt->watchdog);
        if (r == 0 && st->ops->teardown)
            st->ops->teardown(st);
        log_info("stage.end", "instance=%s code=%d", st->instance,
                 r < 0 ? EXIT_FAILED : rt->exit_code);
    }
    finish(rt);
    sandbox_fini(&st->sandbox);
    close(rt->pid_file);
    return r < 0 ? EXIT_FAILED : rt->exit_code;
}

int stage_main(int argc, char **argv, const struct stage_ops *ops)
{
    struct runtime rt = {.stage.ops = ops};
    struct options o = {0};
    struct conf *conf = NULL;
    char *program = xasprintf("kvpipe-%s", ops->name);

    log_init(program, LOG_INFO);
    int code = parse_arguments(argc, argv, ops, &o);
    if (code < 0 && o.healthy)
        code = ask(&rt.stage, &o);
    if (code < 0)
        code = load(&rt.stage, &o, &conf);
    if (code < 0) {
        log_init(program, o.verbose ? LOG_DEBUG : log_level_parse(conf->log));
        code = run(&rt);
    }
    conf_release(&rt.stage.conf);
    conf_free(&conf);
    free(rt.stage.identity);
    log_init("kvpipe", LOG_INFO);
    free(program);
    return code;
}

bool stage_serves(const struct stage *st, const char *stream)
{
    return !st->only_stream || strcmp(st->only_stream, stream) == 0;
}

void stage_ready(struct stage *st)
{
    log_info("stage.ready", "instance=%s", st->instance);
    ((struct runtime *)st)->ready = true;
    notify_ready();
    health_say(((struct runtime *)st)->health, "ready");
    report_set_ready(st->report, true);
}

void stage_quit(struct stage *st, int code)
{
    struct runtime *rt = (struct runtime *)st;
    rt->exit_code = code;
    rt->quit = true;
    event_base_loopbreak(st->base);
}
