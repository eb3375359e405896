/* Log lines on stderr, one write each, so that lines of several processes on one pipe stay whole.
 * Relies on nothing but write(2) and the realtime clock for the time stamp.
 * Leaves rotation and collection to whoever holds the other end of stderr. */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048
#define FEW_LINES 5
#define FEW_NS 10000000000LL

static const char *log_program = "kvpipe";
static _Atomic int log_level_now = LOG_INFO;
static void (*log_sink)(void *arg, enum log_level level, const char *line);
static void *log_sink_arg;

void log_init(const char *program, enum log_level level)
{
    log_program = program;
    log_level_now = level;
}

void log_set_level(enum log_level level)
{
    log_level_now = level;
}

void log_set_sink(void (*fn)(void *arg, enum log_level level, const char *line), void *arg)
{
    log_sink = fn;
    log_sink_arg = arg;
}

enum log_level log_level_parse(const char *name)
{
    static const char *const names[] = {[LOG_ERROR] = "error", "warn", "info", "debug"};
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum log_level)i;
    return LOG_NONE;
}

static void write_line(enum log_level level, const char *id, const char *fmt, va_list ap)
{
    static const char letters[] = "-EWID";
    char line[LINE_MAX_BYTES];
    struct timespec ts;
    struct tm tm;
    int saved = errno;

    if ((int)level > log_level_now)
        return;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ %c %s ", ts.tv_nsec / 1000000,
                          letters[level], log_program);
    size_t at = n;
    n += (size_t)snprintf(line + n, sizeof line - n, "%s ", id);
    errno = saved; /* for %m */
    int m = vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
    n += m < 0 ? 0 : ((size_t)m < sizeof line - n - 1 ? (size_t)m : sizeof line - n - 2);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[n] = '\0';
    if (log_sink) {
        log_sink(log_sink_arg, level, line + at);
        errno = saved;
        return;
    }
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0) {
        /* stderr is gone: there is nobody left to tell */
    }
    errno = saved;
}

#define LOG_FUNCTION(name, level)                                                                  \
    void name(const char *id, const char *fmt, ...)                                                \
    {                                                                                              \
        va_list ap;                                                                                \
        va_start(ap, fmt);                                                                         \
        write_line(level, id, fmt, ap);                                                            \
        va_end(ap);                                                                                \
    }

LOG_FUNCTION(log_error, LOG_ERROR)
LOG_FUNCTION(log_warn, LOG_WARN)
LOG_FUNCTION(log_info, LOG_INFO)
LOG_FUNCTION(log_debug, LOG_DEBUG)

int log_few_due(struct log_few *few, const char *id)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    long long now_ns = ts.tv_sec * 1000000000LL + ts.tv_nsec;
    if (!few->began_ns || now_ns - few->began_ns >= FEW_NS) {
        if (few->left_out)
            log_warn(id, "and %u more like the last", few->left_out);
        *few = (struct log_few){.began_ns = now_ns};
    }
    if (few->said == FEW_LINES) {
        few->left_out++;
        return 0;
    }
    few->said++;
    return 1;
}
