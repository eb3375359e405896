/* Times as people write them on the command line.
 * Relies on strptime.
 * Leaves what the time is for to the commands. */
#ifndef KVPIPE_CLI_WHEN_H
#define KVPIPE_CLI_WHEN_H

#include <stdint.h>

/* "90s", "30m", "12h", "7d" ago, or a UTC time "2026-01-31" or "2026-01-31T12:00[:00][Z]", as ns
 * since 1970. Returns 0, or -EINVAL after saying what `option` expects. */
int when_parse(const char *option, const char *text, int64_t now_ns, int64_t *out);
/* Writes "2026-01-31 12:00:00.0", UTC. */
void when_print(int64_t ns, char out[40]);

#endif
