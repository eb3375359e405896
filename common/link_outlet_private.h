/* What the files of the outlet share: link_outlet.c (what comes up), link_outlet_owner.c (which
 * peer has a stream), link_outlet_send.c (what goes down), link_outlet_stream.c (what is held),
 * link_outlet_beat.c (time).
 * Relies on link_outlet.h, link_peers and link_window. Leaves everything else to the five. */
#ifndef KVPIPE_COMMON_LINK_OUTLET_PRIVATE_H
#define KVPIPE_COMMON_LINK_OUTLET_PRIVATE_H

#include <sys/queue.h>

#include "common/link_outlet.h"
#include "common/link_peers.h"
#include "common/link_window.h"

enum outlet_state { NO_OWNER, OPENING, OPEN, STOPPED };

struct outlet_track {
    uint8_t number;             /* 0: slot not used */
    struct link_format *format; /* as announced in Open: the newest put, at first the caller's */
    struct link_window window;
    uint64_t sent, acked,
        limit;            /* next number to send; position acked; numbers below limit may be sent */
    uint64_t format_sent; /* in this session; 0 none */
    bool need_key;        /* coded source: what follows cannot be decoded until a key frame comes */
    uint64_t sent_at_beat,
        told; /* position checks: sent at the last heartbeat, and what the inlet had then */
};

struct outlet_stream {
    TAILQ_ENTRY(outlet_stream) entry;
    struct outlet *outlet;
    char name[LINK_NAME_MAX + 1];
    enum outlet_state state;
    struct link_vector prefix; /* source: the epoch; relay: the vector of the inlet's session */
    uint64_t own;              /* this hop's number, raised for every Open */
    struct link_peer *owner;
    struct outlet_track tracks[LINK_TRACKS_MAX];
    struct outlet_window bound;
    bool live, ended, ended_sent, blocked;
    int64_t moved_ns, fenced_ns;
    unsigned strikes;
    uint64_t backlog_ms, backlog_bytes; /* as the owner told last */
    struct outlet_stats stats;
    void *user;
};

struct outlet {
    struct outlet_conf conf;
    struct outlet_ops ops;
    void *arg;
    struct link_peers peers;
    TAILQ_HEAD(, outlet_stream) streams;
    int64_t beat_ns, tick_ns;
    uint64_t refused;
};

#define EACH_TRACK(s, t)                                                                           \
    for (struct outlet_track *t = (s)->tracks; t < (s)->tracks + LINK_TRACKS_MAX; t++)             \
        if (t->number)

/* Opens the stream at a peer, which may be gone after it: the stream is with another owner then. */
void outlet_owner_open(struct outlet_stream *s, struct link_peer *p, int64_t now);
/* Opens the stream at the peer it belongs to; with none there it has no owner. */
void outlet_owner_choose(struct outlet_stream *s, int64_t now);
/* The peer takes no streams any more; those that it has go to others. */
void outlet_owner_leave(struct outlet *o, struct link_peer *p, int64_t now);
/* A better instance may be there: goes over, unless the stream went over a moment ago. */
void outlet_owner_move(struct outlet_stream *s, int64_t now);

/* Sends to a peer, which is forgotten when it is gone. Returns what ops.send returns. */
int outlet_send(struct outlet *o, struct link_peer *p, const struct link_msg *msg, int64_t now);
/* Writes the stream's name and vector into a message. */
void outlet_send_address(struct link_msg *msg, const struct outlet_stream *s);
void outlet_send_close(struct outlet_stream *s, struct link_peer *p, enum link_close_reason why,
                       struct link_vector vector, int64_t now);
/* Sends what is held and may be sent, and Close(ended) behind the last of it. */
void outlet_send_due(struct outlet_stream *s, int64_t now);

/* Whether the positions tell of every track. */
bool outlet_covers(const struct outlet_stream *s, const struct link_positions *at);
/* Positions of the owner under the current vector, from an Ack or a heartbeat. */
void outlet_ack(struct outlet *o, struct outlet_stream *s, const struct link_positions *at,
                int64_t now);
void outlet_heartbeat(struct outlet *o, struct link_peer *p, const struct link_msg *msg,
                      int64_t now);

#endif
