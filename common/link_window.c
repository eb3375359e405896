/* What an outlet holds of one track until it is acked.
 * Relies on link.h.
 * Leaves bounds to link_outlet_stream.c, the meaning of a missing number to link_outlet_send.c. */
#include "common/link_window.h"

#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"

static struct link_item *at(const struct link_window *w, size_t i)
{
    return &w->ring[(w->head + i) % w->cap];
}

void link_window_reset(struct link_window *w, uint64_t next)
{
    while (w->len)
        link_window_drop(w);
    w->low = w->next = next;
}

void link_window_fini(struct link_window *w)
{
    link_window_reset(w, 0);
    free(w->ring);
    *w = (struct link_window){0};
}

static void grow(struct link_window *w)
{
    size_t cap = w->cap ? w->cap * 2 : 32;
    struct link_item *ring = xcalloc(cap, sizeof *ring);
    for (size_t i = 0; i < w->len; i++)
        ring[i] = *at(w, i);
    free(w->ring);
    w->ring = ring;
    w->cap = cap;
    w->head = 0;
}

void link_window_push(struct link_window *w, struct link_item *item)
{
    assert(item->seq == w->next && item->last >= item->seq);
    if (w->len == w->cap)
        grow(w);
    w->bytes += item->payload ? item->payload->len : 0;
    w->next = item->last + 1;
    *at(w, w->len++) = *item;
    *item = (struct link_item){0};
}

void link_window_drop(struct link_window *w)
{
    struct link_item *it = at(w, 0);
    w->bytes -= it->payload ? it->payload->len : 0;
    w->low = it->last + 1;
    link_item_fini(it);
    w->head = (w->head + 1) % w->cap;
    w->len--;
}

void link_window_forget(struct link_window *w, uint64_t n)
{
    while (w->len && at(w, 0)->last < n)
        link_window_drop(w);
    if (w->len && at(w, 0)->seq < n)
        at(w, 0)->seq = n;
    if (w->low < n)
        w->low = n;
    if (w->next < n)
        w->next = n;
}

struct link_item *link_window_find(struct link_window *w, uint64_t n)
{
    size_t lo = 0, hi = w->len;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        struct link_item *it = at(w, mid);
        if (n < it->seq)
            hi = mid;
        else if (n > it->last)
            lo = mid + 1;
        else
            return it;
    }
    return NULL;
}

struct link_item *link_window_oldest(const struct link_window *w)
{
    return w->len ? at(w, 0) : NULL;
}

struct link_item *link_window_newest(struct link_window *w)
{
    return w->len ? at(w, w->len - 1) : NULL;
}
