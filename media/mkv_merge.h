/* One Matroska document out of many in a row, as GetMedia answers them: a head like the one before
 * is left out, so that the Clusters behind it go on in the same Segment. Relies on ebml and
 * mkv_parse. Leaves where the bytes come from and go to its user. */
#ifndef KVPIPE_MEDIA_MKV_MERGE_H
#define KVPIPE_MEDIA_MKV_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"
#include "media/mkv.h"

/* Each returns 0, or a negative errno that stops the merger and that feed returns. Pointers are
 * valid during the call. */
struct mkv_merge_ops {
    int (*out)(void *arg, const void *data, size_t len);
    /* The simple tags of each Tags element, before it is put out; of a document without Cluster,
     * which is not put out, too. */
    int (*tags)(void *arg, const struct mkv_tag *tags, unsigned n);
};

struct mkv_merge {
    /* private */
    const struct mkv_merge_ops *ops;
    void *arg;
    struct buf pending; /* the start of an element that is not whole yet */
    struct buf hold;    /* a document up to its first Timecode */
    struct buf head;    /* the head that was put out last */
    size_t head_len;    /* of hold's, 0 while it goes on */
    uint64_t left;      /* bytes of a large frame that go straight through */
    bool holding, seen_ebml, written;
    uint64_t last_timecode;
    int error;
};

/* Makes a merger; borrows ops and arg. */
void mkv_merge_init(struct mkv_merge *m, const struct mkv_merge_ops *ops, void *arg);
void mkv_merge_fini(struct mkv_merge *m);
/* Takes the next bytes. Returns 0, -EBADMSG (no such Matroska), -EFBIG (a head or Tags above 8
 * MiB), or what an op returned. Any error is final. */
int mkv_merge_feed(struct mkv_merge *m, const void *data, size_t len);
/* Says that the documents are over, or cut off: what comes next begins anew. Returns 0, or -EBADMSG
 * when it was inside an element. */
int mkv_merge_cut(struct mkv_merge *m);

#endif
