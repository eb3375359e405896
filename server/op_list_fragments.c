/* ListFragments. Archived fragments that start in a range, both ends included. Relies on the index,
 * read in the reader thread. Leaves fragments that are only in memory out. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/clock.h"
#include "common/mem.h"
#include "server/error.h"
#include "server/field.h"
#include "server/fragment_number.h"
#include "server/http.h"
#include "server/quota.h"
#include "server/reply.h"
#include "server/route.h"
#include "server/service_metrics.h"
#include "server/stage.h"
#include "server/store.h"
#include "server/token.h"

#define MAX_RESULTS 1000
#define DEFAULT_RESULTS 100

struct range {
    int clock; /* enum archive_clock */
    int64_t from_ms, to_ms, after_ms, after_seq;
};

struct list {
    struct store_read read;
    struct reply_hold *hold;
    struct server *server;
    struct stream *st;
    struct range range;
    int max, n;
    int64_t begun_ns;
    struct archive_row rows[MAX_RESULTS + 1];
};

static void run(struct store_read *r, struct archive_reader *reader)
{
    struct list *l = (struct list *)r;
    l->n = archive_list(reader, l->st->id, l->range.clock, l->range.from_ms, l->range.to_ms,
                        l->range.after_ms, l->range.after_seq, l->rows, l->max + 1);
}

static json_t *fragment_json(const struct archive_row *row)
{
    char number[FRAGMENT_NUMBER_LEN];
    fragment_number_format(row->seq, number);
    return json_pack("{s:s, s:I, s:o, s:o, s:I}", "FragmentNumber", number, "FragmentSizeInBytes",
                     (json_int_t)row->length, "ProducerTimestamp",
                     reply_timestamp(row->producer_ms), "ServerTimestamp",
                     reply_timestamp(row->server_ms), "FragmentLengthInMilliseconds",
                     (json_int_t)row->length_ms);
}

static void make_token(const struct list *l, char token[TOKEN_MAX])
{
    char text[TOKEN_TEXT_MAX];
    const struct archive_row *last = &l->rows[l->max - 1];
    snprintf(text, sizeof text, "%d %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %s",
             l->range.clock, l->range.from_ms, l->range.to_ms,
             l->range.clock == ARCHIVE_SERVER_CLOCK ? last->server_ms : last->producer_ms,
             last->seq, l->st->code);
    token_encode(text, token);
}

static int read_token(const char *token, const struct stream *st, struct range *r)
{
    char text[TOKEN_TEXT_MAX], code[24];
    if (token_decode(token, text) < 0)
        return -EINVAL;
    int n = sscanf(text, "%d %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %23s", &r->clock,
                   &r->from_ms, &r->to_ms, &r->after_ms, &r->after_seq, code);
    if (n != 6 || strcmp(code, st->code) ||
        (r->clock != ARCHIVE_SERVER_CLOCK && r->clock != ARCHIVE_PRODUCER_CLOCK))
        return -EINVAL;
    return 0;
}

static void done(struct store_read *r)
{
    struct list *l = (struct list *)r;
    struct http_exchange *ex = reply_release(&l->hold);
    char token[TOKEN_MAX] = "";
    if (ex && l->n < 0) {
        error_internal(ex);
    } else if (ex && l->st->status == STREAM_DELETING) {
        error_stream_not_found(ex);
    } else if (ex) {
        json_t *items = json_array();
        for (int i = 0; i < l->n && i < l->max; i++)
            json_array_append_new(items, fragment_json(&l->rows[i]));
        if (l->n > l->max)
            make_token(l, token);
        reply_json(
            ex, json_pack("{s:o, s:s?}", "Fragments", items, "NextToken", *token ? token : NULL));
    }
    if (ex) {
        service_result(l->server, l->st, METRIC_LIST_SUCCESS, l->n >= 0);
        service_time(l->server, l->st, METRIC_LIST_LATENCY, clock_mono_ns() - l->begun_ns);
    }
    stream_unref(&l->st);
    free(l);
}

static void read_selector(struct fields *f, struct range *r)
{
    static const char *const types[] = {"SERVER_TIMESTAMP", "PRODUCER_TIMESTAMP", NULL};
    json_t *o = field_object(f, "FragmentSelector", FIELD_REQUIRED);
    if (!o)
        return;
    struct fields selector = {.ex = f->ex, .object = o};
    r->clock = field_enum(&selector, "FragmentSelectorType", FIELD_REQUIRED, types) == 0
                   ? ARCHIVE_SERVER_CLOCK
                   : ARCHIVE_PRODUCER_CLOCK;
    json_t *range = field_object(&selector, "TimestampRange", FIELD_REQUIRED);
    struct fields times = {.ex = f->ex, .object = range, .failed = selector.failed};
    field_timestamp(&times, "StartTimestamp", FIELD_REQUIRED, &r->from_ms);
    field_timestamp(&times, "EndTimestamp", FIELD_REQUIRED, &r->to_ms);
    if (!times.failed && r->to_ms < r->from_ms) {
        times.failed = true;
        error_invalid_argument(f->ex, "EndTimestamp is before StartTimestamp.");
    }
    f->failed = times.failed;
    r->after_ms = INT64_MIN;
}

static void handle(struct server *server, struct http_exchange *ex, json_t *body)
{
    struct fields f = {.ex = ex, .object = body};
    struct range range = {0};
    int64_t max = field_int(&f, "MaxResults", FIELD_OPTIONAL, 1, MAX_RESULTS, DEFAULT_RESULTS);
    const char *token = field_string(&f, "NextToken", FIELD_OPTIONAL, 1, 4096, FIELD_TOKEN);
    if (!f.failed && !token)
        read_selector(&f, &range);
    struct stream *st = field_stream(&f, server);
    if (!st)
        return;
    service_count(server, st, METRIC_LIST_REQUESTS, 1);
    if (token && read_token(token, st, &range) < 0) {
        service_result(server, st, METRIC_LIST_SUCCESS, false);
        error_invalid_argument(ex, "NextToken is not one that ListFragments gave for this stream.");
        return;
    }
    if (!quota_admit(ex, &st->quota.metadata_points, server->limits->metadata_points, (unsigned)max,
                     "fragments' metadata")) {
        service_result(server, st, METRIC_LIST_SUCCESS, false);
        return;
    }
    service_count(server, st, METRIC_POINTS_METADATA, (double)max);
    struct list *l = xcalloc(1, sizeof *l);
    l->read.run = run;
    l->read.done = done;
    l->begun_ns = ex->begun_ns;
    l->hold = reply_hold(ex);
    l->server = server;
    l->st = stream_ref(st);
    l->range = range;
    l->max = (int)max;
    store_read(server->store, &l->read);
}

const struct operation op_list_fragments = {
    .name = "ListFragments", .method = "POST", .path = "/listFragments", .handle = handle};
