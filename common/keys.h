/* The files of secrets that are made when they are not there: above all the access keys that our
 * own server and everything that talks to it on this machine share. Relies on getrandom(2) and
 * link(2): whoever comes first makes it whole, the others find it. Leaves reading it to
 * credentials. */
#ifndef KVPIPE_COMMON_KEYS_H
#define KVPIPE_COMMON_KEYS_H

#include <stddef.h>

/* The setting that marks a profile as made here; AWS's tools pass over it. */
#define KEYS_MADE "kvpipe_made"

/* Makes `path` when it is not there: a shared-credentials file, profile [default], a random access
 * key (20 characters) and secret (40), KEYS_MADE = yes, mode 0600. A file that is there is left as
 * it is. The directory above is made when missing. Returns 0 or a negative errno. Blocks on the
 * disk. */
int keys_ensure(const char *path);
/* The same for a file of `len` random bytes (at most 256). */
int keys_ensure_random(const char *path, size_t len);

#define KEYS_ID_LEN 21 /* with NUL */
#define KEYS_SECRET_LEN 41

/* Makes a random access key id that begins with the four letters of `prefix`, and a secret. Returns
 * 0 or a negative errno. */
int keys_random(const char *prefix, char id[KEYS_ID_LEN], char secret[KEYS_SECRET_LEN]);

#define KEYS_TOKEN_FILE "monitor.token" /* in the run directory */
#define KEYS_TOKEN_CHARS 43             /* letters and digits, 256 bits */

/* The file of a token: whoever can read it may ask the monitor to do something. Makes `path` when
 * it is not there, mode 0600, and reads it. Returns 0, -EBADMSG (no token in it) or another
 * negative errno. Blocks on the disk. */
int keys_token_ensure(const char *path, char token[KEYS_TOKEN_CHARS + 1]);
/* The same without making it. */
int keys_token_read(const char *path, char token[KEYS_TOKEN_CHARS + 1]);

#endif
