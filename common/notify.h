/* What systemd is told of a service of Type=notify: nothing when it did not start us.
 * Relies on libsystemd's sd_notify(3).
 * Leaves when to say it to the stage runtime. */
#ifndef KVPIPE_COMMON_NOTIFY_H
#define KVPIPE_COMMON_NOTIFY_H

#include <stdint.h>

void notify_ready(void);
void notify_reloading(void); /* notify_ready() ends it */
void notify_stopping(void);
/* The loop turns. Says so as often as the service's WatchdogSec asks for; call a few times a
 * second. */
void notify_alive(int64_t now_ns);

#endif
