/* GetMedia. Chunks in the order of their numbers, from the archive, then live from memory. Relies
 * on chunks to send them, on the store: its ring has every fragment above stream->evicted_seq, the
 * archive the ones up to it. Leaves a client that is behind to wait for the archive as long as it
 * likes; without a new fragment the answer ends after 3 s. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

#include "common/conf.h"
#include "common/mem.h"
#include "media/mkv_writer.h"
#include "server/chunks.h"
#include "server/error.h"
#include "server/field.h"
#include "server/fragment_number.h"
#include "server/http.h"
#include "server/kms.h"
#include "server/quota.h"
#include "server/route.h"
#include "server/service_metrics.h"
#include "server/stage.h"
#include "server/store.h"

#define WAIT_S 3 /* without a fragment the read ends */

enum selector { AT_NUMBER, AT_SERVER, AT_PRODUCER, AT_NOW, AT_EARLIEST, AT_TOKEN };

struct get_media {
    struct chunks c;
    struct stream_watch watch;
    struct event *wait;
    enum selector selector;
    int64_t at_ms; /* AT_SERVER, AT_PRODUCER */
    int64_t pos;   /* chunks above this number are still to be sent */
    int64_t edge;  /* evicted_seq when the query was made */
    bool counted;  /* among the stream's connections */
    bool more;     /* the archive has later ones than the chunk that is sent */
};

static void uncount(struct get_media *gm)
{
    if (gm->counted)
        gm->c.st->quota.get_connections--;
    gm->counted = false;
}

static void chunks_free(struct chunks *c)
{
    struct get_media *gm = (struct get_media *)c;
    uncount(gm);
    stream_unwatch(c->st, &gm->watch);
    event_free(gm->wait);
    free(gm);
}

/* ---- one chunk ---- */

static void head_tags(struct chunks *c, struct buf *out)
{
    chunks_head_tags(c, out, "AWS_KINESISVIDEO_SERVER_TIMESTAMP",
                     "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP");
}

static void trailer(struct chunks *c, struct buf *out)
{
    char number[FRAGMENT_NUMBER_LEN], behind[32];
    const struct get_media *gm = (const struct get_media *)c;
    int64_t ms = c->st->newest_server_ms - c->row.server_ms;
    service_gauge(c->server, c->st, METRIC_GET_BEHIND, ms > 0 ? (double)ms / 1000 : 0);
    bool newest = !gm->more && !stream_ring_after(c->st, c->row.seq);
    ms = newest ? 0 : ms > 1 ? ms : 1; /* several may have come within one */
    fragment_number_format(c->row.seq, number);
    snprintf(behind, sizeof behind, "%" PRId64, ms);
    const struct mkv_tag tags[] = {{"AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", behind},
                                   {"AWS_KINESISVIDEO_CONTINUATION_TOKEN", number}};
    mkv_write_tags(out, tags, 2);
}

static void sent(struct chunks *c)
{
    struct get_media *gm = (struct get_media *)c;
    gm->pos = c->row.seq;
}

static void end_with(struct chunks *c, const char *id, const char *code)
{
    const struct mkv_tag tags[] = {{"AWS_KINESISVIDEO_ERROR_ID", id},
                                   {"AWS_KINESISVIDEO_ERROR_CODE", code}};
    chunks_error(c, tags, 2);
    chunks_finish(c);
}

static void unreadable(struct chunks *c, int error)
{
    char id[16];
    bool key = kms_is_error(error);
    snprintf(id, sizeof id, "%d", key ? -error : 5000);
    end_with(c, id, key ? kms_error_name(-error) : "INTERNAL_ERROR");
}

/* ---- which chunk ---- */

static void begin(struct get_media *gm, struct fragment *live)
{
    evtimer_del(gm->wait);
    chunks_begin(&gm->c, live);
}

static void wait_for_more(struct get_media *gm)
{
    struct timeval tv = {WAIT_S, 0};
    if (!evtimer_pending(gm->wait, NULL))
        evtimer_add(gm->wait, &tv);
}

static void find(struct chunks *c, struct archive_reader *reader)
{
    struct get_media *gm = (struct get_media *)c;
    struct archive_row later;
    c->result = archive_after(reader, c->st->id, gm->pos, &c->row);
    gm->more = c->result > 0 && archive_after(reader, c->st->id, c->row.seq, &later) > 0;
}

static void found(struct chunks *c)
{
    struct get_media *gm = (struct get_media *)c;
    if (c->result == 0)
        gm->pos = gm->edge; /* nothing between: all the rest is in memory */
    else if (stream_gap_open(c->st, gm->pos, c->row.seq))
        wait_for_more(gm);
    else
        begin(gm, NULL);
}

static void next(struct chunks *c)
{
    struct get_media *gm = (struct get_media *)c;
    if (c->st->status == STREAM_DELETING) {
        chunks_finish(c);
        return;
    }
    if (gm->pos < c->st->evicted_seq) {
        gm->edge = c->st->evicted_seq;
        chunks_query(c, find, found);
        return;
    }
    struct fragment *f = stream_ring_after(c->st, gm->pos);
    if (!f || stream_gap_open(c->st, gm->pos, f->row.seq)) {
        wait_for_more(gm);
        return;
    }
    c->row = f->row;
    gm->more = false;
    begin(gm, f);
}

static void on_wait(evutil_socket_t fd, short what, void *arg)
{
    struct get_media *gm = arg;
    if (gm->c.ex && !chunks_busy(&gm->c))
        chunks_finish(&gm->c);
}

static struct get_media *of_watch(struct stream_watch *w)
{
    return (struct get_media *)((char *)w - offsetof(struct get_media, watch));
}

static void on_change(struct stream_watch *w)
{
    chunks_pump(&of_watch(w)->c);
}

/* ---- where to start ---- */

static void ask(struct chunks *c, struct archive_reader *reader)
{
    struct get_media *gm = (struct get_media *)c;
    if (gm->selector == AT_NUMBER || gm->selector == AT_TOKEN)
        c->result = archive_after(reader, c->st->id, gm->pos - 1, &c->row);
    else if (gm->selector == AT_NOW)
        c->result = archive_newest(reader, c->st->id, &c->row);
    else
        c->result =
            archive_at(reader, c->st->id,
                       gm->selector == AT_SERVER ? ARCHIVE_SERVER_CLOCK : ARCHIVE_PRODUCER_CLOCK,
                       gm->at_ms, &c->row);
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

static void asked_time(struct chunks *c)
{
    struct get_media *gm = (struct get_media *)c;
    struct archive_row best = c->row;
    bool have = c->result > 0;
    struct fragment *f = TAILQ_LAST(&c->st->ring, fragments);
    if (gm->selector == AT_NOW && f) {
        best = f->row;
        have = true;
    } else if (gm->selector != AT_NOW) {
        TAILQ_FOREACH (f, &c->st->ring, link)
            if ((covers(gm, &f->row) || time_of(gm, &f->row) > gm->at_ms) &&
                (!have || better(gm, &f->row, &best))) {
                best = f->row;
                have = true;
            }
    }
    gm->pos = have ? best.seq - 1 : c->st->last_seq;
}

static void asked_number(struct chunks *c)
{
    struct get_media *gm = (struct get_media *)c;
    if (c->result == 0 || c->row.seq != gm->pos)
        end_with(c, "4000", "FRAGMENT_NOT_FOUND");
}

static void start(struct get_media *gm)
{
    struct fragment *f;
    if (gm->selector == AT_NUMBER || gm->selector == AT_TOKEN) {
        TAILQ_FOREACH (f, &gm->c.st->ring, link)
            if (f->row.seq == gm->pos)
                break;
        if (!f) {
            chunks_query(&gm->c, ask, asked_number);
            return;
        }
    } else if (gm->selector != AT_EARLIEST) {
        chunks_query(&gm->c, ask, asked_time);
        return;
    }
    chunks_pump(&gm->c);
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

/* Who has closed a connection is often back before that is noticed by having something to send. */
static void make_room(struct stream *st, unsigned max)
{
    struct stream_watch *w;
    TAILQ_FOREACH (w, &st->watches, link) {
        struct get_media *gm = w->changed == on_change ? of_watch(w) : NULL;
        if (!max || st->quota.get_connections < max)
            return;
        if (gm && gm->c.ex && http_half_closed(gm->c.ex)) {
            uncount(gm);
            http_cut(gm->c.ex);
        }
    }
}

static struct stream *admit(struct server *server, struct fields *f)
{
    const struct conf_limits *l = server->limits;
    struct stream *st = field_stream(f, server);
    if (!st)
        return NULL;
    service_count(server, st, METRIC_GET_REQUESTS, 1);
    bool ok = quota_admit(f->ex, &st->quota.get_calls, l->get_media_calls, 1, "GetMedia calls");
    if (ok) {
        make_room(st, l->get_media_connections);
        ok = quota_connect(f->ex, &st->quota.get_connections, l->get_media_connections, "GetMedia");
    }
    if (!ok)
        service_count(server, st, METRIC_GET_CONNECTION_ERRORS, 1);
    return ok ? st : NULL;
}

static void handle(struct server *server, struct http_exchange *ex, json_t *body)
{
    static const struct chunks_ops ops = {
        .metrics = {METRIC_GET_BYTES, METRIC_GET_FRAGMENTS, METRIC_GET_FRAMES, METRIC_GET_SUCCESS},
        .next = next,
        .tags = head_tags,
        .trailer = trailer,
        .sent = sent,
        .unreadable = unreadable,
        .free = chunks_free};
    struct fields f = {.ex = ex, .object = body};
    struct get_media *gm = xcalloc(1, sizeof *gm);
    read_selector(&f, gm);
    struct stream *st = admit(server, &f);
    if (!st) {
        free(gm);
        return;
    }
    gm->wait = evtimer_new(server->base, on_wait, gm);
    gm->counted = true;
    gm->watch.changed = on_change;
    gm->c.fragments_per_s = server->limits->get_media_fragments;
    stream_watch(st, &gm->watch);
    chunks_start(&gm->c, &ops, server, ex, st);
    start(gm);
}

const struct operation op_get_media = {
    .name = "GetMedia", .method = "POST", .path = "/getMedia", .handle = handle};
