/* Numbers at one moment in one flat list.
 * Relies on nothing.
 * Leaves taking them to the stages. */
#include "common/sample.h"

#include <stdlib.h>

#include "common/mem.h"

#define SAMPLES_MAX 500000u

struct sample *samples_add(struct samples *s)
{
    static struct sample nowhere;
    if (s->count == SAMPLES_MAX)
        return &nowhere;
    if (s->count == s->room) {
        s->room = s->room ? 2 * s->room : 256;
        s->list = xrealloc(s->list, s->room * sizeof *s->list);
    }
    return &s->list[s->count++];
}

void samples_fini(struct samples *s)
{
    free(s->list);
    *s = (struct samples){0};
}
