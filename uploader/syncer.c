/* The sync worker: a short queue of duplicated descriptors.
 * Relies on pthreads.
 * Leaves the policy to the spool. */
#include "uploader/syncer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

#define SYNCER_QUEUE_MAX 256

struct job {
    TAILQ_ENTRY(job) entry;
    int fd;
    bool directory;
    dev_t dev;
    ino_t ino;
    char what[128];
};

struct syncer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    TAILQ_HEAD(, job) jobs;
    unsigned njobs;
    bool stop;
};

static void run_job(struct job *j)
{
    if ((j->directory ? fsync(j->fd) : fdatasync(j->fd)) < 0)
        log_error("uploader.spool.sync",
                  "file=%s error=\"%s\" effect=\"a power cut may lose what was acked\"", j->what,
                  strerror(errno));
    close(j->fd);
    free(j);
}

static void *work(void *arg)
{
    struct syncer *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        struct job *j = TAILQ_FIRST(&s->jobs);
        if (!j && s->stop)
            break;
        if (!j) {
            pthread_cond_wait(&s->wake, &s->lock);
            continue;
        }
        TAILQ_REMOVE(&s->jobs, j, entry);
        s->njobs--;
        pthread_mutex_unlock(&s->lock);
        run_job(j);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

struct syncer *syncer_create(void)
{
    struct syncer *s = xcalloc(1, sizeof *s);
    TAILQ_INIT(&s->jobs);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    if (pthread_create(&s->thread, NULL, work, s) != 0) {
        free(s);
        return NULL;
    }
    return s;
}

static bool waits_already(struct syncer *s, const struct stat *st)
{
    struct job *j;
    TAILQ_FOREACH (j, &s->jobs, entry)
        if (j->dev == st->st_dev && j->ino == st->st_ino)
            return true;
    return false;
}

void syncer_request(struct syncer *s, int fd, bool directory, const char *what)
{
    struct stat st;
    if (!s || fstat(fd, &st) < 0)
        return;
    pthread_mutex_lock(&s->lock);
    /* A full queue means a disk far behind; the file's next fragment asks again. */
    if (!waits_already(s, &st) && s->njobs < SYNCER_QUEUE_MAX) {
        struct job *j = xcalloc(1, sizeof *j);
        j->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        j->directory = directory;
        j->dev = st.st_dev;
        j->ino = st.st_ino;
        snprintf(j->what, sizeof j->what, "%s", what);
        if (j->fd >= 0) {
            TAILQ_INSERT_TAIL(&s->jobs, j, entry);
            s->njobs++;
            pthread_cond_signal(&s->wake);
        } else {
            free(j);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

void syncer_destroy(struct syncer **sp)
{
    struct syncer *s = *sp;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
    *sp = NULL;
}
