/* A recent picture of each camera, made by a process of its own: `kvpipe still --from DIR` decodes
 * the newest key frame of the stream's spool, so that no byte of a camera is decoded here and the
 * video path is not touched. Relies on posix_spawn, pidfd, libevent. Bounded: one process at a
 * time, 8 s each, pictures of at most 512 KB, STILL_KEPT of them; at most one picture a stream
 * every 4 s, and only while somebody looks. Leaves decoding to the command. */
#ifndef KVPIPE_MONITOR_STILL_H
#define KVPIPE_MONITOR_STILL_H

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct still;

#define STILL_KEPT 64

struct still_picture {
    const unsigned char *jpeg; /* until the next call */
    size_t len;
    int64_t frame_ms; /* wall clock of the frame; 0 not known */
};

/* `spool`: directory of the streams' directories, copied. Never NULL. */
struct still *still_create(struct event_base *base, const char *spool);
void still_destroy(struct still **s);
/* The last picture of a stream that is in the config, and asks for a newer one when it is old.
 * Returns 0; -EAGAIN (being made: ask again in a second); -ENOENT (the spool has no picture of it:
 * no video yet, or it lies on another machine). */
int still_get(struct still *s, const char *stream, int64_t now_ns, struct still_picture *out);

#endif
