/* GetMedia: media-api.md sections 5 and 6. Chunks in the order of their numbers, from the archive,
 * then live from memory. Relies on the store: its ring has every fragment above
 * stream->evicted_seq, the archive the ones up to it. Leaves at most READ_BYTES unsent; a slow
 * reader is waited for, then cut by http's send timeout. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"
#include "media/mkv_writer.h"
#include "server/error.h"
#include "server/field.h"
#include "server/fragment_number.h"
#include "server/http.h"
#include "server/route.h"
#include "server/stage.h"
#include "server/store.h"

#define UNSENT_MAX_BYTES (512u << 10)
#define READ_BYTES (256u << 10)
#define WAIT_S 3 /* without a fragment the read ends */

enum selector { AT_NUMBER, AT_SERVER, AT_PRODUCER, AT_NOW, AT_EARLIEST, AT_TOKEN };

/* The parts of a chunk, in order. */
enum part { PART_HEADER, PART_BEFORE, PART_TAGS, PART_CLUSTER, PART_BEHIND, PART_TRAILER, PARTS };

struct get_media {
    struct store_read read;   /* one at a time: `busy` */
    struct http_exchange *ex; /* NULL once the client has gone */
    struct server *server;
    struct stream *st;
    struct stream_watch watch;
    struct event *wait;
    enum selector selector;
    int64_t at_ms; /* AT_SERVER, AT_PRODUCER */
    bool started, busy, sending;
    int64_t pos;  /* chunks above this number are still to be sent */
    int64_t edge; /* evicted_seq when the query was made */
    int result;   /* of the read */

    struct archive_row row; /* the chunk being sent */
    struct fragment *live;  /* its bytes, when it is in memory */
    int fd;                 /* its file, when it is in the archive */
    enum part part;
    size_t part_at;
    struct buf tags, trailer;
    size_t want; /* bytes that the read is for */
    uint64_t want_at;
    uint8_t piece[READ_BYTES];
};

static void pump(struct get_media *gm);

static void release_chunk(struct get_media *gm)
{
    fragment_unref(&gm->live);
    if (gm->fd >= 0)
        close(gm->fd);
    gm->fd = -1;
    gm->sending = false;
}

static void destroy(struct get_media *gm)
{
    release_chunk(gm);
    stream_unwatch(gm->st, &gm->watch);
    stream_unref(&gm->st);
    event_free(gm->wait);
    buf_fini(&gm->tags);
    buf_fini(&gm->trailer);
    free(gm);
}

static void on_closed(struct http_exchange *ex)
{
    struct get_media *gm = ex->data;
    gm->ex = NULL;
    if (!gm->busy)
        destroy(gm);
}

static void submit(struct get_media *gm,
                   void (*run)(struct store_read *r, struct archive_reader *reader),
                   void (*done)(struct store_read *r))
{
    gm->busy = true;
    gm->read.run = run;
    gm->read.done = done;
    store_read(gm->server->store, &gm->read);
}

/* Common to all reads: true when the client is still there and the read worked. */
static bool read_ok(struct get_media *gm)
{
    gm->busy = false;
    if (!gm->ex) {
        destroy(gm);
        return false;
    }
    if (gm->result >= 0)
        return true;
    log_error("server.get_media.read", "stream=%s file=%u error=\"%s\"", gm->st->name, gm->row.file,
              strerror(-gm->result));
    http_cut(gm->ex);
    return false;
}

/* ---- one chunk ---- */

static void make_tags(struct get_media *gm)
{
    char number[FRAGMENT_NUMBER_LEN], server[32], producer[32];
    const struct archive_row *r = &gm->row;
    fragment_number_format(r->seq, number);
    snprintf(server, sizeof server, "%" PRId64 ".%03d", r->server_ms / 1000,
             (int)(r->server_ms % 1000));
    snprintf(producer, sizeof producer, "%" PRId64 ".%03d", r->producer_ms / 1000,
             (int)(r->producer_ms % 1000));
    const struct mkv_tag tags[] = {{"AWS_KINESISVIDEO_FRAGMENT_NUMBER", number},
                                   {"AWS_KINESISVIDEO_SERVER_TIMESTAMP", server},
                                   {"AWS_KINESISVIDEO_PRODUCER_TIMESTAMP", producer}};
    buf_clear(&gm->tags);
    mkv_write_tags(&gm->tags, tags, 3);
}

static void make_trailer(struct get_media *gm)
{
    char number[FRAGMENT_NUMBER_LEN], behind[32];
    int64_t ms = gm->st->newest_server_ms - gm->row.server_ms;
    fragment_number_format(gm->row.seq, number);
    snprintf(behind, sizeof behind, "%" PRId64, ms > 0 ? ms : 0);
    const struct mkv_tag tags[] = {{"AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", behind},
                                   {"AWS_KINESISVIDEO_CONTINUATION_TOKEN", number}};
    buf_clear(&gm->trailer);
    mkv_write_tags(&gm->trailer, tags, 2);
}

static void begin_chunk(struct get_media *gm)
{
    gm->sending = true;
    gm->part = PART_HEADER;
    gm->part_at = 0;
    make_tags(gm);
    evtimer_del(gm->wait);
}

/* Where a part lies: in memory (*mem), or at *offset of the file. Returns its length. */
static size_t locate(struct get_media *gm, const uint8_t **mem, uint64_t *offset)
{
    const struct archive_row *r = &gm->row;
    size_t behind_at = (size_t)r->pre_len + r->cluster_len;
    size_t at = gm->part == PART_BEFORE ? 0 : gm->part == PART_CLUSTER ? r->pre_len : behind_at;
    *mem = NULL;
    switch (gm->part) {
    case PART_TAGS:
        *mem = gm->tags.data;
        return gm->tags.len;
    case PART_TRAILER:
        *mem = gm->trailer.data;
        return gm->trailer.len;
    case PART_HEADER:
        if (gm->live)
            *mem = gm->live->header->data;
        *offset = 0;
        return r->header_len;
    default:
        if (gm->live)
            *mem = gm->live->data->data + at;
        *offset = r->offset + at;
        return gm->part == PART_BEFORE    ? r->pre_len
               : gm->part == PART_CLUSTER ? r->cluster_len
                                          : r->length - behind_at;
    }
}

static void read_run(struct store_read *r, struct archive_reader *reader)
{
    struct get_media *gm = (struct get_media *)r;
    if (gm->fd < 0) {
        int fd = archive_open_file(reader, gm->st->folder, gm->row.file);
        gm->result = fd;
        if (fd < 0)
            return;
        gm->fd = fd;
    }
    size_t got = 0;
    gm->result = 0;
    while (got < gm->want) {
        ssize_t n = pread(gm->fd, gm->piece + got, gm->want - got, (off_t)(gm->want_at + got));
        if (n <= 0) {
            gm->result = n < 0 ? -errno : -EIO;
            return;
        }
        got += (size_t)n;
    }
}

static void read_done(struct store_read *r)
{
    struct get_media *gm = (struct get_media *)r;
    if (!read_ok(gm))
        return;
    gm->part_at += gm->want;
    if (http_chunk(gm->ex, gm->piece, gm->want) == 0)
        pump(gm);
}

/* Sends on; false when it must wait for the disk or the connection has gone. */
static bool send_some(struct get_media *gm)
{
    const uint8_t *mem;
    uint64_t offset = 0;
    size_t len = locate(gm, &mem, &offset);
    if (gm->part_at == len) {
        gm->part_at = 0;
        if (++gm->part == PART_TRAILER)
            make_trailer(gm);
        if (gm->part == PARTS) {
            gm->pos = gm->row.seq;
            release_chunk(gm);
        }
        return true;
    }
    size_t n = len - gm->part_at < READ_BYTES ? len - gm->part_at : READ_BYTES;
    if (mem) {
        int r = http_chunk(gm->ex, mem + gm->part_at, n);
        gm->part_at += n;
        return r == 0;
    }
    gm->want = n;
    gm->want_at = offset + gm->part_at;
    submit(gm, read_run, read_done);
    return false;
}

/* ---- which chunk ---- */

static void find_run(struct store_read *r, struct archive_reader *reader)
{
    struct get_media *gm = (struct get_media *)r;
    gm->result = archive_after(reader, gm->st->id, gm->pos, &gm->row);
}

static void find_done(struct store_read *r)
{
    struct get_media *gm = (struct get_media *)r;
    if (!read_ok(gm))
        return;
    if (gm->result > 0)
        begin_chunk(gm);
    else
        gm->pos = gm->edge; /* nothing between: all the rest is in memory */
    pump(gm);
}

/* Starts the next chunk; false when there is none yet or the index is asked. */
static bool next_chunk(struct get_media *gm)
{
    if (gm->pos < gm->st->evicted_seq) {
        gm->edge = gm->st->evicted_seq;
        submit(gm, find_run, find_done);
        return false;
    }
    struct fragment *f = stream_ring_after(gm->st, gm->pos);
    if (!f) {
        struct timeval tv = {WAIT_S, 0};
        if (!evtimer_pending(gm->wait, NULL))
            evtimer_add(gm->wait, &tv);
        return false;
    }
    gm->live = fragment_ref(f);
    gm->row = f->row;
    gm->row.header_len = (uint32_t)f->header->len;
    begin_chunk(gm);
    return true;
}

static void pump(struct get_media *gm)
{
    if (gm->st->status == STREAM_DELETING) {
        http_finish(gm->ex);
        return;
    }
    while (!gm->busy && gm->started && http_unsent(gm->ex) < UNSENT_MAX_BYTES)
        if (!(gm->sending ? send_some(gm) : next_chunk(gm)))
            return;
}

static void on_wait(evutil_socket_t fd, short what, void *arg)
{
    struct get_media *gm = arg;
    if (gm->ex && !gm->sending && !gm->busy)
        http_finish(gm->ex);
}

static void on_change(struct stream_watch *w)
{
    struct get_media *gm = (struct get_media *)((char *)w - offsetof(struct get_media, watch));
    if (gm->ex && !gm->busy)
        pump(gm);
}

static void on_writable(struct http_exchange *ex)
{
    struct get_media *gm = ex->data;
    if (!gm->busy)
        pump(gm);
}

/* ---- where to start ---- */

static void start_run(struct store_read *r, struct archive_reader *reader)
{
    struct get_media *gm = (struct get_media *)r;
    if (gm->selector == AT_NOW)
        gm->result = archive_newest(reader, gm->st->id, &gm->row);
    else
        gm->result =
            archive_at(reader, gm->st->id,
                       gm->selector == AT_SERVER ? ARCHIVE_SERVER_CLOCK : ARCHIVE_PRODUCER_CLOCK,
                       gm->at_ms, &gm->row);
}

static int64_t time_of(const struct get_media *gm, const struct archive_row *r)
{
    return gm->selector == AT_SERVER ? r->server_ms : r->producer_ms;
}

static bool covers(const struct get_media *gm, const struct archive_row *r)
{
    int64_t t = time_of(gm, r);
    return gm->at_ms == t || (gm->at_ms > t && gm->at_ms < t + r->length_ms);
}

/* Whether `a` fits the timestamp better than `b`: the one that covers it, else the earlier of those
 * behind it. */
static bool better(const struct get_media *gm, const struct archive_row *a,
                   const struct archive_row *b)
{
    bool ca = covers(gm, a), cb = covers(gm, b);
    if (ca != cb)
        return ca;
    return ca ? time_of(gm, a) > time_of(gm, b) : time_of(gm, a) < time_of(gm, b);
}

static void start_done(struct store_read *r)
{
    struct get_media *gm = (struct get_media *)r;
    if (!read_ok(gm))
        return;
    struct archive_row best = gm->row;
    bool found = gm->result > 0;
    struct fragment *f = TAILQ_LAST(&gm->st->ring, fragments);
    if (gm->selector == AT_NOW && f) {
        best = f->row;
        found = true;
    } else if (gm->selector != AT_NOW) {
        TAILQ_FOREACH (f, &gm->st->ring, link)
            if ((covers(gm, &f->row) || time_of(gm, &f->row) > gm->at_ms) &&
                (!found || better(gm, &f->row, &best))) {
                best = f->row;
                found = true;
            }
    }
    gm->pos = found ? best.seq - 1 : gm->st->last_seq;
    gm->started = true;
    pump(gm);
}

static void start(struct get_media *gm)
{
    if (gm->selector == AT_NOW || gm->selector == AT_SERVER || gm->selector == AT_PRODUCER) {
        submit(gm, start_run, start_done);
        return;
    }
    gm->started = true;
    pump(gm);
}

/* ---- the request ---- */

static void read_selector(struct fields *f, struct get_media *gm)
{
    static const char *const types[] = {"FRAGMENT_NUMBER",
                                        "SERVER_TIMESTAMP",
                                        "PRODUCER_TIMESTAMP",
                                        "NOW",
                                        "EARLIEST",
                                        "CONTINUATION_TOKEN",
                                        NULL};
    json_t *o = field_object(f, "StartSelector", FIELD_REQUIRED);
    struct fields s = {.ex = f->ex, .object = o, .failed = f->failed};
    gm->selector = (enum selector)field_enum(&s, "StartSelectorType", FIELD_REQUIRED, types);
    const char *number =
        field_string(&s, "AfterFragmentNumber", gm->selector == AT_NUMBER, 1, 128, FIELD_DIGITS);
    const char *token =
        field_string(&s, "ContinuationToken", gm->selector == AT_TOKEN, 1, 128, FIELD_NAME);
    bool timed = gm->selector == AT_SERVER || gm->selector == AT_PRODUCER;
    field_timestamp(&s, "StartTimestamp", timed, &gm->at_ms);
    gm->pos = -1;
    if (!s.failed && gm->selector == AT_NUMBER)
        fragment_number_parse(number, &gm->pos);
    if (!s.failed && gm->selector == AT_TOKEN && fragment_number_parse(token, &gm->pos) < 0) {
        s.failed = true;
        error_invalid_argument(f->ex, "ContinuationToken is not one that GetMedia gave.");
    }
    f->failed = s.failed;
}

static void handle(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct fields f = {.ex = ex, .object = body};
    struct get_media *gm = xcalloc(1, sizeof *gm);
    read_selector(&f, gm);
    struct stream *st = field_stream(&f, server);
    if (!st) {
        free(gm);
        return;
    }
    gm->server = server;
    gm->ex = ex;
    gm->st = stream_ref(st);
    gm->fd = -1;
    buf_init(&gm->tags, 4096);
    buf_init(&gm->trailer, 4096);
    gm->wait = evtimer_new(server->base, on_wait, gm);
    gm->watch.changed = on_change;
    stream_watch(st, &gm->watch);
    ex->data = gm;
    http_on_closed(ex, on_closed);
    http_on_writable(ex, on_writable);
    http_add_header(ex, "Content-Type", "video/webm");
    http_start(ex, 200);
    start(gm);
}

const struct operation op_get_media = {
    .name = "GetMedia", .method = "POST", .path = "/getMedia", .handle = handle};
