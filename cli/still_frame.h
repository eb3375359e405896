/* The newest key frame in a stream's spool.
 * Relies on media/mkv_reader; every byte of the file is taken as hostile.
 * Leaves decoding it to still_decode.c. */
#ifndef KVPIPE_CLI_STILL_FRAME_H
#define KVPIPE_CLI_STILL_FRAME_H

#include <stddef.h>
#include <stdint.h>

struct still_frame {
    char codec_id[33]; /* "V_MPEG4/ISO/AVC" */
    uint8_t *codec_private, *data;
    size_t codec_private_len, len;
    int64_t wall_ms; /* when it was taken, as the timecodes say */
};

/* Looks into the last files of `dir`, newest first. Returns 0 and *out (still_frame_fini), -ENOENT
 * (no key frame there) or another negative errno. Blocks on the disk, for at most 40 MB. */
int still_frame_newest(const char *dir, struct still_frame *out);
void still_frame_fini(struct still_frame *f);

#endif
