/* Fragment metadata of a stream that a program puts: which items are of the fragment that is being
 * put, of the one before, of all. Relies on common/metadata for what the service takes. Not thread
 * safe. Leaves the Tags element to the muxer. */
#ifndef KVPIPE_CAPTURE_LIBKVPIPE_FRAME_TAGS_H
#define KVPIPE_CAPTURE_LIBKVPIPE_FRAME_TAGS_H

#include <stdbool.h>

#include "common/link.h"
#include "common/metadata.h"

struct frame_tag {
    char *name, *value;
    bool late; /* put after the fragment's first frame had gone */
};

struct frame_tags { /* all zero: empty */
    struct metadata persistent;
    struct frame_tag now[METADATA_PER_FRAGMENT];
    unsigned nnow;
    bool begun; /* a fragment is */
};

/* Copies. Of the fragment that is being put, or of the first; persistent: of all that follow, too,
 * until it is put again or, with an empty value, taken out. Returns 0, -EINVAL, -ENOENT or -ENOSPC
 * as metadata_put, -ENOSPC also when the fragment has ten. */
int frame_tags_put(struct frame_tags *t, const char *name, const char *value, bool persistent);
/* A frame starts a fragment: returns the tags that it carries, one reference, or NULL. */
struct link_tags *frame_tags_start(struct frame_tags *t);
void frame_tags_fini(struct frame_tags *t);

#endif
