/* libkvpipe: gives coded frames of your program to a running kvpipe, in the place of its capture
 * and encoder. What was put is held until the spool of the pipeline has it, and sent again when a
 * stage dies meanwhile; frames that had to be given up are counted, never silent.
 * Relies on a muxer that looks for programs: with the default `muxer.connect` it finds them at
 * ipc://RUN/sinks/NAME.sock by itself. A thread of the library's own does the talking.
 * Leaves coding to the caller, credentials, retries and the disk to the pipeline. */
#ifndef KVPIPE_H
#define KVPIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KVPIPE_TRACKS_MAX 3 /* of a stream; quota of a Kinesis Video Streams fragment */
#define KVPIPE_NO_TIME INT64_MIN

struct kvpipe;
struct kvpipe_stream;

enum kvpipe_level { KVPIPE_ERROR = 1, KVPIPE_WARNING, KVPIPE_INFO, KVPIPE_DEBUG };

/* Where lines of the library go, for the whole process: "id key=value …" without an end of line,
 * from any thread. Keeps arg. NULL, as at the start: to stderr. Before the first kvpipe_open. */
void kvpipe_set_log(void (*log)(void *arg, enum kvpipe_level level, const char *line), void *arg);

struct kvpipe_options { /* all zero but `name`: defaults */
    const char *name;   /* of this program, [a-zA-Z0-9_.-]; one process at a time has it */
    const char *run;    /* folder `run` of the pipeline; NULL: $KVPIPE_RUN, else "run" */
    const char *listen; /* where the muxer finds it; NULL: ipc://RUN/sinks/NAME.sock */
    const char *keys; /* tcp:// alone: folder of CURVE keys (`kvpipe keys init`), of which it takes
                         those of the encoder, as it is in the encoder's place; NULL: none. One
                         kvpipe of a process can have them */
};

/* Opens the library's end of the link and starts its thread. Copies the options. Reads and makes
 * files: may block on the disk. Returns 0 and *kvpipe (kvpipe_close), or a negative errno after a
 * log line: -EINVAL (an option), -EBUSY (another process has the name), -EACCES and so on. */
int kvpipe_open(const struct kvpipe_options *options, struct kvpipe **kvpipe);
/* Ends the thread; streams that are still open are closed without waiting. NULL is fine. Not from a
 * callback. */
void kvpipe_close(struct kvpipe **kvpipe);

enum kvpipe_codec {
    KVPIPE_H264 = 1, /* V_MPEG4/ISO/AVC: access units, length-prefixed (avcC in codec_private) or
                        Annex B */
    KVPIPE_H265,     /* V_MPEGH/ISO/HEVC: likewise, hvcC */
    KVPIPE_AAC,  /* A_AAC: raw blocks without ADTS header, AudioSpecificConfig in codec_private */
    KVPIPE_OTHER /* codec_id and codec_private as in Matroska's TrackEntry */
};

struct kvpipe_track {
    enum kvpipe_codec codec;
    const char *codec_id;       /* KVPIPE_OTHER: Matroska CodecID, below 40 bytes */
    const void *codec_private;  /* avcC, hvcC, AudioSpecificConfig, or SPS and PPS in Annex B; NULL:
                                   inside the stream (Annex B) */
    size_t codec_private_bytes; /* at most 1 MiB */
    uint32_t width, height;     /* video; 0 not known */
    uint32_t rate_num, rate_den;    /* frames a second, 0/0 not known */
    uint32_t sample_rate, channels; /* audio */
};

enum kvpipe_event_type {
    KVPIPE_CONNECTED, /* the pipeline takes this stream's frames */
    KVPIPE_WAITING,   /* it does not (nobody is there, or restarts): frames are held */
    KVPIPE_STORED,    /* the spool has every frame of `track` up to stored_pts_ns: a crash of
                         anything, of this program, too, does not lose them any more */
    KVPIPE_LOST,      /* `frames` more were given up, as the window was full while the pipeline did
                         not take them; the ledger of the pipeline has them as a gap */
    KVPIPE_BACKLOG,   /* what waits in the pipeline's spool for the endpoint has changed */
    KVPIPE_REPLACED,  /* for good: another program or capture serves this stream; puts fail */
};

struct kvpipe_event {
    enum kvpipe_event_type type;
    unsigned track;                     /* STORED: 1 to 3 */
    int64_t stored_pts_ns;              /* STORED: as archived, ns since 1970-01-01 UTC */
    uint64_t frames;                    /* LOST */
    uint64_t backlog_ms, backlog_bytes; /* BACKLOG: of media */
};

struct kvpipe_stream_options { /* all zero but name and tracks: defaults */
    const char *name;          /* Kinesis video stream, 1 to 256 of [a-zA-Z0-9_.-] */
    const struct kvpipe_track *tracks;
    unsigned ntracks; /* 1 to 3; track n is tracks[n - 1] */
    /* Times of frames are ns since 1970-01-01 UTC. False: they are a clock of the caller's, which
     * is put at the wall clock with the first frame, and again after it jumped. */
    bool wall_times;
    /* A source that can wait (a file): kvpipe_put_frame waits when the window is full. False: a
     * live one, whose oldest frames are given up then, and counted. */
    bool can_wait;
    uint32_t fragment_ms;  /* 0: every key frame that is at least 1 s after the last start begins a
                              fragment; else the first key frame so long after it */
    uint64_t window_bytes; /* what is held until the spool has it; 0: 256 MiB */
    uint32_t window_seconds; /* 0: 180 */
    /* From the library's thread, without a lock held; it may put frames and metadata, and must not
     * block or close. NULL: none. */
    void (*event)(void *arg, struct kvpipe_stream *stream, const struct kvpipe_event *event);
    void *arg; /* for event; before the open has returned it may be called already */
};

/* Opens a stream, and with it a new epoch. Copies the options. Blocks on the disk. Returns 0 and
 * *stream (kvpipe_stream_close), or a negative errno after a log line: -EINVAL, -EEXIST (open in
 * this process), -EBADMSG (RUN/sinks/NAME.epoch is damaged). */
int kvpipe_stream_open(struct kvpipe *kvpipe, const struct kvpipe_stream_options *options,
                       struct kvpipe_stream **stream);
/* Nothing follows: puts must not, and what the pipeline kept back for what could follow is stored.
 * Does not wait: held_frames of the stats goes to 0. Then, or when that takes too long, close. */
void kvpipe_stream_end(struct kvpipe_stream *stream);
/* Ends the stream: nothing follows. Waits up to timeout_ms until the spool has all of it. Returns
 * 0, or -ETIMEDOUT when what it had not is lost (said in the log, with its number). Not from a
 * callback; no other thread may use the stream any more. */
int kvpipe_stream_close(struct kvpipe_stream **stream, uint32_t timeout_ms);

struct kvpipe_frame {
    unsigned track; /* 1 to 3 */
    bool key;       /* can be decoded without a frame before it; true for audio */
    const void *data;
    size_t bytes; /* 1 to 64 MiB */
    int64_t pts_ns;
    int64_t dts_ns; /* KVPIPE_NO_TIME: as pts_ns (no reordering); rises within a track, a frame that
                       does not gets the next millisecond */
    int64_t duration_ns; /* 0 not known */
};

/* Puts one access unit (or audio block), a track's in decode order. Copies the data. Waits up to
 * timeout_ms while the window is full if the stream can wait; a live one waits only for the
 * library's thread, which takes a burst. Returns 0; -EINVAL (a field; nothing is put); -ETIMEDOUT
 * (put it again); -ENOBUFS (live: the thread is too far behind, the frame is counted as lost);
 * -ESTALE (replaced). Any thread. */
int kvpipe_put_frame(struct kvpipe_stream *stream, const struct kvpipe_frame *frame,
                     uint32_t timeout_ms);
/* Describes a track anew, for the frames that follow. Returns 0 or -EINVAL. Any thread. */
int kvpipe_set_track(struct kvpipe_stream *stream, unsigned track,
                     const struct kvpipe_track *description);
/* Puts a name and a value (UTF-8, up to 128 and 256 bytes) into the fragment of the frame put last,
 * or the first one; persistent: into all that follow, too, until it is put again or with an empty
 * value (kvssink's kvs-add-metadata, PutMedia's Tags). Returns 0, -EINVAL (not usable: empty, too
 * long, begins with AWS), -ENOSPC (the fragment has 10), -ENOENT (nothing to be taken out). Any
 * thread. */
int kvpipe_put_metadata(struct kvpipe_stream *stream, const char *name, const char *value,
                        bool persistent);

struct kvpipe_stats { /* of a stream, since it was opened */
    uint64_t frames;  /* put */
    uint64_t stored_frames, lost_frames;
    uint64_t held_frames, held_bytes;   /* not in the spool yet */
    uint64_t backlog_ms, backlog_bytes; /* in the spool, not archived yet */
    bool connected;
};
/* Any thread; does not block. */
void kvpipe_stream_stats(struct kvpipe_stream *stream, struct kvpipe_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
