/* The files of a spool: what is in memory of them, the cursor, deleting, reading back.
 * Relies on spool_load.c for what an older file holds.
 * Leaves writing to spool.c. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "uploader/spool_private.h"

#define FRAGMENT_MAX_NS (20 * NS_PER_S) /* the service's bound */

/* --- fragments and files --- */

int64_t spool_wall_ns(const struct spool_file *file, uint64_t timecode, int16_t relative)
{
    const int64_t most = INT64_MAX / 2;
    __int128 ns = ((__int128)timecode + relative) * (__int128)file->scale_ns + file->base_ns;
    return ns < 0 ? 0 : ns > most ? most : (int64_t)ns;
}

struct spool_fragment *spool_fragment_new(struct spool_file *file, uint64_t offset,
                                          uint64_t timecode)
{
    struct spool_fragment *f = xcalloc(1, sizeof *f);
    f->file = file;
    f->own_tags = TAILQ_EMPTY(&file->fragments) && !file->continues;
    f->offset = f->end = offset;
    f->timecode = f->latest = timecode;
    f->timecode_ms = (int64_t)(timecode * file->scale_ns / (uint64_t)NS_PER_MS);
    f->start_ns = f->captured_ns = spool_wall_ns(file, timecode, 0);
    TAILQ_INSERT_TAIL(&file->fragments, f, entry);
    return f;
}

void spool_fragment_count(struct spool_fragment *f, unsigned track, uint64_t number,
                          int16_t relative)
{
    unsigned t = track - 1;
    if (f->count[t]++ == 0)
        f->first[t] = number;
    f->last[t] = number;
    if (relative > 0 && f->timecode + (uint64_t)relative > f->latest)
        f->latest = f->timecode + (uint64_t)relative;
}

int spool_fragment_hole(struct spool_fragment *f, uint64_t offset, uint64_t end)
{
    if (f->nholes >= SPOOL_HOLES_MAX)
        return -ENOBUFS;
    if (f->nholes && f->holes[f->nholes - 1].end == offset) {
        f->holes[f->nholes - 1].end = end;
    } else {
        f->holes = xrealloc(f->holes, (f->nholes + 1) * sizeof *f->holes);
        f->holes[f->nholes++] = (struct spool_hole){offset, end};
    }
    f->end = end;
    return 0;
}

static void fragment_free(struct spool_fragment *f)
{
    TAILQ_REMOVE(&f->file->fragments, f, entry);
    free(f->holes);
    free(f);
}

void spool_file_name(unsigned number, char out[16])
{
    snprintf(out, 16, "%06u.mkv", number % 1000000);
}

struct spool_file *spool_file_new(unsigned number)
{
    struct spool_file *file = xcalloc(1, sizeof *file);
    TAILQ_INIT(&file->fragments);
    file->number = number;
    file->fd = -1;
    return file;
}

static void file_forget_fragments(struct spool_file *file)
{
    struct spool_fragment *f;
    while ((f = TAILQ_FIRST(&file->fragments)))
        fragment_free(f);
}

void spool_file_close(struct spool_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

void spool_file_free(struct spool_file *file)
{
    file_forget_fragments(file);
    spool_file_close(file);
    blob_unref(&file->segment);
    free(file);
}

struct spool_file *spool_head(const struct spool *s)
{
    return TAILQ_LAST(&s->files, spool_files);
}

static void file_remove(struct spool *s, struct spool_file *file)
{
    char name[16];
    spool_file_name(file->number, name);
    if (unlinkat(s->dirfd, name, 0) < 0 && errno != ENOENT)
        log_error("uploader.spool.remove", "stream=%s file=%s error=\"%s\"", s->stream, name,
                  strerror(errno));
    TAILQ_REMOVE(&s->files, file, entry);
    s->total_bytes -= file->bytes;
    spool_file_free(file);
}

/* --- cursor --- */

static struct spool_fragment *first_undone(const struct spool_file *file,
                                           const struct spool_fragment *from)
{
    struct spool_fragment *f = from ? TAILQ_NEXT(from, entry) : TAILQ_FIRST(&file->fragments);
    while (f && f->done)
        f = TAILQ_NEXT(f, entry);
    return f;
}

void spool_cursor_write(struct spool *s)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%u %" PRIu64 "\n", s->cursor_file, s->cursor_offset);
    int fd = openat(s->dirfd, "cursor.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    bool ok = fd >= 0 && write(fd, text, (size_t)n) == n;
    if (fd >= 0)
        close(fd);
    if (!ok || renameat(s->dirfd, "cursor.new", s->dirfd, "cursor") < 0)
        log_warn("uploader.spool.cursor",
                 "stream=%s error=\"%s\" effect=\"fragments are looked up again after a restart\"",
                 s->stream, strerror(errno));
}

/* Moves the cursor over everything done; files that are left behind need no fragments in memory any
 * more. */
void spool_cursor_advance(struct spool *s)
{
    struct spool_file *head = spool_head(s), *file;
    unsigned number = s->cursor_file;
    uint64_t offset = s->cursor_offset;
    TAILQ_FOREACH (file, &s->files, entry) {
        if (file->archived)
            continue;
        number = file->number;
        struct spool_fragment *f = file->scanned ? first_undone(file, NULL) : NULL;
        offset = f ? f->offset : file == head ? file->bytes : 0;
        if (f || !file->scanned || file == head)
            break;
        file->archived = true;
        if (!file->pins) {
            file_forget_fragments(file);
            spool_file_close(file);
        }
    }
    if (number == s->cursor_file && offset == s->cursor_offset)
        return;
    s->cursor_file = number;
    s->cursor_offset = offset;
    spool_cursor_write(s);
}

void spool_remove_old(struct spool *s, int64_t wall_ns)
{
    struct spool_file *file, *next;
    for (file = TAILQ_FIRST(&s->files); file && file != spool_head(s); file = next) {
        next = TAILQ_NEXT(file, entry);
        char name[16];
        struct stat st;
        spool_file_name(file->number, name);
        if (!file->archived || file->pins)
            continue;
        bool gone = fstatat(s->dirfd, name, &st, 0) < 0;
        if (gone || wall_ns - (int64_t)st.st_mtime * NS_PER_S >= s->keep_ns)
            file_remove(s, file);
    }
}
/* --- space --- */

void spool_tell(void *arg, const struct ledger_entry *e)
{
    struct spool *s = arg;
    bool has =
        e->fragment.file ? ledger_gave_up(s->ledger, e->fragment) : ledger_has(s->ledger, e->at);
    if (!has)
        ledger_add(s->ledger, e);
}

static void ledger_failed(struct spool *s, int error)
{
    if (error < 0)
        log_warn("uploader.ledger", "stream=%s error=\"gaps.log: %s\"", s->stream,
                 strerror(-error));
}

void spool_ledger_sync(struct spool *s)
{
    timeline_settle(&s->timeline);
    ledger_failed(s, ledger_sync(s->ledger));
}

/* Its last frame lasts as long as the others. */
static int64_t length_ns(const struct spool_fragment *f)
{
    uint64_t most = 0, last_ns = (f->latest - f->timecode) * f->file->scale_ns;
    for (unsigned t = 0; t < LINK_TRACKS_MAX; t++)
        most = f->count[t] > most ? f->count[t] : most;
    return (int64_t)(most > 1 ? last_ns + last_ns / (most - 1) : last_ns);
}

static void tell_fragment(struct spool *s, const struct spool_fragment *f, const char *reason)
{
    for (unsigned t = 0; t < LINK_TRACKS_MAX; t++) {
        if (!f->count[t])
            continue;
        struct ledger_entry e = {.track = t + 1,
                                 .epoch = f->epoch,
                                 .first = f->first[t],
                                 .last = f->last[t],
                                 .count = f->count[t],
                                 .reason = reason,
                                 .start_ns = f->start_ns,
                                 .end_ns = f->start_ns + length_ns(f),
                                 .fragment = {f->file->number, f->offset}};
        ledger_add(s->ledger, &e);
    }
}

/* True when the endpoint may have got something of it that it has not acked. */
static bool may_be_archived(const struct spool_file *file)
{
    const struct spool_fragment *f;
    TAILQ_FOREACH (f, &file->fragments, entry)
        if (!f->done && (f->sent || f->untold))
            return true;
    return false;
}

/* The oldest file that is archived (best one that nobody reads); else the oldest that the endpoint
 * has not got; else the oldest. Never the last: it is written to. */
static struct spool_file *victim_of(const struct spool *s)
{
    struct spool_file *head = spool_head(s), *first = TAILQ_FIRST(&s->files);
    struct spool_file *file, *archived = NULL, *unsent = NULL;
    TAILQ_FOREACH (file, &s->files, entry) {
        if (file == head)
            break;
        if (file->archived && !file->pins)
            return file;
        if (!archived && file->archived)
            archived = file;
        if (!unsent && !file->archived && !may_be_archived(file))
            unsent = file;
    }
    return archived ? archived : unsent ? unsent : first != head ? first : NULL;
}

int spool_drop_oldest(struct spool *s)
{
    struct spool_file *victim = victim_of(s);
    if (!victim)
        return -ENOSPC;
    struct spool_fragment *f;
    bool pinned =
        victim->pins++ > 0; /* ours: letting go of it must not delete it under this loop */
    TAILQ_FOREACH (f, &victim->fragments, entry)
        if (s->on_drop && pinned)
            s->on_drop(s->on_drop_arg, f);
    if (!victim->archived) {
        uint64_t lost = 0;
        spool_file_scan(s, victim);
        TAILQ_FOREACH (f, &victim->fragments, entry) {
            if (f->done)
                continue;
            tell_fragment(s, f, "disk_full");
            lost++;
        }
        spool_ledger_sync(s);
        log_error("uploader.spool.full",
                  "stream=%s file=%06u.mkv fragments_lost=%" PRIu64
                  " cause=\"spool full\" do=\"raise spool.max_megabytes, free the disk or restore "
                  "the uplink\"",
                  s->stream, victim->number, lost);
    }
    file_remove(s, victim);
    spool_cursor_advance(s);
    return 0;
}

/* --- reading back --- */

struct blob *spool_segment(const struct spool_fragment *f)
{
    struct blob *reduced = NULL;
    uint8_t has = 0;
    for (unsigned t = 0; t < LINK_TRACKS_MAX; t++)
        has |= f->count[t] ? 1u << t : 0;
    if (f->complete && has != f->file->tracks)
        reduced = spool_segment_reduce(f->file->segment, has);
    if (f->complete && !reduced)
        f->file->tracks = has; /* those are all: the next fragment like it is not looked at so */
    return reduced ? reduced : blob_ref(f->file->segment);
}

static int file_open(struct spool *s, struct spool_file *file)
{
    char name[16];
    if (file->fd >= 0)
        return 0;
    spool_file_name(file->number, name);
    file->fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC);
    return file->fd < 0 ? -errno : 0;
}

/* Compares a complete fragment with its checksum, once. False: it is not what was written, and done
 * with. A frame that is sent while it is written was not on the disk yet. */
static bool intact(struct spool *s, struct spool_fragment *f)
{
    uint32_t sum;
    if (f->checked || !f->complete || !f->sum_end || f->sent)
        return true;
    int r = file_open(s, f->file);
    if (r == 0)
        r = spool_damage_sum(f->file->fd, f->offset, f->sum_end, &sum);
    if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
        return true; /* passes: sending will fail, and be tried again */
    f->checked = true;
    if (r == 0 && sum == f->sum)
        return true;
    log_error("uploader.spool.damaged",
              "stream=%s file=%06u.mkv at=%" PRIu64 " bytes=%" PRIu64
              " cause=\"%s\" effect=\"this fragment is not sent, what follows is\" do=\"check "
              "the disk\"",
              s->stream, f->file->number, f->offset, f->end - f->offset,
              r < 0 ? strerror(-r) : "not what was written");
    tell_fragment(s, f, SPOOL_DAMAGED);
    spool_ledger_sync(s);
    f->done = true;
    return false;
}

struct spool_fragment *spool_next(struct spool *s, const struct spool_fragment *f)
{
    struct spool_file *file = f ? f->file : TAILQ_FIRST(&s->files);
    for (; file; file = TAILQ_NEXT(file, entry), f = NULL) {
        if (file->archived && !f)
            continue;
        if (!file->scanned)
            spool_file_scan(s, file);
        if (!file->scanned)
            return NULL; /* later: nothing overtakes it */
        struct spool_fragment *next = first_undone(file, f);
        while (next && !intact(s, next))
            next = first_undone(file, next);
        if (next)
            return next;
    }
    return NULL;
}

struct spool_fragment *spool_find_sent(struct spool *s, int64_t timecode)
{
    struct spool_file *file;
    struct spool_fragment *f, *units = NULL;
    TAILQ_FOREACH (file, &s->files, entry) {
        TAILQ_FOREACH (f, &file->fragments, entry) {
            if (!f->sent)
                continue;
            if (f->timecode_ms == timecode) /* done: acked again */
                return f->done ? NULL : f;
            if ((int64_t)f->timecode == timecode && !f->done && !units)
                units = f;
        }
    }
    return units;
}

ssize_t spool_read(struct spool *s, const struct spool_fragment *f, uint64_t *pos, void *dst,
                   size_t cap)
{
    size_t got = 0;
    int r = file_open(s, f->file);
    if (r < 0)
        return r;
    if (*pos < f->offset)
        *pos = f->offset;
    while (got < cap && *pos < f->end) {
        uint64_t stop = f->end;
        bool in_hole = false;
        for (unsigned i = 0; i < f->nholes && !in_hole; i++) {
            in_hole = *pos >= f->holes[i].offset && *pos < f->holes[i].end;
            if (in_hole)
                *pos = f->holes[i].end;
            else if (f->holes[i].offset > *pos && f->holes[i].offset < stop)
                stop = f->holes[i].offset;
        }
        if (in_hole)
            continue;
        size_t want = stop - *pos < cap - got ? (size_t)(stop - *pos) : cap - got;
        ssize_t n = pread(f->file->fd, (uint8_t *)dst + got, want, (off_t)*pos);
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        got += (size_t)n;
        *pos += (uint64_t)n;
    }
    return (ssize_t)got;
}

void spool_pin(struct spool_file *file)
{
    file->pins++;
}

void spool_unpin(struct spool *s, struct spool_file *file)
{
    if (--file->pins > 0)
        return;
    if (file != spool_head(s))
        spool_file_close(file);
    if (file->archived) {
        file_forget_fragments(file);
        spool_remove_old(s, clock_wall_ns());
    }
}

void spool_done(struct spool *s, struct spool_fragment *f)
{
    if (f->done)
        return;
    f->done = true;
    s->stats.fragments_done++;
    spool_cursor_advance(s);
    spool_remove_old(s, clock_wall_ns());
}

void spool_give_up(struct spool *s, struct spool_fragment *f, const char *reason)
{
    if (f->done)
        return;
    tell_fragment(s, f, reason);
    spool_ledger_sync(s);
    f->done = true;
    spool_cursor_advance(s);
    spool_remove_old(s, clock_wall_ns());
}

void spool_on_drop(struct spool *s, void (*fn)(void *arg, struct spool_fragment *f), void *arg)
{
    s->on_drop = fn;
    s->on_drop_arg = arg;
}

void spool_tick(struct spool *s, int64_t wall_ns)
{
    struct spool_file *file;
    timeline_tick(&s->timeline);
    if (!timeline_waiting(
            &s->timeline)) /* the file says how far it goes: nothing may be left out */
        ledger_failed(s, ledger_flush(s->ledger));
    TAILQ_FOREACH (file, &s->files, entry) {
        if (file->archived || file->scanned)
            continue;
        spool_file_scan(s, file);
        break;
    }
    spool_cursor_advance(s);
    spool_remove_old(s, wall_ns);
}

struct link_vector spool_vector(const struct spool *s)
{
    return s->vector;
}

uint64_t spool_next_number(const struct spool *s, unsigned track)
{
    return s->next[track - 1];
}

/* Up to the next fragment's start, so that one of few frames counts, too. */
static int64_t duration_ms(const struct spool_fragment *f)
{
    const struct spool_fragment *next = TAILQ_NEXT(f, entry);
    uint64_t ticks = f->latest > f->timecode ? f->latest - f->timecode : 0;
    uint64_t most = (uint64_t)FRAGMENT_MAX_NS / f->file->scale_ns;
    if (next && next->timecode > f->timecode && next->timecode - f->timecode <= most)
        ticks = next->timecode - f->timecode;
    return (int64_t)((ticks < most ? ticks : most) * f->file->scale_ns / NS_PER_MS);
}

static void room(const struct spool *s, uint64_t held_bytes, struct spool_stats *st)
{
    struct statvfs disk;
    st->capacity_bytes = s->max_bytes;
    if (fstatvfs(s->dirfd, &disk) == 0) {
        uint64_t most = s->total_bytes + (uint64_t)disk.f_bavail * disk.f_frsize;
        st->capacity_bytes = most < s->max_bytes ? most : s->max_bytes;
    }
    st->free_bytes = st->capacity_bytes > held_bytes ? st->capacity_bytes - held_bytes : 0;
}

struct spool_stats spool_get_stats(const struct spool *s)
{
    struct spool_stats st = s->stats;
    struct spool_file *file;
    struct spool_fragment *f;
    uint64_t held_bytes = 0;
    st.dropped = ledger_count(s->ledger) + timeline_waiting(&s->timeline);
    st.gaps = ledger_totals(s->ledger);
    TAILQ_FOREACH (file, &s->files, entry) {
        if (!file->archived && !file->scanned)
            st.backlog_bytes += file->bytes;
        if (file->archived)
            continue;
        held_bytes += file->bytes;
        TAILQ_FOREACH (f, &file->fragments, entry) {
            if (f->done)
                continue;
            st.backlog_fragments++;
            if (!st.oldest_ns || f->captured_ns < st.oldest_ns)
                st.oldest_ns = f->captured_ns;
            st.backlog_bytes += f->end - f->offset;
            st.backlog_ms += duration_ms(f);
        }
    }
    st.used_bytes = s->total_bytes;
    room(s, held_bytes, &st);
    return st;
}
