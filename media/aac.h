/* AAC (ISO 14496-3): ADTS frame headers and the AudioSpecificConfig that MP4 and Matroska carry as
 * codec private data. Relies on common/buf. Leaves the audio itself undecoded. */
#ifndef KVPIPE_MEDIA_AAC_H
#define KVPIPE_MEDIA_AAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

enum aac_object_type {
    AAC_MAIN = 1,
    AAC_LC = 2,
    AAC_SSR = 3,
    AAC_LTP = 4,
    AAC_SBR = 5,
    AAC_PS = 29,
};

struct aac_config {
    unsigned object_type; /* of the core coder: AAC_LC also when SBR is signalled in front of it */
    uint32_t sample_rate; /* Hz, of the core coder */
    unsigned channel_config; /* 0 to 15 as coded; 0 = described in a program config element */
    unsigned channels;       /* how many, 0 when channel_config does not say */
    bool sbr;                /* explicit SBR (HE-AAC): output is at sbr_sample_rate */
    uint32_t sbr_sample_rate;
    unsigned frame_length; /* samples per frame of the core coder: 1024 or 960; 0 for object types
                              that say it otherwise */
};

struct aac_adts {
    struct aac_config config;
    size_t header_bytes; /* 7, or 9 with a CRC */
    size_t frame_bytes;  /* the whole frame with this header */
    unsigned blocks;     /* raw data blocks in the frame, 1 to 4 */
};

/* Reads the header at the start of an ADTS frame (1.A.2). Returns 0, -EAGAIN when `len` is below
 * the header's size, -EBADMSG for no ADTS. The frame itself may still be longer than `len`. */
int aac_parse_adts(const uint8_t *data, size_t len, struct aac_adts *adts);

/* Reads an AudioSpecificConfig (1.6.2.1), including the 24-bit sample rate escape and explicit SBR.
 * Returns 0 or -EBADMSG. */
int aac_parse_config(const uint8_t *data, size_t len, struct aac_config *config);
/* Appends one: object type, sample rate (by index or escape), channel_config (or `channels` when
 * that is 0). Does not signal SBR. Returns 0, -EINVAL for values it cannot say, -ENOBUFS. */
int aac_build_config(struct buf *out, const struct aac_config *config);

#endif
