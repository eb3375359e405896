/* The library's end of the link: its name in RUN/sinks, its thread, its loop.
 * Relies on common/link_socket for the link, on flock(2) for the name.
 * Leaves what a stream is to kvpipe_stream.c. */
#include "capture/libkvpipe/kvpipe.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/libkvpipe/kvpipe_private.h"
#include "common/clock.h"
#include "common/dirs.h"
#include "common/log.h"
#include "common/mem.h"

#define TICK_MS 100
#define NAME_MAX_BYTES 64 /* the path of a socket has room for 107 */

/* Sockets of one process share a context, which is counted without a lock. */
static pthread_mutex_t sockets = PTHREAD_MUTEX_INITIALIZER;
static bool keys_in_use;

/* ---- log ---- */

static void (*user_log)(void *arg, enum kvpipe_level level, const char *line);

static void pass_on(void *arg, enum log_level level, const char *line)
{
    user_log(arg, (enum kvpipe_level)level, line);
}

void kvpipe_set_log(void (*log)(void *arg, enum kvpipe_level level, const char *line), void *arg)
{
    user_log = log;
    log_set_sink(log ? pass_on : NULL, arg);
}

/* ---- the loop's thread ---- */

static void on_acked(void *arg, struct outlet_stream *out, const struct link_positions *at)
{
    struct kvpipe_stream *s = outlet_stream_user(out);
    (void)arg;
    if (s)
        kvpipe_stream_acked(s, at);
}

static void on_fenced(void *arg, struct outlet_stream *out, const struct link_vector *greatest,
                      bool stopped)
{
    struct kvpipe_stream *s = outlet_stream_user(out);
    (void)arg, (void)greatest;
    if (s)
        kvpipe_stream_fenced(s, stopped);
}

static const struct outlet_ops link_ops = {
    .resumed = on_acked, .acked = on_acked, .fenced = on_fenced};

/* The list may grow at its head meanwhile; only this thread makes a stream go. */
static struct kvpipe_stream *next_of(struct kvpipe *k, struct kvpipe_stream *s)
{
    pthread_mutex_lock(&k->lock);
    struct kvpipe_stream *next = s ? LIST_NEXT(s, entry) : LIST_FIRST(&k->streams);
    pthread_mutex_unlock(&k->lock);
    return next;
}

static void turn(struct kvpipe *k)
{
    struct kvpipe_stream *s, *next;
    for (s = next_of(k, NULL); s; s = next) {
        next = next_of(k, s);
        kvpipe_stream_turn(s);
    }
    pthread_mutex_lock(&k->lock);
    if (k->stop)
        event_base_loopbreak(k->base);
    pthread_mutex_unlock(&k->lock);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    uint64_t n;
    (void)what;
    if (read((int)fd, &n, sizeof n) < 0 && errno != EAGAIN)
        log_warn("kvpipe.wake", "error=%m");
    turn(arg);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    turn(arg);
}

void kvpipe_wake(struct kvpipe *k)
{
    uint64_t one = 1;
    if (write(k->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        log_warn("kvpipe.wake", "error=%m");
}

static void *run(void *arg)
{
    struct kvpipe *k = arg;
    event_base_dispatch(k->base);
    return NULL;
}

/* Signals are the program's. */
static int start_thread(struct kvpipe *k)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&k->thread, NULL, run, k);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

/* ---- opening ---- */

static int check(const struct kvpipe_options *o)
{
    if (link_stream_name_ok(o->name) && o->name[0] != '.' && strlen(o->name) <= NAME_MAX_BYTES)
        return 0;
    log_error("kvpipe.name",
              "name=\"%s\" cause=\"expected 1 to %d of [a-zA-Z0-9_.-], no dot in front\"",
              o->name ? o->name : "", NAME_MAX_BYTES);
    return -EINVAL;
}

static int take_name(struct kvpipe *k)
{
    char *path = xasprintf("%s/%s.lock", k->folder, k->name);
    int r = dirs_make(k->folder, 0775);
    k->lock_fd = r < 0 ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0664);
    if (r == 0 && k->lock_fd < 0)
        r = -errno;
    if (r == 0 && flock(k->lock_fd, LOCK_EX | LOCK_NB) < 0)
        r = errno == EWOULDBLOCK ? -EBUSY : -errno;
    if (r == -EBUSY)
        log_error(
            "kvpipe.name",
            "name=%s cause=\"another program has it\" what_to_do=\"end that one, or give this "
            "one another name\"",
            k->name);
    else if (r < 0)
        log_error("kvpipe.folder",
                  "file=%s error=\"%s\" what_to_do=\"name the folder `run` of the pipeline (option "
                  "run, or KVPIPE_RUN), and let this user write into its folder sinks\"",
                  path, strerror(-r));
    free(path);
    return r;
}

/* The mode lets those in who may write into the folder, whoever they are. */
static int listen_at(struct kvpipe *k, const struct kvpipe_options *o)
{
    struct conf_link conf = {.heartbeat_ms = 250,
                             .silence_ms = 1000,
                             .resolve_ms = 5000,
                             .keys = (char *)o->keys,
                             .stage = "encoder"};
    char *own = xasprintf("ipc://%s/%s.sock", k->folder, k->name);
    const char *address = o->listen ? o->listen : own;
    int r = 0;

    pthread_mutex_lock(&sockets);
    k->alone = o->keys && strncmp(address, "tcp://", 6) == 0;
    if (k->alone && keys_in_use) {
        log_error("kvpipe.keys", "name=%s cause=\"another kvpipe of this process has keys\"",
                  k->name);
        k->alone = false;
        r = -EBUSY;
    }
    keys_in_use = keys_in_use || k->alone;
    if (r == 0)
        r = link_server_create(k->base, address, &conf, LINK_SOURCE, &link_ops, k, &k->server);
    pthread_mutex_unlock(&sockets);
    if (r == 0 && strncmp(address, "ipc://", 6) == 0) {
        k->socket = xstrdup(address + 6);
        if (chmod(k->socket, 0775) < 0)
            log_warn("kvpipe.socket", "file=%s error=%m", k->socket);
    }
    free(own);
    return r;
}

static int begin(struct kvpipe *k, const struct kvpipe_options *o)
{
    const struct timeval tick = {.tv_usec = TICK_MS * 1000};
    int r = take_name(k);

    if (r < 0)
        return r;
    k->base = event_base_new();
    k->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!k->base || k->wake_fd < 0)
        return -ENOMEM;
    r = listen_at(k, o);
    if (r < 0)
        return r;
    k->outlet = link_server_outlet(k->server);
    k->wake = event_new(k->base, k->wake_fd, EV_READ | EV_PERSIST, on_wake, k);
    k->tick = event_new(k->base, -1, EV_PERSIST, on_tick, k);
    if (!k->wake || !k->tick || event_add(k->wake, NULL) < 0 || event_add(k->tick, &tick) < 0)
        return -ENOMEM;
    return start_thread(k);
}

static void kvpipe_free(struct kvpipe *k)
{
    pthread_mutex_lock(&sockets);
    if (k->server)
        link_server_destroy(&k->server, true);
    if (k->alone)
        keys_in_use = false;
    pthread_mutex_unlock(&sockets);
    if (k->wake)
        event_free(k->wake);
    if (k->tick)
        event_free(k->tick);
    if (k->base)
        event_base_free(k->base);
    if (k->wake_fd >= 0)
        close(k->wake_fd);
    if (k->socket)
        unlink(k->socket);
    if (k->lock_fd >= 0)
        close(k->lock_fd);
    pthread_cond_destroy(&k->changed);
    pthread_mutex_destroy(&k->lock);
    free(k->socket);
    free(k->folder);
    free(k->name);
    free(k);
}

int kvpipe_open(const struct kvpipe_options *options, struct kvpipe **kvpipe)
{
    pthread_condattr_t monotonic;
    const char *run_folder = options->run ? options->run : getenv("KVPIPE_RUN");
    int r = check(options);

    *kvpipe = NULL;
    if (r < 0)
        return r;
    struct kvpipe *k = xcalloc(1, sizeof *k);
    k->lock_fd = k->wake_fd = -1;
    k->name = xstrdup(options->name);
    k->folder = xasprintf("%s/" CONF_SINKS, run_folder && run_folder[0] ? run_folder : "run");
    LIST_INIT(&k->streams);
    pthread_mutex_init(&k->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&k->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    r = begin(k, options);
    if (r < 0) {
        kvpipe_free(k);
        return r;
    }
    *kvpipe = k;
    return 0;
}

void kvpipe_close(struct kvpipe **kvpipe)
{
    struct kvpipe *k = *kvpipe;
    struct kvpipe_stream *s;

    *kvpipe = NULL;
    if (!k)
        return;
    while ((s = next_of(k, NULL)))
        kvpipe_stream_close(&s, 0);
    pthread_mutex_lock(&k->lock);
    k->stop = true;
    pthread_mutex_unlock(&k->lock);
    kvpipe_wake(k);
    pthread_join(k->thread, NULL);
    kvpipe_free(k);
}
