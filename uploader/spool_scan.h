/* Reads one spool file and tells what is in it: header, fragments, blocks, records; and where a
 * torn tail begins. Relies on media/mkv_reader; takes bytes in any pieces, so that tests and the
 * fuzzer need no disk. Leaves what to do with it (index, positions, cutting) to spool.c. */
#ifndef KVPIPE_UPLOADER_SPOOL_SCAN_H
#define KVPIPE_UPLOADER_SPOOL_SCAN_H

#include "media/mkv_reader.h"
#include "uploader/spool_record.h"

#define SPOOL_SCALE_MAX_NS                                                                         \
    1000000000u /* a timecode unit of Kinesis Video Streams is 1 s at most                         \
                 */

/* Each returns 0, or a negative errno that stops the scan there (what came before stays whole). */
struct spool_scan_ops {
    /* Once, before the others: bytes EBML..Tracks, and ns per timecode unit. */
    int (*header)(void *arg, const uint8_t *raw, size_t len, uint64_t scale_ns);
    /* A fragment begins at `offset` (Tags in front of its Cluster, or the Cluster). Comes with its
     * first whole block. */
    int (*fragment)(void *arg, uint64_t offset, uint64_t cluster, uint64_t timecode);
    int (*block)(void *arg, unsigned track, int16_t relative, uint64_t offset, size_t len);
    /* One of our records; [offset, end) is the whole Void. */
    int (*record)(void *arg, const struct spool_record *rec, uint64_t offset, uint64_t end);
};

struct spool_scan {
    /* private */
    struct mkv_reader reader;
    struct spool_scan_ops ops;
    void *arg;
    bool tags_pending, cluster_pending, began;
    uint64_t tags_offset, start_offset, cluster_offset, timecode;
    uint64_t whole;
    uint64_t start, skew; /* the reader counts what lies at start + n as start + n - skew */
};

void spool_scan_init(struct spool_scan *s, const struct spool_scan_ops *ops, void *arg);
/* Starts in the middle of a file of this segment, at the beginning of a fragment. Returns 0 or
 * -EBADMSG. */
int spool_scan_resume(struct spool_scan *s, const struct blob *segment, uint64_t offset);
void spool_scan_fini(struct spool_scan *s);
/* Returns 0, or the negative errno of damage or of an op; final. */
int spool_scan_feed(struct spool_scan *s, const void *data, size_t len);
/* Where the last whole piece (block or record with all that belongs before it) ends: cut here. 0
 * when the file has not even its first record. */
uint64_t spool_scan_whole(const struct spool_scan *s);
/* Feeds a whole file from its start, or from where it resumes; blocks on the disk. Returns as feed,
 * or the errno of read. */
int spool_scan_fd(struct spool_scan *s, int fd);

/* A piece as the muxer sends it: [Tags][Cluster, Timecode] SimpleBlock. */
struct spool_piece {
    bool starts; /* has a Cluster head */
    uint64_t timecode;
    unsigned track;
    int16_t relative;     /* the block's time after its cluster's */
    size_t cluster, time; /* offsets of the Cluster head and of the two bytes of `relative` */
};
/* Checks that the bytes are exactly such a piece. Returns 0 or -EBADMSG. */
int spool_piece_parse(const uint8_t *p, size_t len, struct spool_piece *piece);
/* Reads the timecode scale out of segment bytes. Returns 0 or -EBADMSG when they are not
 * EBML..Tracks with 1 to LINK_TRACKS_MAX tracks and units up to SPOOL_SCALE_MAX_NS. */
int spool_segment_parse(const uint8_t *p, size_t len, uint64_t *scale_ns);
/* The segment without the tracks that `tracks` (bit n - 1: track n) does not name. NULL when it has
 * no others, or is no segment. */
struct blob *spool_segment_reduce(const struct blob *segment, uint8_t tracks);

#endif
