/* The answer of a read: chunk after chunk of a stream.
 * Relies on http and the store, whose reader thread brings what is not in memory.
 * Leaves which chunk comes next, and the tags, to its user. */
#include "server/chunks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/conf.h"
#include "common/log.h"
#include "media/mkv_writer.h"
#include "server/access.h"
#include "server/fragment_number.h"
#include "server/http.h"
#include "server/kms.h"
#include "server/service_metrics.h"
#include "server/stage.h"

#define UNSENT_MAX_BYTES (512u << 10)
#define TAGS_MAX_BYTES 4096

/* Seconds since 1970 with three decimals, as the tags have times. */
static void format_time(int64_t ms, char out[32])
{
    snprintf(out, 32, "%" PRId64 ".%03d", ms / 1000, (int)(ms % 1000));
}

void chunks_head_tags(struct chunks *c, struct buf *out, const char *server_time,
                      const char *producer_time)
{
    char number[FRAGMENT_NUMBER_LEN], server[32], producer[32];
    fragment_number_format(c->row.seq, number);
    format_time(c->row.server_ms, server);
    format_time(c->row.producer_ms, producer);
    const struct mkv_tag tags[] = {{"AWS_KINESISVIDEO_FRAGMENT_NUMBER", number},
                                   {server_time, server},
                                   {producer_time, producer}};
    mkv_write_tags(out, tags, 3);
}

static void release(struct chunks *c)
{
    fragment_unref(&c->live);
    archive_in_close(&c->in);
    c->sending = false;
}

static void destroy(struct chunks *c)
{
    struct stream *st = c->st;
    release(c);
    event_free(c->pause);
    buf_fini(&c->before);
    buf_fini(&c->behind);
    c->ops->free(c);
    stream_unref(&st);
}

static void on_closed(struct http_exchange *ex)
{
    struct chunks *c = ex->data;
    c->ex = NULL;
    if (!c->busy)
        destroy(c);
}

static void submit(struct chunks *c,
                   void (*run)(struct store_read *r, struct archive_reader *reader),
                   void (*done)(struct store_read *r))
{
    c->busy = true;
    c->read.run = run;
    c->read.done = done;
    store_read(c->server->store, &c->read);
}

/* After a read: false, and c gone, when the client went meanwhile. */
static bool still_there(struct chunks *c)
{
    c->busy = false;
    if (c->ex)
        return true;
    destroy(c);
    return false;
}

static void log_unreadable(const struct chunks *c)
{
    if (kms_is_error(c->result))
        log_error("server.read.key", "stream=%s key=%s error=%s action=\"see MASTER KEYS in %s\"",
                  c->st->name, c->st->kms_key ? c->st->kms_key : KMS_DEFAULT_KEY,
                  kms_error_name(-c->result), "kvpipe-server(1)");
    else
        log_error("server.read.archive",
                  "stream=%s file=%u error=\"%s\" action=\"see ARCHIVE in kvpipe-server(1)\"",
                  c->st->name, c->row.file, strerror(-c->result));
}

static void unreadable(struct chunks *c)
{
    service_result(c->server, c->st, c->ops->metrics.success, false);
    c->ops->unreadable(c, c->result);
}

static void query_run(struct store_read *r, struct archive_reader *reader)
{
    struct chunks *c = (struct chunks *)r;
    c->query(c, reader);
}

static void query_done(struct store_read *r)
{
    struct chunks *c = (struct chunks *)r;
    if (!still_there(c))
        return;
    if (c->result < 0) {
        log_unreadable(c);
        unreadable(c);
    } else {
        c->answered(c);
    }
    chunks_pump(c);
}

void chunks_query(struct chunks *c, void (*query)(struct chunks *c, struct archive_reader *reader),
                  void (*answered)(struct chunks *c))
{
    c->query = query;
    c->answered = answered;
    submit(c, query_run, query_done);
}

/* ---- one chunk ---- */

void chunks_begin(struct chunks *c, struct fragment *live)
{
    const struct conf_limits *l = c->server->limits;
    c->sending = true;
    c->live = live ? fragment_ref(live) : NULL;
    if (live)
        c->row.header_len = (uint32_t)live->header->len;
    c->part = CHUNK_HEADER;
    c->part_at = 0;
    buf_clear(&c->before);
    c->ops->tags(c, &c->before);
    c->pause_ns = rate_spend(&c->fragments, c->fragments_per_s,
                             (double)c->fragments_per_s * l->burst_s, 1, clock_mono_ns());
}

/* Where a part lies: in memory (*mem), or at *offset of the archived header or fragment. Returns
 * its length. */
static size_t locate(struct chunks *c, const uint8_t **mem, size_t *offset)
{
    const struct archive_row *r = &c->row;
    size_t behind_at = (size_t)r->pre_len + r->cluster_len;
    size_t at = c->part == CHUNK_BEFORE ? 0 : c->part == CHUNK_CLUSTER ? r->pre_len : behind_at;
    *mem = NULL;
    switch (c->part) {
    case CHUNK_TAGS:
        *mem = c->before.data;
        return c->before.len;
    case CHUNK_TRAILER:
        *mem = c->behind.data;
        return c->behind.len;
    case CHUNK_HEADER:
        if (c->live)
            *mem = c->live->header->data;
        *offset = 0;
        return r->header_len;
    default:
        if (c->live)
            *mem = c->live->data->data + at;
        *offset = at;
        return c->part == CHUNK_BEFORE    ? r->pre_len
               : c->part == CHUNK_CLUSTER ? r->cluster_len
                                          : r->length - behind_at;
    }
}

static void piece_run(struct store_read *r, struct archive_reader *reader)
{
    struct chunks *c = (struct chunks *)r;
    c->result = 0;
    if (!c->in)
        c->result = archive_in_open(reader, c->st->id, c->st->folder, c->row.file, &c->in);
    if (c->result < 0)
        return;
    if (c->part == CHUNK_HEADER)
        c->result = archive_in_header(c->in, &c->row, c->want_at, c->piece, c->want);
    else
        c->result = archive_in_fragment(c->in, &c->row, c->want_at, c->piece, c->want);
}

static int send_piece(struct chunks *c, const void *data, size_t n)
{
    const struct conf_limits *l = c->server->limits;
    double per_s = l->get_media_mbits * 125000.0;
    int64_t pause = rate_spend(&c->bytes, per_s, per_s * l->burst_s, (double)n, clock_mono_ns());
    if (pause > c->pause_ns)
        c->pause_ns = pause;
    c->part_at += n;
    service_count(c->server, c->st, c->ops->metrics.bytes, (double)n);
    return http_chunk(c->ex, data, n);
}

static void piece_done(struct store_read *r)
{
    struct chunks *c = (struct chunks *)r;
    if (!still_there(c))
        return;
    if (c->result == 0) {
        if (send_piece(c, c->piece, c->want) == 0)
            chunks_pump(c);
        return;
    }
    log_unreadable(c);
    if (c->part != CHUNK_HEADER || c->part_at) {
        service_result(c->server, c->st, c->ops->metrics.success, false);
        http_cut(c->ex);
        return;
    }
    release(c);
    unreadable(c);
    chunks_pump(c);
}

static void next_part(struct chunks *c)
{
    c->part_at = 0;
    if (++c->part == CHUNK_TRAILER) {
        buf_clear(&c->behind);
        if (c->ops->trailer)
            c->ops->trailer(c, &c->behind);
    }
    if (c->part < CHUNK_PARTS)
        return;
    release(c);
    service_count(c->server, c->st, c->ops->metrics.fragments, 1);
    service_count(c->server, c->st, c->ops->metrics.frames, c->row.frames);
    service_result(c->server, c->st, c->ops->metrics.success, true);
    if (c->ops->sent)
        c->ops->sent(c);
}

/* Sends on, or asks the disk to. Returns -EPIPE when the connection is over. */
static int send_some(struct chunks *c)
{
    const uint8_t *mem;
    size_t offset = 0;
    size_t len = locate(c, &mem, &offset);
    if (c->part_at == len) {
        next_part(c);
        return 0;
    }
    size_t n = len - c->part_at < CHUNKS_PIECE_BYTES ? len - c->part_at : CHUNKS_PIECE_BYTES;
    if (mem)
        return send_piece(c, mem + c->part_at, n);
    c->want = n;
    c->want_at = offset + c->part_at;
    submit(c, piece_run, piece_done);
    return 0;
}

void chunks_error(struct chunks *c, const struct mkv_tag *tags, unsigned n)
{
    struct buf b;
    buf_init(&b, 2 * TAGS_MAX_BYTES);
    if (mkv_write_head(&b, 0) == 0 && mkv_write_tags(&b, tags, n) == 0)
        http_chunk(c->ex, b.data, b.len);
    buf_fini(&b);
}

/* ---- the flow ---- */

static bool may_go_on(struct chunks *c)
{
    if (!c->ex || c->over || c->busy || http_unsent(c->ex) >= UNSENT_MAX_BYTES ||
        evtimer_pending(c->pause, NULL))
        return false;
    if (c->pause_ns < NS_PER_MS)
        return true;
    struct timeval tv = {c->pause_ns / NS_PER_S, c->pause_ns % NS_PER_S / 1000};
    c->pause_ns = 0;
    evtimer_add(c->pause, &tv);
    return false;
}

/* Before anything of the stream goes out, its key is asked, once. */
static void key_run(struct store_read *r, struct archive_reader *reader)
{
    struct chunks *c = (struct chunks *)r;
    if (!c->key_result)
        c->key_result = archive_reader_check_key(reader, c->st->kms_key);
}

static void key_done(struct store_read *r)
{
    struct chunks *c = (struct chunks *)r;
    if (!still_there(c))
        return;
    c->key_asked = true;
    c->result = c->key_result;
    if (c->result)
        log_unreadable(c);
    chunks_pump(c);
}

static void refuse(struct chunks *c)
{
    release(c);
    c->result = c->key_result;
    unreadable(c);
}

void chunks_pump(struct chunks *c)
{
    while (may_go_on(c)) {
        if (!c->key_asked) {
            submit(c, key_run, key_done);
            return;
        }
        if (c->sending && c->key_result) {
            refuse(c);
        } else if (c->sending) {
            if (send_some(c) < 0)
                return;
        } else {
            c->ops->next(c);
            if (!c->sending)
                return;
        }
    }
}

void chunks_finish(struct chunks *c)
{
    c->over = true;
    http_finish(c->ex);
}

bool chunks_busy(const struct chunks *c)
{
    return c->sending || c->busy;
}

static void on_writable(struct http_exchange *ex)
{
    chunks_pump(ex->data);
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
    chunks_pump(arg);
}

void chunks_start(struct chunks *c, const struct chunks_ops *ops, struct server *server,
                  struct http_exchange *ex, struct stream *st)
{
    c->ops = ops;
    c->server = server;
    c->ex = ex;
    c->st = stream_ref(st);
    if (!access_key_allowed(server, st, "kms:Decrypt"))
        c->key_result = -KMS_ACCESS_DENIED;
    c->pause = evtimer_new(server->base, on_pause_over, c);
    buf_init(&c->before, TAGS_MAX_BYTES);
    buf_init(&c->behind, TAGS_MAX_BYTES);
    ex->data = c;
    http_on_closed(ex, on_closed);
    http_on_writable(ex, on_writable);
    http_add_header(ex, "Content-Type", "video/webm");
    http_start(ex, 200);
}
