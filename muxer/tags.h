/* Fragment metadata: the Tags element of a fragment, from the stream's configured tags.
 * Relies on conf.h and media/mkv_writer. Limits: at most 10 items, names of 128 and values of 256
 * bytes, no foreign AWS names. Leaves where in the stream it stands to mux.c. */
#ifndef KVPIPE_MUXER_TAGS_H
#define KVPIPE_MUXER_TAGS_H

#include "common/buf.h"
#include "common/conf.h"

#define TAGS_PER_FRAGMENT 10

/* How many items a fragment gets; `first`: the stream's first fragment, which has the
 * non-persistent ones, too. */
unsigned tags_count(const struct conf_stream *conf, bool first);
/* Appends the Tags element, nothing when there are no items. Returns 0 or -ENOBUFS. */
int tags_write(struct buf *out, const struct conf_stream *conf, bool first);

#endif
