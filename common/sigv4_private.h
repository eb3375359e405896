/* What sigv4.c (signing, checking), sigv4_canonical.c (the canonical request) and sigv4_parse.c
 * (what a client claims) share. Relies on sigv4.h. Leaves everything else to the three. */
#ifndef KVPIPE_COMMON_SIGV4_PRIVATE_H
#define KVPIPE_COMMON_SIGV4_PRIVATE_H

#include <stdint.h>

#include "common/buf.h"
#include "common/sigv4.h"
#include "common/slice.h"

#define SIGV4_ALGORITHM "AWS4-HMAC-SHA256"

/* As sigv4_canonical_request(); cut_port: the host without its port. -ENOENT when a signed header
 * is absent. */
int sigv4_put_canonical(struct buf *out, const struct sigv4_request *req,
                        const char *signed_headers, bool presigned, bool cut_port);
/* Decodes %XX to out (room for in.len bytes) and returns how many bytes that gave. A lone '%'
 * stands for itself. */
size_t sigv4_decode(struct slice in, uint8_t *out);
bool sigv4_is_space(char c);

#endif
