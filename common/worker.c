/* A worker thread with a bounded queue and completions on the loop.
 * Relies on pthreads, eventfd and libevent.
 * Leaves what a job does to its caller. */
#include "common/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/mem.h"

struct job {
    TAILQ_ENTRY(job) entry;
    int (*fn)(void *arg);
    void (*done)(void *arg, int result);
    void *arg;
    int result;
};
TAILQ_HEAD(job_list, job);

struct worker {
    pthread_t thread;
    pthread_mutex_t lock; /* guards waiting, finished, end */
    pthread_cond_t wake;
    struct job_list waiting, finished;
    bool end;
    int fd;
    struct event *event;
    size_t pending, max_jobs; /* the loop's thread only */
};

/* Returns the next job, or NULL when the thread shall end. Called with the lock held. */
static struct job *wait_for_job(struct worker *w)
{
    while (TAILQ_EMPTY(&w->waiting) && !w->end)
        pthread_cond_wait(&w->wake, &w->lock);
    struct job *j = TAILQ_FIRST(&w->waiting);
    if (j)
        TAILQ_REMOVE(&w->waiting, j, entry);
    return j;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct job *j;
    pthread_mutex_lock(&w->lock);
    while ((j = wait_for_job(w)) != NULL) {
        uint64_t one = 1;
        pthread_mutex_unlock(&w->lock);
        j->result = j->fn(j->arg);
        pthread_mutex_lock(&w->lock);
        TAILQ_INSERT_TAIL(&w->finished, j, entry);
        if (write(w->fd, &one, sizeof one) < 0) {
            /* full counter: the loop is already told */
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void deliver(struct worker *w)
{
    struct job_list list = TAILQ_HEAD_INITIALIZER(list);
    struct job *j;
    pthread_mutex_lock(&w->lock);
    TAILQ_CONCAT(&list, &w->finished, entry);
    pthread_mutex_unlock(&w->lock);
    while ((j = TAILQ_FIRST(&list)) != NULL) {
        TAILQ_REMOVE(&list, j, entry);
        w->pending--;
        if (j->done)
            j->done(j->arg, j->result);
        free(j);
    }
}

static void on_finished(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0 && errno == EAGAIN)
        return;
    deliver(arg);
}

static int start_thread(struct worker *w)
{
    sigset_t all, old;
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = -pthread_create(&w->thread, NULL, work, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r;
}

int worker_create(struct event_base *base, size_t max_jobs, struct worker **out)
{
    struct worker *w = xcalloc(1, sizeof *w);
    int r;

    *out = NULL;
    TAILQ_INIT(&w->waiting);
    TAILQ_INIT(&w->finished);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    w->max_jobs = max_jobs;
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = w->fd < 0 ? -errno : start_thread(w);
    if (r < 0) {
        if (w->fd >= 0)
            close(w->fd);
        pthread_cond_destroy(&w->wake);
        pthread_mutex_destroy(&w->lock);
        free(w);
        return r;
    }
    w->event = event_new(base, w->fd, EV_READ | EV_PERSIST, on_finished, w);
    event_add(w->event, NULL);
    *out = w;
    return 0;
}

int worker_run(struct worker *w, int (*fn)(void *arg), void (*done)(void *arg, int result),
               void *arg)
{
    if (w->pending >= w->max_jobs)
        return -ENOBUFS;
    struct job *j = xcalloc(1, sizeof *j);
    j->fn = fn;
    j->done = done;
    j->arg = arg;
    w->pending++;
    pthread_mutex_lock(&w->lock);
    TAILQ_INSERT_TAIL(&w->waiting, j, entry);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    return 0;
}

size_t worker_pending(const struct worker *w)
{
    return w->pending;
}

void worker_destroy(struct worker **worker)
{
    struct worker *w = *worker;
    *worker = NULL;
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->end = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL); /* the thread ends only when nothing waits */
    w->max_jobs = 0;               /* a done that gives more work is refused */
    deliver(w);
    event_free(w->event);
    close(w->fd);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
