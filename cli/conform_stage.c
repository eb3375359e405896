/* The stage under test as a process: its folder, its config, its start and its deaths.
 * Relies on fork(2) and the shell, so that --exec takes a command with arguments.
 * Leaves talking to it to conform_kit.c. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "cli/conform.h"
#include "common/mem.h"

#define CONFIG                                                                                     \
    "# Made by `kvpipe conform`: KVPIPE_CONNECT and KVPIPE_LISTEN say the same addresses.\n"       \
    "run: %s/run\n"                                                                                \
    "log: debug\n"                                                                                 \
    "server: {listen: '127.0.0.1:1'}\n" /* nobody is there: the spool is what counts */            \
    "streams:\n"
#define STREAM                                                                                     \
    "  - name: conform%s%s\n"                                                                      \
    "    source: {type: test, width: 64, height: 64, rate: 25, audio: false}\n"                    \
    "    window: {frames: 2000, seconds: 60}\n"

/* A stream for each rule, named as the rules name them; a capture has one. */
static void write_streams(const struct conform_kit *k, FILE *f)
{
    const struct conform_rule *const tables[] = {conform_inlet_rules, conform_uploader_rules};
    if (k->stage == CONFORM_CAPTURE)
        fprintf(f, STREAM, "", "");
    for (size_t t = 0; k->stage != CONFORM_CAPTURE && t < 2; t++)
        for (const struct conform_rule *r = tables[t]; r->name; r++)
            fprintf(f, STREAM, "-", r->name);
}

static int write_config(struct conform_kit *k)
{
    char *path = xasprintf("%s/conform.yaml", k->dir), *run = xasprintf("%s/run", k->dir);
    FILE *f = mkdir(run, 0700) == 0 ? fopen(path, "we") : NULL;
    free(path);
    free(run);
    if (!f)
        return -errno;
    fprintf(f, CONFIG, k->dir);
    write_streams(k, f);
    fprintf(f, "%s: {", k->stage_name);
    if (k->stage & CONFORM_INLET)
        fprintf(f, "connect: '%s'%s", k->above, k->stage & CONFORM_OUTLET ? ", " : "");
    if (k->stage & CONFORM_OUTLET)
        fprintf(f, "listen: '%s'", k->below);
    fprintf(f, "}\n");
    return fclose(f) ? -errno : 0;
}

int conform_prepare(struct conform_kit *k)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(k->dir, sizeof k->dir, "%.40s/kvpipe-conform-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(k->dir))
        return -errno;
    if (!k->above)
        k->above = xasprintf("ipc://%s/above.sock", k->dir);
    if (!k->below)
        k->below = xasprintf("ipc://%s/below.sock", k->dir);
    k->zmq = zmq_ctx_new();
    k->incarnation = (uint64_t)clock_wall_ns() | 1;
    k->t0_ns = clock_wall_ns() / NS_PER_S * NS_PER_S;
    conform_reset(k);
    return k->exec ? write_config(k) : 0;
}

static void become(struct conform_kit *k)
{
    char *log = xasprintf("%s/stage.log", k->dir), *file = xasprintf("%s/conform.yaml", k->dir);
    char *command = xasprintf("exec %s \"$@\"", k->exec);
    char *name = xasprintf("%s-1", k->stage_name), *run = xasprintf("%s/run", k->dir);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600), in = open("/dev/null", O_RDONLY);

    setpgid(0, 0);
    setenv("KVPIPE_CONNECT", k->stage & CONFORM_INLET ? k->above : "", 1);
    setenv("KVPIPE_LISTEN", k->stage & CONFORM_OUTLET ? k->below : "", 1);
    setenv("KVPIPE_STREAMS", "conform", 1);
    setenv("KVPIPE_RUN", run, 1);
    dup2(in, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execl("/bin/sh", "sh", "-c", command, "sh", "-c", file, "-i", name, (char *)NULL);
    _exit(127);
}

static bool is_there(struct conform_kit *k)
{
    if (k->stage & CONFORM_INLET)
        return k->peer_len > 0;
    return k->nheard > 0; /* a question, as the kit says something without a Hello first */
}

/* Something that asks for the question, so that the outlet shows that it is there. */
static void knock(struct conform_kit *k)
{
    struct link_msg m = {.type = LINK_HEARTBEAT, .heartbeat = {.incarnation = k->incarnation}};
    if (k->stage == CONFORM_CAPTURE)
        conform_send_below(k, 0, &m);
}

bool conform_start(struct conform_kit *k)
{
    conform_close_sockets(k);
    conform_open_sockets(k);
    if (k->exec) {
        k->pid = fork();
        if (k->pid == 0)
            become(k);
    }
    knock(k);
    for (int i = 0; i < 4; i++)
        if (conform_until(k, is_there))
            break;
    if (!is_there(k))
        return conform_fail(k, "the stage does not %s within 20 s",
                            k->stage & CONFORM_INLET ? "say Hello to the kit" : "answer");
    for (unsigned i = 0; k->stage & CONFORM_RELAY && i < 1; i++)
        conform_hello(k, i);
    return true;
}

bool conform_alive(struct conform_kit *k)
{
    if (k->pid && waitpid(k->pid, NULL, WNOHANG) != 0)
        k->pid = 0;
    return !k->exec || k->pid;
}

void conform_kill(struct conform_kit *k, int sig)
{
    if (k->pid)
        kill(k->pid, sig);
    if (k->pid && sig == SIGKILL) {
        waitpid(k->pid, NULL, 0);
        k->pid = 0;
    }
}

bool conform_wait_exit(struct conform_kit *k, int ms)
{
    int64_t end = clock_mono_ns() + (int64_t)(ms * k->slow) * NS_PER_MS;
    while (k->pid && clock_mono_ns() < end) {
        if (waitpid(k->pid, NULL, WNOHANG) != 0)
            k->pid = 0;
        else
            conform_pump(k, 10);
    }
    return !k->pid;
}

void conform_clean(struct conform_kit *k, bool keep)
{
    if (k->pid) {
        kill(-k->pid, SIGKILL); /* with what it started */
        conform_kill(k, SIGKILL);
    }
    conform_close_sockets(k);
    zmq_ctx_term(k->zmq);
    conform_reset(k);
    conform_forget_logs(k);
    free(k->heard);
    free(k->above);
    free(k->below);
    char *command = xasprintf("rm -rf '%s'", k->dir);
    if (!keep && system(command) != 0)
        fprintf(stderr, "kvpipe: %s is left\n", k->dir);
    free(command);
}
