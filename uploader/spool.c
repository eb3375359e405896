/* The durable log of one stream: append, positions, reading back, deleting.
 * Relies on spool_load.c for what is found at start, spool_scan, ledger, syncer.
 * Leaves the link to stage.c and the endpoint to session.c. */
#include "uploader/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "media/mkv_writer.h"
#include "uploader/spool_private.h"

#define HOLES_MAX 100000u /* records in one fragment */

/* --- fragments and files
 * ------------------------------------------------------------------------------------------------
 */

struct spool_fragment *spool_fragment_new(struct spool_file *file, uint64_t offset,
                                          uint64_t timecode)
{
    struct spool_fragment *f = xcalloc(1, sizeof *f);
    uint64_t ns = timecode * file->scale_ns;
    f->file = file;
    f->offset = f->end = offset;
    f->timecode = timecode;
    f->timecode_ms = (int64_t)(ns / (uint64_t)NS_PER_MS);
    f->start_ns = (int64_t)((uint64_t)file->base_ns + ns);
    TAILQ_INSERT_TAIL(&file->fragments, f, entry);
    return f;
}

void spool_fragment_count(struct spool_fragment *f, unsigned track, uint64_t number)
{
    unsigned t = track - 1;
    if (f->count[t]++ == 0)
        f->first[t] = number;
    f->last[t] = number;
}

int spool_fragment_hole(struct spool_fragment *f, uint64_t offset, uint64_t end)
{
    if (f->nholes >= HOLES_MAX)
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

static void file_close(struct spool_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

void spool_file_free(struct spool_file *file)
{
    file_forget_fragments(file);
    file_close(file);
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

/* --- cursor
 * -------------------------------------------------------------------------------------------------------------
 */

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
    int fd = openat(s->dirfd, "cursor.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
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
static void cursor_advance(struct spool *s)
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
            file_close(file);
        }
    }
    if (number == s->cursor_file && offset == s->cursor_offset)
        return;
    s->cursor_file = number;
    s->cursor_offset = offset;
    spool_cursor_write(s);
}

static void remove_old(struct spool *s, int64_t wall_ns)
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

/* --- space
 * --------------------------------------------------------------------------------------------------------------
 */

void spool_ledger_fragment(struct spool *s, const struct spool_fragment *f, const char *reason)
{
    for (unsigned t = 0; t < LINK_TRACKS_MAX; t++) {
        if (!f->count[t])
            continue;
        struct ledger_entry e = {.track = t + 1,
                                 .first = f->first[t],
                                 .last = f->last[t],
                                 .count = f->count[t],
                                 .reason = reason,
                                 .pts_first_ns = f->start_ns,
                                 .pts_last_ns = f->start_ns};
        ledger_add(s->ledger, &e);
    }
}

/* Deletes the oldest file that is archived, else the oldest of all but the last: what it held goes
 * to the ledger. */
static int drop_oldest(struct spool *s)
{
    struct spool_file *file, *victim = NULL, *head = spool_head(s);
    TAILQ_FOREACH (file, &s->files, entry)
        if (file != head && file->archived && !file->pins && !victim)
            victim = file;
    if (!victim && TAILQ_FIRST(&s->files) != head)
        victim = TAILQ_FIRST(&s->files);
    if (!victim)
        return -ENOSPC;
    struct spool_fragment *f;
    TAILQ_FOREACH (f, &victim->fragments, entry)
        if (s->on_drop && victim->pins)
            s->on_drop(s->on_drop_arg, f);
    if (!victim->archived) {
        uint64_t lost = 0;
        spool_file_scan(s, victim);
        TAILQ_FOREACH (f, &victim->fragments, entry) {
            if (f->done)
                continue;
            spool_ledger_fragment(s, f, "disk_full");
            lost++;
        }
        ledger_flush(s->ledger);
        log_error("uploader.spool.full",
                  "stream=%s file=%06u.mkv fragments_lost=%" PRIu64
                  " cause=\"spool full\" do=\"raise spool.max_megabytes, free the disk or restore "
                  "the uplink\"",
                  s->stream, victim->number, lost);
    }
    file_remove(s, victim);
    cursor_advance(s);
    return 0;
}

/* After a write: over the limit, the oldest go. */
static void trim(struct spool *s)
{
    while (s->when_full == CONF_FULL_DROP_OLDEST && s->total_bytes > s->max_bytes &&
           drop_oldest(s) == 0)
        ;
}

static bool room_for(struct spool *s, size_t len)
{
    if (s->when_full == CONF_FULL_DROP_OLDEST || s->total_bytes + len <= s->max_bytes)
        return true;
    remove_old(s, INT64_MAX);
    return s->total_bytes + len <= s->max_bytes;
}

/* --- writing
 * ------------------------------------------------------------------------------------------------------------
 */

/* Writes at the end of fd or leaves the file as it was. */
static int write_whole(int fd, uint64_t at, const struct iovec *iov, int n)
{
    size_t want = 0;
    for (int i = 0; i < n; i++)
        want += iov[i].iov_len;
    ssize_t got = pwritev(fd, iov, n, (off_t)at);
    if (got >= 0 && (size_t)got == want)
        return 0;
    int error = got < 0 ? -errno : -ENOSPC;
    if (ftruncate(fd, (off_t)at) <
        0) /* what is torn now is cut at the next start, or overwritten by the next write */
        log_error("uploader.spool.cut", "error=\"%s\"", strerror(errno));
    return error;
}

static int head_write(struct spool *s, const struct iovec *iov, int n)
{
    struct spool_file *head = spool_head(s);
    int r, tries = 0;
    while ((r = write_whole(head->fd, head->bytes, iov, n)) == -ENOSPC &&
           s->when_full == CONF_FULL_DROP_OLDEST && tries++ < 3 && drop_oldest(s) == 0)
        ;
    if (r < 0)
        return r;
    for (int i = 0; i < n; i++) {
        head->bytes += iov[i].iov_len;
        s->total_bytes += iov[i].iov_len;
    }
    return 0;
}

/* A record as a Void element in `out` (SPOOL_VOID_MAX_BYTES). Returns its length. */
static size_t void_of(const struct spool_record *rec, uint8_t *out)
{
    uint8_t body[SPOOL_RECORD_MAX_BYTES];
    struct buf b;
    size_t len = spool_record_encode(rec, body);
    buf_init(&b, SPOOL_VOID_MAX_BYTES);
    mkv_write_void(&b, body, len);
    memcpy(out, b.data, b.len);
    len = b.len;
    buf_fini(&b);
    return len;
}

static void sync_head(struct spool *s)
{
    struct spool_file *head = spool_head(s);
    if (s->sync && head && head->fd >= 0)
        syncer_request(s->syncer, head->fd, false, s->stream);
}

static void fragment_complete(struct spool *s)
{
    if (!s->open)
        return;
    s->open->complete = true;
    s->open = NULL;
    s->stats.fragments++;
    sync_head(s);
}

/* Before the first file exists, vector and positions are kept in a file of their own, replaced by
 * rename. */
static int start_write(struct spool *s, const struct spool_record *rec)
{
    uint8_t body[SPOOL_RECORD_MAX_BYTES];
    size_t len = spool_record_encode(rec, body);
    int fd = openat(s->dirfd, "start.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, body, len);
    int r = n == (ssize_t)len ? 0 : n < 0 ? -errno : -ENOSPC;
    close(fd);
    if (r == 0 && renameat(s->dirfd, "start.new", s->dirfd, "start") < 0)
        r = -errno;
    if (r == 0 && s->sync)
        syncer_request(s->syncer, s->dirfd, true, s->stream);
    return r;
}

static int record_write(struct spool *s, const struct spool_record *rec, uint64_t *offset)
{
    uint8_t out[SPOOL_VOID_MAX_BYTES];
    struct spool_file *head = spool_head(s);
    if (s->open && s->open->nholes >= HOLES_MAX)
        fragment_complete(s); /* a record that far apart from media would end a fragment anyway */
    struct iovec iov = {out, void_of(rec, out)};
    int r = head_write(s, &iov, 1);
    if (r < 0)
        return r;
    *offset = head->bytes - iov.iov_len;
    if (s->open)
        spool_fragment_hole(s->open, *offset, head->bytes);
    return 0;
}

/* A new file: segment header, first record and the first piece in one write. */
static int file_start(struct spool *s, const struct link_item *item,
                      const struct spool_piece *piece, uint64_t scale_ns)
{
    struct blob *segment = item->format->segment;
    uint8_t out[SPOOL_VOID_MAX_BYTES];
    char name[16];
    int64_t base_ns = (int64_t)((uint64_t)item->fragment_ns - piece->timecode * scale_ns);
    struct spool_record rec = {.type = SPOOL_RECORD_BEGIN, .vector = s->vector, .base_ns = base_ns};
    memcpy(rec.next, s->next, sizeof rec.next);
    struct iovec iov[3] = {{(void *)segment->data, segment->len},
                           {out, void_of(&rec, out)},
                           {(void *)item->payload->data, item->payload->len}};
    spool_file_name(s->next_file, name);
    int fd = openat(s->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    int r, tries = 0;
    while ((r = write_whole(fd, 0, iov, 3)) == -ENOSPC && s->when_full == CONF_FULL_DROP_OLDEST &&
           tries++ < 3 && drop_oldest(s) == 0)
        ;
    if (r < 0) {
        unlinkat(s->dirfd, name, 0);
        close(fd);
        return r;
    }
    ledger_flush(s->ledger); /* records of older files are not looked at again after a restart */
    fragment_complete(s);
    struct spool_file *old = spool_head(s), *file = spool_file_new(s->next_file++);
    if (old && !old->pins)
        file_close(old);
    file->fd = fd;
    file->scanned = true;
    file->scale_ns = scale_ns;
    file->base_ns = base_ns;
    file->start_ns = item->fragment_ns;
    file->segment = old && old->segment && old->segment->len == segment->len &&
                            memcmp(old->segment->data, segment->data, segment->len) == 0
                        ? blob_ref(old->segment)
                        : blob_copy(segment->data, segment->len);
    TAILQ_INSERT_TAIL(&s->files, file, entry);
    for (int i = 0; i < 3; i++)
        file->bytes += iov[i].iov_len;
    s->total_bytes += file->bytes;
    if (!old)
        unlinkat(s->dirfd, "start", 0);
    if (s->sync)
        syncer_request(s->syncer, s->dirfd, true, s->stream);
    return 0;
}

static bool needs_new_file(const struct spool *s, const struct link_item *item)
{
    const struct spool_file *head = spool_head(s);
    if (!head)
        return true;
    const struct blob *now = item->format->segment;
    if (now &&
        (now->len != head->segment->len || memcmp(now->data, head->segment->data, now->len) != 0))
        return true;
    int64_t age = item->fragment_ns - head->start_ns;
    return age >= s->file_ns || age < 0 || head->bytes > s->max_bytes / 4;
}

static int append_start(struct spool *s, const struct link_item *item,
                        const struct spool_piece *piece)
{
    struct spool_file *head = spool_head(s);
    int r;
    if (needs_new_file(s, item)) {
        uint64_t scale_ns = 0;
        const struct blob *segment = item->format->segment;
        if (!segment || spool_segment_parse(segment->data, segment->len, &scale_ns) < 0)
            return -EBADMSG;
        r = file_start(s, item, piece, scale_ns);
    } else {
        struct iovec iov = {(void *)item->payload->data, item->payload->len};
        r = head_write(s, &iov, 1);
        if (r == 0)
            fragment_complete(s);
    }
    if (r < 0)
        return r;
    head = spool_head(s);
    s->open = spool_fragment_new(head, head->bytes - item->payload->len, piece->timecode);
    s->open->cluster = s->open->offset + piece->cluster;
    s->open->start_ns = item->fragment_ns;
    cursor_advance(s);
    return 0;
}

/* True when the item continues the fragment whose cluster is open. Times in the file are only as
 * fine as its timecodes. */
static bool continues(const struct spool *s, const struct link_item *item)
{
    if (!s->open)
        return false;
    int64_t d = item->fragment_ns - s->open->start_ns, scale = (int64_t)s->open->file->scale_ns;
    return d < 2 * scale && d > -2 * scale;
}

static int gap_write(struct spool *s, const struct link_item *item, uint64_t last,
                     enum link_gap_reason reason)
{
    unsigned t = item->track - 1u;
    struct spool_record rec = {.type = SPOOL_RECORD_GAP,
                               .track = item->track,
                               .reason = reason,
                               .first = item->seq,
                               .last = last};
    struct ledger_entry e = {.track = item->track,
                             .first = item->seq,
                             .last = last,
                             .count = last - item->seq + 1,
                             .reason = link_gap_reason_name(reason)};
    if (!item->gap)
        e.pts_first_ns = e.pts_last_ns = item->pts_ns;
    struct spool_file *head = spool_head(s);
    int r;
    if (head) {
        r = record_write(s, &rec, &e.offset);
        e.file = head->number;
    } else {
        struct spool_record start = {.type = SPOOL_RECORD_VECTOR, .vector = s->vector};
        memcpy(start.next, s->next, sizeof start.next);
        start.next[t] = last + 1;
        r = start_write(s, &start);
    }
    if (r < 0)
        return r;
    s->next[t] = last + 1;
    ledger_add(s->ledger, &e);
    return 0;
}

static bool item_ok(const struct spool *s, const struct link_item *item)
{
    return item->track >= 1 && item->track <= LINK_TRACKS_MAX &&
           item->seq == s->next[item->track - 1] && item->last >= item->seq &&
           item->last < UINT64_MAX;
}

int spool_append(struct spool *s, const struct link_item *item)
{
    struct spool_piece piece;
    int r;
    if (!item_ok(s, item) || !item->payload || !item->format)
        return -EPROTO;
    if (spool_piece_parse(item->payload->data, item->payload->len, &piece) < 0 ||
        piece.track != item->track) {
        log_warn("uploader.spool.piece",
                 "stream=%s track=%u seq=%" PRIu64 " cause=\"not a piece of Matroska\"", s->stream,
                 item->track, item->seq);
        return gap_write(s, item, item->seq, LINK_GAP_FORMAT);
    }
    if (!piece.starts && !continues(s, item))
        return gap_write(s, item, item->seq, s->full ? LINK_GAP_DISK_FULL : LINK_GAP_NO_KEY_FRAME);
    s->full = !room_for(s, item->payload->len);
    if (s->full) {
        r = gap_write(s, item, item->seq, LINK_GAP_DISK_FULL);
        return r < 0 ? r : spool_close_fragment(s);
    }
    if (piece.starts) {
        r = append_start(s, item, &piece);
        if (r == -EBADMSG)
            return gap_write(s, item, item->seq, LINK_GAP_FORMAT);
    } else {
        struct iovec iov = {(void *)item->payload->data, item->payload->len};
        r = head_write(s, &iov, 1);
    }
    if (r < 0)
        return r;
    s->ended = false;
    s->open->end = spool_head(s)->bytes;
    spool_fragment_count(s->open, item->track, item->seq);
    s->next[item->track - 1]++;
    s->stats.frames++;
    trim(s);
    return 0;
}

int spool_gap(struct spool *s, const struct link_item *gap)
{
    return item_ok(s, gap) ? gap_write(s, gap, gap->last, gap->reason) : -EPROTO;
}

static int mark(struct spool *s, enum spool_record_type type)
{
    struct spool_record rec = {.type = type};
    uint64_t offset;
    int r = spool_head(s) ? record_write(s, &rec, &offset) : 0;
    if (r == 0)
        fragment_complete(s);
    return r;
}

int spool_end(struct spool *s)
{
    if (s->ended)
        return 0;
    int r = mark(s, SPOOL_RECORD_ENDED);
    s->ended = r == 0;
    return r;
}

int spool_close_fragment(struct spool *s)
{
    return s->open ? mark(s, SPOOL_RECORD_CLOSED) : 0;
}

bool spool_is_ended(const struct spool *s)
{
    return s->ended;
}

struct spool_position spool_end_position(const struct spool *s)
{
    const struct spool_file *head = spool_head(s);
    return head ? (struct spool_position){head->number, head->bytes} : (struct spool_position){0};
}

static void note_epoch_end(struct spool *s, unsigned file, uint64_t offset)
{
    struct ledger_entry e = {.first = s->vector.v[0],
                             .last = s->vector.v[0],
                             .reason = "epoch_end",
                             .file = file,
                             .offset = offset};
    ledger_add(s->ledger, &e);
    log_info("uploader.spool.epoch",
             "stream=%s ended=%" PRIu64 " next=%" PRIu64 ",%" PRIu64 ",%" PRIu64, s->stream,
             s->vector.v[0], s->next[0], s->next[1], s->next[2]);
}

int spool_session(struct spool *s, const struct link_vector *vector,
                  const uint64_t base[LINK_TRACKS_MAX], uint64_t next[LINK_TRACKS_MAX])
{
    struct spool_record rec = {.type = SPOOL_RECORD_VECTOR, .vector = *vector};
    bool new_epoch = !s->vector.n || vector->v[0] != s->vector.v[0], jump = false;
    uint64_t offset = 0;
    if (link_vector_cmp(vector, &s->vector) <= 0)
        return -EPROTO;
    for (unsigned t = 0; t < LINK_TRACKS_MAX; t++) {
        uint64_t own = new_epoch ? 0 : s->next[t];
        rec.next[t] = base[t] > own ? base[t] : own;
        jump |= rec.next[t] != own;
    }
    struct spool_file *head = spool_head(s);
    rec.base_ns = head ? head->base_ns : 0;
    int r = head ? record_write(s, &rec, &offset) : start_write(s, &rec);
    if (r < 0)
        return r;
    if (new_epoch || jump)
        fragment_complete(s);
    if (new_epoch && s->vector.n)
        note_epoch_end(s, head ? head->number : 0, offset);
    s->vector = *vector;
    s->ended = false;
    memcpy(s->next, rec.next, sizeof s->next);
    memcpy(next, rec.next, sizeof rec.next);
    sync_head(s);
    return 0;
}

/* --- reading back
 * -------------------------------------------------------------------------------------------------------
 */

struct spool_fragment *spool_next(struct spool *s, const struct spool_fragment *f)
{
    struct spool_file *file = f ? f->file : TAILQ_FIRST(&s->files);
    for (; file; file = TAILQ_NEXT(file, entry), f = NULL) {
        if (file->archived && !f)
            continue;
        if (!file->scanned)
            spool_file_scan(s, file);
        struct spool_fragment *next = first_undone(file, f);
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
            if (!f->sent || f->done)
                continue;
            if (f->timecode_ms == timecode)
                return f;
            if ((int64_t)f->timecode == timecode && !units)
                units = f;
        }
    }
    return units;
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
        file_close(file);
    if (file->archived) {
        file_forget_fragments(file);
        remove_old(s, clock_wall_ns());
    }
}

void spool_done(struct spool *s, struct spool_fragment *f)
{
    if (f->done)
        return;
    f->done = true;
    s->stats.fragments_done++;
    cursor_advance(s);
    remove_old(s, clock_wall_ns());
}

void spool_give_up(struct spool *s, struct spool_fragment *f, const char *reason)
{
    if (f->done)
        return;
    spool_ledger_fragment(s, f, reason);
    ledger_flush(s->ledger);
    f->done = true;
    cursor_advance(s);
    remove_old(s, clock_wall_ns());
}

void spool_on_drop(struct spool *s, void (*fn)(void *arg, struct spool_fragment *f), void *arg)
{
    s->on_drop = fn;
    s->on_drop_arg = arg;
}

void spool_tick(struct spool *s, int64_t wall_ns)
{
    struct spool_file *file;
    if (ledger_flush(s->ledger) < 0)
        log_warn("uploader.ledger", "stream=%s error=\"gaps.log cannot be written\"", s->stream);
    TAILQ_FOREACH (file, &s->files, entry) {
        if (file->archived || file->scanned)
            continue;
        spool_file_scan(s, file);
        break;
    }
    cursor_advance(s);
    remove_old(s, wall_ns);
}

struct link_vector spool_vector(const struct spool *s)
{
    return s->vector;
}

uint64_t spool_next_number(const struct spool *s, unsigned track)
{
    return s->next[track - 1];
}

struct spool_stats spool_get_stats(const struct spool *s)
{
    struct spool_stats st = s->stats;
    struct spool_file *file;
    struct spool_fragment *f;
    st.dropped = ledger_count(s->ledger);
    TAILQ_FOREACH (file, &s->files, entry) {
        if (!file->archived && !file->scanned)
            st.backlog_bytes += file->bytes;
        if (file->archived)
            continue;
        TAILQ_FOREACH (f, &file->fragments, entry) {
            if (f->done)
                continue;
            st.backlog_fragments++;
            st.backlog_bytes += f->end - f->offset;
        }
    }
    return st;
}
