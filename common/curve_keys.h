/* The folder of keys that encrypted links use: a pair for each stage, and the public keys of those
 * who may connect. Relies on libzmq for the keys; the files have the form of ZeroMQ certificates.
 * Leaves sockets to curve.c, and carrying the files to other hosts to their owner.
 *
 *   STAGE.secret       the stage's own pair, mode 0600; only where that stage runs
 *   STAGE.pub          its public key; wherever a neighbour runs
 *   STAGE.LABEL.pub    another key that may connect as that stage */
#ifndef KVPIPE_COMMON_CURVE_KEYS_H
#define KVPIPE_COMMON_CURVE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CURVE_KEY_BYTES 32
#define CURVE_TEXT_SIZE 41 /* Z85, with its end */
#define CURVE_NAME_MAX 128

struct curve_pair {
    char public[CURVE_TEXT_SIZE], secret[CURVE_TEXT_SIZE];
};

/* The public keys of one role. */
struct curve_ring {
    struct curve_peer {
        char name[CURVE_NAME_MAX + 1]; /* the file's, without .pub */
        uint8_t key[CURVE_KEY_BYTES];
    } * peers;
    unsigned count;
};

/* Makes DIR/NAME.secret and DIR/NAME.pub, the folder too (0700). Returns 1, or 0 when the secret is
 * there already (a lost .pub is made again from it), or a negative errno. Blocks on the disk. */
int curve_keys_make(const char *dir, const char *name);
/* Reads DIR/NAME.secret. Returns 0, or a negative errno after logging file, cause and remedy. Warns
 * when everybody may read it. Blocks on the disk. */
int curve_keys_pair(const char *dir, const char *name, struct curve_pair *out);
/* Reads DIR/NAME.pub. Returns 0, or a negative errno after logging. Blocks on the disk. */
int curve_keys_public(const char *dir, const char *name, char out[CURVE_TEXT_SIZE]);
/* Reads ROLE.pub and each ROLE.*.pub; role NULL: every .pub. A file that holds no key is logged and
 * left out. What the ring held before goes. Returns 0 or a negative errno of the folder. Blocks on
 * the disk. */
int curve_keys_ring(const char *dir, const char *role, struct curve_ring *ring);
/* Returns the name that goes with the key, NULL for an unknown one. */
const char *curve_ring_find(const struct curve_ring *ring, const uint8_t key[CURVE_KEY_BYTES]);
void curve_ring_fini(struct curve_ring *ring);
/* True for "STAGE" and "STAGE.LABEL" of a stage that talks over links. */
bool curve_keys_name_ok(const char *name);
/* The stages that have a pair, NULL at the end. */
extern const char *const curve_stages[];

#endif
