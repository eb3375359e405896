/* Asks the endpoint which fragments of a time range it has: ListFragments by producer time, all
 * pages. Relies on api. Leaves matching with the spool to session.c. */
#ifndef KVPIPE_UPLOADER_ARCHIVE_LOOKUP_H
#define KVPIPE_UPLOADER_ARCHIVE_LOOKUP_H

#include "common/conf.h"
#include "common/api.h"
#include "uploader/session_policy.h"

struct archive_lookup;

struct archive_lookup_ops {
    void (*found)(void *arg, int64_t producer_ms);
    /* At the end. policy NULL: the list is complete, or (text not NULL) the endpoint cannot tell.
     * Else it failed. */
    void (*done)(void *arg, const struct policy *policy, const char *text);
};

struct archive_lookup *archive_lookup_create(struct api *api, const struct conf_endpoint *conf,
                                             const char *stream,
                                             const struct archive_lookup_ops *ops, void *arg);
void archive_lookup_destroy(struct archive_lookup **l);
/* Starts; both ends inclusive. Callbacks come later, unless a negative errno is returned. */
int archive_lookup_start(struct archive_lookup *l, int64_t first_ms, int64_t last_ms);
void archive_lookup_stop(struct archive_lookup *l);

#endif
