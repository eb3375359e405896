/* Fragment metadata that is put into a running stream: a queue of name and value, some of every
 * fragment, some of one. Relies on nothing, not thread safe. Limits as the service's: 10 items a
 * fragment, names of 1 to 128 bytes, values of at most 256. Leaves Tags elements to muxer/tags.c.
 */
#ifndef KVPIPE_COMMON_METADATA_H
#define KVPIPE_COMMON_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METADATA_PER_FRAGMENT 10
#define METADATA_NAME_MAX_BYTES 128
#define METADATA_VALUE_MAX_BYTES 256
#define METADATA_WAITING_MAX 64 /* items of one fragment each, those of the last fragments too */

struct metadata_item {
    char *name, *value;
    bool persistent;
    int64_t fragment_ns; /* of one fragment: the one that has it; 0: none yet */
};

struct metadata { /* all zero: empty */
    struct metadata_item *items;
    size_t count;
};

/* Whether the service takes such an item: it refuses a whole fragment for one that is not
 * (4012). */
bool metadata_usable(const char *name, const char *value);
/* Copies. A persistent name that is there gets the new value; with an empty value it is taken out.
 * Returns 0, -EINVAL (not usable), -ENOENT (to be taken out and not there) or -ENOSPC (no room). */
int metadata_put(struct metadata *m, const char *name, const char *value, bool persistent);
/* Whether an item belongs to the fragment that starts then: persistent, nobody's yet, or its own
 * already (the Tags of a fragment can be written again after a restart of what is behind). */
bool metadata_is_for(const struct metadata_item *item, int64_t fragment_ns);
/* The item is in the Tags of that fragment. Those of one fragment that are long done are forgotten
 * by metadata_put when it needs room. */
void metadata_given(struct metadata_item *item, int64_t fragment_ns);
const struct metadata_item *metadata_persistent(const struct metadata *m, const char *name);
void metadata_fini(struct metadata *m);

#endif
