/* The worker thread: order, results on the loop, bounds, a full stop.
 * Relies on Check and libevent; pipes and the loop order things, no sleeps.
 * Leaves what jobs do to their owners. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/thread.h>

#include "common/worker.h"
#include "tests/unit/suite.h"

static struct event_base *base;
static struct worker *worker;
static int ran[64], nran, results[64], nresults;
static pthread_t ran_in;
static int gate[2];

static void up(void)
{
    evthread_use_pthreads();
    base = event_base_new();
    nran = nresults = 0;
    ck_assert_int_eq(pipe(gate), 0);
    ck_assert_int_eq(worker_create(base, 4, &worker), 0);
}

static void down(void)
{
    worker_destroy(&worker);
    ck_assert_ptr_null(worker);
    event_base_free(base);
    close(gate[0]);
    close(gate[1]);
}

static int job(void *arg)
{
    ran_in = pthread_self();
    ran[nran++] = *(int *)arg;
    return *(int *)arg * 10;
}

static int wait_at_gate(void *arg)
{
    char c;
    return read(gate[0], &c, 1) == 1 ? 0 : -EIO;
}

static void done(void *arg, int result)
{
    results[nresults++] = result;
    if (!worker_pending(worker))
        event_base_loopbreak(base);
}

START_TEST(jobs_run_in_order_in_the_thread_and_end_on_the_loop)
{
    int n[] = {1, 2, 3};
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(worker_run(worker, job, done, &n[i]), 0);
    ck_assert_int_eq(nresults, 0); /* not before the loop turns */
    event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
    ck_assert(!pthread_equal(ran_in, pthread_self()));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(ran[i], n[i]);
        ck_assert_int_eq(results[i], n[i] * 10);
    }
}
END_TEST

START_TEST(a_full_queue_refuses)
{
    static int n = 1; /* the last job runs after this returned */
    ck_assert_int_eq(worker_run(worker, wait_at_gate, done, NULL), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(worker_run(worker, job, done, &n), 0);
    ck_assert_int_eq(worker_run(worker, job, done, &n), -ENOBUFS);
    ck_assert_uint_eq(worker_pending(worker), 4);
    ck_assert_int_eq(write(gate[1], "x", 1), 1);
    event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
    ck_assert_int_eq(nresults, 4);
    ck_assert_int_eq(worker_run(worker, job, NULL, &n), 0);
}
END_TEST

START_TEST(destroy_finishes_what_was_taken)
{
    int n = 1;
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(worker_run(worker, job, done, &n), 0);
    struct worker *w = worker;
    worker_destroy(&w);
    ck_assert_int_eq(nran, 4);
    ck_assert_int_eq(nresults, 4);
    worker = NULL;
}
END_TEST

int main(void)
{
    Suite *s = suite_create("worker");
    TCase *t = tcase_create("worker");
    tcase_add_checked_fixture(t, up, down);
    tcase_add_test(t, jobs_run_in_order_in_the_thread_and_end_on_the_loop);
    tcase_add_test(t, a_full_queue_refuses);
    tcase_add_test(t, destroy_finishes_what_was_taken);
    suite_add_tcase(s, t);
    return suite_run(s);
}
