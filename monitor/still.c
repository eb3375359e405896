/* Pictures of the cameras, asked for by who looks at the page.
 * Relies on a process per picture; its end is the end of its output.
 * Leaves decoding to `kvpipe still`. */
#include "monitor/still.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "monitor/child.h"

#define JPEG_MAX_BYTES (512u << 10)
#define FRESH_NS (4 * NS_PER_S)
#define LIMIT_S 8
#define MARK "kvpipe " /* the comment of the picture: this, and the frame's time in ms */

extern char **environ;

struct picture {
    char *stream; /* NULL: not used */
    unsigned char *jpeg;
    size_t len;
    int64_t frame_ms, made_ns, asked_ns;
    bool wanted, failed;
};

struct still {
    struct event_base *base;
    char *spool, *program;
    struct picture pictures[STILL_KEPT];
    struct picture *making; /* NULL: no process runs */
    pid_t pid;
    int pidfd, out;
    struct event *readable, *limit;
    struct buf bytes;
};

static void next(struct still *s);

struct still *still_create(struct event_base *base, const char *spool)
{
    struct still *s = xcalloc(1, sizeof *s);
    *s = (struct still){.base = base, .spool = xstrdup(spool), .pidfd = -1, .out = -1};
    s->program = child_program("monitor");
    s->program[strlen(s->program) - strlen("-monitor")] = '\0'; /* the command beside us */
    buf_init(&s->bytes, JPEG_MAX_BYTES);
    return s;
}

static bool is_jpeg(const unsigned char *p, size_t len)
{
    return len > 4 && p[0] == 0xff && p[1] == 0xd8 && p[len - 2] == 0xff && p[len - 1] == 0xd9;
}

/* The comment stands first, right after the start of the picture. */
static int64_t frame_time_ms(const unsigned char *p, size_t len)
{
    size_t mark = sizeof MARK - 1, size = len > 6 ? (size_t)p[4] << 8 | p[5] : 0;
    char text[24] = "";
    if (size < 2 + mark || size > sizeof text + mark || len < 4 + size || p[2] != 0xff ||
        p[3] != 0xfe || memcmp(p + 6, MARK, mark) != 0)
        return 0;
    memcpy(text, p + 6 + mark, size - 2 - mark);
    return strtoll(text, NULL, 10);
}

/* The process is killed if it still runs, and collected. Somebody else may have collected it. */
static void collect(struct still *s)
{
    siginfo_t info;
    pidfd_send_signal(s->pidfd, SIGKILL, NULL, 0);
    waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED);
    close(s->pidfd);
    close(s->out);
    event_free(s->readable);
    event_free(s->limit);
    s->readable = s->limit = NULL;
    s->pidfd = s->out = -1;
}

static void made(struct still *s)
{
    struct picture *p = s->making;
    collect(s);
    s->making = NULL;
    p->made_ns = clock_mono_ns();
    p->failed = !is_jpeg(s->bytes.data, s->bytes.len);
    if (!p->failed) {
        free(p->jpeg);
        p->jpeg = xmalloc(s->bytes.len);
        memcpy(p->jpeg, s->bytes.data, s->bytes.len);
        p->len = s->bytes.len;
        p->frame_ms = frame_time_ms(p->jpeg, p->len);
    }
    buf_fini(&s->bytes);
    next(s);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct still *s = arg;
    unsigned char chunk[16384];
    ssize_t n = read(s->out, chunk, sizeof chunk);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && buf_append(&s->bytes, chunk, (size_t)n) == 0)
        return;
    if (n > 0)
        buf_fini(&s->bytes); /* too large */
    made(s);
}

static void on_limit(evutil_socket_t fd, short what, void *arg)
{
    struct still *s = arg;
    log_warn("monitor.still.slow", "stream=%s seconds=%d (given up)", s->making->stream, LIMIT_S);
    buf_fini(&s->bytes);
    made(s);
}

static int spawn(struct still *s, const char *dir, int out)
{
    char *argv[] = {s->program, (char *)"still", (char *)"--from", (char *)dir, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    int r = -posix_spawnp(&s->pid, s->program, &actions, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return r;
}

static int start(struct still *s, struct picture *p)
{
    static const struct timeval limit = {.tv_sec = LIMIT_S};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    char *dir = xasprintf("%s/%s", s->spool, p->stream);
    int r = spawn(s, dir, ends[1]);
    free(dir);
    close(ends[1]);
    s->pidfd = r == 0 ? pidfd_open(s->pid, 0) : -1;
    if (s->pidfd < 0) {
        close(ends[0]);
        return r < 0 ? r : -errno;
    }
    s->making = p;
    s->out = ends[0];
    evutil_make_socket_nonblocking(s->out);
    buf_init(&s->bytes, JPEG_MAX_BYTES);
    s->readable = event_new(s->base, s->out, EV_READ | EV_PERSIST, on_readable, s);
    s->limit = evtimer_new(s->base, on_limit, s);
    event_add(s->readable, NULL);
    event_add(s->limit, &limit);
    return 0;
}

/* Begins the picture that was asked for first. */
static void next(struct still *s)
{
    struct picture *first = NULL;
    for (size_t i = 0; i < STILL_KEPT; i++) {
        struct picture *p = &s->pictures[i];
        if (p->wanted && (!first || p->asked_ns < first->asked_ns))
            first = p;
    }
    if (s->making || !first)
        return;
    first->wanted = false;
    int r = start(s, first);
    if (r < 0) {
        first->failed = true;
        first->made_ns = clock_mono_ns();
        log_warn("monitor.still", "program=%s error=\"%s\"", s->program, strerror(-r));
    }
}

/* The stream's place, or the one that nobody asked for the longest. */
static struct picture *place(struct still *s, const char *stream)
{
    struct picture *oldest = NULL;
    for (size_t i = 0; i < STILL_KEPT; i++) {
        struct picture *p = &s->pictures[i];
        if (p->stream && strcmp(p->stream, stream) == 0)
            return p;
        if (p != s->making && (!oldest || p->asked_ns < oldest->asked_ns))
            oldest = p;
    }
    free(oldest->stream);
    free(oldest->jpeg);
    *oldest = (struct picture){.stream = xstrdup(stream)};
    return oldest;
}

int still_get(struct still *s, const char *stream, int64_t now_ns, struct still_picture *out)
{
    struct picture *p = place(s, stream);
    if (!p->wanted && p != s->making && (!p->made_ns || now_ns - p->made_ns > FRESH_NS)) {
        p->wanted = true;
        p->asked_ns = now_ns;
        next(s);
    }
    if (!p->jpeg)
        return p->failed ? -ENOENT : -EAGAIN;
    *out = (struct still_picture){.jpeg = p->jpeg, .len = p->len, .frame_ms = p->frame_ms};
    return 0;
}

void still_destroy(struct still **still)
{
    struct still *s = *still;
    *still = NULL;
    if (!s)
        return;
    if (s->making)
        collect(s);
    for (size_t i = 0; i < STILL_KEPT; i++) {
        free(s->pictures[i].stream);
        free(s->pictures[i].jpeg);
    }
    buf_fini(&s->bytes);
    free(s->program);
    free(s->spool);
    free(s);
}
