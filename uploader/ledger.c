/* The gap ledger: append-only JSON lines.
 * Relies on jansson and plain file calls.
 * Leaves the truth to the spool's records. */
#include "uploader/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"

#define LEDGER_LINE_MAX 4096
#define LEDGER_PENDING_MAX (64u << 10)

struct ledger {
    int fd;
    char *stream;
    uint64_t count;
    unsigned last_file; /* greatest record told of so far */
    uint64_t last_offset;
    bool open_line; /* `line` may still grow */
    struct ledger_entry line;
    struct buf pending; /* whole lines that wait for the disk */
};

static void remember(struct ledger *l, unsigned file, uint64_t offset)
{
    if (file > l->last_file || (file == l->last_file && offset > l->last_offset)) {
        l->last_file = file;
        l->last_offset = offset;
    }
}

bool ledger_has(const struct ledger *l, unsigned file, uint64_t offset)
{
    return file < l->last_file || (file == l->last_file && offset <= l->last_offset);
}

static void read_line(struct ledger *l, const char *text, size_t len)
{
    json_t *o = json_loadb(text, len, 0, NULL);
    json_int_t count = json_integer_value(json_object_get(o, "count"));
    json_int_t file = json_integer_value(json_object_get(o, "file"));
    json_int_t offset = json_integer_value(json_object_get(o, "offset"));
    if (count > 0)
        l->count += (uint64_t)count;
    if (file > 0 && file <= 999999 && offset >= 0)
        remember(l, (unsigned)file, (uint64_t)offset);
    json_decref(o);
}

/* Reads all lines; returns the length up to the last newline. */
static off_t read_all(struct ledger *l)
{
    int fd = dup(l->fd);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    char *line = NULL;
    size_t cap = 0;
    off_t whole = 0;
    ssize_t n;
    if (!f) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    while ((n = getline(&line, &cap, f)) > 0 && line[n - 1] == '\n') {
        if (n < LEDGER_LINE_MAX)
            read_line(l, line, (size_t)n - 1);
        whole += n;
    }
    free(line);
    fclose(f);
    return whole;
}

int ledger_open(int dirfd, const char *stream, struct ledger **out)
{
    int fd = openat(dirfd, "gaps.log", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    struct ledger *l = xcalloc(1, sizeof *l);
    l->fd = fd;
    l->stream = xstrdup(stream);
    buf_init(&l->pending, LEDGER_PENDING_MAX);
    off_t whole = read_all(l);
    if (whole < 0 || ftruncate(fd, whole) < 0) {
        int error = -errno;
        ledger_close(&l);
        return error;
    }
    *out = l;
    return 0;
}

static void end_line(struct ledger *l)
{
    const struct ledger_entry *e = &l->line;
    if (!l->open_line)
        return;
    char when[32];
    time_t now = (time_t)(clock_wall_ns() / NS_PER_S);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    json_t *o = json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:s}", "time", when, "stream", l->stream,
                          "track", (int)e->track, "first", (json_int_t)e->first, "last",
                          (json_int_t)e->last, "count", (json_int_t)e->count, "reason", e->reason);
    if (e->pts_first_ns) {
        json_object_set_new(o, "pts_first_ns", json_integer(e->pts_first_ns));
        json_object_set_new(o, "pts_last_ns", json_integer(e->pts_last_ns));
    }
    if (e->file) {
        json_object_set_new(o, "file", json_integer(e->file));
        json_object_set_new(o, "offset", json_integer((json_int_t)e->offset));
    }
    char *text = json_dumps(o, JSON_COMPACT);
    /* When the disk has refused 64 KiB of lines, the records in the spool still hold the count. */
    if (text)
        buf_printf(&l->pending, "%s\n", text);
    free(text);
    json_decref(o);
    l->open_line = false;
}

static bool joins(const struct ledger_entry *a, const struct ledger_entry *b)
{
    return a->track == b->track && a->track && a->last + 1 == b->first &&
           strcmp(a->reason, b->reason) == 0 && !a->file == !b->file;
}

void ledger_add(struct ledger *l, const struct ledger_entry *e)
{
    l->count += e->count;
    if (e->file)
        remember(l, e->file, e->offset);
    if (l->open_line && joins(&l->line, e)) {
        l->line.last = e->last;
        l->line.count += e->count;
        l->line.file = e->file;
        l->line.offset = e->offset;
        l->line.pts_last_ns = e->pts_last_ns;
        return;
    }
    end_line(l);
    l->line = *e;
    l->open_line = true;
}

int ledger_flush(struct ledger *l)
{
    end_line(l);
    if (!l->pending.len)
        return 0;
    ssize_t n = write(l->fd, l->pending.data, l->pending.len);
    if (n < 0)
        return -errno;
    buf_consume(&l->pending, (size_t)n);
    return l->pending.len ? -ENOSPC : 0;
}

uint64_t ledger_count(const struct ledger *l)
{
    return l->count;
}

void ledger_close(struct ledger **lp)
{
    struct ledger *l = *lp;
    if (!l)
        return;
    ledger_flush(l);
    buf_fini(&l->pending);
    close(l->fd);
    free(l->stream);
    free(l);
    *lp = NULL;
}
