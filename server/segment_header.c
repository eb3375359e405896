/* The head of a producer's Matroska made fit for a file or chunk of our own.
 * Relies on media/ebml.
 * Leaves the meaning of Info and Tracks alone: they are copied byte for byte. */
#include "server/segment_header.h"

#include <errno.h>

#include "common/buf.h"
#include "media/ebml.h"
#include "media/mkv.h"

/* Reads an element's head. Returns its length or -EBADMSG. */
static int head(const uint8_t *p, size_t n, uint32_t *id, uint64_t *size)
{
    int a = ebml_read_id(p, n, id);
    if (a <= 0)
        return -EBADMSG;
    int b = ebml_read_size(p + a, n - (size_t)a, size);
    return b <= 0 ? -EBADMSG : a + b;
}

int segment_header_normalise(const uint8_t *raw, size_t len, struct buf *out)
{
    uint32_t id;
    uint64_t size;
    while (len) {
        int n = head(raw, len, &id, &size);
        if (n < 0)
            return n;
        if (id == MKV_ID_SEGMENT) { /* go on inside it */
            int r = ebml_begin_unknown(out, id);
            if (r)
                return r;
            size = 0;
        } else {
            if (size > len - (size_t)n)
                return -EBADMSG;
            if (id == MKV_ID_EBML || id == MKV_ID_INFO || id == MKV_ID_TRACKS) {
                int r = buf_append(out, raw, (size_t)n + size);
                if (r)
                    return r;
            }
        }
        raw += (size_t)n + size;
        len -= (size_t)n + size;
    }
    return 0;
}
