/* Keeps sound and data from running ahead of pictures that an encoder is still busy with: the muxer
 * could not tell a slow encoder from a camera without pictures, and would make fragments without
 * them. Relies on link.h. Credit bounds what is held. Leaves who is busy to encoder_stream.c. */
#ifndef KVPIPE_ENCODER_HOLD_H
#define KVPIPE_ENCODER_HOLD_H

#include <stdbool.h>
#include <sys/queue.h>

#include "common/link.h"

#define HOLD_LEAD_NS INT64_C(500000000) /* sound may be so far ahead */

struct hold_node;

struct hold {
    TAILQ_HEAD(, hold_node) items; /* of all tracks but the video, in the order they came */
    int64_t picture_ns;            /* decode time of the newest picture, INT64_MIN: none yet */
};

void hold_init(struct hold *h);
/* Frees what is held; as after hold_init. */
void hold_reset(struct hold *h);
/* A picture was put out. */
void hold_picture(struct hold *h, int64_t dts_ns);
/* Takes an item of another track. */
void hold_push(struct hold *h, struct link_item *item);
/* Gives the next item that may leave; all may when the encoder is not busy. False: there is none.
 */
bool hold_pop(struct hold *h, bool busy, struct link_item *item);

#endif
