/* A segment: the tracks that every fragment of it has, and its Matroska header.
 * Relies on track and media/mkv_writer.
 * Leaves when a new one begins to mux.c.
 *
 * Numbers. The header bytes are the truth: they depend on stream, epoch, timecode scale and the
 * tracks alone (SegmentUID is a hash of them), so a restarted muxer makes the identical header and
 * the uploader goes on with the segment it has open. The number is what the link needs to see a
 * change: sum of the input formats' numbers * 8 + set of tracks, so that the same formats and
 * tracks give the same number after a restart, but always above the number before (a track that
 * went away and came back, parameter sets that changed inside the stream). Where a restart gives
 * the same header another number, nothing is lost: only on a frame that starts a fragment does the
 * segment count; a frame that continues a fragment belongs to the segment of that fragment,
 * whatever its format says, and is told from others by fragment_ns. Number 1 is no segment: after a
 * restart inside a fragment whose header cannot be known (parameter sets inside the stream). */
#ifndef KVPIPE_MUXER_SEGMENT_H
#define KVPIPE_MUXER_SEGMENT_H

#include "muxer/track.h"

#define SEGMENT_NUMBER_UNKNOWN 1

struct segment {
    unsigned refs;
    uint8_t mask; /* bit (track - 1): declared */
    uint64_t number;
    struct track_desc tracks[LINK_TRACKS_MAX];
    struct link_format
        *formats[LINK_TRACKS_MAX]; /* towards the uploader, one per track, header inside */
};

/* What a header depends on besides the tracks. */
struct segment_conf {
    const char *stream;
    uint64_t epoch;
    int64_t scale_ns;
};

/* Makes a segment of the tracks in `mask` (copied from `tracks`) with a number above `last` where
 * it has to. Returns 0 and one reference, or the negative errno of the writer. */
int segment_create(const struct segment_conf *conf, uint8_t mask, const struct track_desc *tracks,
                   uint64_t last, struct segment **out);
/* A segment of which only the set of tracks is known: its formats have no header. */
struct segment *segment_unknown(uint8_t mask, const struct track_desc *tracks);
struct segment *segment_ref(struct segment *s);
void segment_unref(struct segment **s);
/* True when the segment already declares exactly these tracks. */
bool segment_fits(const struct segment *s, uint8_t mask, const struct track_desc *tracks);

#endif
