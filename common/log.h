/* One line per event, on stderr or to the program that a library is in: time, level, program,
 * stable id, then key=value pairs. Relies on nothing but write(2). Leaves rotation and collection
 * to the monitor or the container runtime. */
#ifndef KVPIPE_COMMON_LOG_H
#define KVPIPE_COMMON_LOG_H

enum log_level { LOG_NONE, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Sets the program name (borrowed for the life of the process) and the lowest level that is
 * printed. */
void log_init(const char *program, enum log_level level);
void log_set_level(enum log_level level);

/* Lines go to fn instead, from their id on; NULL: to stderr again. Keeps arg. Before threads are
 * there. For a library in somebody else's program. */
void log_set_sink(void (*fn)(void *arg, enum log_level level, const char *line), void *arg);

/* Parses "error", "warn", "info", "debug". Returns LOG_NONE for anything else. */
enum log_level log_level_parse(const char *name);

/* Each writes one line of at most 2 KiB in one write(2); control characters in it are replaced by
 * '?'. `id` is a stable dotted name ("spool.torn_tail"); `fmt` prints key=value pairs. Keeps errno.
 * Thread-safe. */
void log_error(const char *id, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_warn(const char *id, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_info(const char *id, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_debug(const char *id, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* For lines that a peer can cause as often as it likes: at most 5 in 10 s from one place in the
 * code, then how many more there were. From one thread alone. */
struct log_few {
    long long began_ns;
    unsigned said, left_out;
};
#define LOG_WARN_FEW(id, ...)                                                                      \
    do {                                                                                           \
        static struct log_few log_few_here;                                                        \
        if (log_few_due(&log_few_here, id))                                                        \
            log_warn(id, __VA_ARGS__);                                                             \
    } while (0)

/* Whether the next line of this place may be written; says what was left out before it. */
int log_few_due(struct log_few *few, const char *id);

#endif
