/* What the endpoint tells of the fragments of a request, ack by ack.
 * Relies on ack.h to read them. Leaves what follows a failure to session.c. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "uploader/session_policy.h"
#include "uploader/session_private.h"

void session_acks_failed(struct session *s, struct spool_fragment *f, const struct policy *p,
                         const char *text)
{
    f->tries++;
    if (!f->complete || !session_policy_gives_up(p, f->tries))
        return;
    log_error("uploader.fragment.given_up",
              "stream=%s fragment=%" PRId64 " refusals=%u what=\"%s\" cause=\"%s\"",
              s->stream->name, f->timecode_ms, f->tries, text, p->advice);
    spool_keep_refused(s->spool, f, p->name);
    spool_give_up(s->spool, f, p->name);
}

static void on_error_ack(struct session *s, const struct ack *a, struct spool_fragment *f)
{
    const struct policy *p = session_policy_ack(a->error_id, a->error_code);
    char text[160];
    snprintf(text, sizeof text, "ERROR ack %d %s for fragment %" PRId64, a->error_id, a->error_code,
             a->timecode);
    if (f && a->has_timecode && p->action == POLICY_FRAGMENT)
        f->sent = false; /* itself refused: not in doubt. Anything else may have been archived */
    if (f)
        session_acks_failed(s, f, p, text);
    session_fail(s, p, text);
}

static bool sent_whole(const struct session *s, const struct spool_fragment *f)
{
    return f->complete && (f != s->frag || s->pos >= f->end);
}

static void on_final_ack(struct session *s, struct spool_fragment *f, const struct ack *a)
{
    if (sent_whole(s, f)) {
        session_metrics_done(&s->metrics, f, clock_wall_ns());
        spool_done(s->spool, f);
        retry_works(&s->retry, s->last_ack_ns);
    } else {
        log_warn("uploader.ack.early",
                 "stream=%s event=%s timecode=%" PRId64
                 " cause=\"the endpoint acked a fragment that it cannot have whole\" "
                 "effect=\"not counted\"",
                 s->stream->name, ack_event_name(a->event), a->timecode);
    }
}

/* Returns false when the request is gone. */
static bool on_ack(struct session *s, const struct ack *a)
{
    struct spool_fragment *f = a->has_timecode ? spool_find_sent(s->spool, a->timecode) : NULL;
    if (f) { /* IDLE, and what is said of other fragments, moves nothing on */
        s->last_ack_ns = clock_mono_ns();
        s->sent_at_ack = s->sent_bytes;
        s->stats.acks++;
    }
    log_debug("uploader.ack", "stream=%s event=%s timecode=%" PRId64 " number=%s", s->stream->name,
              ack_event_name(a->event), a->timecode, a->number);
    if (a->event == ACK_ERROR) {
        on_error_ack(s, a, f ? f : a->has_timecode ? NULL : s->frag);
        return false;
    }
    if (f)
        session_metrics_ack(&s->metrics, f, a->event, sent_whole(s, f), s->last_ack_ns);
    bool final = a->event == ACK_PERSISTED ||
                 (a->event == ACK_RECEIVED && !endpoint_retention_hours(s->endpoint));
    if (final && f)
        on_final_ack(s, f, a);
    return true;
}

int session_acks_take(void *arg, const void *data, size_t len)
{
    struct session *s = arg;
    const char *p = data;
    struct ack a;
    enum ack_result r;
    if (s->status != 200) {
        buf_append(&s->answer, data, len);
        return 0;
    }
    while ((r = ack_parser_next(&s->acks, &p, &len, &a)) != ACK_MORE) {
        if (r == ACK_MALFORMED)
            log_warn("uploader.ack.malformed", "stream=%s cause=\"%s\"", s->stream->name,
                     ack_parser_error(&s->acks));
        else if (!on_ack(s, &a))
            return 0; /* cancelled in there */
    }
    return 0;
}
