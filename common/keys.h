/* The file of access keys that our own server and everything that talks to it on this machine
 * share. Relies on getrandom(2) and link(2): whoever comes first makes it whole, the others find
 * it. Leaves reading it to credentials. */
#ifndef KVPIPE_COMMON_KEYS_H
#define KVPIPE_COMMON_KEYS_H

/* Makes `path` when it is not there: a shared-credentials file, profile [default], a random access
 * key (20 characters) and secret (40), mode 0600. A file that is there is left as it is. The
 * directory above is made when missing. Returns 0 or a negative errno. Blocks on the disk. */
int keys_ensure(const char *path);

#endif
