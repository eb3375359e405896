/* What session.c (states, lookups, refusals), session_body.c (what is sent) and session_acks.c
 * (what is told of it) share. Relies on session.h. Leaves everything else to the three. */
#ifndef KVPIPE_UPLOADER_SESSION_PRIVATE_H
#define KVPIPE_UPLOADER_SESSION_PRIVATE_H

#include "common/buf.h"
#include "uploader/ack.h"
#include "uploader/archive_lookup.h"
#include "uploader/endpoint.h"
#include "common/retry.h"
#include "uploader/session.h"
#include "uploader/session_metrics.h"

#define SESSION_MARKS 256

enum session_state {
    SESSION_IDLE,    /* nothing to send */
    SESSION_RESOLVE, /* the endpoint is asked for */
    SESSION_FENCE,   /* an empty PutMedia ends the one before, which may still be under way */
    SESSION_LOOKUP,  /* asks which doubtful fragments have arrived */
    SESSION_SEND,    /* a PutMedia request is open */
    SESSION_WAIT,    /* backoff */
};

struct session_mark { /* a live frame on its way: when its last byte goes out, its latency is known
                       */
    unsigned file;
    uint64_t end;
    int64_t captured_ns;
};

struct session {
    struct event_base *base;
    struct api *api;
    const struct conf_endpoint *conf;
    const struct conf_stream *stream;
    struct spool *spool;
    struct session_ops ops;
    void *arg;

    enum session_state state;
    struct endpoint *endpoint;
    struct archive_lookup *lookup;
    struct retry retry;
    struct event *timer; /* backoff and waits before a lookup */
    struct event *pace;  /* a body that went too fast goes on */
    struct http_call *call;
    bool draining;
    bool fenced;      /* nothing of an earlier request can arrive any more */
    bool in_upload;   /* curl asks for bytes: do not resume from in there */
    bool is_unsigned; /* waits for credentials */
    int64_t cut_ns;   /* when the last request ended without its last ack; what it sent may still
                         arrive */
    int64_t fresh_ns; /* when the spool last grew */

    /* of the present request */
    int status;
    char error_type[128], date[64];
    struct buf answer; /* body of a refusal */
    struct ack_parser acks;
    struct credentials_use key; /* what it is signed with */
    int64_t start_ns, last_ack_ns, ending_ns;
    uint64_t sent_bytes, sent_at_ack;
    bool ending;    /* the body ends as soon as what is in hand is sent */
    int read_error; /* of the spool, which ended the request */
    struct blob *segment;
    size_t segment_sent;
    struct spool_fragment *frag; /* being sent, or sent last; its file is pinned */
    uint64_t pos;
    struct buf tail; /* Tags of the last fragment, which stand in front of the next one */
    size_t tail_sent;

    /* Over all requests. */
    int64_t starts_ns[5]; /* of the last fragments, for the limit of 5 a second */
    unsigned nstarts;
    struct session_mark marks[SESSION_MARKS];
    unsigned first_mark, nmarks;
    struct session_stats stats;
    struct session_metrics metrics;
    bool latency_said;
};

/* on_upload of the request. */
ssize_t session_body_read(void *arg, void *dst, size_t cap);
/* Lets go of the fragment in hand. */
void session_body_release(struct session *s);

/* on_body of the request: acks, or the text of a refusal. */
int session_acks_take(void *arg, const void *data, size_t len);
/* Counts a failure that is the fragment's own. One that still grows is never given up: what is
 * added to it later would be in neither the archive nor the ledger. */
void session_acks_failed(struct session *s, struct spool_fragment *f, const struct policy *p,
                         const char *text);

/* The request has failed. The one place that decides what follows. */
void session_fail(struct session *s, const struct policy *p, const char *text);

#endif
