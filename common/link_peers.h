/* The inlets that an outlet knows, and which of them a stream belongs to.
 * Relies on nothing. Rendezvous hashing: a stream goes to the usable peer with the greatest hash of
 * (stream, instance), so that only the streams of a lost peer move. Leaves messages and sessions to
 * link_outlet.c. */
#ifndef KVPIPE_COMMON_LINK_PEERS_H
#define KVPIPE_COMMON_LINK_PEERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/link.h"

#define LINK_PEERS_MAX 1024

struct link_peer {
    TAILQ_ENTRY(link_peer) entry;
    uint64_t id; /* the socket layer's; new for every connection */
    char instance[LINK_INSTANCE_MAX + 1];
    uint64_t incarnation;
    int64_t heard_ns;
    bool usable, draining;
};

TAILQ_HEAD(link_peer_list, link_peer);

struct link_peers {
    struct link_peer_list list;
    unsigned n;
};

void link_peers_init(struct link_peers *ps);
void link_peers_fini(struct link_peers *ps);
/* Returns the peer with this id, or NULL. Borrowed until it is removed. */
struct link_peer *link_peers_find(struct link_peers *ps, uint64_t id);
/* Returns another connection of the same instance, or NULL. */
struct link_peer *link_peers_find_instance(struct link_peers *ps, const char *instance,
                                           uint64_t not_id);
/* Returns a new peer, or NULL when there are LINK_PEERS_MAX. */
struct link_peer *link_peers_add(struct link_peers *ps, uint64_t id);
/* Takes the peer out of the table; the caller frees it. */
void link_peers_remove(struct link_peers *ps, struct link_peer *p);
/* Returns the usable peer that the stream belongs to, or NULL when there is none. */
struct link_peer *link_peers_best(struct link_peers *ps, const char *stream);
/* Fills ids with those of the usable peers (not heard since `before_ns`), returns how many: for
 * loops that send, since a send may find any peer gone. */
unsigned link_peers_usable(const struct link_peers *ps, int64_t before_ns,
                           uint64_t ids[LINK_PEERS_MAX]);

#endif
