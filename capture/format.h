/* What a track's payloads are, read from GStreamer's caps and, for byte streams, from the payloads
 * themselves. Relies on media/. Pure but for reading caps.
 * Leaves what changes over time to track.h. */
#ifndef KVPIPE_CAPTURE_FORMAT_H
#define KVPIPE_CAPTURE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gst/gst.h>
#include <gst/video/video.h>

#include "common/link.h"

struct format_facts {
    struct link_format *format; /* owned; without number */
    bool avcc, adts;            /* length-prefixed units; AAC behind ADTS headers */
    unsigned length_size;       /* with avcc */
    unsigned reorder;           /* frames that may come after one shown before them */
    bool in_order;              /* the parameter sets say that none does */
    GstVideoInfo video;         /* raw video */
    size_t sample_bytes;        /* raw audio, all channels */
};

/* Reads caps. Returns 0, or -ENOTSUP with a reason for people in *why (static text). */
int format_from_caps(const GstCaps *caps, struct format_facts *out, const char **why);
void format_fini(struct format_facts *f);

/* Looks into a key access unit in Annex B for parameter sets; gives a new format with the config
 * record they make, size and rate filled in. NULL when there are none, or none that parse. */
struct link_format *format_from_annexb(struct format_facts *f, const uint8_t *data, size_t len);
/* Gives a new format from an ADTS header and its length in *header_bytes, NULL for one that is
 * damaged, does not match `len` or holds several blocks. */
struct link_format *format_from_adts(const struct format_facts *f, const uint8_t *data, size_t len,
                                     size_t *header_bytes);
/* Whether the access unit can be decoded without others: an IDR (H.264) or IRAP (H.265) picture. */
bool format_is_key(const struct format_facts *f, const uint8_t *data, size_t len);

#endif
