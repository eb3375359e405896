/* The fragments of a stream: their numbers, those that are live in memory, and their way to the
 * archive. Relies on the writer thread. Leaves the rules for fragments to ingest. */
#include "server/store_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/kms.h"

/* Retention 0: so much is kept in memory. */
#define BUFFER_NS (300 * NS_PER_S)
#define BUFFER_BYTES (200u << 20)
/* With retention: what live readers find without the disk. */
#define RING_NS (5 * NS_PER_S)
#define RING_BYTES (16u << 20)

/* Fragment numbers that are noted ahead. */
#define RESERVE_NS (30 * NS_PER_S)
#define RESERVE_BEHIND 1000000

struct fragment *fragment_new(struct blob *header, struct blob *data)
{
    struct fragment *f = xcalloc(1, sizeof *f);
    f->refs = 1;
    f->header = header;
    f->data = data;
    return f;
}

struct fragment *fragment_ref(struct fragment *f)
{
    f->refs++;
    return f;
}

void fragment_unref(struct fragment **fp)
{
    struct fragment *f = *fp;
    *fp = NULL;
    if (!f || --f->refs)
        return;
    blob_unref(&f->header);
    blob_unref(&f->data);
    free(f);
}

struct note_job {
    struct job job;
    int64_t stream, seq;
};

static void note_run(struct job *job, void *ctx)
{
    struct note_job *n = (struct note_job *)job;
    job->result = archive_note_seq(ctx, n->stream, n->seq);
}

static void note_done(struct job *job)
{
    free(job);
}

/* A number may have been told to a producer, but its fragment never be stored: the index keeps one
 * that is well above all that are given out, so that none comes twice after a crash, whatever the
 * clock says then. While the clock is behind, numbers go up by one. */
int64_t stream_next_seq(struct stream *st, int64_t wall_ns)
{
    st->last_seq = wall_ns > st->last_seq ? wall_ns : st->last_seq + 1;
    int64_t step = st->last_seq > wall_ns ? RESERVE_BEHIND : RESERVE_NS;
    if (st->last_seq > st->reserved_seq - step / 2) {
        st->reserved_seq = st->last_seq + step;
        struct note_job *n = xcalloc(1, sizeof *n);
        *n = (struct note_job){
            .job = {.run = note_run, .done = note_done}, .stream = st->id, .seq = st->reserved_seq};
        job_thread_submit(st->store->writer_thread, &n->job);
    }
    return st->last_seq;
}

static void drop_from_ring(struct stream *st, struct fragment *f)
{
    TAILQ_REMOVE(&st->ring, f, link);
    st->ring_bytes -= f->data->len;
    fragment_unref(&f);
}

bool stream_gap_open(const struct stream *st, int64_t after, int64_t before)
{
    const struct stream_producer *p;
    TAILQ_FOREACH (p, &st->producers, link)
        if (p->open_seq > after && p->open_seq < before)
            return true;
    return false;
}

void stream_ring_trim(struct stream *st)
{
    int64_t now = clock_mono_ns();
    int64_t max_ns = st->retention_h ? RING_NS : BUFFER_NS;
    size_t max_bytes = st->retention_h ? RING_BYTES : BUFFER_BYTES;
    struct fragment *f;
    /* Readers wait for a fragment with a lower number that is still coming, but not for ever. */
    while ((f = TAILQ_FIRST(&st->ring)) && f->settled &&
           (st->ring_bytes > max_bytes || now - f->ring_ns > max_ns) &&
           (st->ring_bytes > 4 * max_bytes || !stream_gap_open(st, st->evicted_seq, f->row.seq))) {
        st->evicted_seq = f->row.seq;
        drop_from_ring(st, f);
    }
}

struct append_job {
    struct job job;
    struct stream *st;
    struct fragment *f;
    struct archive_row row; /* the writer's copy */
    void (*done)(void *arg, struct fragment *f, int result);
    void *arg;
};

static void append_run(struct job *job, void *ctx)
{
    struct append_job *a = (struct append_job *)job;
    struct archive_target to = {
        .stream = a->st->id, .folder = a->st->folder, .arn = a->st->arn, .kms_key = a->st->kms_key};
    job->result = archive_append(ctx, a->st->file, &to, a->f->header, a->f->data, &a->row);
}

static void append_done(struct job *job)
{
    struct append_job *a = (struct append_job *)job;
    a->st->store->backlog_bytes -= a->f->data->len;
    a->f->settled = true;
    if (job->result == 0) {
        a->f->row = a->row;
        a->st->persisted++;
        a->st->persisted_bytes += a->row.length;
    } else if (a->st->status == STREAM_ACTIVE) {
        log_error("server.archive.append", "stream=%s error=\"%s\" action=\"%s\"", a->st->name,
                  kms_is_error(job->result) ? kms_error_name(-job->result) : strerror(-job->result),
                  kms_is_error(job->result) ? "see MASTER KEYS in kvpipe-server(1)"
                                            : "free space or check the disk");
        drop_from_ring(a->st, a->f);
    }
    stream_ring_trim(a->st);
    a->done(a->arg, a->f, job->result ? job->result : 1);
    fragment_unref(&a->f);
    stream_unref(&a->st);
    free(a);
}

static void archive_it(struct stream *st, struct fragment *f,
                       void (*done)(void *arg, struct fragment *f, int result), void *arg)
{
    struct append_job *a = xcalloc(1, sizeof *a);
    *a = (struct append_job){.job = {.run = append_run, .done = append_done, .may_wait = true},
                             .st = stream_ref(st),
                             .f = fragment_ref(f),
                             .row = f->row,
                             .done = done,
                             .arg = arg};
    st->store->backlog_bytes += f->data->len;
    job_thread_submit(st->store->writer_thread, &a->job);
}

/* Several producers' fragments are not whole in the order of their numbers. */
static void insert_by_seq(struct stream *st, struct fragment *f)
{
    struct fragment *at = TAILQ_LAST(&st->ring, fragments);
    while (at && at->row.seq > f->row.seq)
        at = TAILQ_PREV(at, fragments, link);
    if (at)
        TAILQ_INSERT_AFTER(&st->ring, at, f, link);
    else
        TAILQ_INSERT_HEAD(&st->ring, f, link);
}

void stream_add(struct stream *st, struct fragment *f,
                void (*done)(void *arg, struct fragment *f, int result), void *arg)
{
    if (st->status != STREAM_ACTIVE) {
        done(arg, f, -ENOENT);
        fragment_unref(&f);
        return;
    }
    f->row.length = (uint32_t)f->data->len;
    f->ring_ns = clock_mono_ns();
    insert_by_seq(st, f);
    st->ring_bytes += f->data->len;
    st->newest_server_ms = f->row.server_ms;
    if (st->retention_h) {
        archive_it(st, f, done, arg);
    } else {
        f->settled = true;
        done(arg, f, 0);
    }
    stream_ring_trim(st);
    stream_changed(st);
}

struct fragment *stream_ring_after(struct stream *st, int64_t seq)
{
    struct fragment *f, *best = NULL;
    TAILQ_FOREACH_REVERSE(f, &st->ring, fragments, link)
    {
        if (f->row.seq <= seq)
            break;
        best = f;
    }
    return best;
}
