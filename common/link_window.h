/* What an outlet holds of one track until it is acked: items whose numbers follow each other,
 * oldest first. Relies on link.h. Leaves bounds to link_outlet_stream.c, the meaning of a missing
 * number to link_outlet_send.c. */
#ifndef KVPIPE_COMMON_LINK_WINDOW_H
#define KVPIPE_COMMON_LINK_WINDOW_H

#include "common/link.h"

struct link_window {
    struct link_item *ring;
    size_t cap, head, len;
    uint64_t low;  /* no number below is held */
    uint64_t next; /* number after the newest item */
    uint64_t bytes;
};

/* Empties the window; the next item has number `next`. A zeroed window may be reset. */
void link_window_reset(struct link_window *w, uint64_t next);
void link_window_fini(struct link_window *w);
/* Takes an item with item->seq == w->next. */
void link_window_push(struct link_window *w, struct link_item *item);
/* Drops the oldest item. The window must not be empty. */
void link_window_drop(struct link_window *w);
/* Drops every number below `n`; an item that spans n keeps its place with its first number raised.
 */
void link_window_forget(struct link_window *w, uint64_t n);
/* Returns the item that covers number n, or NULL. Borrowed until the next call that changes the
 * window. */
struct link_item *link_window_find(struct link_window *w, uint64_t n);
/* Returns the oldest item, or NULL. */
struct link_item *link_window_oldest(const struct link_window *w);
struct link_item *link_window_newest(struct link_window *w);

#endif
