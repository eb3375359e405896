/* One line per event on stderr: time, level, program, stable id, then key=value pairs.
 * Relies on nothing but write(2).
 * Leaves rotation and collection to the monitor or the container runtime. */
#ifndef KVPIPE_COMMON_LOG_H
#define KVPIPE_COMMON_LOG_H

enum log_level { LOG_NONE, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Sets the program name (borrowed for the life of the process) and the lowest level that is
 * printed. */
void log_init(const char *program, enum log_level level);
void log_set_level(enum log_level level);

/* Parses "error", "warn", "info", "debug". Returns LOG_NONE for anything else. */
enum log_level log_level_parse(const char *name);

/* Each writes one line of at most 2 KiB in one write(2); control characters in it are replaced by
 * '?'. `id` is a stable dotted name ("spool.torn_tail"); `fmt` prints key=value pairs. Keeps errno.
 * Thread-safe. */
void log_error(const char *id, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_warn(const char *id, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_info(const char *id, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_debug(const char *id, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
