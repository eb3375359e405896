/* What a process gives up for good: files, system calls, programs, networks that it has no use for.
 * Whoever takes a process over, through bytes from a camera or a peer, gets no more than it needs
 * itself. Relies on landlock (files), syscall_filter (calls) and PR_SET_NO_NEW_PRIVS.
 * What is refused is refused with an error, never with the process's end: one that was forgotten
 * here shall be read of in a log, not cost footage. Leaves what a stage needs to its stage_ops. */
#ifndef KVPIPE_COMMON_SANDBOX_H
#define KVPIPE_COMMON_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "common/landlock.h"
#include "common/syscall_filter.h"

struct sandbox {   /* begins as {0}: nothing */
    bool any_file; /* files are not limited */
    struct syscall_filter calls;
    struct sandbox_path {
        char *path;
        unsigned rights; /* enum landlock_right */
    } * paths;
    size_t count;
};

/* A folder with all below it, or a file, as it is there now. One that is not there is left out, but
 * for LANDLOCK_WRITE it is made. NULL is nothing. Blocks on the disk. */
void sandbox_allow(struct sandbox *s, const char *path, unsigned rights);
/* A file to read, also when it is replaced or comes later: the folder that it lies in, and the one
 * that a link leads to; when the folder is not there, the nearest above it but the root. */
void sandbox_allow_file(struct sandbox *s, const char *file);
/* What any program on this system reads: libraries, addresses of names, certificates, time zones;
 * with `calls.any` also what GStreamer, its plugins and the drivers of encoders use. */
void sandbox_allow_system(struct sandbox *s);
/* Whether all of `wanted` is in what `held` allows. */
bool sandbox_covers(const struct sandbox *held, const struct sandbox *wanted);
/* Gives up the rest, in the calling thread and all that it will start. Call before other threads
 * are there. What the kernel does not have is left out: *files and *calls are 0 or its negative
 * errno. */
void sandbox_enter(const struct sandbox *s, int *files, int *calls);
void sandbox_fini(struct sandbox *s);

#endif
