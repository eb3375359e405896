/* What an outlet, an inlet or a relay says, as one line of text, so that a test reads like the
 * exchange it claims. Relies on link.h. "1 Open 1.2" is a message to peer or link 1; items are
 * t<track>#<number>, positions <next>+<credit> per track. Leaves what should be said to the tests.
 */
#ifndef KVPIPE_TESTS_LINK_TRACE_H
#define KVPIPE_TESTS_LINK_TRACE_H

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/link.h"
#include "tests/unit/claim.h"
#include "tests/unit/suite.h"

#define MS INT64_C(1000000)

static char trace_text[1 << 18], trace_taken[1 << 18];
static size_t trace_len;

__attribute__((format(printf, 1, 2))) static inline void tracef(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(trace_text + trace_len, sizeof trace_text - trace_len, fmt, ap);
    va_end(ap);
    claim(trace_len + (size_t)n < sizeof trace_text);
    trace_len += (size_t)n;
}

/* Everything since the last call, events separated by "; ". */
static inline const char *trace(void)
{
    memcpy(trace_taken, trace_text, trace_len);
    trace_taken[trace_len >= 2 ? trace_len - 2 : 0] = '\0';
    trace_len = 0;
    return trace_taken;
}

static inline unsigned trace_count(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

#define said(text) ck_assert_str_eq(trace(), text)
#define silence() said("")

static inline struct link_vector vec(const char *text)
{
    struct link_vector v = {0};
    for (char *end; *text; text = *end ? end + 1 : end)
        v.v[v.n++] = strtoull(text, &end, 10);
    return v;
}

/* "3+8,0+8@1500/9000": track 1 wants 3 with credit 8, track 2 wants 0; 1500 ms and 9000 bytes wait.
 */
static inline struct link_positions at(const char *text)
{
    struct link_positions p = {0};
    for (unsigned i = 0; *text; i++) {
        char *end;
        p.tracks |= (uint8_t)(1u << i);
        p.next[i] = strtoull(text, &end, 10);
        if (*end == '+')
            p.credit[i] = strtoull(end + 1, &end, 10);
        if (*end == '@') {
            p.backlog_ms = strtoull(end + 1, &end, 10);
            p.backlog_bytes = strtoull(end + 1, &end, 10);
        }
        text = *end ? end + 1 : end;
    }
    return p;
}

static inline void trace_vector(const struct link_vector *v)
{
    char text[LINK_VECTOR_MAX * 21];
    tracef(" %s", link_vector_str(v, text));
}

static inline void trace_positions(const struct link_positions *p)
{
    const char *separator = " ";
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        if (p->tracks & (1u << i)) {
            tracef("%s%llu+%llu", separator, (unsigned long long)p->next[i],
                   (unsigned long long)p->credit[i]);
            separator = ",";
        }
    if (p->backlog_ms || p->backlog_bytes)
        tracef("@%llu/%llu", (unsigned long long)p->backlog_ms,
               (unsigned long long)p->backlog_bytes);
}

static inline void trace_item(const struct link_item *it)
{
    tracef(" t%u#%llu", it->track, (unsigned long long)it->seq);
    if (it->last != it->seq)
        tracef("..%llu", (unsigned long long)it->last);
    if (it->gap)
        tracef(" %s", link_gap_reason_name(it->reason));
    else if (it->key)
        tracef(" key");
}

static inline void trace_heartbeat(const struct link_msg *m)
{
    for (unsigned i = 0; i < m->heartbeat.nsessions; i++) {
        const struct link_heartbeat_session *s = &m->heartbeat.sessions[i];
        tracef(" [%s", s->stream);
        trace_vector(&s->vector);
        trace_positions(&s->at);
        if (s->acked.tracks)
            tracef(" acked");
        trace_positions(&s->acked);
        tracef("]");
    }
}

static inline void trace_msg(uint64_t to, const struct link_msg *m)
{
    static const char *const reasons[] = {"none", "fenced", "draining", "moved", "ended"};

    tracef("%llu %s", (unsigned long long)to, link_type_name(m->type));
    if (m->stream[0] && strcmp(m->stream, "cam") != 0)
        tracef(" %s", m->stream);
    if (m->type != LINK_HELLO && m->type != LINK_HEARTBEAT && m->vector.n)
        trace_vector(&m->vector);
    switch (m->type) {
    case LINK_HELLO:
        tracef(" \"%s\"", m->hello.instance);
        break;
    case LINK_OPEN:
        for (unsigned i = 0; i < m->open.ntracks; i++)
            if (m->open.tracks[i].base)
                tracef(" base t%u=%llu", m->open.tracks[i].track,
                       (unsigned long long)m->open.tracks[i].base);
        break;
    case LINK_RESUME:
    case LINK_ACK:
        trace_positions(&m->positions);
        break;
    case LINK_FRAME:
    case LINK_GAP:
        trace_item(&m->item.item);
        if (m->item.new_format)
            tracef(" format %llu", (unsigned long long)m->item.format_number);
        break;
    case LINK_HEARTBEAT:
        trace_heartbeat(m);
        break;
    case LINK_CLOSE:
        tracef(" %s", reasons[m->close.reason]);
        if (m->close.greatest.n)
            trace_vector(&m->close.greatest);
        break;
    case LINK_NONE:
        break;
    }
    tracef("; ");
}

/* Formats by letter: r raw video, c coded video, a AAC. */
static inline struct link_format *format_of(char letter, uint64_t number)
{
    struct link_format *f = link_format_new();
    f->number = number;
    f->video = letter != 'a';
    f->codec = letter == 'r'   ? LINK_CODEC_RAW_VIDEO
               : letter == 'c' ? LINK_CODEC_H264
                               : LINK_CODEC_AAC;
    return f;
}

static inline unsigned tracks_of(const char *letters, const char *bases,
                                 struct link_track out[LINK_TRACKS_MAX])
{
    struct link_positions base = at(bases ? bases : "");
    unsigned n = 0;
    for (; letters[n]; n++)
        out[n] = (struct link_track){
            .track = (uint8_t)(n + 1), .base = base.next[n], .format = format_of(letters[n], 1)};
    return n;
}

static inline void tracks_fini(struct link_track *tracks, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        link_format_unref(&tracks[i].format);
}

/* A frame that owns its references. */
static inline struct link_item frame_of(struct link_format *f, unsigned track, uint64_t seq,
                                        bool key, int64_t dts_ns, size_t bytes)
{
    uint8_t *data;
    struct link_item it = {.track = (uint8_t)track,
                           .seq = seq,
                           .last = seq,
                           .key = key,
                           .pts_ns = dts_ns,
                           .dts_ns = dts_ns,
                           .format = link_format_ref(f)};
    it.payload = blob_new(bytes, &data);
    memset(data, (int)seq, bytes);
    return it;
}

static inline int run_suite(const char *name, void (*fill)(TCase *tc))
{
    Suite *s = suite_create(name);
    TCase *tc = tcase_create(name);
    tcase_set_timeout(tc, 60);
    fill(tc);
    suite_add_tcase(s, tc);
    return suite_run(s);
}

#endif
