/* The live lines of `kvpipe run`.
 * Relies on a terminal that knows "cursor up" and "clear to end".
 * Leaves what the lines say to view.c. */
#include "cli/live.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/view.h"
#include "common/clock.h"

#define PLAIN_EVERY_NS (5 * NS_PER_S)
#define LINE_MAX_BYTES 2048
#define FOLD_INDENT 4

void live_init(struct live *l)
{
    *l = (struct live){.tty = isatty(STDOUT_FILENO)};
    setvbuf(stdout, NULL, l->tty ? _IOFBF : _IOLBF, 0);
}

static void erase(struct live *l)
{
    if (l->drawn)
        printf("\033[%dA\r\033[J", l->drawn);
    l->drawn = 0;
}

void live_say(struct live *l, const char *fmt, ...)
{
    va_list ap;
    erase(l);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

static struct winsize screen(void)
{
    struct winsize w = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col < 20 || w.ws_row < 4)
        w = (struct winsize){.ws_col = 120, .ws_row = 40};
    return w;
}

/* How much of the text goes on a line of so many columns: to its end or to a gap between words. */
static int fit(const char *text, int columns)
{
    int len = (int)strlen(text), at = columns;
    if (len <= columns)
        return len;
    while (at > columns / 2 && text[at] != ' ')
        at--;
    return text[at] == ' ' ? at : columns;
}

/* Folded here, not by the terminal, and kept to one screen: else it could not be drawn over. */
static void draw(struct live *l, const struct winsize *w, const char *line)
{
    if (!l->tty) {
        puts(line);
        return;
    }
    for (int indent = 0; *line && l->drawn < w->ws_row - 1; indent = FOLD_INDENT, l->drawn++) {
        int n = fit(line, w->ws_col - 1 - indent);
        printf("%*s%.*s\n", indent, "", n, line);
        line += n;
        line += strspn(line, " ");
    }
}

void live_show(struct live *l, const json_t *status, int64_t now_ns)
{
    const json_t *stages = json_object_get(status, "stages"), *o;
    const json_t *streams = json_object_get(status, "streams");
    struct winsize w = screen();
    char line[LINE_MAX_BYTES];
    size_t i;

    if (!l->tty && l->printed_ns && now_ns - l->printed_ns < PLAIN_EVERY_NS)
        return;
    l->printed_ns = now_ns;
    erase(l);
    json_array_foreach(streams, i, o)
    {
        view_stream(o, view_name_width(streams), line, sizeof line);
        draw(l, &w, line);
    }
    json_array_foreach(stages, i, o)
    {
        if (view_problem(o, line, sizeof line) == 0)
            draw(l, &w, line);
    }
    fflush(stdout);
}
