/* The access keys that this server knows: a file in the form of a shared credentials file, with a
 * policy for each key that may not do everything. Relies on common/keys for making the file and on
 * policy.h. Leaves checking signatures to auth.h, temporary keys to sessions.h. */
#ifndef KVPIPE_SERVER_ACCESS_KEYS_H
#define KVPIPE_SERVER_ACCESS_KEYS_H

#include <stdbool.h>

struct access_keys;
struct policy;

struct access_key {
    char *profile, *id, *secret;
    char *token;           /* that must come with it, or NULL */
    struct policy *policy; /* NULL: everything is allowed */
    bool made;             /* written by kvpipe, not chosen by a person */
};

/* Reads the file; makes one with a random key (mode 0600) when there is none. A line that cannot be
 * taken, a policy file that cannot be read, a key that is there twice are errors: a key must never
 * be able to do more than its owner wrote. Blocks. Returns 0 or a negative errno after logging what
 * to do. Never logs a secret. */
int access_keys_load(const char *path, struct access_keys **keys);
void access_keys_free(struct access_keys **keys);
/* Borrowed, valid as long as the keys; NULL for an unknown one. */
const struct access_key *access_keys_find(const struct access_keys *keys, const char *id);
/* Whether a person chose at least one. */
bool access_keys_chosen(const struct access_keys *keys);

#endif
