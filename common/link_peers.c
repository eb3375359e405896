/* The inlets that an outlet knows, and which of them a stream belongs to.
 * Relies on nothing.
 * Leaves messages and sessions to link_outlet.c. */
#include "common/link_peers.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

void link_peers_init(struct link_peers *ps)
{
    TAILQ_INIT(&ps->list);
    ps->n = 0;
}

void link_peers_fini(struct link_peers *ps)
{
    for (struct link_peer *p; (p = TAILQ_FIRST(&ps->list));) {
        link_peers_remove(ps, p);
        free(p);
    }
}

struct link_peer *link_peers_find(struct link_peers *ps, uint64_t id)
{
    struct link_peer *p;
    TAILQ_FOREACH (p, &ps->list, entry)
        if (p->id == id)
            return p;
    return NULL;
}

struct link_peer *link_peers_find_instance(struct link_peers *ps, const char *instance,
                                           uint64_t not_id)
{
    struct link_peer *p;
    TAILQ_FOREACH (p, &ps->list, entry)
        if (p->id != not_id && strcmp(p->instance, instance) == 0)
            return p;
    return NULL;
}

struct link_peer *link_peers_add(struct link_peers *ps, uint64_t id)
{
    if (ps->n >= LINK_PEERS_MAX)
        return NULL;
    struct link_peer *p = xcalloc(1, sizeof *p);
    p->id = id;
    TAILQ_INSERT_TAIL(&ps->list, p, entry);
    ps->n++;
    return p;
}

void link_peers_remove(struct link_peers *ps, struct link_peer *p)
{
    TAILQ_REMOVE(&ps->list, p, entry);
    ps->n--;
}

/* FNV-1a over both names, then a finalizer so that names that differ in their last letter spread.
 */
static uint64_t score(const char *stream, const char *instance)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (const char *c = stream; *c; c++)
        h = (h ^ (uint8_t)*c) * UINT64_C(1099511628211);
    h = (h ^ 0xff) * UINT64_C(1099511628211);
    for (const char *c = instance; *c; c++)
        h = (h ^ (uint8_t)*c) * UINT64_C(1099511628211);
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    h *= UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

struct link_peer *link_peers_best(struct link_peers *ps, const char *stream)
{
    struct link_peer *p, *best = NULL;
    uint64_t most = 0;
    TAILQ_FOREACH (p, &ps->list, entry) {
        uint64_t x = score(stream, p->instance);
        if (p->usable && !p->draining && (!best || x > most)) {
            best = p;
            most = x;
        }
    }
    return best;
}

unsigned link_peers_usable(const struct link_peers *ps, int64_t before_ns,
                           uint64_t ids[LINK_PEERS_MAX])
{
    const struct link_peer *p;
    unsigned n = 0;
    TAILQ_FOREACH (p, &ps->list, entry)
        if (p->usable && p->heard_ns <= before_ns)
            ids[n++] = p->id;
    return n;
}
