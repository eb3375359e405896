/* A timer on the loop counts, a thread looks whether it counts on.
 * Relies on pthreads, libevent.
 * Leaves systemd's own watchdog to notify. */
#include "common/watchdog.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/notify.h"

#define BEAT_MS 250
#define LOOKS 10 /* in a row without a beat */

struct watchdog {
    struct event *beat;
    atomic_uint beats;
    unsigned limit_s;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
};

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
    struct watchdog *w = arg;
    atomic_fetch_add(&w->beats, 1);
    notify_alive(clock_mono_ns());
}

/* Returns true when it is time to stop. */
static bool nap(struct watchdog *w)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + w->limit_s * NS_PER_S / LOOKS;
    until.tv_sec += ns / NS_PER_S;
    until.tv_nsec = ns % NS_PER_S;
    pthread_mutex_lock(&w->lock);
    if (!w->stop)
        pthread_cond_timedwait(&w->wake, &w->lock, &until);
    bool stop = w->stop;
    pthread_mutex_unlock(&w->lock);
    return stop;
}

static void *look(void *arg)
{
    struct watchdog *w = arg;
    unsigned before = 0, still = 0;
    while (!nap(w)) {
        unsigned beats = atomic_load(&w->beats);
        still = beats == before && beats ? still + 1 : 0; /* not before the first turn */
        before = beats;
        if (still >= LOOKS) {
            log_error("stage.hung",
                      "seconds=%u (its loop stands still: ended, to be started again)", w->limit_s);
            abort();
        }
    }
    return NULL;
}

static int start_thread(struct watchdog *w)
{
    pthread_condattr_t attr;
    sigset_t all, before;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&w->lock, NULL);
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&w->thread, NULL, look, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

struct watchdog *watchdog_start(struct event_base *base, unsigned limit_s)
{
    static const struct timeval every = {.tv_usec = BEAT_MS * 1000};
    struct watchdog *w = xcalloc(1, sizeof *w);
    w->limit_s = limit_s;
    w->beat = event_new(base, -1, EV_PERSIST, on_beat, w);
    event_add(w->beat, &every);
    if (start_thread(w) != 0) {
        event_free(w->beat);
        free(w);
        return NULL;
    }
    return w;
}

void watchdog_stop(struct watchdog **watchdog)
{
    struct watchdog *w = *watchdog;
    *watchdog = NULL;
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    event_free(w->beat);
    free(w);
}
