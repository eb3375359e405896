/* One stream: its source with reconnection, its tracks, its time, its place at the link.
 * Relies on source, pull, track, anchor, epoch, and common/link_outlet.
 * Leaves the window and the numbers of frames to the outlet. */
#ifndef KVPIPE_CAPTURE_STREAM_H
#define KVPIPE_CAPTURE_STREAM_H

#include <stdbool.h>

#include "capture/stage.h"

/* Takes a new epoch and starts the source; a source that fails is tried again and touches nobody.
 * Returns 0, or a negative errno after logging (the epoch cannot be stored). Holds the stage's
 * config, which conf is in. */
int stream_create(struct capture *c, const struct conf_stream *conf, struct stream **out);
void stream_destroy(struct stream **s);
/* The same, and downstream forgets the stream, too. */
void stream_remove(struct stream **s);
/* Every 100 ms: timeouts, attempts to connect. */
void stream_tick(struct stream *s);
/* The link moved on: there may be room again. */
void stream_wake(struct stream *s);
/* The link refused the stream's epoch; `stopped`: another capture serves it. */
void stream_fenced(struct stream *s, bool stopped);
/* Stops the source and ends the stream at the link. */
void stream_end(struct stream *s);
/* The stream has left the config: ends it as above, to be destroyed when it is gone. */
void stream_leave(struct stream *s);
/* It left, and all of it is safe, or has had time to be. */
bool stream_gone(const struct stream *s);
/* Nothing is left to be acked. */
bool stream_done(const struct stream *s);
void stream_report(struct stream *s);
const char *stream_name(const struct stream *s);
/* Asks whoever codes the video for a key frame. Returns 0, or -ENOTSUP when nobody does just now.
 */
int stream_force_key(struct stream *s);

#endif
