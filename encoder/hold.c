/* Keeps sound and data from running ahead of pictures.
 * Relies on link.h and sys/queue.h.
 * Leaves who is busy to encoder_stream.c. */
#include "encoder/hold.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct hold_node {
    TAILQ_ENTRY(hold_node) entry;
    struct link_item item;
};

void hold_init(struct hold *h)
{
    TAILQ_INIT(&h->items);
    h->picture_ns = INT64_MIN;
}

void hold_reset(struct hold *h)
{
    struct link_item item;

    while (hold_pop(h, false, &item))
        link_item_fini(&item);
    h->picture_ns = INT64_MIN;
}

void hold_picture(struct hold *h, int64_t dts_ns)
{
    if (dts_ns > h->picture_ns)
        h->picture_ns = dts_ns;
}

void hold_push(struct hold *h, struct link_item *item)
{
    struct hold_node *n = xcalloc(1, sizeof *n);

    n->item = *item;
    memset(item, 0, sizeof *item);
    TAILQ_INSERT_TAIL(&h->items, n, entry);
}

bool hold_pop(struct hold *h, bool busy, struct link_item *item)
{
    struct hold_node *n = TAILQ_FIRST(&h->items);

    if (!n || (busy && !n->item.gap && n->item.dts_ns - HOLD_LEAD_NS > h->picture_ns))
        return false;
    TAILQ_REMOVE(&h->items, n, entry);
    *item = n->item;
    free(n);
    return true;
}
