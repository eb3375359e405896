/* What files the process may open from now on, by the kernel's Landlock.
 * Relies on the system calls: Debian 12 has no liblandlock. Rules are kept for the folder that a
 * path leads to now: what is put in its place later is not meant.
 * Leaves which paths, and what happens without Landlock, to sandbox. */
#ifndef KVPIPE_COMMON_LANDLOCK_H
#define KVPIPE_COMMON_LANDLOCK_H

#include <stdbool.h>

enum landlock_right {
    LANDLOCK_READ = 1,   /* read files, list folders */
    LANDLOCK_WRITE = 2,  /* write, make, rename and remove files and folders */
    LANDLOCK_DEVICE = 4, /* write to devices, and their ioctls */
    LANDLOCK_BIND = 8,   /* make and remove unix sockets */
    LANDLOCK_EXEC = 16,  /* start programs */
};

struct landlock;

/* Returns 0 and a set of rules without one (landlock_free), or -ENOSYS, -EOPNOTSUPP or another
 * negative errno where the kernel cannot do it. */
int landlock_create(struct landlock **out);
/* A folder with all below it, or a file, which takes what of the rights is for files. Returns 0 or
 * a negative errno, -ENOENT among them. */
int landlock_allow(struct landlock *l, const char *path, unsigned rights);
/* The calling thread, and all that it will start, may do what was allowed and nothing else: no
 * other file, no signal to a process outside, no abstract unix socket of one. Needs
 * PR_SET_NO_NEW_PRIVS. Returns 0 or a negative errno. */
int landlock_enter(struct landlock *l);
void landlock_free(struct landlock **l);

#endif
