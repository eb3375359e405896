/* A list of CPUs as people write it: "0-2,5".
 * Relies on sched.h's cpu_set_t.
 * Leaves binding to it to the caller. */
#ifndef KVPIPE_COMMON_CPUS_H
#define KVPIPE_COMMON_CPUS_H

#include <sched.h>

/* Fills *set. Returns 0, or -EINVAL for anything but numbers below CPU_SETSIZE and rising ranges,
 * with commas between. */
int cpus_parse(const char *text, cpu_set_t *set);

#endif
