/* PutMedia. The answer runs while the body still comes: one ack per HTTP chunk. Relies on ingest
 * for the fragments' rules, on the store to keep them. Leaves a cut connection's open fragment
 * unstored; whole fragments are stored and acked as long as someone listens. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/report.h"
#include "common/stage.h"
#include "server/access.h"
#include "server/error.h"
#include "server/field.h"
#include "server/fragment_number.h"
#include "server/http.h"
#include "server/ingest.h"
#include "server/kms.h"
#include "server/put_clock.h"
#include "server/put_media.h"
#include "server/quota.h"
#include "server/route.h"
#include "server/service_metrics.h"
#include "server/stage.h"
#include "server/store.h"

/* A whole fragment whose PERSISTED is still to come. */
struct pending {
    LIST_ENTRY(pending) link;
    struct put_media *pm; /* NULL once the session is gone */
    int64_t timecode_ms, seq;
    int64_t last_ns; /* when its last byte came */
};

/* The answer to come whether the stream's key can be used. */
struct key_check {
    struct put_media *pm; /* NULL once the session is gone */
};

struct put_media {
    struct stream_producer producer; /* first; open_seq is the open fragment's number */
    TAILQ_ENTRY(put_media) link;
    struct server *server;
    struct http_exchange *ex;
    struct stream *st;
    struct ingest ingest;
    struct event *tick;
    bool acks; /* the client wants them */
    bool over; /* no more input counts; the answer ends when nothing is pending */
    bool paused;
    bool listed; /* among the stream's producers */
    struct put_clock clock;
    struct rate bytes;
    struct key_check *key_check; /* NULL: the answer is there */
    int key_error;               /* enum kms_error, 0: the key can be used */
    int64_t slow_ns; /* until then nothing is read: the client is faster than it may be */
    struct event *slow;
    int64_t seq, timecode_ms, producer_ms, server_ms; /* of the open fragment */
    int64_t first_ns, data_ns; /* its first byte came; the last bytes of all did */
    unsigned npending;
    LIST_HEAD(, pending) pending;
};

static void ack(struct put_media *pm, const char *event, int64_t timecode_ms, int64_t seq)
{
    char number[FRAGMENT_NUMBER_LEN], line[256];
    if (!pm->acks)
        return;
    fragment_number_format(seq, number);
    int n = snprintf(line, sizeof line,
                     "{\"EventType\":\"%s\",\"FragmentTimecode\":%" PRId64
                     ",\"FragmentNumber\":\"%s\"}\n",
                     event, timecode_ms, number);
    http_chunk(pm->ex, line, (size_t)n);
}

static void ack_error(struct put_media *pm, int id, bool has_fragment, int64_t timecode_ms,
                      int64_t seq)
{
    const char *code = kms_is_error(-id) ? kms_error_name(id) : ingest_error_name(id);
    char number[FRAGMENT_NUMBER_LEN], line[320], which[128] = "";
    fragment_number_format(seq, number);
    if (has_fragment)
        snprintf(which, sizeof which, "\"FragmentTimecode\":%" PRId64 ",\"FragmentNumber\":\"%s\",",
                 timecode_ms, number);
    log_info("server.put_media.error", "stream=%s peer=%s fragment=%s id=%d code=%s", pm->st->name,
             pm->ex->peer, has_fragment ? number : "-", id, code);
    service_count(pm->server, pm->st, METRIC_SERVICE_ERRORS, 1);
    if (has_fragment)
        service_result(pm->server, pm->st, METRIC_SERVICE_SUCCESS, false);
    if (!pm->acks)
        return;
    int n = snprintf(line, sizeof line,
                     "{\"EventType\":\"ERROR\",%s\"ErrorId\":%d,\"ErrorCode\":\"%s\"}\n", which, id,
                     code);
    http_chunk(pm->ex, line, (size_t)n);
}

static void finish_if_idle(struct put_media *pm)
{
    if (pm->over && !pm->npending)
        http_finish(pm->ex);
}

static void end_input(struct put_media *pm)
{
    pm->over = true;
    if (pm->listed)
        TAILQ_REMOVE(&pm->st->producers, &pm->producer, link);
    pm->listed = false;
    if (pm->producer.open_seq) /* readers wait for it no more */
        stream_changed(pm->st);
    pm->producer.open_seq = 0;
    finish_if_idle(pm);
}

static void resume(struct put_media *pm)
{
    int64_t now = clock_mono_ns();
    if (!pm->paused || now < pm->slow_ns ||
        store_backlog_bytes(pm->server->store) > STORE_BACKLOG_MAX_BYTES / 2)
        return;
    pm->paused = false;
    put_clock_data(&pm->clock, now);
    http_pause_body(pm->ex, false);
}

static int error_of(const struct put_media *pm, int result)
{
    if (kms_is_error(result))
        return -result;
    return pm->st->status == STREAM_ACTIVE ? INGEST_ARCHIVAL : INGEST_STREAM_NOT_ACTIVE;
}

static void stored(void *arg, struct fragment *f, int result)
{
    struct pending *p = arg;
    struct put_media *pm = p->pm;
    if (pm) {
        LIST_REMOVE(p, link);
        pm->npending--;
        if (result >= 0)
            service_result(pm->server, pm->st, METRIC_SERVICE_SUCCESS, true);
        if (result > 0) {
            int64_t took_ns = clock_mono_ns() - p->last_ns;
            service_time(pm->server, pm->st, METRIC_SERVICE_PERSIST, took_ns);
            ack(pm, "PERSISTED", p->timecode_ms, p->seq);
            took_ns = clock_mono_ns() - p->last_ns;
            service_time(pm->server, pm->st, METRIC_SERVICE_PERSISTED, took_ns);
        }
        if (result < 0)
            ack_error(pm, error_of(pm, result), true, p->timecode_ms, p->seq);
        if (result < 0)
            pm->over = true;
        resume(pm);
        if (pm->over)
            end_input(pm);
    }
    free(p);
}

/* ---- the stream's key ---- */

/* The open fragment is refused, and what follows. */
static void refuse_key(struct put_media *pm)
{
    ingest_abort(&pm->ingest);
    ack_error(pm, pm->key_error, true, pm->timecode_ms, pm->seq);
    pm->over = true;
}

static void key_checked(void *arg, int result)
{
    struct key_check *k = arg;
    struct put_media *pm = k->pm;
    free(k);
    if (!pm)
        return;
    pm->key_check = NULL;
    if (pm->key_error || !kms_is_error(result))
        return;
    pm->key_error = -result;
    log_error("server.put_media.key",
              "stream=%s key=%s error=%s action=\"see MASTER KEYS in kvpipe-server(1)\"",
              pm->st->name, pm->st->kms_key ? pm->st->kms_key : KMS_DEFAULT_KEY,
              kms_error_name(-result));
    if (!pm->over && ingest_in_fragment(&pm->ingest)) {
        refuse_key(pm);
        end_input(pm);
    }
}

static void check_key(struct put_media *pm)
{
    if (!access_key_allowed(pm->server, pm->st, "kms:GenerateDataKey"))
        pm->key_error = KMS_ACCESS_DENIED;
    pm->key_check = xcalloc(1, sizeof *pm->key_check);
    pm->key_check->pm = pm;
    store_check_key(pm->st, key_checked, pm->key_check);
}

/* ---- what ingest finds ---- */

static void slow_down(struct put_media *pm, int64_t now_ns, int64_t for_ns)
{
    if (now_ns + for_ns > pm->slow_ns)
        pm->slow_ns = now_ns + for_ns;
}

static void on_begin(void *arg, int64_t timecode_ms, int64_t producer_ms)
{
    struct put_media *pm = arg;
    int64_t now = clock_wall_ns();
    pm->seq = pm->producer.open_seq = stream_next_seq(pm->st, now);
    pm->server_ms = now / NS_PER_MS;
    pm->timecode_ms = timecode_ms;
    pm->producer_ms = producer_ms;
    const struct conf_limits *l = pm->server->limits;
    int64_t mono = clock_mono_ns();
    slow_down(pm, mono,
              rate_spend(&pm->st->quota.put_fragments, l->put_media_fragments,
                         (double)l->put_media_fragments * l->burst_s, 1, mono));
    ack(pm, "BUFFERING", timecode_ms, pm->seq);
    pm->first_ns = pm->data_ns;
    service_time(pm->server, pm->st, METRIC_SERVICE_BUFFERING, clock_mono_ns() - pm->data_ns);
    if (pm->key_error)
        refuse_key(pm);
}

static void on_complete(void *arg, const struct ingest_fragment *in)
{
    struct put_media *pm = arg;
    struct blob *header = in->header, *data = in->data;
    struct fragment *f = fragment_new(header, data);
    f->row = (struct archive_row){.seq = pm->seq,
                                  .header_len = (uint32_t)header->len,
                                  .pre_len = in->pre_len,
                                  .cluster_len = in->cluster_len,
                                  .frames = in->frames,
                                  .server_ms = pm->server_ms,
                                  .producer_ms = pm->producer_ms,
                                  .length_ms = in->length_ms};
    ack(pm, "RECEIVED", pm->timecode_ms, pm->seq);
    service_time(pm->server, pm->st, METRIC_SERVICE_RECEIVED, clock_mono_ns() - pm->data_ns);
    service_time(pm->server, pm->st, METRIC_SERVICE_FRAGMENT, pm->data_ns - pm->first_ns);
    service_count(pm->server, pm->st, METRIC_SERVICE_FRAGMENTS, 1);
    service_count(pm->server, pm->st, METRIC_SERVICE_FRAMES, in->frames);
    struct pending *p = xcalloc(1, sizeof *p);
    *p = (struct pending){
        .pm = pm, .timecode_ms = pm->timecode_ms, .seq = pm->seq, .last_ns = pm->data_ns};
    LIST_INSERT_HEAD(&pm->pending, p, link);
    pm->npending++;
    pm->producer.open_seq = 0;
    stream_add(pm->st, f, stored, p);
}

static void on_error(void *arg, enum ingest_error id, bool began)
{
    struct put_media *pm = arg;
    ack_error(pm, id, began, pm->timecode_ms, pm->seq);
    pm->over = true; /* the input's end follows when ingest has returned */
}

static const struct ingest_ops ingest_ops = {
    .begin = on_begin, .complete = on_complete, .error = on_error};

/* ---- what the connection brings ---- */

/* Reads no more for now when the disk is behind or the client too fast. */
static void hold_back(struct put_media *pm, int64_t now_ns)
{
    int64_t slow = pm->slow_ns - now_ns;
    if (pm->paused ||
        (slow < NS_PER_MS && store_backlog_bytes(pm->server->store) <= STORE_BACKLOG_MAX_BYTES))
        return;
    pm->paused = true;
    http_pause_body(pm->ex, true);
    if (slow >= NS_PER_MS) {
        struct timeval tv = {slow / NS_PER_S, slow % NS_PER_S / 1000};
        evtimer_add(pm->slow, &tv);
    }
}

static void on_slow_over(evutil_socket_t fd, short what, void *arg)
{
    resume(arg);
}

static void on_data(struct http_exchange *ex, const uint8_t *data, size_t len)
{
    struct put_media *pm = ex->data;
    if (pm->over)
        return;
    const struct conf_limits *l = pm->server->limits;
    double per_s = l->put_media_mbits * 125000.0;
    int64_t now = pm->data_ns = clock_mono_ns();
    service_count(pm->server, pm->st, METRIC_SERVICE_BYTES, (double)len);
    put_clock_data(&pm->clock, now);
    slow_down(pm, now, rate_spend(&pm->bytes, per_s, per_s * l->burst_s, (double)len, now));
    ingest_feed(&pm->ingest, data, len, clock_wall_ns() / NS_PER_MS);
    if (pm->over)
        end_input(pm);
    else
        hold_back(pm, now);
}

static void on_end(struct http_exchange *ex)
{
    struct put_media *pm = ex->data;
    if (!pm->over)
        ingest_finish(&pm->ingest);
    end_input(pm);
}

/* The body is no HTTP, or ended in its middle: a whole fragment stays one. */
static void on_broken(struct http_exchange *ex)
{
    struct put_media *pm = ex->data;
    if (!pm->over) {
        bool in_fragment = ingest_in_fragment(&pm->ingest);
        ingest_abort(&pm->ingest);
        ack_error(pm, INGEST_STREAM_READ_ERROR, in_fragment, pm->timecode_ms, pm->seq);
    }
    end_input(pm);
}

static void on_closed(struct http_exchange *ex)
{
    struct put_media *pm = ex->data;
    struct pending *p;
    /* Nobody reads acks any more, but a fragment that is whole stays one. */
    pm->acks = false;
    if (!pm->over)
        ingest_abort(&pm->ingest);
    end_input(pm);
    LIST_FOREACH (p, &pm->pending, link)
        p->pm = NULL;
    if (pm->key_check)
        pm->key_check->pm = NULL;
    log_debug("server.put_media.closed", "stream=%s peer=%s cut=%d", pm->st->name, ex->peer,
              ex->cut);
    if (pm->server->stage && TAILQ_EMPTY(&pm->st->producers))
        report_state(pm->server->stage->report, pm->st->name, "waiting", "");
    TAILQ_REMOVE(&pm->server->put_sessions, pm, link);
    service_count(pm->server, pm->st, METRIC_SERVICE_CONNECTIONS, -1);
    event_free(pm->tick);
    event_free(pm->slow);
    ingest_fini(&pm->ingest);
    stream_unref(&pm->st);
    free(pm);
}

/* The stream got a newer producer, or goes, or the server stops. */
static void end_session(struct stream_producer *producer)
{
    struct put_media *pm = (struct put_media *)producer;
    if (pm->over) {
        end_input(pm);
        return;
    }
    bool deleted = pm->st->status == STREAM_DELETING;
    ingest_abort(&pm->ingest);
    if (deleted)
        ack_error(pm, INGEST_STREAM_NOT_ACTIVE, false, 0, 0);
    log_info("server.put_media.ended", "stream=%s peer=%s cause=%s", pm->st->name, pm->ex->peer,
             deleted                ? "stream_deleted"
             : pm->server->draining ? "stopping"
                                    : "newer_connection");
    end_input(pm);
}

void put_media_end_all(struct server *server)
{
    struct put_media *pm, *next;
    for (pm = TAILQ_FIRST(&server->put_sessions); pm; pm = next) {
        next = TAILQ_NEXT(pm, link);
        end_session(&pm->producer);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    static const char idle[] = "{\"EventType\":\"IDLE\"}\n";
    struct put_media *pm = arg;
    resume(pm);
    if (pm->over)
        return;
    bool in_fragment = ingest_in_fragment(&pm->ingest);
    switch (put_clock_tick(&pm->clock, pm->server->limits, pm->paused, clock_mono_ns())) {
    case PUT_NONE:
        break;
    case PUT_IDLE:
        if (pm->acks)
            http_chunk(pm->ex, idle, sizeof idle - 1);
        break;
    case PUT_TOO_OLD:
        ingest_abort(&pm->ingest);
        ack_error(pm, INGEST_CONNECTION_DURATION, in_fragment, pm->timecode_ms, pm->seq);
        end_input(pm);
        break;
    case PUT_SILENT:
        log_info("server.put_media.silent", "stream=%s peer=%s", pm->st->name, pm->ex->peer);
        ingest_abort(&pm->ingest);
        end_input(pm);
        break;
    }
}

/* ---- the request ---- */

int put_media_parse_start(const char *text, long long *ms)
{
    char *end;
    if (!field_matches(text, 1, 32, "^[0-9]+(\\.[0-9]*)?$"))
        return -EINVAL;
    double s = strtod(text, &end);
    if (*end || !(s >= 0 && s <= 253402300799.0))
        return -EINVAL;
    *ms = llround(s * 1000.0);
    return 0;
}

struct head {
    struct stream *st;
    bool absolute, acks;
    long long start_ms;
};

static int check_stream(struct server *server, struct http_exchange *ex, struct head *h)
{
    const char *name = http_header(ex, "x-amzn-stream-name"),
               *arn = http_header(ex, "x-amzn-stream-arn");
    if (name && arn) {
        error_invalid_argument(
            ex, "Only one of x-amzn-stream-name and x-amzn-stream-arn may be given.");
        return -EINVAL;
    }
    if (name && !field_matches(name, 1, 256, FIELD_NAME)) {
        error_invalid_argument(
            ex, "x-amzn-stream-name is not valid: expected 1 to 256 characters of a-zA-Z0-9_.-");
        return -EINVAL;
    }
    if (arn && !field_matches(arn, 1, 1024, FIELD_ARN)) {
        error_invalid_argument(ex, "x-amzn-stream-arn is not the ARN of a stream.");
        return -EINVAL;
    }
    h->st = field_find_stream(ex, server, name, arn);
    if (h->st && h->st->status != STREAM_ACTIVE) {
        error_stream_not_found(ex);
        h->st = NULL;
    }
    return h->st ? 0 : -ENOENT;
}

static int check_head(struct server *server, struct http_exchange *ex, struct head *h)
{
    const char *type = http_header(ex, "x-amzn-fragment-timecode-type");
    const char *start = http_header(ex, "x-amzn-producer-start-timestamp");
    const char *wanted = http_header(ex, "x-amzn-fragment-acknowledgment-required");
    if (!type || (strcmp(type, "ABSOLUTE") && strcmp(type, "RELATIVE"))) {
        error_invalid_argument(ex, "x-amzn-fragment-timecode-type must be ABSOLUTE or RELATIVE.");
        return -EINVAL;
    }
    h->absolute = !strcmp(type, "ABSOLUTE");
    if ((!start && !h->absolute) || (start && put_media_parse_start(start, &h->start_ms) < 0)) {
        error_invalid_argument(
            ex, "x-amzn-producer-start-timestamp must be seconds since 1970, as 1732012345.678.");
        return -EINVAL;
    }
    h->acks = !wanted || strcmp(wanted, "0");
    return check_stream(server, ex, h);
}

static unsigned count_producers(const struct stream *st)
{
    const struct stream_producer *p;
    unsigned n = 0;
    TAILQ_FOREACH (p, &st->producers, link)
        n++;
    return n;
}

/* A call too many is refused; a connection too many is too, or ends the oldest. */
static bool admit(struct server *server, struct http_exchange *ex, struct stream *st)
{
    const struct conf_limits *l = server->limits;
    if (!quota_admit(ex, &st->quota.put_calls, l->put_media_calls, 1, "PutMedia calls"))
        return false;
    unsigned n = count_producers(st);
    if (!l->put_media_newest)
        return quota_connect(ex, &n, l->put_media_connections, "PutMedia");
    while (l->put_media_connections && n-- >= l->put_media_connections) {
        struct stream_producer *oldest = TAILQ_FIRST(&st->producers);
        oldest->end(oldest);
    }
    return true;
}

static void handle(struct server *server, struct http_exchange *ex, json_t *body)
{
    static const struct http_body_ops body_ops = {
        .data = on_data, .end = on_end, .broken = on_broken};
    static const struct timeval second = {1, 0};
    struct head h = {0};
    if (check_head(server, ex, &h) < 0)
        return;
    service_count(server, h.st, METRIC_SERVICE_REQUESTS, 1);
    if (!admit(server, ex, h.st)) {
        service_count(server, h.st, METRIC_SERVICE_CONNECTION_ERRORS, 1);
        return;
    }
    struct put_media *pm = xcalloc(1, sizeof *pm);
    pm->server = server;
    pm->ex = ex;
    pm->st = stream_ref(h.st);
    pm->acks = h.acks;
    put_clock_start(&pm->clock, clock_mono_ns());
    LIST_INIT(&pm->pending);
    const struct conf_limits *l = server->limits;
    const struct ingest_limits limits = {.tracks = l->tracks,
                                         .tags = l->fragment_tags,
                                         .max_ms = l->fragment_ms,
                                         .min_ms = l->fragment_min_ms,
                                         .max_bytes = (size_t)l->fragment_megabytes << 20,
                                         .ahead_ms = l->ahead_s * INT64_C(1000)};
    ingest_init(&pm->ingest, &ingest_ops, pm, &limits, h.absolute, h.start_ms);
    pm->slow = evtimer_new(server->base, on_slow_over, pm);
    pm->tick = event_new(server->base, -1, EV_PERSIST, on_tick, pm);
    event_add(pm->tick, &second);
    TAILQ_INSERT_TAIL(&server->put_sessions, pm, link);
    pm->producer.end = end_session;
    pm->listed = true;
    TAILQ_INSERT_TAIL(&h.st->producers, &pm->producer, link);
    ex->data = pm;
    http_on_closed(ex, on_closed);
    http_add_header(ex, "Content-Type", "application/json");
    http_stream_body(ex, &body_ops);
    http_start(ex, 200);
    service_count(server, pm->st, METRIC_SERVICE_CONNECTIONS, 1);
    service_time(server, pm->st, METRIC_SERVICE_LATENCY, clock_mono_ns() - ex->begun_ns);
    check_key(pm);
    if (server->stage)
        report_state(server->stage->report, pm->st->name, "live", "");
    log_debug("server.put_media.open", "stream=%s peer=%s", pm->st->name, ex->peer);
}

const struct operation op_put_media = {
    .name = "PutMedia", .method = "POST", .path = "/putMedia", .streams = true, .handle = handle};
