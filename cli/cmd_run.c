/* kvpipe run FILE: the pipeline in the foreground, from the first check to a clean stop.
 * Relies on kvpipe-monitor, started as a child; its log and the stages' go to RUN/log.
 * Leaves supervision to the monitor: if that dies, it is started again and takes over. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/archive.h"
#include "cli/command.h"
#include "cli/fetch.h"
#include "cli/live.h"
#include "cli/view.h"
#include "common/clock.h"
#include "common/conf.h"
#include "common/keys.h"
#include "common/leftover.h"
#include "common/mem.h"
#include "common/pidfile.h"

#define STOP_MAX_NS (4800 * NS_PER_MS)
#define PLAY_LINES_MAX 8

struct run {
    const struct conf *conf;
    char *base, *log_path;
    struct live live;
    pid_t monitor;
    off_t log_start; /* what this monitor said begins here in its log */
    bool answered;   /* this monitor has answered: it came up */
    bool announced;  /* the addresses are on the screen */
    int64_t stop_ns; /* 0: not stopping */
    bool *played;    /* per stream: its play command is on the screen */
    unsigned play_lines;
};

static char *monitor_program(void)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = n > 0 ? (self[n] = '\0', strrchr(self, '/')) : NULL;
    char *path = slash ? xasprintf("%.*s/kvpipe-monitor", (int)(slash - self), self) : NULL;
    if (path && access(path, X_OK) == 0)
        return path;
    free(path);
    return xstrdup("kvpipe-monitor");
}

/* In the child, between fork and exec. */
static void become_monitor(const struct run *r, const char *program, int log_fd, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); /* the terminal's Ctrl-C comes to us alone, and we stop the monitor */
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* nobody left to watch it in the foreground */
    if (getppid() != parent)
        _exit(1);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    execlp(program, program, "-c", r->conf->file, "-i", "monitor-1", (char *)NULL);
    dprintf(STDERR_FILENO, "kvpipe: cannot start %s: %s\n", program, strerror(errno));
    _exit(127);
}

static int start_monitor(struct run *r)
{
    struct stat st;
    int fd = open(r->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) {
        fprintf(stderr, "kvpipe: cannot write %s: %s\n", r->log_path, strerror(errno));
        return -errno;
    }
    r->log_start = fstat(fd, &st) == 0 ? st.st_size : 0;
    r->answered = false;
    char *program = monitor_program();
    pid_t parent = getpid();
    fflush(stdout);
    r->monitor = fork();
    if (r->monitor == 0)
        become_monitor(r, program, fd, parent);
    int e = r->monitor < 0 ? -errno : 0;
    free(program);
    close(fd);
    return e;
}

/* What this monitor said of errors, or all of it when it died before it could log. */
static void print_monitor_errors(const struct run *r)
{
    char line[4096];
    bool any = false;
    FILE *f = fopen(r->log_path, "re");
    for (int pass = 0; f && pass < 2 && !any; pass++) {
        fseeko(f, r->log_start, SEEK_SET);
        while (fgets(line, sizeof line, f))
            if (pass || strstr(line, "Z E ")) {
                fputs(line, stderr);
                any = true;
            }
    }
    if (f)
        fclose(f);
}

/* The token of the page's buttons goes to a terminal, not into what may be a log. */
static void announce_page(struct run *r)
{
    char token[KEYS_TOKEN_CHARS + 1];
    char *path = xasprintf("%s/" KEYS_TOKEN_FILE, r->conf->run);
    if (r->live.tty && keys_token_read(path, token) == 0)
        live_say(&r->live, "page      %s/#token=%s", r->base, token);
    else
        live_say(&r->live, "page      %s/   (with its buttons: %s page -c %s)", r->base,
                 program_invocation_name, r->conf->file);
    free(path);
}

static void announce(struct run *r)
{
    const struct conf *c = r->conf;
    r->announced = true;
    announce_page(r);
    live_say(&r->live, "status    %s status -c %s --watch", program_invocation_name, c->file);
    live_say(&r->live, "endpoint  %s%s", c->endpoint.url, c->endpoint.own ? "   (own server)" : "");
    if (c->server.enabled)
        live_say(&r->live, "archive   %s   keys %s", c->server.data, c->server.keys);
    live_say(&r->live, "spool     %s   logs %s/log", c->spool.dir, c->run);
    live_say(&r->live, "Ctrl-C drains and stops; a second one stops at once\n");
}

/* Quotes a path for the shell when it needs it. */
static char *quoted(const char *path)
{
    if (path[strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-")] ==
        '\0')
        return xstrdup(path);
    char *out = xmalloc(4 * strlen(path) + 3), *to = out;
    *to++ = '\'';
    for (; *path; path++)
        if (*path == '\'')
            to = stpcpy(to, "'\\''");
        else
            *to++ = *path;
    stpcpy(to, "'");
    return out;
}

/* The newest file of a stream in the archive, else (another endpoint) in the spool. */
static char *playable(const struct conf *conf, const char *stream)
{
    char *dir = conf->server.enabled ? archive_stream_dir(conf->server.data, stream)
                                     : xasprintf("%s/%s", conf->spool.dir, stream);
    char *path = dir ? archive_newest(dir) : NULL;
    free(dir);
    return path;
}

static void show_play(struct run *r, const json_t *streams)
{
    const json_t *s;
    size_t i;
    json_array_foreach(streams, i, s)
    {
        if (i >= r->conf->streams_count || r->played[i] || r->play_lines >= PLAY_LINES_MAX ||
            view_number(s, "fragments_persisted") < 1)
            continue;
        const char *name = r->conf->streams[i].name;
        char *path = playable(r->conf, name);
        if (!path)
            continue;
        char *word = quoted(path);
        live_say(&r->live, "play      ffplay %s   # %s", word, name);
        r->played[i] = true;
        r->play_lines++;
        free(word);
        free(path);
    }
}

static void refresh(struct run *r)
{
    json_t *status;
    if (fetch_status(r->base, &status) < 0)
        return;
    /* another pipeline's monitor may have the port: ours is about to say so and end */
    if ((pid_t)view_number(status, "pid") == r->monitor) {
        r->answered = true;
        if (!r->announced)
            announce(r);
        show_play(r, json_object_get(status, "streams"));
        live_show(&r->live, status, clock_mono_ns());
    }
    json_decref(status);
}

static void stop(struct run *r)
{
    if (r->stop_ns) {
        live_say(&r->live, "stopping at once");
        kill(r->monitor, SIGKILL);
        return;
    }
    r->stop_ns = clock_mono_ns();
    live_say(&r->live, "stopping: draining what is on its way (again Ctrl-C: at once)");
    kill(r->monitor, SIGTERM);
}

/* The monitor ended. Returns the exit code of the command, or -1 to go on with a new one. */
static int monitor_ended(struct run *r, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (r->stop_ns) {
        if (r->conf->monitor.outlive != CONF_OUTLIVE_ALWAYS)
            leftover_signal(r->conf->run, SIGKILL); /* none, after a clean stop */
        live_say(&r->live, "stopped");
        return code == 0 ? 0 : 1;
    }
    /* SIGKILL comes from outside, however early: what it had started is still to be adopted */
    if ((!r->answered && code != 128 + SIGKILL) || code == 2) {
        print_monitor_errors(r);
        fprintf(stderr, "kvpipe: the pipeline did not start; see %s\n", r->log_path);
        return code == 2 ? 2 : 1;
    }
    live_say(&r->live, "the monitor ended (code %d): starting it again; see %s", code, r->log_path);
    return start_monitor(r) < 0 ? 1 : -1;
}

static int watch(struct run *r, const sigset_t *signals)
{
    for (;;) {
        /* ask often until it is up, then once a second */
        struct timespec wait = {.tv_sec = r->answered, .tv_nsec = r->answered ? 0 : 50000000};
        int status, sig = sigtimedwait(signals, NULL, &wait);
        if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP)
            stop(r);
        if (waitpid(r->monitor, &status, WNOHANG) == r->monitor) {
            int code = monitor_ended(r, status);
            if (code >= 0)
                return code;
        } else if (!r->stop_ns) {
            refresh(r);
        } else if (clock_mono_ns() - r->stop_ns > STOP_MAX_NS) {
            kill(r->monitor, SIGKILL);
        }
    }
}

static int prepare(struct run *r)
{
    char *log_dir = xasprintf("%s/log", r->conf->run);
    int e = pidfile_dirs(r->conf->run);
    if (e == 0 && mkdir(log_dir, 0755) < 0 && errno != EEXIST)
        e = -errno;
    if (e < 0)
        fprintf(stderr, "kvpipe: cannot make %s: %s (make it writable, or set 'run')\n", log_dir,
                strerror(-e));
    setenv("KVPIPE_LOG_DIR", log_dir, 1);
    r->log_path = xasprintf("%s/monitor.log", log_dir);
    free(log_dir);
    return e;
}

static int run_pipeline(const struct conf *conf)
{
    struct run r = {.conf = conf, .base = fetch_base(conf->monitor.listen)};
    sigset_t signals;
    int code = 1;

    r.played = xcalloc(conf->streams_count, sizeof *r.played);
    live_init(&r.live);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    if (prepare(&r) == 0 && start_monitor(&r) == 0)
        code = watch(&r, &signals);
    free(r.played);
    free(r.base);
    free(r.log_path);
    return code;
}

static int run(int argc, char **argv)
{
    struct conf *conf;
    if (argc != 2 || argv[1][0] == '-')
        return command_usage(&cmd_run);
    if (conf_load(argv[1], &conf) < 0)
        return 2;
    conf_check_files(conf, stderr); /* said, and no more: the other streams go on */
    int code = run_pipeline(conf);
    conf_free(&conf);
    return code;
}

const struct command cmd_run = {"run", "FILE", "run the pipeline in the foreground", run};
