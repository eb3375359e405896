/* Words to systemd.
 * Relies on libsystemd, which looks for NOTIFY_SOCKET and WATCHDOG_USEC.
 * Leaves who may speak to the unit's NotifyAccess. */
#include "common/notify.h"

#include <inttypes.h>

#include <systemd/sd-daemon.h>

#include "common/clock.h"

void notify_ready(void)
{
    sd_notify(0, "READY=1");
}

void notify_reloading(void)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_ns() / 1000);
}

void notify_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

void notify_alive(int64_t now_ns)
{
    static int64_t said_ns;
    uint64_t usec = 0;
    if (sd_watchdog_enabled(0, &usec) <= 0 || now_ns - said_ns < (int64_t)usec * 1000 / 3)
        return;
    said_ns = now_ns;
    sd_notify(0, "WATCHDOG=1");
}
