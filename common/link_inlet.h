/* The downstream end of a link as a pure state machine: messages and time in; messages and events
 * out. Relies on link.h alone: no sockets, no clock. Rules and state table: proto/README.md. Leaves
 * sockets to link_socket.c, where positions come from to the stage (uploader: its log; others:
 * downstream). */
#ifndef KVPIPE_COMMON_LINK_INLET_H
#define KVPIPE_COMMON_LINK_INLET_H

#include "common/link.h"

struct inlet;
struct inlet_session; /* one stream under one vector */

struct inlet_conf {
    char instance[LINK_INSTANCE_MAX + 1];
    uint64_t incarnation; /* random, new per process start */
    int64_t heartbeat_ns;
};

struct inlet_ops {
    /* Sends up a link. Borrows the message. */
    void (*send)(void *send_arg, unsigned link, const struct link_msg *msg);
    void *send_arg;
    /* A greater vector opened the stream: all of the older session is to be thrown away; make older
     * data durable, store the vector, then answer with inlet_resume (now or later). `msg` is the
     * Open: formats and bases. */
    void (*open)(void *arg, struct inlet_session *s, const struct link_msg *msg);
    /* The next frame or gap of an open session, numbers contiguous per track. Takes the item's
     * references. Returns 0, or a negative errno: the session breaks (inlet_break). */
    int (*item)(void *arg, struct inlet_session *s, struct link_item *item);
    /* Upstream says: no more items follow (end of the source). May be NULL. */
    void (*ended)(void *arg, struct inlet_session *s);
    /* Upstream moved the stream to another instance: forget it. The session is gone after the call.
     * May be NULL. */
    void (*moved)(void *arg, struct inlet_session *s);
};

struct inlet *inlet_create(const struct inlet_conf *conf, const struct inlet_ops *ops, void *arg);
void inlet_destroy(struct inlet **in);

/* The connection number of a link came up (first or again): its sessions are broken, Hello is said.
 */
void inlet_link_up(struct inlet *in, unsigned link, int64_t now_ns);
/* The connection is lost or the link no longer used: its sessions are broken, nothing is sent on it
 * until inlet_link_up. */
void inlet_link_down(struct inlet *in, unsigned link);
/* A message from upstream. Borrows it, except that Frame and Gap items are moved out of it. */
void inlet_receive(struct inlet *in, unsigned link, struct link_msg *msg, int64_t now_ns);
void inlet_tick(struct inlet *in, int64_t now_ns);
/* Sends what waits: several Acks of one loop turn become one. */
void inlet_flush(struct inlet *in);
/* Sends only those of them that upstream needs to go on: a quarter of the credit is used up. The
 * rest waits for inlet_tick. */
void inlet_flush_urgent(struct inlet *in);

/* What a durable log remembers: no vector of this stream up to and with this one will be accepted.
 */
void inlet_set_greatest(struct inlet *in, const char *stream, const struct link_vector *vector);

/* Answers the Open of session `s` (asking -> open): positions and credit per track, only durable
 * frames counted. */
void inlet_resume(struct inlet *in, struct inlet_session *s, const struct link_positions *at);
/* Frames below at->next are durable, so many more may come. Goes out with inlet_flush. Ignored when
 * not open. */
void inlet_ack(struct inlet *in, struct inlet_session *s, const struct link_positions *at);
/* Refuses the session: Close(fenced) with the greatest vector seen. */
void inlet_fence(struct inlet *in, struct inlet_session *s, const struct link_vector *greatest);
/* Drops this one session (the disk refused an item, an encoder died): the outlet sees it missing in
 * two heartbeats and opens it again; other streams of the link go on. */
void inlet_break(struct inlet *in, struct inlet_session *s);
/* Clean exit: Close(draining) on every link. */
void inlet_drain(struct inlet *in);

struct inlet_session *inlet_find(struct inlet *in, const char *stream);
const char *inlet_session_stream(const struct inlet_session *s);
struct link_vector inlet_session_vector(const struct inlet_session *s);
bool inlet_session_is_open(const struct inlet_session *s);
struct link_positions
inlet_session_next(const struct inlet_session *s); /* next number wanted per track */
void *inlet_session_user(const struct inlet_session *s);
void inlet_session_set_user(struct inlet_session *s,
                            void *user); /* survives until the next Open of the stream */
uint64_t inlet_refused(const struct inlet *in);

#endif
