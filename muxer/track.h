/* What a track looks like in Matroska: CodecID, CodecPrivate, picture or sound; and how its
 * payloads become block payloads. Relies on media/h264, h265, aac and link.h. Leaves the header's
 * bytes to segment.c. Bytes from cameras are checked here before they are believed. */
#ifndef KVPIPE_MUXER_TRACK_H
#define KVPIPE_MUXER_TRACK_H

#include "common/buf.h"
#include "common/link.h"
#include "media/mkv.h"

/* Largest payload after conversion: start codes of three bytes grow to lengths of four. */
#define TRACK_PAYLOAD_MAX (LINK_PAYLOAD_MAX + LINK_PAYLOAD_MAX / 2)

struct track_desc {
    enum link_codec codec; /* LINK_CODEC_NONE: not known yet */
    uint64_t number;       /* of the link format it was made of; not compared */
    enum mkv_track_type type;
    char codec_id[33];
    struct blob *codec_private; /* owned; NULL none */
    bool annexb;                /* payloads are converted to four-byte lengths */
    uint32_t width, height, sample_rate, channels;
    uint64_t default_duration_ns;
};

void track_desc_fini(struct track_desc *d);
/* Makes *out a copy with its own references (what *out held is lost: fini it first). */
void track_desc_copy(struct track_desc *out, const struct track_desc *d);
/* True when both need the same TrackEntry and the same conversion. */
bool track_desc_equal(const struct track_desc *a, const struct track_desc *b);

/* Describes payloads of format `f`. `key`: a key frame of it, or NULL; parameter sets inside an
 * Annex B key frame count before f->config, and where a key frame has none those of `before` (the
 * track until now, or NULL) go on. Fills *out (owned by the caller), returns 0; -ENODATA: no codec
 * private data known yet; -ENOTSUP: nothing that Matroska carries; -EBADMSG: damaged. On an error
 * *why says it in words that fit into a note for people. */
int track_describe(const struct link_format *f, const struct track_desc *before,
                   const struct blob *key, struct track_desc *out, const char **why);

/* The bytes that go into the block: the payload itself, or its conversion in *scratch (cleared
 * first). No NAL unit is left out. Returns 0, or -EBADMSG when it is not what its format says. */
int track_payload(const struct track_desc *d, const struct blob *payload, struct buf *scratch,
                  const uint8_t **data, size_t *len);

#endif
