/* A picture of a key frame.
 * Relies on GStreamer: whatever decoder and JPEG encoder are installed.
 * Leaves finding the frame to still_frame.c. */
#ifndef KVPIPE_CLI_STILL_DECODE_H
#define KVPIPE_CLI_STILL_DECODE_H

#include "cli/still_frame.h"
#include "common/buf.h"

/* Gets ready what a process that has given files up no longer can. Blocks. */
void still_decode_prepare(void);
/* Appends a JPEG at most `width` pixels wide, its comment "kvpipe MS" the frame's time. Returns 0,
 * -ENOTSUP (no decoder for it), -EBADMSG (it does not decode) or -ENOBUFS. Blocks, 5 s at most. */
int still_decode(const struct still_frame *frame, int width, struct buf *jpeg);

#endif
