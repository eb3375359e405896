/* Streams as the operations see them: made, changed, deleted, swept, in memory and on disk
 * (archive.h). Relies on two worker threads and the archive. Leaves fragments to store_fragments.c,
 * HTTP and JSON to the operations. */
#include "server/store_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

/* Fragments that come sooner after a commit share the next one. */
#define COMMIT_INTERVAL_NS (50 * NS_PER_MS)

/* ---- streams ---- */

static struct stream *stream_new(struct store *s, const char *name)
{
    struct stream *st = xcalloc(1, sizeof *st);
    st->store = s;
    st->refs = 1;
    snprintf(st->name, sizeof st->name, "%s", name);
    TAILQ_INIT(&st->ring);
    TAILQ_INIT(&st->watches);
    TAILQ_INIT(&st->producers);
    st->file = archive_file_new();
    return st;
}

struct stream *stream_ref(struct stream *st)
{
    st->refs++;
    return st;
}

void stream_unref(struct stream **sp)
{
    struct stream *st = *sp;
    *sp = NULL;
    if (!st || --st->refs)
        return;
    struct fragment *f;
    while ((f = TAILQ_FIRST(&st->ring))) {
        TAILQ_REMOVE(&st->ring, f, link);
        fragment_unref(&f);
    }
    free(st->arn);
    free(st->media_type);
    free(st->device_name);
    free(st->kms_key);
    free(st->tags);
    free(st->settings);
    free(st->calls);
    archive_file_free(st->store->archive, &st->file);
    free(st);
}

static void insert_by_name(struct store *s, struct stream *st)
{
    struct stream *at;
    TAILQ_FOREACH (at, &s->streams, link)
        if (strcmp(st->name, at->name) < 0)
            break;
    if (at)
        TAILQ_INSERT_BEFORE(at, st, link);
    else
        TAILQ_INSERT_TAIL(&s->streams, st, link);
}

struct stream *store_first(struct store *s)
{
    return TAILQ_FIRST(&s->streams);
}

struct stream *store_find(struct store *s, const char *name)
{
    struct stream *st;
    TAILQ_FOREACH (st, &s->streams, link)
        if (!strcmp(st->name, name))
            return st;
    return NULL;
}

struct stream *store_find_arn(struct store *s, const char *arn)
{
    struct stream *st;
    TAILQ_FOREACH (st, &s->streams, link)
        if (!strcmp(st->arn, arn))
            return st;
    return NULL;
}

unsigned store_count(const struct store *s)
{
    const struct stream *st;
    unsigned n = 0;
    TAILQ_FOREACH (st, &s->streams, link)
        n++;
    return n;
}

const char *store_region(const struct store *s)
{
    return s->region;
}

static void load_stream(void *arg, const struct archive_stream *row)
{
    struct store *s = arg;
    struct stream *st = stream_new(s, row->name);
    st->id = row->id;
    snprintf(st->code, sizeof st->code, "%" PRId64, row->created_ms);
    snprintf(st->folder, sizeof st->folder, "%s", row->folder);
    snprintf(st->version, sizeof st->version, "%s", row->version);
    st->arn = xstrdup(row->arn);
    st->media_type = xstrdup(row->media_type);
    st->device_name = xstrdup(row->device_name);
    st->kms_key = xstrdup(row->kms_key);
    st->tags = xstrdup(row->tags);
    st->settings = xstrdup(row->settings);
    st->created_ms = row->created_ms;
    st->retention_h = row->retention_h;
    st->status = STREAM_ACTIVE;
    st->last_seq = st->evicted_seq = st->reserved_seq = row->last_seq;
    st->newest_server_ms = row->newest_server_ms;
    insert_by_name(s, st);
}

int store_open(struct event_base *base, const char *dir, const char *region, struct store **out)
{
    struct store *s = xcalloc(1, sizeof *s);
    TAILQ_INIT(&s->streams);
    snprintf(s->region, sizeof s->region, "%s", region);
    int r = archive_open(dir, &s->archive);
    if (r == 0)
        r = archive_load(s->archive, load_stream, s);
    if (r == 0)
        r = archive_reader_open(dir, &s->reader);
    if (r == 0)
        r = job_thread_start(base, s->archive, archive_commit, COMMIT_INTERVAL_NS,
                             &s->writer_thread);
    if (r == 0)
        r = job_thread_start(base, s->reader, NULL, 0, &s->reader_thread);
    if (r)
        store_close(&s);
    *out = s;
    return r;
}

void store_use_kms(struct store *s, struct kms *kms)
{
    archive_use_kms(s->archive, kms);
    archive_reader_use_kms(s->reader, kms);
}

void store_close(struct store **sp)
{
    struct store *s = *sp;
    if (!s)
        return;
    s->closing = true;
    job_thread_stop(&s->reader_thread);
    job_thread_stop(&s->writer_thread);
    struct stream *st;
    while ((st = TAILQ_FIRST(&s->streams))) {
        TAILQ_REMOVE(&s->streams, st, link);
        stream_unref(&st);
    }
    archive_reader_close(&s->reader);
    archive_close(&s->archive);
    free(s);
    *sp = NULL;
}

/* Twenty random letters and digits, as the service's versions look. */
static void new_version(char out[33])
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    unsigned char r[20] = {0};
    RAND_bytes(r, sizeof r);
    for (size_t i = 0; i < sizeof r; i++)
        out[i] = set[r[i] % (sizeof set - 1)];
    out[sizeof r] = 0;
}

static int64_t unique_creation_ms(struct store *s)
{
    int64_t ms = clock_wall_ns() / NS_PER_MS;
    struct stream *st;
    TAILQ_FOREACH (st, &s->streams, link)
        if (st->created_ms >= ms)
            ms = st->created_ms + 1;
    return ms;
}

struct create_job {
    struct job job;
    struct stream *st;
    void (*done)(void *arg, struct stream *st, int result);
    void *arg;
};

static void create_run(struct job *job, void *ctx)
{
    struct create_job *c = (struct create_job *)job;
    const struct stream *st = c->st;
    struct archive_stream row = {.name = st->name,
                                 .folder = st->folder,
                                 .arn = st->arn,
                                 .version = st->version,
                                 .media_type = st->media_type,
                                 .device_name = st->device_name,
                                 .kms_key = st->kms_key,
                                 .tags = st->tags,
                                 .created_ms = st->created_ms,
                                 .retention_h = st->retention_h};
    job->result = archive_add_stream(ctx, &row, &c->st->id);
}

static void create_done(struct job *job)
{
    struct create_job *c = (struct create_job *)job;
    if (job->result == 0) {
        c->st->status = STREAM_ACTIVE;
        log_info("server.stream.created", "stream=%s retention_h=%u", c->st->name,
                 c->st->retention_h);
    } else {
        log_error("server.stream.create", "stream=%s error=\"%s\"", c->st->name,
                  strerror(-job->result));
        TAILQ_REMOVE(&c->st->store->streams, c->st, link);
    }
    c->done(c->arg, c->st, job->result);
    if (job->result)
        stream_unref(&(struct stream *){c->st});
    stream_unref(&c->st);
    free(c);
}

struct stream *store_create(struct store *s, const struct stream_spec *spec,
                            void (*done)(void *arg, struct stream *st, int result), void *arg)
{
    if (store_find(s, spec->name))
        return NULL;
    struct stream *st = stream_new(s, spec->name);
    st->created_ms = unique_creation_ms(s);
    snprintf(st->code, sizeof st->code, "%" PRId64, st->created_ms);
    /* for people; a file name has at most 255 bytes */
    snprintf(st->folder, sizeof st->folder, "%.200s-%s", st->name, st->code);
    new_version(st->version);
    st->arn = xasprintf("arn:aws:kinesisvideo:%s:" SERVER_ACCOUNT ":stream/%s/%s", s->region,
                        st->name, st->code);
    st->media_type = xstrdup(spec->media_type);
    st->device_name = xstrdup(spec->device_name);
    st->kms_key = xstrdup(spec->kms_key);
    st->tags = xstrdup(spec->tags);
    st->retention_h = spec->retention_h;
    st->status = STREAM_CREATING;
    insert_by_name(s, st);
    struct create_job *c = xcalloc(1, sizeof *c);
    *c = (struct create_job){.job = {.run = create_run, .done = create_done},
                             .st = stream_ref(st),
                             .done = done,
                             .arg = arg};
    job_thread_submit(s->writer_thread, &c->job);
    return st;
}

void stream_set(char **text, const char *value)
{
    free(*text);
    *text = xstrdup(value);
}

void stream_new_version(struct stream *st)
{
    new_version(st->version);
}

struct update_job {
    struct job job;
    struct stream *st;
    struct archive_stream row; /* its strings are the job's */
    void (*done)(void *arg, int result);
    void *arg;
};

static void update_run(struct job *job, void *ctx)
{
    struct update_job *u = (struct update_job *)job;
    u->row.id = u->st->id;
    job->result = archive_update_stream(ctx, &u->row);
}

static void update_done(struct job *job)
{
    struct update_job *u = (struct update_job *)job;
    if (job->result)
        log_error("server.stream.update", "stream=%s error=\"%s\"", u->st->name,
                  strerror(-job->result));
    u->done(u->arg, job->result);
    stream_unref(&u->st);
    free((char *)u->row.version);
    free((char *)u->row.media_type);
    free((char *)u->row.device_name);
    free((char *)u->row.tags);
    free((char *)u->row.settings);
    free(u);
}

void store_update(struct stream *st, void (*done)(void *arg, int result), void *arg)
{
    struct update_job *u = xcalloc(1, sizeof *u);
    *u = (struct update_job){.job = {.run = update_run, .done = update_done},
                             .st = stream_ref(st),
                             .row = {.version = xstrdup(st->version),
                                     .media_type = xstrdup(st->media_type),
                                     .device_name = xstrdup(st->device_name),
                                     .tags = xstrdup(st->tags),
                                     .settings = xstrdup(st->settings),
                                     .retention_h = st->retention_h},
                             .done = done,
                             .arg = arg};
    job_thread_submit(st->store->writer_thread, &u->job);
}

void stream_changed(struct stream *st)
{
    struct stream_watch *w, *next;
    for (w = TAILQ_FIRST(&st->watches); w; w = next) {
        next = TAILQ_NEXT(w, link);
        w->changed(w);
    }
}

struct delete_job {
    struct job job;
    struct stream *st;
    void (*done)(void *arg, int result);
    void *arg;
};

static void delete_run(struct job *job, void *ctx)
{
    struct delete_job *d = (struct delete_job *)job;
    job->result = archive_delete_stream(ctx, d->st->id, d->st->folder, d->st->file);
}

static void delete_after(struct job *job, void *ctx)
{
    struct delete_job *d = (struct delete_job *)job;
    archive_purge(ctx, d->st->folder);
}

static void delete_done(struct job *job)
{
    struct delete_job *d = (struct delete_job *)job;
    if (job->result)
        log_error("server.stream.delete", "stream=%s error=\"%s\"", d->st->name,
                  strerror(-job->result));
    else
        log_info("server.stream.deleted", "stream=%s", d->st->name);
    d->done(d->arg, job->result);
    stream_unref(&d->st);
    free(d);
}

void store_delete(struct stream *st, void (*done)(void *arg, int result), void *arg)
{
    struct delete_job *d = xcalloc(1, sizeof *d);
    *d = (struct delete_job){.job = {.run = delete_run, .after = delete_after, .done = delete_done},
                             .st = st,
                             .done = done,
                             .arg = arg};
    st->status = STREAM_DELETING;
    TAILQ_REMOVE(&st->store->streams, st, link); /* the list's reference is now the job's */
    struct stream_producer *p;
    while ((p = TAILQ_FIRST(&st->producers)))
        p->end(p);
    stream_changed(st);
    job_thread_submit(st->store->writer_thread, &d->job);
}

struct key_job {
    struct job job;
    struct stream *st;
    void (*done)(void *arg, int result);
    void *arg;
};

static void key_run(struct job *job, void *ctx)
{
    struct archive *a = ctx;
    job->result = archive_check_key(a, ((struct key_job *)job)->st->kms_key);
}

static void key_done(struct job *job)
{
    struct key_job *k = (struct key_job *)job;
    k->done(k->arg, job->result);
    stream_unref(&k->st);
    free(k);
}

void store_check_key(struct stream *st, void (*done)(void *arg, int result), void *arg)
{
    struct key_job *k = xcalloc(1, sizeof *k);
    *k = (struct key_job){
        .job = {.run = key_run, .done = key_done}, .st = stream_ref(st), .done = done, .arg = arg};
    job_thread_submit(st->store->writer_thread, &k->job);
}

/* ---- readers and figures ---- */

void stream_watch(struct stream *st, struct stream_watch *w)
{
    TAILQ_INSERT_TAIL(&st->watches, w, link);
}

void stream_unwatch(struct stream *st, struct stream_watch *w)
{
    TAILQ_REMOVE(&st->watches, w, link);
}

size_t store_backlog_bytes(const struct store *s)
{
    return s->backlog_bytes;
}

uint64_t store_syncs(const struct store *s)
{
    return archive_syncs(s->archive);
}

/* ---- retention ---- */

struct sweep_job {
    struct job job;
    struct stream *st;
    int64_t before_ms;
    bool more;
};

static void sweep_run(struct job *job, void *ctx)
{
    struct sweep_job *w = (struct sweep_job *)job;
    job->result = archive_sweep(ctx, w->st->id, w->st->folder, w->st->file, w->before_ms, &w->more);
}

static void sweep_after(struct job *job, void *ctx)
{
    archive_unlink_swept(ctx);
}

/* A month that is given up at once goes in pieces, between which fragments are stored. */
static void sweep_done(struct job *job)
{
    struct sweep_job *w = (struct sweep_job *)job;
    struct store *s = w->st->store;
    if (job->result) {
        log_warn("server.sweep", "stream=%s error=\"%s\"", w->st->name, strerror(-job->result));
    } else if (w->more && w->st->status == STREAM_ACTIVE && !s->closing) {
        job_thread_submit(s->writer_thread, job);
        return;
    }
    stream_unref(&w->st);
    free(w);
}

void store_sweep(struct store *s, int64_t wall_ns)
{
    struct stream *st;
    TAILQ_FOREACH (st, &s->streams, link) {
        stream_ring_trim(st);
        if (st->status != STREAM_ACTIVE)
            continue;
        struct sweep_job *w = xcalloc(1, sizeof *w);
        *w = (struct sweep_job){
            .job = {.run = sweep_run, .after = sweep_after, .done = sweep_done, .may_wait = true},
            .st = stream_ref(st),
            .before_ms = wall_ns / NS_PER_MS - (int64_t)st->retention_h * 3600000};
        job_thread_submit(s->writer_thread, &w->job);
    }
}

/* ---- reading ---- */

static void read_run(struct job *job, void *ctx)
{
    struct store_read *r = (struct store_read *)job;
    r->run(r, ctx);
}

static void read_done(struct job *job)
{
    struct store_read *r = (struct store_read *)job;
    r->done(r);
}

void store_read(struct store *s, struct store_read *r)
{
    r->job = (struct job){.run = read_run, .done = read_done};
    job_thread_submit(s->reader_thread, &r->job);
}
