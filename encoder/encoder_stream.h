/* One stream in the encoder: coded tracks pass at once, raw ones go through their raw_track; what
 * comes out is marked with its fragment. Survives sessions, so that its encoders stay warm for the
 * next. Relies on raw_track, probe and fragmenter; gives items to a function, so that it knows no
 * link. Leaves sessions to stage.c. */
#ifndef KVPIPE_ENCODER_ENCODER_STREAM_H
#define KVPIPE_ENCODER_ENCODER_STREAM_H

#include "common/conf.h"
#include "common/link.h"
#include "encoder/codec.h"
#include "encoder/probe.h"

struct encoder_stream;
struct metrics;

struct encoder_stream_ops {
    void (*put)(void *arg, struct encoder_stream *s, struct link_item *item); /* takes it */
    void (*ended)(void *arg, struct encoder_stream *s);  /* everything was put */
    void (*broken)(void *arg, struct encoder_stream *s); /* wants its session from the log again */
    /* State and note for the report, when they change. Borrowed. */
    void (*state)(void *arg, struct encoder_stream *s, const char *state, const char *note);
};

struct encoder_stream_stats {
    uint64_t frames_in, frames_out, bytes_out, dropped;
    uint32_t bitrate_kbps; /* asked of the video encoder */
    unsigned queued;       /* frames that wait for an encoder or are in it */
};

/* Borrows name, conf and metrics (may be NULL) for its life; keeps base, probe, codec, ops and
 * arg. */
struct encoder_stream *encoder_stream_create(struct event_base *base, const char *name,
                                             const struct conf_stream *conf, struct probe *probe,
                                             const struct codec_ops *codec, struct metrics *metrics,
                                             const struct encoder_stream_ops *ops, void *arg);
void encoder_stream_destroy(struct encoder_stream **s);
const char *encoder_stream_name(const struct encoder_stream *s);
/* The owner's word on it; NULL at first. */
void encoder_stream_set_user(struct encoder_stream *s, void *user);
void *encoder_stream_user(const struct encoder_stream *s);

/* As in struct relay_ops. */
void encoder_stream_begin(struct encoder_stream *s, const struct link_track *tracks,
                          unsigned ntracks);
void encoder_stream_item(struct encoder_stream *s, struct link_item *item, int64_t now_ns);
void encoder_stream_end(struct encoder_stream *s, int64_t now_ns);
void encoder_stream_drop(struct encoder_stream *s, int64_t now_ns);

/* Returns 0, or -ENOTSUP when no track is raw video. */
int encoder_stream_force_key(struct encoder_stream *s);
/* What waits for the uplink, as acks tell. With video.adapt the bitrate follows it. A few times a
 * second. */
void encoder_stream_backlog(struct encoder_stream *s, uint64_t backlog_ms, uint64_t backlog_bytes,
                            int64_t now_ns);
/* A few times a second, and when a probe has answered. Without a session for 10 s, the encoders are
 * given up. */
void encoder_stream_tick(struct encoder_stream *s, int64_t now_ns);
struct encoder_stream_stats encoder_stream_stats(const struct encoder_stream *s);

#endif
