/* Link messages to bytes and back (proto/link.proto). Decoding takes hostile bytes: every field is
 * range-checked here, once. Relies on protobuf-c. Leaves what a message means to link_outlet.c and
 * link_inlet.c. */
#ifndef KVPIPE_COMMON_LINK_WIRE_H
#define KVPIPE_COMMON_LINK_WIRE_H

#include "common/link.h"

#define LINK_HEADER_MAX (1u << 20)       /* bytes of a header part */
#define LINK_HEARTBEAT_SESSIONS_MAX 4096 /* sessions in one Heartbeat */

/* Returns the header part as a new blob. The payload of a Frame (msg->item.item.payload) is the
 * caller's second part. */
struct blob *link_wire_encode(const struct link_msg *msg);

/* Decodes a header part; `payload` (may be NULL: no second part) goes into a Frame, whose reference
 * is taken over on success. Returns 0 and *msg (link_msg_fini), or -EBADMSG with *why a static text
 * and *msg empty. */
int link_wire_decode(const uint8_t *data, size_t len, struct blob *payload, struct link_msg *msg,
                     const char **why);

#endif
