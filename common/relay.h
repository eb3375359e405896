/* A stage in the middle (encoder, muxer): an inlet above, an outlet below, and the rules that join
 * them. Relies on link_socket. Open goes down before it is answered, Resume and Ack come from the
 * log below and are passed up. Leaves what happens to an item to the stage: one item in, one item
 * out, same track and number. */
#ifndef KVPIPE_COMMON_RELAY_H
#define KVPIPE_COMMON_RELAY_H

#include "common/link_socket.h"

struct relay;
struct relay_stream; /* one stream in its current session */

struct relay_conf {
    const char *connect, *listen, *instance;
    bool sticky; /* towards the uploader: a stream leaves it only when it is gone or drained */
    const struct conf_link *link;
    /* Per track codec the most items this stage takes in before their acks (0: what downstream
     * gives). */
    uint64_t (*credit)(const struct link_format *format);
};

/* How a relay without sockets reaches its neighbours: for simulation. */
struct relay_wire {
    int (*send_down)(void *arg, uint64_t peer, const struct link_msg *msg);
    void (*send_up)(void *arg, unsigned link, const struct link_msg *msg);
    int64_t (*now_ns)(void *arg);
    void *arg;
    uint64_t incarnation;
};

struct relay_ops {
    /* A session begins: empty state. `tracks` are the formats announced by Open (borrowed, may
     * change with later frames); `at` is the log's position: the first item of each track will have
     * that number. Sets *user. */
    void (*begin)(void *arg, struct relay_stream *s, const struct link_track *tracks,
                  unsigned ntracks, const struct link_positions *at, void **user);
    /* Takes the item. The stage answers every number sooner or later with relay_put, per track in
     * order. */
    void (*item)(void *arg, struct relay_stream *s, void *user, struct link_item *item);
    /* The source ended: put out everything still held, then call relay_end. */
    void (*ended)(void *arg, struct relay_stream *s, void *user);
    /* The session is over (a new one follows, or the stream left): throw everything away. */
    void (*drop)(void *arg, struct relay_stream *s, void *user);
};

/* Returns 0, or a negative errno after logging. Keeps conf->credit, ops and arg; copies the
 * strings. */
int relay_create(struct event_base *base, const struct relay_conf *conf,
                 const struct relay_ops *ops, void *arg, struct relay **out);
/* The same over `wire` (kept) in place of sockets; conf->connect and listen are not used. */
struct relay *relay_create_wired(const struct relay_conf *conf, const struct relay_wire *wire,
                                 const struct relay_ops *ops, void *arg);
void relay_destroy(struct relay **r, bool drain);
struct inlet *relay_inlet(struct relay *r);
struct outlet *relay_outlet(struct relay *r);

/* Takes an item for downstream. -EPROTO when it is not the track's next number (our own mistake;
 * logged, session breaks). */
int relay_put(struct relay_stream *s, struct link_item *item);
/* After `ended`: everything was put. */
void relay_end(struct relay_stream *s);
/* Something is wrong inside the stage (encoder died): drop the session and ask upstream to begin
 * again from the log. */
void relay_break(struct relay_stream *s);

/* The stream has left for good: drops it here and below, and answers nothing more of its session.
 */
void relay_forget(struct relay_stream *s);

const char *relay_stream_name(const struct relay_stream *s);
/* The epoch: wall clock in ms when capture began this numbering. Greater after every start of
 * capture. */
uint64_t relay_stream_epoch(const struct relay_stream *s);
/* Of the session above: 2 numbers when a source itself is there. */
const struct link_vector *relay_stream_vector(const struct relay_stream *s);
/* Whether the session above is open: not so while its connection is gone. */
bool relay_stream_is_fed(const struct relay_stream *s);
struct outlet_stats relay_stream_stats(const struct relay_stream *s);
uint64_t relay_refused(const struct relay *r);

#endif
