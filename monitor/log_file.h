/* The log file of one process: bounded, and its last lines for a verdict.
 * Relies on the process appending to it (O_APPEND), whoever started it.
 * Leaves when to look to the caller. */
#ifndef KVPIPE_MONITOR_LOG_FILE_H
#define KVPIPE_MONITOR_LOG_FILE_H

#include <stddef.h>
#include <stdint.h>

/* When the file is longer than max_bytes: its content moves to PATH.1, what was there to PATH.2 and
 * so on up to PATH.keep, and it is emptied in place, since the process goes on writing to it. */
void log_file_bound(const char *path, uint64_t max_bytes, unsigned keep);
/* The last lines of the file, at most `lines` and size - 1 bytes, " | " between them; "" when there
 * is none. */
void log_file_tail(const char *path, unsigned lines, char *text, size_t size);

#endif
