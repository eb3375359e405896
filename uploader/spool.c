/* The durable log of one stream: what is appended to it, and positions.
 * Relies on spool_files.c for files and deleting, spool_load.c for what is found at start,
 * spool_scan, ledger, syncer. Leaves the link to stage.c and the endpoint to session.c. */
#include "uploader/spool.h"

#define EARLY_SOUND_NS NS_PER_S /* sound begins a fragment at most so long before its key frame */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "media/mkv_writer.h"
#include "uploader/spool_private.h"

/* After a write: over the limit, the oldest go. */
static void trim(struct spool *s)
{
    while (s->when_full == CONF_FULL_DROP_OLDEST && s->total_bytes > s->max_bytes &&
           spool_drop_oldest(s) == 0)
        ;
}

static bool room_for(struct spool *s, size_t len)
{
    if (s->when_full == CONF_FULL_DROP_OLDEST || s->total_bytes + len <= s->max_bytes)
        return true;
    spool_remove_old(s, INT64_MAX);
    return s->total_bytes + len <= s->max_bytes;
}
/* --- writing --- */

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
           s->when_full == CONF_FULL_DROP_OLDEST && tries++ < 3 && spool_drop_oldest(s) == 0)
        ;
    if (r < 0)
        return r;
    for (int i = 0; i < n; i++) {
        head->bytes += iov[i].iov_len;
        s->total_bytes += iov[i].iov_len;
        if (s->open)
            s->open->crc = (uint32_t)crc32(s->open->crc, iov[i].iov_base, (uInt)iov[i].iov_len);
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

static void measure(struct spool *s, const struct spool_fragment *f)
{
    uint64_t ticks = f->latest > f->timecode ? f->latest - f->timecode : 0;
    if (s->durations)
        histogram_add(s->durations, (int64_t)(ticks * f->file->scale_ns));
    if (s->sizes)
        histogram_add(s->sizes, (int64_t)(f->end - f->offset));
}

static void fragment_complete(struct spool *s)
{
    if (!s->open)
        return;
    measure(s, s->open);
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
    int fd = openat(s->dirfd, "start.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
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
    if (s->open && s->open->nholes >= SPOOL_HOLES_MAX)
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

/* The open fragment is whole: its checksum goes behind it. Without one (the disk is full) it is
 * sent unchecked. */
static void seal(struct spool *s)
{
    struct spool_fragment *f = s->open;
    if (!f || (f->sum_end && f->holes[f->nholes - 1].end == f->end))
        return;
    struct spool_record rec = {.type = SPOOL_RECORD_SUM, .first = f->offset, .sum = f->crc};
    uint64_t offset;
    memcpy(rec.from, f->from, sizeof rec.from);
    memcpy(rec.next, s->next, sizeof rec.next);
    if (record_write(s, &rec, &offset) == 0 && s->open) {
        f->sum = rec.sum;
        f->sum_end = offset;
    }
}

static bool same_segment(const struct spool_file *file, const struct blob *segment)
{
    return file && file->segment && file->segment->len == segment->len &&
           memcmp(file->segment->data, segment->data, segment->len) == 0;
}

/* Makes the file with its first bytes, whole or not at all. Returns its descriptor or -errno. */
static int file_create(struct spool *s, const struct iovec *iov, int n)
{
    char name[16];
    spool_file_name(s->next_file, name);
    int fd = openat(s->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    int r, tries = 0;
    while ((r = write_whole(fd, 0, iov, n)) == -ENOSPC && s->when_full == CONF_FULL_DROP_OLDEST &&
           tries++ < 3 && spool_drop_oldest(s) == 0)
        ;
    if (r == 0)
        return fd;
    unlinkat(s->dirfd, name, 0);
    close(fd);
    return r;
}

/* A new file: segment header, first records and the first piece in one write. */
static int file_start(struct spool *s, const struct link_item *item,
                      const struct spool_piece *piece, uint64_t scale_ns)
{
    struct blob *segment = item->format->segment;
    uint8_t begin[SPOOL_VOID_MAX_BYTES], goes_on[SPOOL_VOID_MAX_BYTES];
    bool continues = same_segment(spool_head(s), segment);
    int64_t base_ns = (int64_t)((uint64_t)item->fragment_ns - piece->timecode * scale_ns);
    struct spool_record rec = {.type = SPOOL_RECORD_BEGIN,
                               .vector = s->vector,
                               .base_ns = base_ns,
                               .sum = (uint32_t)crc32(0, segment->data, (uInt)segment->len)};
    struct spool_record mark = {.type = SPOOL_RECORD_CONTINUES};
    memcpy(rec.next, s->next, sizeof rec.next);
    struct iovec iov[4] = {{(void *)segment->data, segment->len},
                           {begin, void_of(&rec, begin)},
                           {goes_on, continues ? void_of(&mark, goes_on) : 0},
                           {(void *)item->payload->data, item->payload->len}};
    int fd = file_create(s, iov, 4);
    if (fd < 0)
        return fd;
    timeline_settle(&s->timeline); /* older files are not looked at again after a restart */
    ledger_flush(s->ledger);
    seal(s);
    fragment_complete(s);
    struct spool_file *old = spool_head(s), *file = spool_file_new(s->next_file++);
    if (old && !old->pins)
        spool_file_close(old);
    file->fd = fd;
    file->scanned = true;
    file->continues = continues;
    file->scale_ns = scale_ns;
    file->base_ns = base_ns;
    file->start_ns = item->fragment_ns;
    file->segment = same_segment(old, segment) ? blob_ref(old->segment)
                                               : blob_copy(segment->data, segment->len);
    TAILQ_INSERT_TAIL(&s->files, file, entry);
    for (int i = 0; i < 4; i++)
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
    if (now && !same_segment(head, now))
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
        seal(s);
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
    s->open->crc = (uint32_t)crc32(0, item->payload->data, (uInt)item->payload->len);
    memcpy(s->open->from, s->next, sizeof s->next);
    s->open->epoch = s->vector.v[0];
    spool_cursor_advance(s);
    return 0;
}

/* True when the item continues the fragment whose cluster is open. Times in the file are only as
 * fine as its timecodes. Sound may have begun the fragment a little before its key frame; a muxer
 * that restarted in it knows the key frame's time alone: its blocks count from there, and *shift is
 * what they lack. */
static bool continues(const struct spool *s, const struct link_item *item, int64_t *shift)
{
    *shift = 0;
    if (!s->open)
        return false;
    const struct spool_file *file = s->open->file;
    int64_t d = item->fragment_ns - s->open->start_ns, scale = (int64_t)file->scale_ns;
    if (d < 2 * scale && d > -2 * scale)
        return true;
    if (d < 0 || d >= EARLY_SOUND_NS)
        return false;
    *shift = (item->fragment_ns - file->base_ns) / scale - (int64_t)s->open->timecode;
    return true;
}

/* Appends the block of an open fragment, with its time moved by `shift`. */
static int append_block(struct spool *s, const struct link_item *item, struct spool_piece *piece,
                        int64_t shift)
{
    const uint8_t *p = item->payload->data;
    int64_t relative = piece->relative + shift;
    if (relative > INT16_MAX || relative < INT16_MIN)
        return -EBADMSG;
    piece->relative = (int16_t)relative;
    uint8_t time[2] = {(uint8_t)(relative >> 8), (uint8_t)relative};
    size_t behind = piece->time + sizeof time;
    struct iovec iov[] = {{(void *)p, piece->time},
                          {time, sizeof time},
                          {(void *)(p + behind), item->payload->len - behind}};
    return head_write(s, iov, 3);
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
                             .epoch = s->vector.v[0],
                             .first = item->seq,
                             .last = last,
                             .count = last - item->seq + 1,
                             .reason = link_gap_reason_name(reason)};
    struct spool_file *head = spool_head(s);
    int r;
    if (head) {
        r = record_write(s, &rec, &e.at.offset);
        e.at.file = head->number;
    } else {
        struct spool_record start = {.type = SPOOL_RECORD_VECTOR, .vector = s->vector};
        memcpy(start.next, s->next, sizeof start.next);
        start.next[t] = last + 1;
        r = start_write(s, &start);
    }
    if (r < 0)
        return r;
    s->next[t] = last + 1;
    timeline_gap(&s->timeline, &e, false);
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
    int64_t shift = 0;
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
    if (!piece.starts && !continues(s, item, &shift))
        return gap_write(s, item, item->seq, s->full ? LINK_GAP_DISK_FULL : LINK_GAP_NO_KEY_FRAME);
    s->full = !room_for(s, item->payload->len);
    if (s->full) {
        r = gap_write(s, item, item->seq, LINK_GAP_DISK_FULL);
        return r < 0 ? r : spool_close_fragment(s);
    }
    r = piece.starts ? append_start(s, item, &piece) : append_block(s, item, &piece, shift);
    if (r == -EBADMSG)
        return gap_write(s, item, item->seq, LINK_GAP_FORMAT);
    if (r < 0)
        return r;
    s->ended = false;
    s->open->end = spool_head(s)->bytes;
    spool_fragment_count(s->open, item->track, item->seq, piece.relative);
    if (piece.starts && item->captured_ns)
        s->open->captured_ns = item->captured_ns;
    s->next[item->track - 1]++;
    s->stats.frames++;
    timeline_frame(&s->timeline, item->track, s->vector.v[0], item->seq, item->pts_ns,
                   (struct ledger_place){s->open->file->number, s->open->end - item->payload->len});
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
    seal(s);
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

static void note_epoch_end(struct spool *s)
{
    timeline_epoch(&s->timeline, s->vector.v[0], s->next, s->ended);
    log_info("uploader.spool.epoch",
             "stream=%s ended=%" PRIu64 " next=%" PRIu64 ",%" PRIu64 ",%" PRIu64, s->stream,
             s->vector.v[0], s->next[0], s->next[1], s->next[2]);
}

/* The end of the log was cut, and upstream has forgotten what it said was safe. */
static void note_torn(struct spool *s, uint64_t epoch, const uint64_t next[LINK_TRACKS_MAX])
{
    for (unsigned t = 0; t < LINK_TRACKS_MAX; t++) {
        if (next[t] <= s->next[t])
            continue;
        struct ledger_entry e = {.track = t + 1,
                                 .epoch = epoch,
                                 .first = s->next[t],
                                 .last = next[t] - 1,
                                 .count = next[t] - s->next[t],
                                 .reason = SPOOL_DAMAGED};
        timeline_gap(&s->timeline, &e, false);
    }
    spool_ledger_sync(s);
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
        uint64_t own = new_epoch && s->vector.n ? 0 : s->next[t];
        rec.next[t] = base[t] > own ? base[t] : own;
        jump |= rec.next[t] != own;
    }
    struct spool_file *head = spool_head(s);
    rec.base_ns = head ? head->base_ns : 0;
    if (new_epoch || jump)
        seal(s);
    int r = head ? record_write(s, &rec, &offset) : start_write(s, &rec);
    if (r < 0)
        return r;
    if (new_epoch || jump)
        fragment_complete(s);
    if (new_epoch && s->vector.n)
        note_epoch_end(s);
    else if (jump && !s->torn)
        timeline_jump(&s->timeline);
    if (s->torn && (!new_epoch || !s->vector.n))
        note_torn(s, vector->v[0], rec.next);
    s->torn = false;
    s->vector = *vector;
    s->ended = false;
    memcpy(s->next, rec.next, sizeof s->next);
    memcpy(next, rec.next, sizeof rec.next);
    sync_head(s);
    return 0;
}
