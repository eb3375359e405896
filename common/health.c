/* Whoever connects is sent one line and is let go.
 * Relies on unix(7) sockets and libevent.
 * Leaves to the stage runtime what the line says. */
#include "common/health.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/conf.h"
#include "common/mem.h"

#define BACKLOG 16

struct health {
    struct event *asked;
    struct sockaddr_un address;
    const char *state;
    int fd;
};

static int open_socket(const char *run, const char *instance, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(address->sun_path, sizeof address->sun_path, "%s/" CONF_SOCKETS "/%s.health",
                     run, instance);
    if (n < 0 || (size_t)n >= sizeof address->sun_path)
        return -ENAMETOOLONG;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : fd;
}

/* One a turn: the event comes again while there are more. */
static void on_asked(evutil_socket_t fd, short what, void *arg)
{
    struct health *h = arg;
    char line[HEALTH_STATE_MAX + 1];
    int asker = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (asker < 0)
        return;
    int n = snprintf(line, sizeof line, "%s\n", h->state);
    send(asker, line, (size_t)n, MSG_NOSIGNAL); /* one that is gone already wants no answer */
    close(asker);
}

int health_open(struct event_base *base, const char *run, const char *instance, struct health **out)
{
    struct health *h = xcalloc(1, sizeof *h);
    h->state = "starting";
    h->fd = open_socket(run, instance, &h->address);
    int r = h->fd < 0 ? h->fd : 0;
    if (r == 0) {
        unlink(h->address.sun_path);
        if (bind(h->fd, (struct sockaddr *)&h->address, sizeof h->address) < 0 ||
            listen(h->fd, BACKLOG) < 0)
            r = -errno;
    }
    if (r < 0) {
        if (h->fd >= 0)
            close(h->fd);
        free(h);
        return r;
    }
    h->asked = event_new(base, h->fd, EV_READ | EV_PERSIST, on_asked, h);
    event_add(h->asked, NULL);
    *out = h;
    return 0;
}

void health_say(struct health *h, const char *state)
{
    if (h)
        h->state = state;
}

void health_close(struct health **health)
{
    struct health *h = *health;
    *health = NULL;
    if (!h)
        return;
    event_free(h->asked);
    unlink(h->address.sun_path);
    close(h->fd);
    free(h);
}

/* Returns 0 with the whole line, or a negative errno. */
static int read_line(int fd, char *line, size_t size)
{
    int64_t deadline_ns = clock_mono_ns() + HEALTH_WAIT_S * NS_PER_S;
    size_t len = 0;
    while (len < size) {
        int64_t left_ms = (deadline_ns - clock_mono_ns()) / NS_PER_MS;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = left_ms > 0 ? poll(&p, 1, (int)left_ms) : 0;
        if (ready == 0)
            return -ETIMEDOUT;
        ssize_t n = ready > 0 ? read(fd, line + len, size - len) : -1;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        if (n == 0)
            return -ECONNRESET;
        len += n > 0 ? (size_t)n : 0;
        char *end = memchr(line, '\n', len);
        if (end) {
            *end = '\0';
            return 0;
        }
    }
    return -EPROTO;
}

int health_ask(const char *run, const char *instance, char state[HEALTH_STATE_MAX])
{
    struct sockaddr_un address;
    int fd = open_socket(run, instance, &address);
    if (fd < 0)
        return fd;
    int r = connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
    if (r == -EAGAIN) /* others wait in vain already */
        r = -ETIMEDOUT;
    if (r == 0)
        r = read_line(fd, state, HEALTH_STATE_MAX);
    close(fd);
    return r;
}
