/* Encrypted links: CURVE on tcp:// sockets, with the keys of a folder; whoever has none of them is
 * refused. Relies on curve_keys for the files, on ZeroMQ's authentication (ZAP), answered on the
 * loop. Leaves ipc:// to the file system's permissions. */
#ifndef KVPIPE_COMMON_CURVE_H
#define KVPIPE_COMMON_CURVE_H

#include <stdbool.h>

struct event_base;
struct curve_guard;

struct curve_conf {
    const char *dir;  /* link.keys; NULL: no encryption */
    const char *self; /* the stage whose pair is ours */
    const char *peer; /* serving: the role that may connect, NULL any; connecting: who is there */
};

/* Whether the address is to be encrypted: tcp:// and there are keys. */
bool curve_applies(const struct curve_conf *conf, const char *address);

/* Makes `socket` (of `ctx`, not bound yet) serve with keys: peers whose key is in no file of the
 * role, and peers without a key, are refused and logged with their address. New and removed files
 * count from the next connection on. One context a process. Reads files: blocks on the disk.
 * Returns 0, or a negative errno after logging. */
int curve_guard_create(struct event_base *base, void *ctx, void *socket,
                       const struct curve_conf *conf, struct curve_guard **out);
/* Before the socket is closed; nobody can connect any more then. NULL is fine. */
void curve_guard_destroy(struct curve_guard **guard);

/* Makes `socket` (not connected yet) connect with keys. Reads files: blocks on the disk. Returns 0,
 * or a negative errno after logging. */
int curve_connect(void *socket, const struct curve_conf *conf);
/* Logs why a handshake of a connecting socket failed (a ZMQ_EVENT_HANDSHAKE_FAILED_x and its
 * value), and what to do. */
void curve_log_failure(const char *address, unsigned event, int value, bool with_keys);

#endif
