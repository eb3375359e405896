/* GetMediaForFragmentList. Archived fragments in the order asked for, each as often as asked for.
 * Relies on chunks. Leaves out none silently: one that is not in the archive (any more) or cannot
 * be read gets a chunk that says so in its place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

#define FRAGMENTS_MAX 1000
#define NUMBER_MAX 128
#define BODY_MAX_BYTES (192u << 10) /* all of them at their longest */

struct fragment_list {
    struct chunks c;
    unsigned n, at; /* numbers[at] is the one to be sent next, or being sent */
    char *numbers[FRAGMENTS_MAX];
};

static void clear(struct fragment_list *l)
{
    for (unsigned i = 0; i < l->n; i++)
        free(l->numbers[i]);
    free(l);
}

static void chunks_free(struct chunks *c)
{
    c->st->quota.list_connections--;
    clear((struct fragment_list *)c);
}

static void head_tags(struct chunks *c, struct buf *out)
{
    chunks_head_tags(c, out, "AWS_KINESISVIDEO_SERVER_SIDE_TIMESTAMP",
                     "AWS_KINESISVIDEO_PRODUCER_SIDE_TIMESTAMP");
}

static void sent(struct chunks *c)
{
    ((struct fragment_list *)c)->at++;
}

static void say(struct chunks *c, const char *code, const char *message)
{
    struct fragment_list *l = (struct fragment_list *)c;
    const struct mkv_tag tags[] = {{"AWS_KINESISVIDEO_FRAGMENT_NUMBER", l->numbers[l->at++]},
                                   {"AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE", code},
                                   {"AWS_KINESISVIDEO_EXCEPTION_MESSAGE", message}};
    chunks_error(c, tags, 3);
}

static void unreadable(struct chunks *c, int error)
{
    char id[16];
    bool key = kms_is_error(error);
    snprintf(id, sizeof id, "%d", key ? -error : 5000);
    say(c, id, key ? kms_error_name(-error) : "The fragment cannot be read.");
}

/* -1 for what is none of our numbers. */
static int64_t wanted(const struct fragment_list *l)
{
    int64_t seq = -1;
    return fragment_number_parse(l->numbers[l->at], &seq) == 0 ? seq : -1;
}

static void find(struct chunks *c, struct archive_reader *reader)
{
    int64_t seq = wanted((struct fragment_list *)c);
    c->result = seq < 0 ? 0 : archive_after(reader, c->st->id, seq - 1, &c->row);
}

static void found(struct chunks *c)
{
    char number[FRAGMENT_NUMBER_LEN];
    struct fragment_list *l = (struct fragment_list *)c;
    fragment_number_format(c->row.seq, number);
    if (c->result > 0 && !strcmp(number, l->numbers[l->at] + strspn(l->numbers[l->at], "0")))
        chunks_begin(c, NULL);
    else
        say(c, "4000", "The fragment is not in the archive of this stream.");
}

static void next(struct chunks *c)
{
    struct fragment_list *l = (struct fragment_list *)c;
    if (l->at == l->n || c->st->status == STREAM_DELETING)
        chunks_finish(c);
    else
        chunks_query(c, find, found);
}

/* ---- the request ---- */

static void read_numbers(struct fields *f, struct fragment_list *l)
{
    json_t *list = json_object_get(f->object, "Fragments"), *item;
    size_t i;
    if (!json_is_array(list) || !json_array_size(list) || json_array_size(list) > FRAGMENTS_MAX) {
        f->failed = true;
        error_invalid_argument(f->ex, "Fragments is not valid: expected a list of 1 to %d numbers.",
                               FRAGMENTS_MAX);
        return;
    }
    json_array_foreach(list, i, item)
    {
        const char *number = json_string_value(item);
        if (!number || !field_matches(number, 1, NUMBER_MAX, FIELD_DIGITS)) {
            f->failed = true;
            error_invalid_argument(
                f->ex, "Fragments[%zu] is not valid: expected a string of 1 to %d digits.", i,
                NUMBER_MAX);
            return;
        }
        l->numbers[l->n++] = xstrdup(number);
    }
}

static struct stream *admit(struct server *server, struct fields *f, unsigned n)
{
    const struct conf_limits *limits = server->limits;
    struct stream *st = field_stream(f, server);
    if (!st)
        return NULL;
    service_count(server, st, METRIC_LIST_MEDIA_REQUESTS, 1);
    if (!quota_admit(f->ex, &st->quota.media_points, limits->media_points, n,
                     "fragments of archived media"))
        return NULL;
    service_count(server, st, METRIC_POINTS_MEDIA, n);
    return quota_connect(f->ex, &st->quota.list_connections, limits->fragment_list_connections,
                         "GetMediaForFragmentList")
               ? st
               : NULL;
}

static void handle(struct server *server, struct http_exchange *ex, json_t *body)
{
    static const struct chunks_ops ops = {
        .metrics = {METRIC_LIST_MEDIA_BYTES, METRIC_LIST_MEDIA_FRAGMENTS, METRIC_LIST_MEDIA_FRAMES,
                    METRIC_LIST_MEDIA_SUCCESS},
        .next = next,
        .tags = head_tags,
        .sent = sent,
        .unreadable = unreadable,
        .free = chunks_free};
    struct fields f = {.ex = ex, .object = body};
    struct fragment_list *l = xcalloc(1, sizeof *l);
    read_numbers(&f, l);
    struct stream *st = f.failed ? NULL : admit(server, &f, l->n);
    if (!st) {
        clear(l);
        return;
    }
    chunks_start(&l->c, &ops, server, ex, st);
    chunks_pump(&l->c);
}

const struct operation op_get_media_for_fragment_list = {.name = "GetMediaForFragmentList",
                                                         .method = "POST",
                                                         .path = "/getMediaForFragmentList",
                                                         .body_max_bytes = BODY_MAX_BYTES,
                                                         .handle = handle};
