/* The epoch of a stream: a number that is greater at every start of capture, also when the clock
 * went back. Relies on a small file per stream, DIR/NAME.epoch, replaced as a whole.
 * Leaves what epochs are for to proto/README.md. */
#ifndef KVPIPE_CAPTURE_EPOCH_H
#define KVPIPE_CAPTURE_EPOCH_H

#include <stdint.h>

/* Reads the file (absent counts as 0), chooses max(wall_ms, stored + 1), writes it and syncs file
 * and directory before it returns. Makes `dir` (and its parents) when absent. Blocks on the disk;
 * for the start of a process. A damaged file is -EBADMSG: guessing could give an old epoch.
 * *reached_ms is what was stored: all times given out so far are below it. Returns 0 or a negative
 * errno. */
int epoch_next(const char *dir, const char *stream, int64_t wall_ms, uint64_t *epoch,
               uint64_t *reached_ms);
/* Notes that `epoch` is in use or that times up to it were given out, without a sync: the next
 * start will then be above. Never lowers what is stored by this process. */
int epoch_note(const char *dir, const char *stream, uint64_t epoch);
/* Notes what a stream in `epoch` has reached, its last decode time, if that is above *noted, which
 * is brought up to it: so a later start is above every time given out, also with a clock that went
 * back or a file that ran faster than real time. */
void epoch_reach(const char *dir, const char *stream, uint64_t epoch, int64_t last_ns,
                 uint64_t *noted);

#endif
