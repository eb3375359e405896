/* The spool's own log records: what is not media (vectors, positions, gaps, ends), kept in Matroska
 * Void elements. Relies on zlib: bytes in, bytes out; little endian, magic "kvp1", CRC-32 over
 * all before it (zlib). Leaves writing and finding the elements to spool.c and spool_scan.c. */
#ifndef KVPIPE_UPLOADER_SPOOL_RECORD_H
#define KVPIPE_UPLOADER_SPOOL_RECORD_H

#include "common/link.h"

#define SPOOL_RECORD_MAX_BYTES 160
#define SPOOL_RECORD_SUM_BYTES (5u + 8 + 16 * LINK_TRACKS_MAX + 4 + 4)

enum spool_record_type {
    SPOOL_RECORD_NONE,
    SPOOL_RECORD_BEGIN, /* first in every file: vector, next, base_ns, and `sum` of the bytes before
                           it (0: written by a version that made none) */
    SPOOL_RECORD_VECTOR, /* a session was accepted: vector, next (a greater epoch: the old one ended
                            before) */
    SPOOL_RECORD_GAP,    /* the numbers first..last of a track are a gap */
    SPOOL_RECORD_ENDED,  /* the source said that nothing follows */
    SPOOL_RECORD_CLOSED, /* the open cluster takes no more blocks (a fragment left unfinished) */
    SPOOL_RECORD_CONTINUES, /* behind BEGIN: the file goes on with the segment of the one before */
    SPOOL_RECORD_SUM, /* the fragment that began at offset `first` is whole: `sum` of its bytes
                         up to here, the numbers it began with (from) and those it ended with (next)
                       */
};

struct spool_record {
    enum spool_record_type type;
    struct link_vector vector;                             /* n == 0: none accepted yet */
    uint64_t from[LINK_TRACKS_MAX], next[LINK_TRACKS_MAX]; /* per track the next number */
    int64_t base_ns; /* wall clock of timecode 0 in this file */
    uint8_t track;   /* 1 to LINK_TRACKS_MAX */
    enum link_gap_reason reason;
    uint64_t first, last;
    uint32_t sum; /* CRC-32 as zlib's */
};

/* Writes the body of a Void into out; returns its length. */
size_t spool_record_encode(const struct spool_record *rec, uint8_t out[SPOOL_RECORD_MAX_BYTES]);
/* Reads one. Returns 0; -ENOENT when it is not ours (another program's Void); -EBADMSG when it is
 * ours and damaged. */
int spool_record_decode(const uint8_t *p, size_t len, struct spool_record *rec);

#endif
