/* The last minutes of each stream, for the graphs of a page that is opened.
 * Relies on Jansson. Bounded: HISTORY_SAMPLES a stream.
 * Leaves sampling to pulse.c. */
#ifndef KVPIPE_MONITOR_HISTORY_H
#define KVPIPE_MONITOR_HISTORY_H

#include <stdint.h>

#include <jansson.h>

#define HISTORY_SAMPLES 300
#define HISTORY_STEP_MS 2000 /* ten minutes in all */

struct history;

struct history *history_create(void);
void history_destroy(struct history **h);
/* Takes a sample of each stream of a status, when a step has passed since the last. */
void history_sample(struct history *h, const json_t *streams, int64_t wall_ms);
/* {"step_ms", "end_ms", "streams": {NAME: {"fps": [...], "kbps", "latency", "backlog",
 * "offsite"}}}: oldest first, null where nothing is known; a new object. */
json_t *history_json(const struct history *h);

#endif
