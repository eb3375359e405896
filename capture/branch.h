/* What stands between a source's pad and the loop: framing of coded tracks, conversion of raw ones,
 * a queue long enough that a waiting track does not starve the others. Relies on GStreamer.
 * Leaves the reading of formats to format.h. Coded payloads pass untouched. */
#ifndef KVPIPE_CAPTURE_BRANCH_H
#define KVPIPE_CAPTURE_BRANCH_H

#include <stdbool.h>

#include <gst/gst.h>

#include "capture/pull.h"

/* Joins a pad to the pull. Its caps (current, or what it can have) choose the elements; a track
 * that is not supported is refused by name and gets a sink that throws it away. `copy` as in
 * pull_attach(). May be called from a pad-added handler, in any thread. */
void branch_join(GstBin *pipeline, GstPad *pad, struct pull *pull, bool copy);
/* Joins the pads of a source that come and go: its pad-added and no-more-pads signals. */
void branch_join_dynamic(GstElement *source, struct pull *pull, bool copy);

#endif
