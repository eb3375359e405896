/* The gap ledger: batches of JSON lines, appended; compacted by rename.
 * Relies on jansson and plain file calls.
 * Leaves the truth to the spool's records. */
#include "uploader/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"

#define PENDING_MAX (256u << 10)
#define KEEP_BYTES (LEDGER_MAX_BYTES / 2)
#define ROOM_BYTES (64u << 10) /* reserved, so that a full disk can be told of */
#define FRAGMENTS_MAX 65536u

struct given_up {
    unsigned file;
    uint64_t first, last;
};

struct ledger {
    int dirfd, fd;
    char *stream;
    struct ledger_totals totals;
    struct ledger_place reached; /* greatest record told of so far */
    struct ledger_place found;   /* the same when it was opened */
    bool open_entry;             /* `entry` may still grow */
    struct ledger_entry entry;
    struct buf pending; /* whole lines that wait for the disk */
    uint64_t bytes, reserved;
    bool dirty; /* written and not synced */
    struct given_up *fragments;
    unsigned nfragments, nfound; /* of these, so many when it was opened */
};

static bool is_before(struct ledger_place a, struct ledger_place b)
{
    return a.file < b.file || (a.file == b.file && a.offset < b.offset);
}

bool ledger_has(const struct ledger *l, struct ledger_place at)
{
    return at.file && !is_before(l->found, at);
}

bool ledger_gave_up(const struct ledger *l, struct ledger_place f)
{
    for (unsigned i = 0; i < l->nfound; i++) {
        const struct given_up *g = &l->fragments[i];
        if (g->file == f.file && g->first <= f.offset && f.offset <= g->last)
            return true;
    }
    return false;
}

static void remember(struct ledger *l, unsigned file, uint64_t first, uint64_t last)
{
    if (l->nfragments == FRAGMENTS_MAX) { /* the oldest are the first to be deleted */
        memmove(l->fragments, l->fragments + 1, --l->nfragments * sizeof *l->fragments);
        l->nfound -= l->nfound > 0;
    }
    l->fragments = xrealloc(l->fragments, (l->nfragments + 1) * sizeof *l->fragments);
    l->fragments[l->nfragments++] = (struct given_up){file, first, last};
}

static void reach(struct ledger *l, struct ledger_place at)
{
    if (at.file && is_before(l->reached, at))
        l->reached = at;
}

/* ---- reading back ---- */

static void read_compacted(struct ledger *l, const json_t *o)
{
    for (unsigned i = 0; i < GAPS_CAUSES; i++) {
        const json_t *cause = json_object_get(o, gaps_cause_name(i));
        l->totals.intervals[i] += gaps_number(cause, "intervals");
        l->totals.frames[i] += gaps_number(cause, "frames");
    }
}

static bool read_entry(struct ledger *l, const json_t *o, unsigned first_file)
{
    const char *reason = json_string_value(json_object_get(o, "reason"));
    const json_t *f = json_object_get(o, "fragment");
    enum gaps_cause cause = gaps_cause_of(reason ? reason : "");
    uint64_t file = gaps_number(f, "file");
    if (json_object_get(o, "compacted")) {
        read_compacted(l, json_object_get(o, "compacted"));
    } else if (reason) {
        l->totals.intervals[cause]++;
        l->totals.frames[cause] += gaps_number(o, "count");
    }
    if (file >= first_file && file <= 999999 && file)
        remember(l, (unsigned)file, gaps_number(f, "first"), gaps_number(f, "last"));
    file = gaps_number(o, "file");
    if (file <= 999999)
        reach(l, (struct ledger_place){(unsigned)file, gaps_number(o, "offset")});
    return json_object_get(o, "file") != NULL;
}

/* Reads line by line up to the end of the last whole batch; returns where that is, -1 for no memory
 * or descriptor. Two passes: what a torn batch says must not count. */
static off_t read_all(struct ledger *l, unsigned first_file, off_t until)
{
    int fd = dup(l->fd);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    char *line = NULL;
    size_t cap = 0;
    off_t at = 0, whole = 0;
    ssize_t n;
    if (!f) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    rewind(f);
    while ((until < 0 || at < until) && (n = getline(&line, &cap, f)) > 0 && line[n - 1] == '\n') {
        json_t *o = n < GAPS_LINE_MAX ? gaps_parse(line, (size_t)n - 1) : NULL;
        at += n;
        if (until < 0 ? json_object_get(o, "file") != NULL : read_entry(l, o, first_file))
            whole = at;
        json_decref(o);
    }
    free(line);
    fclose(f);
    return whole;
}

static void reserve(struct ledger *l)
{
    if (l->bytes + ROOM_BYTES / 2 <= l->reserved)
        return;
    if (fallocate(l->fd, FALLOC_FL_KEEP_SIZE, (off_t)l->bytes, ROOM_BYTES) == 0)
        l->reserved = l->bytes + ROOM_BYTES;
}

int ledger_open(int dirfd, const char *stream, unsigned first_file, struct ledger **out)
{
    int fd = openat(dirfd, GAPS_FILE, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    struct ledger *l = xcalloc(1, sizeof *l);
    l->dirfd = dirfd;
    l->fd = fd;
    l->stream = xstrdup(stream);
    buf_init(&l->pending, PENDING_MAX);
    off_t whole = read_all(l, first_file, -1);
    if (whole < 0 || read_all(l, first_file, whole) < 0 || ftruncate(fd, whole) < 0) {
        int error = -errno;
        ledger_close(&l);
        return error;
    }
    l->bytes = (uint64_t)whole;
    l->found = l->reached;
    l->nfound = l->nfragments;
    *out = l;
    return 0;
}

/* ---- writing ---- */

static json_t *line_of(const struct ledger *l, const struct ledger_entry *e)
{
    json_t *o =
        json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:s, s:s, s:I, s:I}", "stream", l->stream,
                  "track", (int)e->track, "epoch", (json_int_t)e->epoch, "first",
                  (json_int_t)e->first, "last", (json_int_t)e->last, "count", (json_int_t)e->count,
                  "cause", gaps_cause_name(gaps_cause_of(e->reason)), "reason", e->reason,
                  "start_ns", (json_int_t)e->start_ns, "end_ns", (json_int_t)e->end_ns);
    return o;
}

static void put_line(struct ledger *l, json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT);
    /* When the disk has refused so many lines, the records in the spool still hold the count. */
    if (text)
        buf_printf(&l->pending, "%s\n", text);
    free(text);
    json_decref(o);
}

/* `batch_end`: the line says how far the ledger goes, once it is whole. */
static void end_entry(struct ledger *l, bool batch_end)
{
    const struct ledger_entry *e = &l->entry;
    if (!l->open_entry)
        return;
    json_t *o = line_of(l, e);
    if (e->fragment.file) {
        const struct given_up *g = &l->fragments[l->nfragments - 1];
        json_object_set_new(o, "fragment",
                            json_pack("{s:i, s:I, s:I}", "file", (int)g->file, "first",
                                      (json_int_t)g->first, "last", (json_int_t)g->last));
    }
    if (batch_end) {
        json_object_set_new(o, "file", json_integer(l->reached.file));
        json_object_set_new(o, "offset", json_integer((json_int_t)l->reached.offset));
    }
    put_line(l, o);
    l->open_entry = false;
}

static bool joins(const struct ledger_entry *a, const struct ledger_entry *b)
{
    return a->track == b->track && a->epoch == b->epoch && a->count && b->count &&
           a->last + 1 == b->first && strcmp(a->reason, b->reason) == 0 &&
           a->fragment.file == b->fragment.file;
}

void ledger_add(struct ledger *l, const struct ledger_entry *e)
{
    enum gaps_cause cause = gaps_cause_of(e->reason);
    l->totals.frames[cause] += e->count;
    reach(l, e->at);
    if (l->open_entry && joins(&l->entry, e)) {
        l->entry.last = e->last;
        l->entry.count += e->count;
        l->entry.end_ns = e->end_ns;
        if (e->fragment.file)
            l->fragments[l->nfragments - 1].last = e->fragment.offset;
        return;
    }
    end_entry(l, false);
    l->totals.intervals[cause]++;
    l->entry = *e;
    l->open_entry = true;
    if (e->fragment.file)
        remember(l, e->fragment.file, e->fragment.offset, e->fragment.offset);
}

/* ---- compaction ---- */

static json_t *compacted_line(const struct ledger *l, const struct ledger_totals *kept)
{
    json_t *counts = json_object();
    for (unsigned i = 0; i < GAPS_CAUSES; i++) {
        uint64_t intervals = l->totals.intervals[i] - kept->intervals[i];
        if (intervals)
            json_object_set_new(counts, gaps_cause_name(i),
                                json_pack("{s:I, s:I}", "intervals", (json_int_t)intervals,
                                          "frames",
                                          (json_int_t)(l->totals.frames[i] - kept->frames[i])));
    }
    return json_pack("{s:s, s:o}", "stream", l->stream, "compacted", counts);
}

/* What the lines from `text` on count. */
static void sum_up(const char *text, struct ledger_totals *kept)
{
    for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
        json_t *o = gaps_parse(text, (size_t)(end - text));
        const char *reason = json_string_value(json_object_get(o, "reason"));
        enum gaps_cause cause = gaps_cause_of(reason ? reason : "");
        if (reason) {
            kept->intervals[cause]++;
            kept->frames[cause] += gaps_number(o, "count");
        }
        json_decref(o);
    }
}

/* Writes the counts of what goes and the text that stays, whole and synced, under another name. */
static int write_new(struct ledger *l, json_t *counts, const char *stays)
{
    int fd =
        openat(l->dirfd, GAPS_FILE ".new", O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0640);
    int r = fd < 0 ? -errno : 0;
    if (fd < 0) {
        json_decref(counts);
        return r;
    }
    put_line(l, counts); /* nothing else is pending */
    buf_append(&l->pending, stays, strlen(stays));
    errno = ENOSPC;
    if (write(fd, l->pending.data, l->pending.len) != (ssize_t)l->pending.len || fsync(fd) < 0 ||
        renameat(l->dirfd, GAPS_FILE ".new", l->dirfd, GAPS_FILE) < 0)
        r = -errno;
    if (r == 0) {
        fsync(l->dirfd);
        close(l->fd);
        l->fd = fd;
        l->bytes = l->pending.len;
        l->reserved = 0;
    } else {
        close(fd);
    }
    buf_clear(&l->pending);
    return r;
}

/* Over its size the older half becomes one line of counts. When that fails the file grows on and it
 * is tried again. */
static void compact(struct ledger *l)
{
    char *text = xmalloc(KEEP_BYTES + 1);
    struct ledger_totals kept = {0};
    ssize_t n = pread(l->fd, text, KEEP_BYTES, (off_t)(l->bytes - KEEP_BYTES));
    char *stays = NULL;
    if (n == KEEP_BYTES) {
        text[n] = '\0';
        stays = strlen(text) == KEEP_BYTES ? strchr(text, '\n') : NULL;
    }
    if (stays) {
        sum_up(stays + 1, &kept);
        l->pending.max_bytes = 2 * LEDGER_MAX_BYTES;
        write_new(l, compacted_line(l, &kept), stays + 1);
        l->pending.max_bytes = PENDING_MAX;
    }
    free(text);
}

int ledger_flush(struct ledger *l)
{
    end_entry(l, true);
    if (!l->pending.len)
        return 0;
    ssize_t n = write(l->fd, l->pending.data, l->pending.len);
    if (n < 0)
        return -errno;
    l->dirty = true;
    l->bytes += (uint64_t)n;
    buf_consume(&l->pending, (size_t)n);
    if (l->pending.len)
        return -ENOSPC;
    if (l->bytes > LEDGER_MAX_BYTES)
        compact(l);
    reserve(l);
    return 1;
}

int ledger_sync(struct ledger *l)
{
    int r = ledger_flush(l);
    if (r < 0 || !l->dirty)
        return r < 0 ? r : 0;
    if (fdatasync(l->fd) < 0)
        return -errno;
    l->dirty = false;
    return 0;
}

uint64_t ledger_count(const struct ledger *l)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < GAPS_CAUSES; i++)
        n += l->totals.frames[i];
    return n;
}

const struct ledger_totals *ledger_totals(const struct ledger *l)
{
    return &l->totals;
}

void ledger_close(struct ledger **lp)
{
    struct ledger *l = *lp;
    if (!l)
        return;
    ledger_flush(l);
    buf_fini(&l->pending);
    close(l->fd);
    free(l->fragments);
    free(l->stream);
    free(l);
    *lp = NULL;
}
