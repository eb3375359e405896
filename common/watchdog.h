/* Ends a process whose loop no longer turns, when nobody else would: in a container or under
 * systemd it is then started again. Relies on a thread that does nothing but look. Leaves the
 * restart to whoever started the process. */
#ifndef KVPIPE_COMMON_WATCHDOG_H
#define KVPIPE_COMMON_WATCHDOG_H

struct event_base;
struct watchdog;

/* Watches the loop from its first turn on. When it stands still for limit_s while this thread runs
 * - a process that was stopped, or a machine that slept, does not count - a line is logged and the
 * process aborts, so that a core dump tells where. Returns NULL when there is no thread to be had:
 * all works without. */
struct watchdog *watchdog_start(struct event_base *base, unsigned limit_s);
/* NULL is fine. Nulls *w. */
void watchdog_stop(struct watchdog **w);

#endif
