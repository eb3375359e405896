/* A codec: raw frames in, coded frames out, one for one and in order, on one event loop.
 * Relies on link.h for formats. codec_gst.c is the real one, tests bring their own.
 * Leaves numbers, timestamps and gaps to raw_track.c. */
#ifndef KVPIPE_ENCODER_CODEC_H
#define KVPIPE_ENCODER_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/link.h"

struct codec;
struct event_base;
struct candidate;

struct codec_conf {
    const struct link_format *input;   /* raw video or raw audio; checked by codec_gst_accepts() */
    const struct candidate *candidate; /* video: which encoder */
    const struct conf_video *video;
    const struct conf_audio *audio;
};

/* Called from the loop, never from inside codec_ops. Each may destroy the codec. */
struct codec_events {
    /* A coded frame for the input that push() gave this token. Takes *payload. */
    void (*output)(void *arg, uint64_t token, bool key, struct blob **payload);
    /* ready() is true now, or became so in the meantime. */
    void (*ready)(void *arg);
    /* After drain(): every output there will ever be was given. */
    void (*drained)(void *arg);
    /* It is broken and does nothing more. `why` is borrowed. */
    void (*failed)(void *arg, const char *why);
};

struct codec_ops {
    /* Starts one; nothing blocks. Borrows conf for the call, keeps events and arg. Returns 0, or a
     * negative errno with the reason in why[256]. */
    int (*create)(struct event_base *base, const struct codec_conf *conf,
                  const struct codec_events *events, void *arg, struct codec **out, char *why);
    /* Whether it takes an input now. It wants few at a time: what waits in the caller's hands is
     * dropped at no cost. */
    bool (*ready)(const struct codec *c);
    /* Gives it a frame (a reference of payload is kept). pts_ns need not rise. Returns 0 and the
     * token, or -EPIPE when it is broken (failed() follows). */
    int (*push)(struct codec *c, struct blob *payload, int64_t pts_ns, int64_t duration_ns,
                bool force_key, uint64_t *token);
    /* Video: what comes out from soon on has this bitrate. Returns 0, or -ENOTSUP when this encoder
     * takes one only at its start. */
    int (*set_bitrate)(struct codec *c, uint32_t kbps);
    void (*drain)(struct codec *c);
    /* Throws it away at once; threads end in the background. */
    void (*destroy)(struct codec **c);
};

extern const struct codec_ops codec_gst;

/* Whether the format is raw video or audio that can be encoded and `len` is the size of one frame
 * (video) or of at most 1024 samples (audio). Returns NULL, or a literal that says why not. */
const char *codec_gst_accepts(const struct link_format *format, size_t len);
/* Loads what codecs need, those for audio too or not, in a thread of its own: libav alone takes
 * 0.1 s and more, which the loop has not, and 30 MB, which passing through need not cost. */
void codec_gst_preload(bool audio);
/* Waits up to timeout_ms until every destroyed codec is gone, threads and all. For the end of the
 * process and for tests. */
void codec_gst_settle(unsigned timeout_ms);

#define CODEC_AUDIO_SAMPLES 1024 /* of one AAC-LC frame */

#endif
