/* The two halves of libkvpipe: the caller's threads, which put frames into a queue, and the thread
 * of the loop, which owns the outlet. Relies on common/link_socket. Leaves the outside to kvpipe.h.
 */
#ifndef KVPIPE_CAPTURE_LIBKVPIPE_PRIVATE_H
#define KVPIPE_CAPTURE_LIBKVPIPE_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "capture/libkvpipe/frame_tags.h"
#include "capture/libkvpipe/frame_times.h"
#include "capture/libkvpipe/kvpipe.h"
#include "common/fragmenter.h"
#include "common/link_socket.h"

struct kvpipe {
    char *name, *folder, *socket; /* folder: RUN/sinks; socket: file to be removed, or NULL */
    int lock_fd;                  /* the name is ours */
    int wake_fd;
    bool alone; /* the link is encrypted: no other kvpipe of the process can be */

    pthread_t thread;
    struct event_base *base; /* this and below: of the loop's thread, once it runs */
    struct event *wake, *tick;
    struct link_server *server;
    struct outlet *outlet;

    pthread_mutex_t lock;   /* of the streams' list and of what a stream shares */
    pthread_cond_t changed; /* room in a queue, a stream has gone through a stage of its life */
    LIST_HEAD(, kvpipe_stream) streams;
    bool stop;
};

enum stream_life {
    STREAM_NEW,     /* the loop has not seen it */
    STREAM_LIVE,    /* frames are taken */
    STREAM_ENDING,  /* closing: what is queued and held goes out */
    STREAM_LEAVING, /* the loop shall let go of it */
    STREAM_GONE     /* it has */
};

struct queued {
    TAILQ_ENTRY(queued) entry;
    struct link_item item;
};

/* Numbers and times of what is held, oldest first. */
struct held {
    struct held_frame {
        uint64_t seq;
        int64_t pts_ns;
    } * at;
    size_t head, len, room;
};

struct kvpipe_stream {
    LIST_ENTRY(kvpipe_stream) entry;
    struct kvpipe *kvpipe;
    char *name;
    bool can_wait;
    struct conf_fragment fragment;
    struct outlet_window window;
    void (*event)(void *arg, struct kvpipe_stream *stream, const struct kvpipe_event *event);
    void *arg;

    /* under the lock */
    enum stream_life life;
    bool replaced;
    struct link_format *format[KVPIPE_TRACKS_MAX];
    unsigned ntracks;
    bool has_video;
    struct frame_times times;
    struct frame_tags tags;
    struct fragmenter fragmenter;
    TAILQ_HEAD(queue, queued) queue;
    unsigned queued;
    uint64_t queued_bytes;
    bool need_key[KVPIPE_TRACKS_MAX]; /* frames were given up: no use before a key frame */
    struct kvpipe_stats stats;

    /* of the loop's thread */
    struct outlet_stream *out;
    struct held held[KVPIPE_TRACKS_MAX];
    uint64_t epoch, noted;
    int64_t note_mono_ns, backlog_mono_ns, done_ns;
    uint64_t told_lost, told_backlog_ms, told_backlog_bytes;
    bool connected, ended;
};

/* From the loop's thread, without the lock; each may call the stream's event. */
void kvpipe_stream_turn(struct kvpipe_stream *s); /* takes what is queued, tells what is new */
void kvpipe_stream_acked(struct kvpipe_stream *s, const struct link_positions *at);
void kvpipe_stream_fenced(struct kvpipe_stream *s, bool stopped);

/* Frees a stream that the loop has let go. */
void kvpipe_stream_free(struct kvpipe_stream *s);
/* Makes the loop turn. Any thread. */
void kvpipe_wake(struct kvpipe *k);

#endif
