/* The upstream end of a link as a pure state machine: messages, items and time in; messages and
 * events out. Relies on link.h alone: no sockets, no clock. Rules and state table: proto/README.md.
 * Leaves sockets to link_socket.c, and what a frame is to the stage. */
#ifndef KVPIPE_COMMON_LINK_OUTLET_H
#define KVPIPE_COMMON_LINK_OUTLET_H

#include "common/link.h"

struct outlet;
struct outlet_stream;

struct outlet_conf {
    int64_t heartbeat_ns, silence_ns;
    bool source; /* capture's: owns epoch and window; else the outlet side of a relay (encoder,
                    muxer) */
    bool sticky; /* a stream stays with its owner while that is there (towards the uploader and its
                    spool) */
    uint64_t incarnation;
};

struct outlet_ops {
    /* Sends to a peer. Borrows the message. 0; -EAGAIN: not now, the outlet keeps the item and
     * tries at the next tick; -EHOSTUNREACH: the peer is gone. */
    int (*send)(void *send_arg, uint64_t peer, const struct link_msg *msg);
    void *send_arg;
    /* Resume came (exact vector). Called before held items are sent again. May be NULL. */
    void (*resumed)(void *arg, struct outlet_stream *s, const struct link_positions *at);
    /* Ack moved the position, the credit or the backlog. May be NULL. */
    void (*acked)(void *arg, struct outlet_stream *s, const struct link_positions *at);
    /* Relay: the log wants a number that was acked before and is gone (it lost data): ask upstream
     * to begin again. May be NULL. */
    void (*behind)(void *arg, struct outlet_stream *s);
    /* Downstream refuses this vector for good. Relay: the callback removes the stream. Source: it
     * goes on under a new epoch (outlet_stream_vector tells it), or is `stopped` when it happened
     * again soon: another capture has it. May be NULL. */
    void (*fenced)(void *arg, struct outlet_stream *s, const struct link_vector *greatest,
                   bool stopped);
};

/* Keeps ops and arg. Returns a new outlet; never fails. */
struct outlet *outlet_create(const struct outlet_conf *conf, const struct outlet_ops *ops,
                             void *arg);
void outlet_destroy(struct outlet **o);

/* A message from a peer. Borrows it. Bad order or content is counted (outlet_refused) and ignored.
 */
void outlet_receive(struct outlet *o, uint64_t peer, const struct link_msg *msg, int64_t now_ns);
/* The socket layer knows that the peer is gone. */
void outlet_peer_gone(struct outlet *o, uint64_t peer, int64_t now_ns);
/* Heartbeats, silence, position checks, retries. Call at least every quarter heartbeat. */
void outlet_tick(struct outlet *o, int64_t now_ns);
/* Source (capture): adds a stream under an epoch greater than every one before (wall clock in ms).
 * Takes references of the formats. The window bounds what is held per stream; when it is full a
 * live stream gives up its oldest copy, else outlet_room() turns false. */
struct outlet_window {
    uint64_t frames; /* per track */
    uint64_t bytes;  /* all tracks */
    int64_t ns;      /* oldest to newest dts of a track */
};
struct outlet_stream *outlet_source_add(struct outlet *o, const char *name, uint64_t epoch,
                                        const struct link_track *tracks, unsigned ntracks,
                                        const struct outlet_window *window, bool live,
                                        int64_t now_ns);
/* Relay: the stream was opened from above under `vector`; what it held is forgotten, a new Open
 * goes downstream. */
struct outlet_stream *outlet_relay_open(struct outlet *o, const char *name,
                                        const struct link_vector *vector,
                                        const struct link_track *tracks, unsigned ntracks,
                                        int64_t now_ns);
/* Source: the stream leaves for good. The inlet is told to forget it (Close(MOVED)). Nulls *s. */
void outlet_source_remove(struct outlet *o, struct outlet_stream **s, int64_t now_ns);
/* Forgets the stream; nothing is sent. Nulls *s. */
void outlet_stream_remove(struct outlet *o, struct outlet_stream **s);
struct outlet_stream *outlet_stream_find(struct outlet *o, const char *name);

/* Takes an item (both references) to hold and to send within the credit. Source: the outlet gives
 * the number (item->seq is ignored; outlet_next_seq tells it), and a frame of the source's own loss
 * goes in with gap = true, last - seq + 1 numbers. Relay: seq must be the next number of the track
 * (-EPROTO otherwise, the item is released). */
int outlet_put(struct outlet *o, struct outlet_stream *s, struct link_item *item, int64_t now_ns);
/* No more items for now: Close(ended) follows the last one, in every session until the stream is
 * removed or goes on. */
void outlet_end(struct outlet *o, struct outlet_stream *s, int64_t now_ns);
/* Source, not live: false while the window is full for this track. */
bool outlet_room(const struct outlet_stream *s, unsigned track);
uint64_t outlet_next_seq(const struct outlet_stream *s, unsigned track);

/* For the stage and its reports. */
const char *outlet_stream_name(const struct outlet_stream *s);
struct link_vector outlet_stream_vector(const struct outlet_stream *s); /* as in the last Open */
bool outlet_stream_is_open(const struct outlet_stream *s);
bool outlet_stream_done(const struct outlet_stream *s);        /* ended, and everything acked */
int64_t outlet_stream_heard_ns(const struct outlet_stream *s); /* of its owner; 0: it has none */
struct outlet_stats {
    uint64_t held_items, held_bytes, sent_frames, sent_bytes, gap_frames;
    int64_t oldest_ns; /* wall clock when capture had the oldest frame held; 0: none, or unknown */
    bool open;         /* a session is */
    uint64_t backlog_ms, backlog_bytes; /* in the uploader's spool, as the newest Ack tells */
};
struct outlet_stats outlet_stream_stats(const struct outlet_stream *s);
void *outlet_stream_user(const struct outlet_stream *s);
void outlet_stream_set_user(struct outlet_stream *s, void *user);
uint64_t outlet_refused(const struct outlet *o);

#endif
