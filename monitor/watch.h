/* Notices what happens: compares the status with the one before and says what changed, with what to
 * do about it. Relies on Jansson and events. Pure: no clock, no log.
 * Leaves when to look to pulse.c. */
#ifndef KVPIPE_MONITOR_WATCH_H
#define KVPIPE_MONITOR_WATCH_H

#include <stdint.h>

#include <jansson.h>

#include "monitor/events.h"

struct watch;

/* Borrows events. Never NULL. */
struct watch *watch_create(struct events *events);
void watch_destroy(struct watch **w);
/* Compares processes; look often, so that nothing is missed. */
void watch_stages(struct watch *w, const json_t *stages, int64_t wall_ms);
/* Compares streams; a state counts once it was seen twice, so look about once a second. */
void watch_streams(struct watch *w, const json_t *streams, int64_t wall_ms);

#endif
