/* One thread beside the loop, for what may block: disk syncs, image decoding, name lookups.
 * Relies on pthreads, and an eventfd that brings completions back to the loop.
 * Leaves what a job does to its caller: jobs touch only what they were given. */
#ifndef KVPIPE_COMMON_WORKER_H
#define KVPIPE_COMMON_WORKER_H

#include <stddef.h>

struct event_base;
struct worker;

/* Starts the thread; at most max_jobs may wait. Returns 0 or a negative errno. */
int worker_create(struct event_base *base, size_t max_jobs, struct worker **out);
/* Runs fn(arg) in the thread, in order of calls, then done(arg, result of fn) on the loop (done may
 * be NULL). Returns 0, or -ENOBUFS when max_jobs already wait: neither is called then. Never
 * blocks. From the loop's thread only. */
int worker_run(struct worker *w, int (*fn)(void *arg), void (*done)(void *arg, int result),
               void *arg);
/* Jobs given and not yet done. */
size_t worker_pending(const struct worker *w);
/* Lets all jobs finish (this blocks), calls their done, ends the thread. *w may be NULL. */
void worker_destroy(struct worker **w);

#endif
