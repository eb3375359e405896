/* What happens to the connections of a ZeroMQ socket, told on the loop: made, refused, gone.
 * Relies on zmq_socket_monitor, whose events come over an inproc pair.
 * Leaves what to do about them to its user. */
#ifndef KVPIPE_COMMON_ZMQ_WATCH_H
#define KVPIPE_COMMON_ZMQ_WATCH_H

struct event_base;
struct zmq_watch;

/* `event` is one ZMQ_EVENT_x; `value` what zmq_socket_monitor(3) says it is for that event. */
typedef void (*zmq_watch_fn)(void *arg, unsigned event, int value);

/* Handshakes that came to nothing, of whatever kind. */
#define ZMQ_WATCH_FAILED                                                                           \
    (ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |                  \
     ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

/* Watches `socket`, of the context `ctx`, for the events of the mask. Begin before it connects or
 * binds. Returns 0 or a negative errno. */
int zmq_watch_create(struct event_base *base, void *ctx, void *socket, int events, zmq_watch_fn fn,
                     void *arg, struct zmq_watch **out);
/* Before the watched socket is closed. No call of fn follows. NULL is fine. */
void zmq_watch_destroy(struct zmq_watch **watch);

#endif
