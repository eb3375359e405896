/* A thread that does what may block on the disk, and hands each job back to the loop.
 * Relies on pthreads, an eventfd and libevent; waiting jobs are taken as one
 * batch (group commit). Leaves what a job does, and how much may be queued, to its users. */
#ifndef KVPIPE_SERVER_JOB_THREAD_H
#define KVPIPE_SERVER_JOB_THREAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct event_base;
struct job_thread;

/* Embedded in the user's own struct. `run` and `after` are called in the thread, `done` in the
 * loop. */
struct job {
    void (*run)(struct job *job, void *ctx); /* sets result */
    void (*after)(struct job *job,
                  void *ctx); /* may be NULL; after the commit of its batch, when that worked */
    void (*done)(struct job *job); /* owns the job again */
    int result;                    /* 0 or negative errno; the commit's when only that failed */
    bool may_wait;                 /* for others, so that they share a commit */
    STAILQ_ENTRY(job) link;        /* private */
};

/* Starts the thread. With `commit`, it takes all jobs that wait as one batch, runs them in order
 * and calls commit once; no job of the batch is done before. Jobs that may wait alone start no
 * batch sooner than interval_ns after the start of the one before: the first of a quiet time is
 * done at once, many share. Without `commit`, each is done by itself. Returns 0 or a negative
 * errno. */
int job_thread_start(struct event_base *base, void *ctx, int (*commit)(void *ctx),
                     int64_t interval_ns, struct job_thread **out);
/* Queues a job; never blocks. */
void job_thread_submit(struct job_thread *w, struct job *job);
/* Blocks until all queued jobs ran, calls their done functions (which may submit no more), ends the
 * thread. */
void job_thread_stop(struct job_thread **w);

#endif
