/* Fragment metadata: the Tags element of a fragment, from the stream's configured tags, from those
 * that came with its frames and from what was put into it here while it runs. Relies on conf.h,
 * common/metadata and media/mkv_writer. At most 10 items; of a name that is there twice, the one
 * put while it runs. Leaves where in the stream it stands to mux.c. */
#ifndef KVPIPE_MUXER_TAGS_H
#define KVPIPE_MUXER_TAGS_H

#include "common/buf.h"
#include "common/conf.h"
#include "common/link.h"
#include "common/metadata.h"

#define TAGS_PER_FRAGMENT METADATA_PER_FRAGMENT

struct tags_fragment {
    int64_t start_ns;
    bool first; /* of the stream: it has the configured tags that are not persistent, too */
    const struct link_tags *given; /* came with the frames, or NULL */
    bool previous;                 /* of those, the ones of the fragment before count */
    bool late;                     /* the fragment has its Tags: only what came after them */
};

/* How many items a fragment gets. */
unsigned tags_count(const struct conf_stream *conf, const struct metadata *live,
                    const struct tags_fragment *fragment);
/* Appends the Tags element, nothing when there are no items; those that are of one fragment are
 * now this one's. Returns 0 or -ENOBUFS. */
int tags_write(struct buf *out, const struct conf_stream *conf, struct metadata *live,
               const struct tags_fragment *fragment);

#endif
