/* Folders made with the ones above them.
 * Relies on mkdir(2).
 * Leaves syncing them to disk, and what to do when one cannot be made, to its users. */
#ifndef KVPIPE_COMMON_DIRS_H
#define KVPIPE_COMMON_DIRS_H

#include <sys/types.h>

/* Makes `path` and every folder above it that is missing, each with `mode` (less the umask). One
 * that exists already is fine. Returns 0 or -errno of the first that cannot be made. */
int dirs_make(const char *path, mode_t mode);
/* The same for the folder that the file `path` is to lie in. */
int dirs_make_for(const char *path, mode_t mode);

#endif
