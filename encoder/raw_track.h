/* One raw track of a stream: takes items, gives as many coded items with the same numbers, in
 * order, gaps in their place. Relies on codec for the coding; owns it across sessions, as a warm
 * encoder gives its first frame sooner. Leaves fragment marks, reports and links to
 * encoder_stream.c. */
#ifndef KVPIPE_ENCODER_RAW_TRACK_H
#define KVPIPE_ENCODER_RAW_TRACK_H

#include "common/conf.h"
#include "common/histogram.h"
#include "common/link.h"
#include "encoder/codec.h"
#include "encoder/probe.h"

struct raw_track;

struct raw_track_ops {
    /* Takes the next item of the track. */
    void (*put)(void *arg, struct link_item *item);
    /* After raw_track_end(): everything was put. */
    void (*ended)(void *arg);
    /* The encoder broke; the track is empty and wants its session from the log again. It has
     * logged. */
    void (*broken)(void *arg);
    /* What people should know: which encoder, or why none and what to do ("" = waiting). Borrowed.
     */
    void (*note)(void *arg, bool failed, const char *text);
    /* Which H.264 encoder to take for this format, as probe_ask(); and that the answer proved
     * wrong. */
    const struct probe_result *(*choose)(void *arg, const struct link_format *format);
    void (*rechoose)(void *arg, const struct link_format *format);
};

struct raw_track_conf {
    struct event_base *base;
    const char *stream;
    const struct conf_stream *conf;
    const struct codec_ops *codec;
    struct histogram *encode_times; /* of video, in ns; may be NULL */
};

struct raw_track_stats {
    uint64_t swallowed, refused; /* frames that became gaps: by the encoder, for their format */
    unsigned held;
};

/* Keeps conf's pointers, ops and arg. */
struct raw_track *raw_track_create(const struct raw_track_conf *conf,
                                   const struct raw_track_ops *ops, void *arg);
void raw_track_destroy(struct raw_track **t);
/* A session begins or ended: throws away all that is held. The encoder stays, the next frame will
 * be a key frame. */
void raw_track_reset(struct raw_track *t);
/* Takes an item of any codec: what is coded already passes in its place. */
void raw_track_take(struct raw_track *t, struct link_item *item, int64_t now_ns);
/* Nothing follows in this session. */
void raw_track_end(struct raw_track *t, int64_t now_ns);
/* Video: the encoder's bitrate from now on, also of those that follow it. Returns 0, or -ENOTSUP
 * when the one that runs keeps what it was started with. */
int raw_track_set_bitrate(struct raw_track *t, uint32_t kbps);
/* The next frame becomes a key frame. */
void raw_track_force_key(struct raw_track *t);
/* Goes on where time or a choice was waited for; watches for an encoder that hangs. A few times a
 * second. */
void raw_track_tick(struct raw_track *t, int64_t now_ns);
struct raw_track_stats raw_track_stats(const struct raw_track *t);

#endif
