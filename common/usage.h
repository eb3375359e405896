/* What a process uses of CPU and memory.
 * Relies on Linux's /proc.
 * Leaves rates to its users. */
#ifndef KVPIPE_COMMON_USAGE_H
#define KVPIPE_COMMON_USAGE_H

#include <sys/types.h>

struct usage {
    double cpu_s;     /* user and system, all threads, since its start */
    double rss_bytes; /* resident memory */
};

/* pid 0: this process. Returns 0, or a negative errno when it is gone. */
int usage_read(pid_t pid, struct usage *out);

#endif
