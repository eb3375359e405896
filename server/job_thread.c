/* A thread that does what may block on the disk, and hands each job back to the loop.
 * Relies on pthreads, an eventfd and libevent; waiting jobs are taken as one
 * batch (group commit). Leaves what a job does, and how much may be queued, to its users. */
#include "server/job_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/mem.h"

STAILQ_HEAD(jobs, job);

struct job_thread {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct jobs waiting, finished;
    bool stopping, hurried; /* hurried: a job waits that may not */
    int64_t interval_ns, last_ns;
    int fd;
    struct event *event;
    void *ctx;
    int (*commit)(void *ctx);
};

static void finish(struct job_thread *w, struct jobs *batch)
{
    uint64_t one = 1;
    pthread_mutex_lock(&w->lock);
    STAILQ_CONCAT(&w->finished, batch);
    pthread_mutex_unlock(&w->lock);
    (void)!write(w->fd, &one, sizeof one);
}

static void run_batch(struct job_thread *w, struct jobs *batch)
{
    struct job *job;
    STAILQ_FOREACH (job, batch, link)
        job->run(job, w->ctx);
    int r = w->commit(w->ctx);
    STAILQ_FOREACH (job, batch, link) {
        if (r && !job->result)
            job->result = r;
        if (!job->result && job->after)
            job->after(job, w->ctx);
    }
    finish(w, batch);
}

static void run_single(struct job_thread *w, struct jobs *batch)
{
    struct job *job;
    while ((job = STAILQ_FIRST(batch))) {
        struct jobs one = STAILQ_HEAD_INITIALIZER(one);
        STAILQ_REMOVE_HEAD(batch, link);
        job->run(job, w->ctx);
        STAILQ_INSERT_TAIL(&one, job, link);
        finish(w, &one);
    }
}

/* Lets jobs that may wait gather. */
static void gather(struct job_thread *w)
{
    int64_t until = w->last_ns + w->interval_ns;
    struct timespec ts = {until / NS_PER_S, until % NS_PER_S};
    while (!w->stopping && !w->hurried && clock_mono_ns() < until)
        pthread_cond_timedwait(&w->more, &w->lock, &ts);
    w->hurried = false;
    w->last_ns = clock_mono_ns();
}

static void *work(void *arg)
{
    struct job_thread *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (STAILQ_EMPTY(&w->waiting) && !w->stopping)
            pthread_cond_wait(&w->more, &w->lock);
        if (STAILQ_EMPTY(&w->waiting))
            break;
        if (w->commit)
            gather(w);
        struct jobs batch = STAILQ_HEAD_INITIALIZER(batch);
        STAILQ_CONCAT(&batch, &w->waiting);
        pthread_mutex_unlock(&w->lock);
        if (w->commit)
            run_batch(w, &batch);
        else
            run_single(w, &batch);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void deliver(struct job_thread *w)
{
    struct jobs done = STAILQ_HEAD_INITIALIZER(done);
    pthread_mutex_lock(&w->lock);
    STAILQ_CONCAT(&done, &w->finished);
    pthread_mutex_unlock(&w->lock);
    struct job *job;
    while ((job = STAILQ_FIRST(&done))) {
        STAILQ_REMOVE_HEAD(&done, link);
        job->done(job);
    }
}

static void on_finished(evutil_socket_t fd, short what, void *arg)
{
    uint64_t n;
    (void)!read(fd, &n, sizeof n);
    deliver(arg);
}

int job_thread_start(struct event_base *base, void *ctx, int (*commit)(void *ctx),
                     int64_t interval_ns, struct job_thread **out)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct job_thread *w = xcalloc(1, sizeof *w);
    w->fd = fd;
    w->ctx = ctx;
    w->commit = commit;
    w->interval_ns = interval_ns;
    w->last_ns = INT64_MIN / 2;
    STAILQ_INIT(&w->waiting);
    STAILQ_INIT(&w->finished);
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->more, &monotonic);
    pthread_condattr_destroy(&monotonic);
    w->event = event_new(base, fd, EV_READ | EV_PERSIST, on_finished, w);
    event_add(w->event, NULL);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the loop's */
    int r = pthread_create(&w->thread, NULL, work, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r) {
        event_free(w->event);
        close(fd);
        free(w);
        return -r;
    }
    *out = w;
    return 0;
}

void job_thread_submit(struct job_thread *w, struct job *job)
{
    job->result = 0;
    pthread_mutex_lock(&w->lock);
    w->hurried |= !job->may_wait;
    STAILQ_INSERT_TAIL(&w->waiting, job, link);
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
}

void job_thread_stop(struct job_thread **wp)
{
    struct job_thread *w = *wp;
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    deliver(w);
    event_free(w->event);
    close(w->fd);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->more);
    free(w);
    *wp = NULL;
}
