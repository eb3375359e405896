/* A worker thread that syncs files, so that the loop never waits for the disk.
 * Relies on pthreads. Requests for the same file that wait are made one.
 * Leaves the policy (when to sync) to the spool. */
#ifndef KVPIPE_UPLOADER_SYNCER_H
#define KVPIPE_UPLOADER_SYNCER_H

#include <stdbool.h>

struct syncer;

/* Returns a new worker, or NULL when no thread can be started. */
struct syncer *syncer_create(void);
/* Works off what waits, ends the thread. Blocks for that. NULL is fine. */
void syncer_destroy(struct syncer **s);
/* Asks for fdatasync (file) or fsync (directory) of what fd names; duplicates fd. `what` names it
 * in a log line (copied). */
void syncer_request(struct syncer *s, int fd, bool directory, const char *what);

#endif
