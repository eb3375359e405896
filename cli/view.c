/* The monitor's JSON as lines for people.
 * Relies on Jansson.
 * Leaves when and where to print to the commands. */
#include "cli/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME_WIDTH_MAX 32
#define TAIL_BYTES 8192

const char *view_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

double view_number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

void view_tame(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

int view_name_width(const json_t *streams)
{
    size_t i, width = 4;
    const json_t *s;
    json_array_foreach(streams, i, s)
    {
        size_t len = strlen(view_text(s, "name"));
        width = len > width ? len : width;
    }
    return width > NAME_WIDTH_MAX ? NAME_WIDTH_MAX : (int)width;
}

static double sum_of(const json_t *o, const char *key)
{
    const char *name;
    json_t *value;
    double sum = 0;
    json_object_foreach((json_t *)json_object_get(o, key), name, value) sum +=
        json_number_value(value);
    return sum;
}

static void seconds_of(const json_t *value, char *text, size_t size)
{
    double s = json_number_value(value);
    if (!json_is_number(value))
        snprintf(text, size, "-");
    else if (s < 100)
        snprintf(text, size, "%.1f s", s);
    else if (s < 5400)
        snprintf(text, size, "%.0f min", s / 60);
    else
        snprintf(text, size, "%.1f h", s / 3600);
}

void view_stream(const json_t *s, int name_width, char *line, size_t size)
{
    const char *note = view_text(s, "note");
    double dropped = view_number(s, "frames_dropped");
    int n = snprintf(line, size,
                     "%-*.*s  %5.1f frames/s  %5.0f kbit/s  %.0f fragments persisted  "
                     "backlog %.0f (%.1f MB)  %s",
                     name_width, NAME_WIDTH_MAX, view_text(s, "name"),
                     view_number(s, "frames_per_s"), view_number(s, "kbit_per_s"),
                     view_number(s, "fragments_persisted"), view_number(s, "backlog_fragments"),
                     view_number(s, "backlog_bytes") / 1e6, view_text(s, "state"));
    if (dropped > 0 && (size_t)n < size)
        n += snprintf(line + n, size - (size_t)n, "  %.0f frames dropped", dropped);
    if (*note && (size_t)n < size)
        snprintf(line + n, size - (size_t)n, "  %s", note);
    view_tame(line);
}

/* A row of the table: what an operator asks first comes first. */
static void print_stream(const json_t *s, int name_width)
{
    char line[1024], offsite[32], latency[32], lost[32] = "nothing";
    double frames = sum_of(s, "lost");
    seconds_of(json_object_get(s, "offsite_s"), offsite, sizeof offsite);
    seconds_of(json_object_get(s, "latency_s"), latency, sizeof latency);
    if (frames > 0)
        snprintf(lost, sizeof lost, "%.0f frame%s", frames, frames == 1 ? "" : "s");
    snprintf(line, sizeof line, "%-*.*s %-10s %11s %14s %8.1f %8.0f %9.1f %8s  %s", name_width,
             NAME_WIDTH_MAX, view_text(s, "name"), view_text(s, "state"), offsite, lost,
             view_number(s, "frames_per_s"), view_number(s, "kbit_per_s"),
             view_number(s, "backlog_bytes") / 1e6, latency, view_text(s, "note"));
    view_tame(line);
    puts(line);
}

static void print_streams(const json_t *streams)
{
    const json_t *o;
    size_t i;
    int width = view_name_width(streams);
    width = width < 6 ? 6 : width;
    printf("%-*s %-10s %11s %14s %8s %8s %9s %8s  %s\n", width, "stream", "state", "off-site in",
           "lost", "frames/s", "kbit/s", "waits MB", "latency", "note");
    json_array_foreach(streams, i, o) print_stream(o, width);
}

/* The last line of level error in the file's last bytes; "" when there is none. */
static void last_error(const char *path, char *line, size_t size)
{
    char tail[TAIL_BYTES + 1];
    struct stat st;
    int fd = *path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = -1;
    *line = '\0';
    if (fd >= 0 && fstat(fd, &st) == 0)
        n = pread(fd, tail, TAIL_BYTES, st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0);
    if (fd >= 0)
        close(fd);
    tail[n > 0 ? n : 0] = '\0';
    for (char *at = tail, *end; *at; at = end + (*end == '\n')) {
        end = at + strcspn(at, "\n");
        const char *mark = memmem(at, (size_t)(end - at), "Z E ", 4);
        if (mark && mark - at < 32)
            snprintf(line, size, "%.*s", (int)(end - mark - 4), mark + 4);
    }
}

int view_problem(const json_t *stage, char *line, size_t size)
{
    const char *state = view_text(stage, "state"), *log = view_text(stage, "log");
    char error[512];
    if (strcmp(state, "restarting") != 0 && strcmp(state, "gave up") != 0 &&
        strcmp(state, "crash loop") != 0 && strcmp(state, "hung") != 0)
        return -ENOENT;
    last_error(log, error, sizeof error);
    snprintf(line, size, "! %s %s (exit code %.0f)%s%s%s%s", view_text(stage, "instance"), state,
             view_number(stage, "last_exit"), *error ? ": " : "", error, *log ? "; see " : "", log);
    view_tame(line);
    return 0;
}

static void view_uptime(double seconds, char *text, size_t size)
{
    long s = (long)seconds;
    if (s >= 86400)
        snprintf(text, size, "%ldd%02ldh", s / 86400, s / 3600 % 24);
    else if (s >= 3600)
        snprintf(text, size, "%ldh%02ldm", s / 3600, s / 60 % 60);
    else
        snprintf(text, size, "%ldm%02lds", s / 60, s % 60);
}

static void print_stage(const json_t *s)
{
    char line[1024], uptime[32], restarts[32] = "-";
    view_uptime(view_number(s, "uptime_s"), uptime, sizeof uptime);
    if (json_is_number(json_object_get(s, "restarts")))
        snprintf(restarts, sizeof restarts, "%.0f", view_number(s, "restarts"));
    snprintf(line, sizeof line, "%-9s %-20s %8.0f  %-10s %8s %8s  %s", view_text(s, "stage"),
             view_text(s, "instance"), view_number(s, "pid"), view_text(s, "state"), restarts,
             uptime, view_text(s, "note"));
    view_tame(line);
    puts(line);
}

void view_status(const json_t *status)
{
    const json_t *stages = json_object_get(status, "stages"), *o;
    char line[2048];
    size_t i;
    print_streams(json_object_get(status, "streams"));
    putchar('\n');
    printf("%-9s %-20s %8s  %-10s %8s %8s  %s\n", "stage", "instance", "pid", "state", "restarts",
           "uptime", "note");
    json_array_foreach(stages, i, o) print_stage(o);
    json_array_foreach(stages, i, o) if (view_problem(o, line, sizeof line) == 0) puts(line);
}

void view_event(const json_t *e)
{
    static const struct {
        const char *level, *mark;
    } marks[] = {{"error", "!!"}, {"warn", "! "}};
    char when[32], line[2048];
    const char *advice = view_text(e, "advice"), *mark = "  ";
    time_t s = (time_t)(view_number(e, "at_ms") / 1000);
    struct tm tm;
    double times = view_number(e, "times");
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strcmp(view_text(e, "level"), marks[i].level) == 0)
            mark = marks[i].mark;
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&s, &tm));
    int n = snprintf(line, sizeof line, "%s %s %s: %s", when, mark, view_text(e, "about"),
                     view_text(e, "text"));
    if (times > 1 && (size_t)n < sizeof line)
        n += snprintf(line + n, sizeof line - (size_t)n, " (%.0f times)", times);
    if (*advice && (size_t)n < sizeof line)
        snprintf(line + n, sizeof line - (size_t)n, "; %s", advice);
    view_tame(line);
    puts(line);
}
