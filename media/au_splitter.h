/* Cuts a byte stream (Annex B) of H.264 or H.265 into access units and changes no byte of them.
 * Relies on nal and h264. Pure. Bounded by max_bytes of an access unit.
 * Leaves damaged slices and missing parameter sets to decoders. */
#ifndef KVPIPE_MEDIA_AU_SPLITTER_H
#define KVPIPE_MEDIA_AU_SPLITTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "media/h264.h"

#define AU_SPLITTER_MARKS 64

/* Times of a chunk: they belong to the first access unit that begins in it (ISO 13818-1, 2.4.3.7).
 * The splitter only passes them on. */
struct au_times {
    int64_t pts_ns, dts_ns, duration_ns;
    bool given;
};

/* An access unit, borrowed, from its first start code to its last byte. times.given is false when
 * no chunk's times belong to it. */
typedef void au_fn(void *arg, const uint8_t *data, size_t len, const struct au_times *times);

/* What 7.4.1.2.4 compares of two slices. */
struct au_slice {
    bool known; /* the parameter sets were there: the fields after first_mb are read */
    uint32_t first_mb, frame_num, idr_pic_id, poc_lsb;
    bool idr, reference, field, bottom;
};

struct au_splitter {
    /* private */
    bool h265;
    struct buf bytes;
    size_t scan;      /* no start code of an unread unit before here */
    size_t unit;      /* the unit being collected; SIZE_MAX for none yet */
    size_t prefix;    /* first of the units that may begin the next one; SIZE_MAX for none */
    bool judged;      /* `unit` was looked at */
    bool picture;     /* the open access unit holds a slice */
    bool aud, paired; /* in the prefix: a delimiter; both fields of a frame are here */
    struct au_slice last;
    struct {
        bool set;
        uint8_t frame_num_bits, poc_type, poc_lsb_bits;
        bool separate_planes, interlaced;
    } sps[H264_SPS_MAX];
    uint8_t sps_of_pps[H264_PPS_MAX]; /* plus 1; 0: not known */
    struct {
        size_t at;
        struct au_times times;
    } mark[AU_SPLITTER_MARKS];
    unsigned nmarks;
    uint64_t junk_bytes; /* thrown away: before a start code, or an access unit above the bound */
};

void au_splitter_init(struct au_splitter *s, bool h265, size_t max_bytes);
void au_splitter_fini(struct au_splitter *s);
/* Takes a chunk in (copied) and calls fn for each access unit that is known to be complete. */
void au_splitter_push(struct au_splitter *s, const uint8_t *data, size_t len,
                      const struct au_times *times, au_fn *fn, void *arg);
/* The chunk before ended an access unit: puts it out at once when it holds a slice. */
void au_splitter_end(struct au_splitter *s, au_fn *fn, void *arg);
/* The stream ends, or bytes are missing from here: puts out what is there. Parameter sets are kept.
 */
void au_splitter_flush(struct au_splitter *s, au_fn *fn, void *arg);
/* What was thrown away since the last call. */
uint64_t au_splitter_junk(struct au_splitter *s);

#endif
