/* One stream's way from access units to Matroska pieces: items in, the same items out with Matroska
 * bytes as payload, or gaps in their place. Pure: no sockets, no clock. Relies on interleave
 * (order), fragment (where clusters begin), track and segment (headers), tags. Leaves links,
 * reports and time to stage.c.
 *
 * A piece is `[Tags] [Cluster Timecode] SimpleBlock`; the front parts only on the frame that starts
 * a fragment (key, and fragment_ns == pts_ns). Every piece can be made from its own item and the
 * few before it, so that after a restart the log goes on in the middle of a fragment.
 *
 * Where Tags stand. The real service gives Tags between two Clusters to the Cluster before them,
 * and Tags before the first Cluster to the first fragment. So a fragment's Tags follow it, which is
 * at the front of the piece that starts the next one; only a segment's first fragment has its own
 * in front. The last fragment of a segment gets none, as with other producers. */
#ifndef KVPIPE_MUXER_MUX_H
#define KVPIPE_MUXER_MUX_H

#include "common/conf.h"
#include "common/link.h"
#include "muxer/fragment.h"
#include "muxer/interleave.h"
#include "muxer/segment.h"

#define MUX_REASONS (LINK_GAP_DISK_FULL + 1)

struct mux;

struct mux_stats {
    uint64_t frames_in, frames_out, bytes_out, fragments, segments;
    uint64_t dropped;              /* frames that became gaps here */
    uint64_t reasons[MUX_REASONS]; /* of these, by enum link_gap_reason */
    uint64_t silent;               /* fragments begun without a track that the stream has */
    const char *why;               /* what the last LINK_GAP_FORMAT was about; NULL none */
};

struct mux_ops {
    /* Takes an item for downstream. Returns 0, or a negative errno: the session is over, nothing
     * more is put. */
    int (*put)(void *arg, struct link_item *item);
};

/* Borrows conf for its whole life. Returns a new mux without a session. */
struct mux *mux_create(const struct conf_stream *conf, const struct mux_ops *ops, void *arg);
void mux_destroy(struct mux **m);
/* What was put into `from` while it ran (mux_metadata) goes over to m, which has none. */
void mux_take_metadata(struct mux *m, struct mux *from);

/* Begins a session: `at` is the position of the log. What was put before under the same epoch is
 * remembered as far as it tells which fragment the log has open at `at`: an encoder that restarted
 * cannot say it. */
void mux_begin(struct mux *m, uint64_t epoch, const struct link_track *tracks, unsigned ntracks,
               const struct link_positions *at);
/* Throws the session's items away. */
void mux_drop(struct mux *m);
/* Takes the next item of a track; `now_ns` is the patience clock: it stands still while downstream
 * acks nothing, as silence of a track is then only want of credit. Returns 0, -EPROTO for a track
 * that the session has not, or what put returned. */
int mux_item(struct mux *m, struct link_item *item, int64_t now_ns);
/* Puts what has waited long enough. */
int mux_tick(struct mux *m, int64_t now_ns);
/* Puts everything that is held: the source ended, or rests. A fragment starts with the next frame.
 */
int mux_flush(struct mux *m, int64_t now_ns);
/* Puts an item into the Tags of the fragment that is being made, or of it and all that follow.
 * Returns as metadata_put() (common/metadata.h). */
int mux_metadata(struct mux *m, const char *name, const char *value, bool persistent);
const struct mux_stats *mux_stats(const struct mux *m);

#endif
