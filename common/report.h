/* What a stage tells the monitor once a second: its state, and per stream a state, a note and named numbers.
 * Relies on ZeroMQ (DEALER to the monitor's ROUTER, proto/report.proto). The data path never waits for it.
 * Leaves presentation to the monitor. */
#ifndef KVPIPE_COMMON_REPORT_H
#define KVPIPE_COMMON_REPORT_H

#include <stdint.h>

struct report;
struct stage;

/* Names of numbers that the monitor shows; a stage may add others. Counters only grow, gauges move. */
#define REPORT_FRAMES_IN "frames_in"                     /* counter */
#define REPORT_FRAMES_OUT "frames_out"                   /* counter */
#define REPORT_BYTES_OUT "bytes_out"                     /* counter */
#define REPORT_DROPPED "frames_dropped"                  /* counter: frames that became gaps */
#define REPORT_WINDOW_FRAMES "window_frames"             /* gauge: held and not acked */
#define REPORT_WINDOW_BYTES "window_bytes"               /* gauge */
#define REPORT_RECONNECTS "reconnects"                   /* counter */
#define REPORT_FRAGMENTS "fragments"                     /* counter: fragments completed in the spool */
#define REPORT_FRAGMENTS_PERSISTED "fragments_persisted" /* counter */
#define REPORT_BACKLOG_FRAGMENTS "backlog_fragments"     /* gauge: in the spool, not acked by the endpoint */
#define REPORT_BACKLOG_BYTES "backlog_bytes"             /* gauge */
#define REPORT_REFUSED "messages_refused"                /* counter, whole process: bad messages on links */

/* stream may be NULL for numbers of the whole process. Names are literals (kept, not copied). O(1)-ish, no I/O. */
void report_set(struct report *r, const char *stream, const char *name, double value);
void report_add(struct report *r, const char *stream, const char *name, double delta);
/* A stream's state in one word ("live", "connecting", "waiting", "ended", "failed") and a note for people: cause and what
 * to do (empty when all is well). Copied; a change goes out at once. */
void report_state(struct report *r, const char *stream, const char *state, const char *note);

#endif
