/* One life of a source's pipeline: built, started and stopped without making the loop wait.
 * Relies on source.h and GStreamer's threads: opening and closing a device or a session may block.
 * Leaves the question when to connect to stream.h. */
#ifndef KVPIPE_CAPTURE_CONNECTION_H
#define KVPIPE_CAPTURE_CONNECTION_H

#include <stdbool.h>

#include "capture/source.h"

struct connection;

/* Builds and starts. `again`: tracks it leaves out were logged before. Errors after the return come
 * through the pull. Returns 0, or a negative errno with the cause in why[SOURCE_WHY_MAX]. */
int connection_start(const struct source_ops *ops, const struct conf_stream *conf, bool again,
                     struct connection **out, char *why);
struct pull *connection_pull(struct connection *c);
/* How long the source says it is, 0 when it does not. */
int64_t connection_duration_ns(struct connection *c);
/* Asks whoever codes the video, in the pipeline or in the camera, for a key frame. Whether one can
 * is not known. */
void connection_force_key(struct connection *c);
/* The pipeline has started, and the pull knows whether it is live. */
bool connection_started(const struct connection *c);
/* Closes the pull and stops the pipeline in a thread of its own. *c may be NULL. */
void connection_stop(struct connection **c);

#endif
