/* Where fragments begin: marks each coded frame with the start of its fragment, at the place that
 * knows the key frames (capture for coded sources, encoder for raw ones), so that a muxer that
 * restarts in the middle of a fragment can go on. Relies on link.h and conf.h. No clock: only the
 * frames' own timestamps count. Leaves bounds of size and duration, and the placing of audio, to
 * the muxer. */
#ifndef KVPIPE_COMMON_FRAGMENTER_H
#define KVPIPE_COMMON_FRAGMENTER_H

#include "common/conf.h"
#include "common/link.h"

struct fragmenter { /* one per stream; zero it to start anew (new epoch, new encoder session) */
    int64_t start_ns;
    uint64_t format; /* number of the video's format in this fragment */
    bool cut;        /* set it: the fragment is over, the next key frame starts one */
};

/* Sets item->fragment_ns and previous_fragment_ns of a coded frame, frames of a track given in
 * decode order. Video: a key frame starts a fragment when at least 1 s (by key frame) or
 * conf->duration_ms (by duration) has passed since the last start, when none was started, or when
 * its format is another (a segment has one description of a track); other frames belong to the last
 * start. Audio of a stream with video is left 0; audio without video starts one every
 * conf->duration_ms. */
void fragmenter_mark(struct fragmenter *f, const struct conf_fragment *conf, bool has_video,
                     struct link_item *item);
/* The longest fragment of video with a key frame every keyframe_ms. */
uint32_t fragmenter_longest_ms(const struct conf_fragment *conf, uint32_t keyframe_ms);

#endif
