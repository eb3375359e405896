/* PutMedia requests one after the other: states, lookups, failures.
 * Relies on session_body.c for what is sent, session_acks.c for what is told of it, session_policy
 * for what a refusal means. Leaves the link to stage.c. */
#include "uploader/session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <event2/event.h>
#include <sys/random.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/sigv4.h"
#include "uploader/session_private.h"

#define FRESH_NS                                                                                   \
    (5 * NS_PER_S) /* an unfinished fragment is worth a request only while it grows                \
                    */
#define LINGER_NS                                                                                  \
    (2 * NS_PER_S) /* a complete fragment without a next one: end the body so that it is archived  \
                    */
#define ENDING_NS (20 * NS_PER_S) /* for the last acks after the body */
#define SETTLE_NS NS_PER_S        /* before a lookup: what was on the wire may still be stored */
#define LOOKUP_MAX 1000

static const struct retry_conf retry_conf = {
    .first_ns = 500 * NS_PER_MS, .max_ns = 30 * NS_PER_S, .reset_ns = 30 * NS_PER_S};

static void start(struct session *s);

static void say(struct session *s, const char *state, const char *note)
{
    s->ops.state(s->arg, state, note);
}

static void set_timer(struct session *s, int64_t wait_ns)
{
    struct timeval tv = {.tv_sec = wait_ns / NS_PER_S, .tv_usec = wait_ns % NS_PER_S / 1000};
    evtimer_add(s->timer, &tv);
}

/* Ends the present request, if any. What it sent and was not told of is in doubt from now on. */
static void close_request(struct session *s)
{
    bool open = s->call != NULL;
    s->stats.open = false;
    unsigned last_file = s->frag ? s->frag->file->number : 0;
    uint64_t last_offset = s->frag ? s->frag->offset : 0;
    http_request_cancel(s->call);
    s->call = NULL;
    evtimer_del(s->pace);
    session_body_release(s);
    blob_unref(&s->segment);
    buf_clear(&s->tail);
    buf_clear(&s->answer);
    s->nmarks = 0;
    for (struct spool_fragment *f = last_file ? spool_next(s->spool, NULL) : NULL; f;
         f = spool_next(s->spool, f)) {
        if (f->file->number > last_file ||
            (f->file->number == last_file && f->offset > last_offset))
            break;
        if (f->sent)
            f->doubt = f->untold = open = true;
        f->sent = false;
    }
    if (open) {
        s->cut_ns = clock_mono_ns();
        s->fenced = false;
    }
}

static uint64_t random64(void)
{
    uint64_t v = 0;
    if (getrandom(&v, sizeof v, GRND_NONBLOCK) < 0)
        v = (uint64_t)clock_mono_ns();
    return v;
}

static bool is_refused(const struct session *s)
{
    return (s->state == SESSION_SEND || s->state == SESSION_FENCE) && s->status != 200;
}

/* The one place that decides what follows a failure. */
void session_fail(struct session *s, const struct policy *p, const char *text)
{
    char note[512];
    if (p->action != POLICY_UNSIGNED || credentials_error(s->api->credentials)[0])
        session_metrics_failed(&s->metrics, p->name, is_refused(s));
    close_request(s);
    archive_lookup_stop(s->lookup);
    if (p->action == POLICY_CREDENTIALS)
        credentials_refused(s->api->credentials);
    if (p->action == POLICY_ENDPOINT || p->action == POLICY_CREDENTIALS)
        endpoint_forget(s->endpoint);
    if (p->action == POLICY_FRAGMENT) /* the endpoint works: one fragment is what it refuses */
        retry_init(&s->retry, &retry_conf);
    int64_t wait = retry_failed(&s->retry, clock_mono_ns(), random64());
    s->state = SESSION_WAIT;
    s->is_unsigned = p->action == POLICY_UNSIGNED;
    s->stats.reconnects += !s->is_unsigned;
    if (!s->is_unsigned || credentials_error(s->api->credentials)[0]) /* else: the first fetch */
        log_warn("uploader.session.failed",
                 "stream=%s endpoint=%s cause=%s what=\"%s\" do=\"%s\" retry_ms=%" PRId64,
                 s->stream->name, s->conf->url, p->name, text, p->advice, wait / NS_PER_MS);
    snprintf(note, sizeof note, "endpoint %s: %.200s: %s; retrying in %.1f s", s->conf->url, text,
             p->advice, (double)wait / NS_PER_S);
    say(s, "waiting", note);
    set_timer(s, wait);
}

/* --- the end of a request --- */

static void note_header(void *arg, int status, const char *name, const char *value)
{
    struct session *s = arg;
    s->status = status;
    if (strcasecmp(name, "x-amzn-ErrorType") == 0 || strcasecmp(name, "x-amz-ErrorType") == 0)
        snprintf(s->error_type, sizeof s->error_type, "%s", value);
    else if (strcasecmp(name, "Date") == 0)
        snprintf(s->date, sizeof s->date, "%s", value);
}

static void on_header(void *arg, int status, const char *name, const char *value)
{
    struct session *s = arg;
    note_header(arg, status, name, value);
    if (name[0] || status != 200)
        return;
    s->stats.open = true;
    histogram_add(s->metrics.answer, clock_mono_ns() - s->start_ns);
    say(s, "live", "");
}

static void answered(struct session *s, int status)
{
    char text[320];
    json_t *json = json_loadb((const char *)s->answer.data, s->answer.len, 0, NULL);
    const char *message = json_string_value(json_object_get(json, "Message"));
    if (!message)
        message = json_string_value(json_object_get(json, "message"));
    snprintf(text, sizeof text, "PutMedia: status=%d %.100s %.160s", status, s->error_type,
             message ? message : "");
    json_decref(json);
    if (status >= 400 && status < 500) /* refused as a whole: nothing of it is in doubt */
        for (struct spool_fragment *f = spool_next(s->spool, NULL); f && s->frag;
             f = f == s->frag ? NULL : spool_next(s->spool, f))
            f->sent = false;
    if (api_refuses_time(status))
        api_learn_time(s->api, s->date);
    session_fail(s, session_policy_answer(status, s->error_type), text);
}

/* The file is gone: there is nothing to wait for. */
static void give_up_file(struct session *s, struct spool_file *file, const char *reason)
{
    struct spool_fragment *f = spool_next(s->spool, NULL), *next;
    unsigned n = 0;
    for (; f && f->file == file && f->complete; f = next, n++) {
        next = spool_next(s->spool, f);
        spool_give_up(s->spool, f, reason);
    }
    log_error("uploader.spool.gone",
              "stream=%s file=%06u.mkv fragments_lost=%u cause=\"somebody deleted the file\" "
              "do=\"leave spool.dir to the uploader\"",
              s->stream->name, file->number, n);
}

static void unreadable(struct session *s)
{
    static const struct policy passing = {POLICY_RESEND, "spool_read",
                                          "raise the limit of open files (ulimit -n)"};
    static const struct policy damaged = {POLICY_FRAGMENT, "spool_read",
                                          "check the disk; spool files must not be moved or cut"};
    int e = -s->read_error;
    const struct policy *p = e == EMFILE || e == ENFILE || e == ENOMEM ? &passing : &damaged;
    char text[128];
    snprintf(text, sizeof text, "the spool cannot be read: %s", strerror(e));
    if (s->frag && e == ENOENT)
        give_up_file(s, s->frag->file, p->name);
    else if (s->frag)
        session_acks_failed(s, s->frag, p, text);
    session_fail(s, p, text);
}

static void on_done(void *arg, const struct http_response *res)
{
    static const struct policy closed = {POLICY_RESEND, "closed",
                                         "the endpoint closed the request early"};
    struct session *s = arg;
    int64_t age = clock_mono_ns() - s->start_ns;
    s->call = NULL;
    if (s->read_error) {
        unreadable(s);
    } else if (res->error) {
        session_fail(s, session_policy_broken(res->error), res->error_text);
    } else if (res->status != 200) {
        answered(s, res->status);
    } else if (!s->ending && age < FRESH_NS) {
        session_fail(s, &closed, "PutMedia: the answer ended at once");
    } else {
        log_debug("uploader.session.closed", "stream=%s seconds=%.1f bytes=%" PRIu64,
                  s->stream->name, (double)age / NS_PER_S, s->sent_bytes);
        close_request(s);
        start(s);
    }
}

/* --- starting --- */

static bool has_work(struct session *s, struct spool_fragment **first)
{
    struct spool_fragment *f = spool_next(s->spool, NULL);
    *first = f;
    return f && (f->complete || clock_mono_ns() - s->fresh_ns < FRESH_NS);
}

static int add_headers(struct session *s, const char *url, const struct spool_fragment *f,
                       struct api_headers *h)
{
    int64_t start_ns = s->stream->absolute ? f->start_ns : f->file->base_ns;
    int64_t start_ms = (start_ns + NS_PER_MS / 2) / NS_PER_MS;
    api_headers_add(h, "User-Agent", "kvpipe/%s", KVPIPE_VERSION);
    api_headers_add(h, "Connection", "keep-alive");
    api_headers_add(h, "x-amzn-stream-name", "%s", s->stream->name);
    api_headers_add(h, "x-amzn-fragment-acknowledgment-required", "1");
    api_headers_add(h, "x-amzn-fragment-timecode-type", "%s",
                    s->stream->absolute ? "ABSOLUTE" : "RELATIVE");
    api_headers_add(h, "x-amzn-producer-start-timestamp", "%" PRId64 ".%03d", start_ms / 1000,
                    (int)(start_ms % 1000));
    return api_sign(s->api, url, SIGV4_EMPTY_SHA256, h);
}

static void reset_request(struct session *s, const struct spool_fragment *f)
{
    s->status = 0;
    s->error_type[0] = s->date[0] = '\0';
    ack_parser_init(&s->acks);
    s->start_ns = s->last_ack_ns = clock_mono_ns();
    s->sent_bytes = s->sent_at_ack = 0;
    s->ending = false;
    s->segment = spool_segment(f);
    s->segment_sent = s->tail_sent = 0;
    s->read_error = 0;
}

/* Returns 0 with the request under way, or fails the session. */
static int request(struct session *s, const char *url, const struct spool_fragment *f,
                   struct http_request *how)
{
    struct api_headers h = {.n = 0};
    reset_request(s, f);
    int r = s->segment ? add_headers(s, url, f, &h) : -EIO;
    credentials_note(s->api->credentials, &s->key);
    if (r == 0) {
        how->method = "POST";
        how->url = url;
        how->headers = (const char *const *)h.line;
        how->nheaders = h.n;
        how->ca_file = s->api->ca_file;
        how->close_after = true;
        how->arg = s;
        r = http_request(s->api->http, how, &s->call);
    }
    api_headers_fini(&h);
    if (r < 0)
        session_fail(s, session_policy_unsigned(), api_sign_error(s->api, r));
    return r;
}

static void open_request(struct session *s, const char *base_url, struct spool_fragment *f)
{
    struct http_request how = {.on_upload = session_body_read,
                               .on_header = on_header,
                               .on_body = session_acks_take,
                               .on_done = on_done};
    char *url = api_url(base_url, "/putMedia");
    if (request(s, url, f, &how) == 0) {
        s->state = SESSION_SEND;
        s->stats.sessions++;
        log_info("uploader.session.open", "stream=%s url=%s fragment=%" PRId64, s->stream->name,
                 url, f->timecode_ms);
    }
    free(url);
}

/* What an earlier request had sent may still lie in sockets and proxies, though its process died,
 * and be archived after the endpoint was asked what it has. The newest PutMedia of a stream ends
 * the one before (or is refused while that lasts: then it is tried again), so an empty one comes
 * first. */
static ssize_t no_body(void *arg, void *dst, size_t cap)
{
    return 0;
}

static int ignore_body(void *arg, const void *data, size_t len)
{
    struct session *s = arg;
    if (s->status != 200)
        buf_append(&s->answer, data, len);
    return 0;
}

static void on_fenced(void *arg, const struct http_response *res)
{
    struct session *s = arg;
    s->call = NULL;
    if (res->error) {
        session_fail(s, session_policy_broken(res->error), res->error_text);
    } else if (res->status != 200 &&
               strcmp(session_policy_answer(res->status, s->error_type)->name, "argument")) {
        answered(s, res->status); /* 'argument': it does not like empty bodies, and said so last */
    } else {
        close_request(s);
        s->fenced = true;
        s->cut_ns = clock_mono_ns();
        start(s);
    }
}

static void open_fence(struct session *s, const char *base_url, const struct spool_fragment *f)
{
    struct http_request how = {.on_upload = no_body,
                               .on_header = note_header,
                               .on_body = ignore_body,
                               .on_done = on_fenced};
    char *url = api_url(base_url, "/putMedia");
    if (request(s, url, f, &how) == 0) {
        s->state = SESSION_FENCE;
        log_debug("uploader.session.fence", "stream=%s url=%s", s->stream->name, url);
    }
    free(url);
}

/* One question covers the doubtful fragments at the front of one file. */
static bool in_range(const struct spool_fragment *f, const struct spool_file *file, unsigned n)
{
    return f && f->file == file && n < LOOKUP_MAX && f->doubt && f->complete;
}

static unsigned doubtful_range(struct session *s, struct spool_fragment *f, int64_t *first_ms,
                               int64_t *last_ms)
{
    const struct spool_file *file = f->file;
    unsigned n = 0;
    *first_ms = INT64_MAX;
    *last_ms = INT64_MIN;
    for (; in_range(f, file, n); f = spool_next(s->spool, f), n++) {
        int64_t ms = f->start_ns / NS_PER_MS;
        *first_ms = ms < *first_ms ? ms : *first_ms;
        *last_ms = ms > *last_ms ? ms : *last_ms;
    }
    return n;
}

static void lookup_found(void *arg, int64_t producer_ms)
{
    struct session *s = arg;
    struct spool_fragment *f = spool_next(s->spool, NULL);
    const struct spool_file *file = f ? f->file : NULL;
    for (unsigned n = 0; in_range(f, file, n); f = spool_next(s->spool, f), n++) {
        int64_t d = f->start_ns / NS_PER_MS - producer_ms;
        if (d >= -1 && d <= 1)
            f->listed = true;
    }
}

static void lookup_done(void *arg, const struct policy *policy, const char *text)
{
    struct session *s = arg;
    unsigned archived = 0, asked = 0;
    if (policy) {
        session_fail(s, policy, text);
        return;
    }
    if (text)
        log_warn("uploader.lookup",
                 "stream=%s what=\"%s\" effect=\"the endpoint cannot tell what it has; fragments "
                 "in doubt are sent "
                 "again\"",
                 s->stream->name, text);
    struct spool_fragment *f = spool_next(s->spool, NULL), *next;
    const struct spool_file *file = f ? f->file : NULL;
    for (; in_range(f, file, asked); f = next, asked++) {
        f->doubt = f->untold = false;
        bool done = f->listed;
        f->listed = false;
        next = spool_next(s->spool, f);
        archived += done;
        if (done)
            spool_done(s->spool, f);
    }
    if (!text)
        log_info("uploader.lookup", "stream=%s doubtful=%u archived=%u", s->stream->name, asked,
                 archived);
    start(s);
}

static void resolved(struct session *s, const char *url)
{
    struct spool_fragment *f;
    int64_t first_ms, last_ms, settle = s->cut_ns + SETTLE_NS - clock_mono_ns();
    if (!has_work(s, &f)) {
        s->state = SESSION_IDLE;
        return;
    }
    unsigned n =
        endpoint_retention_hours(s->endpoint) ? doubtful_range(s, f, &first_ms, &last_ms) : 0;
    if (!n) {
        open_request(s, url, f);
    } else if (!s->fenced) {
        open_fence(s, url, f);
    } else if (settle > 0) {
        s->state = SESSION_WAIT;
        s->is_unsigned = false;
        set_timer(s, settle);
    } else {
        s->state = SESSION_LOOKUP;
        int r = archive_lookup_start(s->lookup, first_ms - 2, last_ms + 2);
        if (r < 0)
            session_fail(s, session_policy_unsigned(), api_sign_error(s->api, r));
    }
}

static void on_endpoint(void *arg, const struct policy *policy, const char *text)
{
    struct session *s = arg;
    if (s->state != SESSION_RESOLVE)
        return;
    const char *url = policy ? NULL : endpoint_get(s->endpoint);
    if (url)
        resolved(s, url);
    else if (policy)
        session_fail(s, policy, text);
}

static void start(struct session *s)
{
    struct spool_fragment *f;
    s->state = SESSION_IDLE;
    if (s->draining || !has_work(s, &f))
        return;
    s->state = SESSION_RESOLVE;
    const char *url = endpoint_get(s->endpoint);
    if (url)
        resolved(s, url);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    start(arg);
}

static void on_pace(evutil_socket_t fd, short what, void *arg)
{
    struct session *s = arg;
    if (s->call)
        http_request_resume(s->call);
}

/* --- public --- */

static void add_mark(struct session *s, int64_t captured_ns)
{
    struct spool_position at = spool_end_position(s->spool);
    if (s->nmarks == SESSION_MARKS) {
        s->first_mark = (s->first_mark + 1) % SESSION_MARKS;
        s->nmarks--;
    }
    s->marks[(s->first_mark + s->nmarks++) % SESSION_MARKS] =
        (struct session_mark){.file = at.file, .end = at.offset, .captured_ns = captured_ns};
}

void session_kick(struct session *s, int64_t captured_ns)
{
    s->fresh_ns = clock_mono_ns();
    if (captured_ns)
        add_mark(s, captured_ns);
    if (s->state == SESSION_IDLE)
        start(s);
    else if (s->state == SESSION_SEND && s->call && !s->in_upload)
        http_request_resume(s->call);
}

void session_signable(struct session *s)
{
    if (s->state != SESSION_WAIT || !s->is_unsigned)
        return;
    evtimer_del(s->timer);
    start(s);
}

static void end_here(struct session *s)
{
    s->ending = true;
    s->ending_ns = clock_mono_ns();
    http_request_resume(s->call);
}

static bool at_boundary(const struct session *s)
{
    return s->frag && s->frag->complete && s->pos >= s->frag->end &&
           s->segment_sent == s->segment->len;
}

void session_tick(struct session *s)
{
    static const struct policy stale = {POLICY_ENDPOINT, "stale",
                                        "no ack came; the connection or a proxy hangs"};
    int64_t now = clock_mono_ns();
    if (s->state == SESSION_IDLE)
        start(s);
    if (s->state == SESSION_FENCE && now - s->start_ns > (int64_t)s->conf->staleness_s * NS_PER_S)
        session_fail(s, &stale, "PutMedia: no answer");
    if (s->state != SESSION_SEND)
        return;
    if (s->ending && now - s->ending_ns > ENDING_NS)
        session_fail(s, &stale, "PutMedia: no end of the answer");
    else if (session_unacked_ns(s) > (int64_t)s->conf->staleness_s * NS_PER_S)
        session_fail(s, &stale, "PutMedia: no ack");
    else if (!s->ending && at_boundary(s) && now - s->fresh_ns > LINGER_NS &&
             !spool_next(s->spool, s->frag))
        end_here(s);
}

void session_drain(struct session *s)
{
    s->draining = true;
    if (s->state != SESSION_SEND) {
        close_request(s);
        archive_lookup_stop(s->lookup);
        evtimer_del(s->timer);
        s->state = SESSION_IDLE;
        return;
    }
    struct spool_fragment *f = spool_next(s->spool, NULL);
    if (!s->ending && s->frag && !s->frag->complete && f == s->frag) {
        close_request(s); /* all before it is archived, it cannot be finished: cut */
        s->state = SESSION_IDLE;
    } else {
        http_request_resume(s->call); /* ends in front of the next fragment */
    }
}

bool session_is_idle(const struct session *s)
{
    if (s->state != SESSION_SEND)
        return true;
    /* Draining in the middle of a fragment: over as soon as nothing before it waits for an ack. */
    return s->draining && s->frag && !s->frag->complete && spool_next(s->spool, NULL) == s->frag;
}

static void on_drop(void *arg, struct spool_fragment *f)
{
    static const struct policy full = {POLICY_RESEND, "spool_full",
                                       "the spool is full and gave up what was being sent"};
    struct session *s = arg;
    if (f == s->frag && s->state == SESSION_SEND)
        session_fail(s, &full, "fragment deleted");
}

struct session *session_create(struct event_base *base, struct api *api,
                               const struct conf_endpoint *conf, const struct conf_stream *stream,
                               struct spool *spool, struct metrics *metrics,
                               const struct session_ops *ops, void *arg)
{
    static const struct archive_lookup_ops lookup_ops = {.found = lookup_found,
                                                         .done = lookup_done};
    struct session *s = xcalloc(1, sizeof *s);
    *s = (struct session){.base = base,
                          .api = api,
                          .conf = conf,
                          .stream = stream,
                          .spool = spool,
                          .ops = *ops,
                          .arg = arg};
    session_metrics_init(&s->metrics, metrics);
    s->endpoint = endpoint_create(base, api, conf, stream->name, on_endpoint, s);
    s->lookup = archive_lookup_create(api, conf, stream->name, &lookup_ops, s);
    s->timer = evtimer_new(base, on_timer, s);
    s->pace = evtimer_new(base, on_pace, s);
    s->cut_ns = clock_mono_ns(); /* the process before us may have been cut just now */
    retry_init(&s->retry, &retry_conf);
    buf_init(&s->answer, 8192);
    buf_init(&s->tail, 65536);
    spool_on_drop(spool, on_drop, s);
    return s;
}

void session_destroy(struct session **sp)
{
    struct session *s = *sp;
    if (!s)
        return;
    close_request(s);
    archive_lookup_destroy(&s->lookup);
    endpoint_destroy(&s->endpoint);
    event_free(s->timer);
    event_free(s->pace);
    buf_fini(&s->answer);
    buf_fini(&s->tail);
    free(s);
    *sp = NULL;
}

int64_t session_unacked_ns(const struct session *s)
{
    bool waits = s->state == SESSION_SEND && (s->ending || s->sent_bytes > s->sent_at_ack);
    return waits ? clock_mono_ns() - s->last_ack_ns : 0;
}

const struct session_stats *session_get_stats(const struct session *s)
{
    return &s->stats;
}
