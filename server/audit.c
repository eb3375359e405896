/* The audit log: a JSON record a line, in the form of CloudTrail's, in a file that is renamed when
 * it is full and thrown away when it is the oldest. Relies on a thread of its own. Leaves what is
 * in a record to call.h. */
#include "server/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "server/job_thread.h"

#define WAITING_MAX_BYTES (4u << 20)

struct audit {
    struct job_thread *thread;
    size_t waiting_bytes; /* loop */
    char *path;           /* the rest: thread */
    int fd;
    off_t size;
};

struct record {
    struct job job;
    struct audit *audit;
    char *line;
    size_t len;
};

static int open_file(struct audit *a)
{
    struct stat st;
    a->fd = open(a->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (a->fd < 0 || fstat(a->fd, &st) < 0)
        return -errno;
    a->size = st.st_size;
    return 0;
}

/* PATH.3 becomes PATH.4 … PATH becomes PATH.1. */
static int rotate(struct audit *a)
{
    close(a->fd);
    a->fd = -1;
    for (int i = AUDIT_FILES - 1; i > 0; i--) {
        char *from = i > 1 ? xasprintf("%s.%d", a->path, i - 1) : xstrdup(a->path);
        char *to = xasprintf("%s.%d", a->path, i);
        (void)!rename(from, to); /* not all of them are there */
        free(from);
        free(to);
    }
    return open_file(a);
}

static void run(struct job *job, void *ctx)
{
    struct audit *a = ctx;
    struct record *r = (struct record *)job;
    job->result = 0;
    if (a->fd < 0)
        job->result = open_file(a);
    else if (a->size > 0 && a->size + (off_t)r->len > AUDIT_FILE_BYTES)
        job->result = rotate(a);
    if (job->result)
        return;
    ssize_t n = write(a->fd, r->line, r->len);
    if (n == (ssize_t)r->len) {
        a->size += n;
        return;
    }
    job->result = n < 0 ? -errno : -ENOSPC;
    if (n > 0 && ftruncate(a->fd, a->size) < 0) /* no half lines */
        a->size += n;
}

static void done(struct job *job)
{
    struct record *r = (struct record *)job;
    if (job->result)
        LOG_WARN_FEW("server.audit",
                     "file=%s error=\"%s\" action=\"free space or check the disk: records of calls "
                     "are lost\"",
                     r->audit->path, strerror(-job->result));
    r->audit->waiting_bytes -= r->len;
    free(r->line);
    free(r);
}

int audit_open(struct event_base *base, const char *path, struct audit **out)
{
    struct audit *a = xcalloc(1, sizeof *a);
    a->path = xstrdup(path);
    int r = open_file(a);
    if (r == 0)
        r = job_thread_start(base, a, NULL, 0, &a->thread);
    if (r) {
        log_error("server.audit", "file=%s error=\"%s\" action=\"make server.data writable\"", path,
                  strerror(-r));
        audit_close(&a);
    }
    *out = a;
    return r;
}

void audit_close(struct audit **ap)
{
    struct audit *a = *ap;
    *ap = NULL;
    if (!a)
        return;
    job_thread_stop(&a->thread);
    if (a->fd >= 0)
        close(a->fd);
    free(a->path);
    free(a);
}

void audit_write(struct audit *a, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    size_t len = text ? strlen(text) + 1 : 0;
    if (!text || a->waiting_bytes + len > WAITING_MAX_BYTES) {
        LOG_WARN_FEW("server.audit",
                     "file=%s error=\"%s\" action=\"check the disk: records of calls are lost\"",
                     a->path, text ? "more waits than may" : "a record cannot be written as JSON");
        free(text);
        return;
    }
    struct record *r = xcalloc(1, sizeof *r);
    *r = (struct record){.job = {.run = run, .done = done}, .audit = a, .line = text, .len = len};
    text[len - 1] = '\n';
    a->waiting_bytes += len;
    job_thread_submit(a->thread, &r->job);
}
