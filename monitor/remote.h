/* Processes that report here and that somebody else starts: containers, units, pods. One that
 * hangs is restarted through Docker where that is set up; else its own watchdog ends it.
 * Relies on supervisor for the verdict, docker for the deed.
 * Leaves starting them, and restarting what exits, to whoever does it. */
#ifndef KVPIPE_MONITOR_REMOTE_H
#define KVPIPE_MONITOR_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/report_table.h"

struct conf;
struct event_base;
struct remote;

/* With monitor.driver docker or none; NULL with local. Borrows conf for its life. */
struct remote *remote_create(struct event_base *base, const struct conf *conf);
void remote_destroy(struct remote **r);
/* All of these take NULL. A report came. */
void remote_heard(struct remote *r, const struct report_row *row);
/* Restarts what hangs. Call often. */
void remote_tick(struct remote *r, int64_t now_ns);
/* Somebody asks for it. Returns 0; -ENOENT when no such instance reports here; -ENOTSUP when nobody
 * is there to do it. */
int remote_restart(struct remote *r, const char *instance);
/* Every stage that video goes through reports, and all that report serve. */
bool remote_ready(const struct remote *r);

#endif
