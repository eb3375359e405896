/* What a spool finds when it starts: lock, cursor, files, the last file's positions and its torn
 * tail. Relies on spool_scan for the content of a file. Leaves appending and reading back to
 * spool.c. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "common/clock.h"
#include "common/dirs.h"
#include "common/log.h"
#include "common/mem.h"
#include "uploader/spool_private.h"

/* A file being read back: its own copy of positions, so that an older file does not touch the
 * spool's. */
struct load {
    struct spool *s;
    struct spool_file *file;
    int fd;
    struct spool_fragment *open;
    struct timeline *timeline;
    struct link_vector vector;
    uint64_t next[LINK_TRACKS_MAX];
    bool ended;
};

static int load_header(void *arg, const uint8_t *raw, size_t len, uint64_t scale_ns)
{
    struct load *l = arg;
    l->file->scale_ns = scale_ns;
    blob_unref(&l->file->segment);
    l->file->segment = blob_copy(raw, len);
    return 0;
}

static void load_close(struct load *l)
{
    if (l->open)
        l->open->complete = true;
    l->open = NULL;
}

static bool before_cursor(const struct spool *s, unsigned file, uint64_t offset)
{
    return file < s->cursor_file || (file == s->cursor_file && offset < s->cursor_offset);
}

static int load_fragment(void *arg, uint64_t offset, uint64_t cluster, uint64_t timecode)
{
    struct load *l = arg;
    bool first = TAILQ_EMPTY(&l->file->fragments);
    load_close(l);
    l->open = spool_fragment_new(l->file, offset, timecode);
    l->open->epoch = l->vector.v[0];
    l->open->done = before_cursor(l->s, l->file->number, offset) ||
                    ledger_gave_up(l->s->ledger, (struct ledger_place){l->file->number, offset});
    l->open->cluster = cluster;
    l->open->doubt = true;
    memcpy(l->open->from, l->next, sizeof l->next);
    if (first)
        l->file->start_ns = l->open->start_ns;
    return 0;
}

static int load_block(void *arg, unsigned track, int16_t relative, uint64_t offset, size_t len)
{
    struct load *l = arg;
    if (!l->open || l->next[track - 1] == UINT64_MAX)
        return -EBADMSG;
    l->open->end = offset + len;
    spool_fragment_count(l->open, track, l->next[track - 1], relative);
    timeline_frame(l->timeline, track, l->vector.v[0], l->next[track - 1]++,
                   spool_wall_ns(l->file, l->open->timecode, relative),
                   (struct ledger_place){l->file->number, offset});
    return 0;
}

static int load_gap(struct load *l, const struct spool_record *rec, uint64_t offset)
{
    struct ledger_entry e = {.track = rec->track,
                             .epoch = l->vector.v[0],
                             .first = rec->first,
                             .last = rec->last,
                             .count = rec->last - rec->first + 1,
                             .reason = link_gap_reason_name(rec->reason),
                             .at = {l->file->number, offset}};
    if (rec->first != l->next[rec->track - 1])
        return -EBADMSG;
    l->next[rec->track - 1] = rec->last + 1;
    timeline_gap(l->timeline, &e, ledger_has(l->s->ledger, e.at));
    return 0;
}

static void load_vector(struct load *l, const struct spool_record *rec, uint64_t offset)
{
    bool new_epoch = l->vector.n && rec->vector.n && l->vector.v[0] != rec->vector.v[0];
    if (new_epoch)
        timeline_epoch(l->timeline, l->vector.v[0], l->next, l->ended);
    else if (memcmp(l->next, rec->next, sizeof l->next) != 0)
        timeline_jump(l->timeline);
    if (new_epoch || memcmp(l->next, rec->next, sizeof l->next) != 0)
        load_close(l);
    l->vector = rec->vector;
    l->ended = false;
    memcpy(l->next, rec->next, sizeof l->next);
}

/* What lies in [at, resume) is not what was written; the numbers were `from` before it and are
 * `next` behind it. A fragment that is open there is lost as a whole. */
static void lose(struct load *l, uint64_t at, uint64_t resume, const uint64_t from[LINK_TRACKS_MAX],
                 const uint64_t next[LINK_TRACKS_MAX])
{
    struct ledger_entry e = {
        .epoch = l->vector.v[0], .reason = SPOOL_DAMAGED, .fragment = {l->file->number, at}};
    bool archived = before_cursor(l->s, l->file->number, resume) || (l->open && l->open->done);
    uint64_t lost = 0;
    for (unsigned t = 0; t < LINK_TRACKS_MAX; t++) {
        if (next[t] <= from[t])
            continue;
        e.track = t + 1;
        e.first = from[t];
        e.last = next[t] - 1;
        e.count = next[t] - from[t];
        lost += archived ? 0 : e.count;
        timeline_gap(l->timeline, &e, archived);
    }
    log_error("uploader.spool.damaged",
              "stream=%s file=%06u.mkv at=%" PRIu64 " bytes=%" PRIu64 " frames_lost=%" PRIu64
              " effect=\"this part is not sent, what follows is\" do=\"check the disk\"",
              l->s->stream, l->file->number, at, resume - at, lost);
    if (l->open)
        l->open->done = true;
    load_close(l);
    memcpy(l->next, next, sizeof l->next);
}

/* A fragment that is out of place has a checksum that does not fit it: it is not looked at. */
static void load_sum(struct load *l, const struct spool_record *rec, uint64_t offset)
{
    struct spool_fragment *f = l->open;
    uint32_t sum;
    if (!f || rec->first != f->offset)
        return;
    if (spool_damage_sum(l->fd, f->offset, offset, &sum) == 0 && sum == rec->sum) {
        f->sum = sum;
        f->sum_end = offset;
    } else {
        lose(l, f->offset, offset, rec->from, rec->next);
    }
}

/* A file whose header is not as it was written cannot be sent. */
static int load_begin(struct load *l, const struct spool_record *rec)
{
    const struct blob *segment = l->file->segment;
    if (rec->sum && (!segment || crc32(0, segment->data, (uInt)segment->len) != rec->sum))
        return -EBADMSG;
    l->file->base_ns = rec->base_ns;
    l->vector = rec->vector;
    memcpy(l->next, rec->next, sizeof l->next);
    return 0;
}

static int load_record(void *arg, const struct spool_record *rec, uint64_t offset, uint64_t end)
{
    struct load *l = arg;
    int r = 0;
    if (l->open)
        r = spool_fragment_hole(l->open, offset, end);
    if (r < 0)
        return r;
    switch (rec->type) {
    case SPOOL_RECORD_BEGIN:
        return load_begin(l, rec);
    case SPOOL_RECORD_VECTOR:
        load_vector(l, rec, offset);
        return 0;
    case SPOOL_RECORD_GAP:
        return load_gap(l, rec, offset);
    case SPOOL_RECORD_ENDED:
        l->ended = true;
        load_close(l);
        return 0;
    case SPOOL_RECORD_CLOSED:
        load_close(l);
        return 0;
    case SPOOL_RECORD_SUM:
        load_sum(l, rec, offset);
        return 0;
    case SPOOL_RECORD_CONTINUES:
        l->file->continues = true;
        return 0;
    case SPOOL_RECORD_NONE:
        break;
    }
    return -EBADMSG;
}

/* One pass from `start` (0, or a fragment). Returns up to where the file is whole. */
static uint64_t load_part(struct load *l, int fd, uint64_t start, int *error)
{
    static const struct spool_scan_ops ops = {.header = load_header,
                                              .fragment = load_fragment,
                                              .block = load_block,
                                              .record = load_record};
    struct spool_scan scan;
    spool_scan_init(&scan, &ops, l);
    *error = start ? spool_scan_resume(&scan, l->file->segment, start) : 0;
    if (*error == 0)
        *error = spool_scan_fd(&scan, fd);
    uint64_t whole = spool_scan_whole(&scan);
    spool_scan_fini(&scan);
    return whole;
}

static bool is_damage(int error)
{
    return error == -EBADMSG || error == -EFBIG || error == -ENOBUFS || error == -EIO;
}

/* Fills file and *l; returns the length that is whole. What is broken in the middle is passed over.
 */
static uint64_t load_file(struct load *l, int fd, int *error)
{
    struct spool_record rec;
    l->fd = fd;
    uint64_t whole = load_part(l, fd, 0, error);
    while (whole && whole < l->file->bytes && (*error == 0 || is_damage(*error))) {
        if (l->open && l->open->sum_end)
            load_close(l);
        uint64_t at = l->open ? l->open->offset : whole, resume;
        uint64_t end = spool_damage_next(fd, whole, l->file->bytes, l->open ? at : 0, &rec);
        if (!end)
            break;
        if (l->open && rec.first == at)
            lose(l, at, resume = end, rec.from, rec.next);
        else
            lose(l, at, resume = rec.first, l->open ? l->open->from : l->next, rec.from);
        whole = load_part(l, fd, resume, error);
    }
    l->file->scanned = true;
    return whole;
}

static int stop_at_begin(void *arg, const struct spool_record *rec, uint64_t offset, uint64_t end)
{
    *(struct spool_record *)arg = *rec;
    return -ECANCELED;
}

/* The numbers with which the file behind this one begins, when it goes on with the same epoch. */
static bool next_begin(struct spool *s, const struct spool_file *file, uint64_t epoch,
                       struct spool_record *rec)
{
    static const struct spool_scan_ops ops = {.record = stop_at_begin};
    const struct spool_file *next = TAILQ_NEXT(file, entry);
    struct spool_scan scan;
    char name[16];
    if (!next)
        return false;
    spool_file_name(next->number, name);
    int fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    spool_scan_init(&scan, &ops, rec);
    int r = spool_scan_fd(&scan, fd);
    spool_scan_fini(&scan);
    close(fd);
    return r == -ECANCELED && rec->vector.n && (!epoch || rec->vector.v[0] == epoch);
}

/* The end of an older file, or all of it, cannot be read. */
static void lose_rest(struct load *l, int fd, uint64_t whole)
{
    struct spool_record first, next = {0};
    uint64_t epoch = l->vector.n ? l->vector.v[0] : 0;
    if (!whole && spool_damage_next(fd, 0, l->file->bytes, 0, &first))
        memcpy(l->next, first.from, sizeof l->next); /* as near as can be known */
    if (!next_begin(l->s, l->file, epoch, &next))
        memcpy(next.next, l->next, sizeof next.next);
    bool broken = l->open && !l->open->sum_end;
    if (!broken)
        load_close(l);
    lose(l, broken ? l->open->offset : whole, l->file->bytes, broken ? l->open->from : l->next,
         next.next);
}

void spool_file_scan(struct spool *s, struct spool_file *file)
{
    struct timeline timeline;
    struct load l = {.s = s, .file = file, .timeline = &timeline};
    char name[16];
    int error = 0;
    if (file->scanned)
        return;
    spool_file_name(file->number, name);
    int fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
        return; /* passes: what is in it must not count as sent */
    file->scanned = true;
    if (fd < 0) {
        log_error("uploader.spool.scan", "stream=%s file=%s error=\"%s\"", s->stream, name,
                  strerror(errno));
        return;
    }
    timeline_init(&timeline, spool_tell, s);
    uint64_t whole = load_file(&l, fd, &error);
    if (whole < file->bytes)
        lose_rest(&l, fd, whole);
    timeline_settle(&timeline);
    load_close(&l);
    close(fd);
}

static int load_tail(struct spool *s, struct spool_file *file, int fd, uint64_t whole)
{
    if (whole == file->bytes)
        return 0;
    s->torn = true;
    log_warn("uploader.spool.torn_tail",
             "stream=%s file=%06u.mkv cut_bytes=%" PRIu64 " at=%" PRIu64, s->stream, file->number,
             file->bytes - whole, whole);
    if (ftruncate(fd, (off_t)whole) < 0)
        return -errno;
    s->total_bytes -= file->bytes - whole;
    file->bytes = whole;
    return 0;
}

/* A last file without its first record: it was never whole, or its head is damaged. */
static void set_aside(struct spool *s, struct spool_file *file, int fd, const char *name)
{
    char aside[32];
    struct spool_record rec;
    if (spool_damage_next(fd, 0, file->bytes, 0, &rec)) {
        snprintf(aside, sizeof aside, "%s.damaged", name);
        log_error("uploader.spool.damaged",
                  "stream=%s file=%s at=0 bytes=%" PRIu64 " effect=\"set aside as %s, not sent\" "
                  "do=\"check the disk\"",
                  s->stream, name, file->bytes, aside);
        renameat(s->dirfd, name, s->dirfd, aside);
        s->torn = true;
    } else {
        log_warn("uploader.spool.torn_tail",
                 "stream=%s file=%s cut_bytes=%" PRIu64 " note=\"no record in it\"", s->stream,
                 name, file->bytes);
        unlinkat(s->dirfd, name, 0);
    }
    s->total_bytes -= file->bytes;
    TAILQ_REMOVE(&s->files, file, entry);
    spool_file_free(file);
}

/* Takes over the last file that has at least its first record; removes one that has not. */
static int load_last(struct spool *s)
{
    struct spool_file *file;
    while ((file = TAILQ_LAST(&s->files, spool_files))) {
        struct load l = {.s = s, .file = file, .timeline = &s->timeline};
        char name[16];
        int error = 0;
        spool_file_name(file->number, name);
        int fd = openat(s->dirfd, name, O_RDWR | O_CLOEXEC);
        if (fd < 0)
            return -errno;
        uint64_t whole = load_file(&l, fd, &error);
        if (error < 0 && !is_damage(error)) {
            close(fd);
            return error;
        }
        if (whole && file->segment) {
            file->fd = fd;
            s->open = l.open;
            s->vector = l.vector;
            s->ended = l.ended;
            memcpy(s->next, l.next, sizeof s->next);
            int r = load_tail(s, file, fd, whole);
            return r < 0 || !s->open ? r
                                     : spool_damage_sum(fd, s->open->offset, whole, &s->open->crc);
        }
        set_aside(s, file, fd, name);
        close(fd);
    }
    return 0;
}

/* Vector and positions from before the first file. */
static void load_start(struct spool *s)
{
    uint8_t body[SPOOL_RECORD_MAX_BYTES];
    struct spool_record rec;
    int fd = openat(s->dirfd, "start", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, body, sizeof body) : -1;
    if (fd >= 0)
        close(fd);
    if (n <= 0 || spool_record_decode(body, (size_t)n, &rec) < 0 || rec.type != SPOOL_RECORD_VECTOR)
        return;
    s->vector = rec.vector;
    memcpy(s->next, rec.next, sizeof s->next);
}

static void load_cursor(struct spool *s)
{
    char text[64] = "";
    int fd = openat(s->dirfd, "cursor", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    unsigned number;
    uint64_t offset;
    if (n > 0 && sscanf(text, "%u %" SCNu64, &number, &offset) == 2 && number <= 999999) {
        s->cursor_file = number;
        s->cursor_offset = offset;
    }
}

/* A cursor may not point past what is there: fragments appended later would count as archived. */
static void clamp_cursor(struct spool *s)
{
    struct spool_file *head = TAILQ_LAST(&s->files, spool_files);
    unsigned last = head ? head->number : 0;
    if (s->cursor_file > s->next_file - 1) {
        s->next_file = s->cursor_file + 1;
    } else if (head && s->cursor_file == last && s->cursor_offset > head->bytes) {
        s->cursor_offset = head->bytes;
        spool_cursor_write(s);
    }
    struct spool_file *file;
    TAILQ_FOREACH (file, &s->files, entry)
        if (file->number < s->cursor_file && file != head)
            file->archived = true;
}

static int is_file(const struct dirent *d)
{
    size_t digits = strspn(d->d_name, "0123456789");
    return digits == 6 && strcmp(d->d_name + 6, ".mkv") == 0;
}

static int load_names(struct spool *s)
{
    struct dirent **names = NULL;
    int n = scandirat(s->dirfd, ".", &names, is_file, alphasort);
    if (n < 0)
        return -errno;
    for (int i = 0; i < n; i++) {
        struct stat st;
        if (fstatat(s->dirfd, names[i]->d_name, &st, 0) == 0 && S_ISREG(st.st_mode)) {
            struct spool_file *file = spool_file_new((unsigned)strtoul(names[i]->d_name, NULL, 10));
            file->bytes = (uint64_t)st.st_size;
            s->total_bytes += file->bytes;
            s->next_file = file->number + 1;
            TAILQ_INSERT_TAIL(&s->files, file, entry);
        }
        free(names[i]);
    }
    free(names);
    return 0;
}

static int open_dir(struct spool *s, const char *path)
{
    int r = dirs_make(path, 0750);
    if (r < 0)
        return r;
    s->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dirfd < 0)
        return -errno;
    s->lockfd = openat(s->dirfd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (s->lockfd < 0 || flock(s->lockfd, LOCK_EX | LOCK_NB) < 0)
        return -errno;
    return 0;
}

static int load_all(struct spool *s)
{
    int r = load_names(s);
    struct spool_file *first = TAILQ_FIRST(&s->files);
    if (r == 0)
        r = ledger_open(s->dirfd, s->stream, first ? first->number : 1, &s->ledger);
    timeline_init(&s->timeline, spool_tell, s);
    load_cursor(s);
    if (r == 0)
        r = load_last(s);
    if (r == 0 && TAILQ_EMPTY(&s->files))
        load_start(s);
    if (r == 0)
        clamp_cursor(s);
    return r;
}

int spool_open(const struct spool_conf *conf, struct syncer *syncer, struct spool **out)
{
    struct spool *s = xcalloc(1, sizeof *s);
    char *path = xasprintf("%s/%s", conf->dir, conf->stream);
    *s = (struct spool){.stream = xstrdup(conf->stream),
                        .dirfd = -1,
                        .lockfd = -1,
                        .max_bytes = conf->max_bytes,
                        .file_ns = conf->file_ns,
                        .keep_ns = conf->keep_ns,
                        .when_full = conf->when_full,
                        .sync = conf->sync && syncer,
                        .durations = conf->durations,
                        .sizes = conf->sizes,
                        .syncer = syncer,
                        .next_file = 1};
    TAILQ_INIT(&s->files);
    int r = open_dir(s, path);
    if (r == 0)
        r = load_all(s);
    if (r == -EWOULDBLOCK)
        log_error("uploader.spool.locked",
                  "stream=%s dir=%s cause=\"another uploader works on this spool\" do=\"stop it, "
                  "or give this "
                  "one another spool.dir\"",
                  conf->stream, path);
    else if (r < 0)
        log_error("uploader.spool.open",
                  "stream=%s dir=%s error=\"%s\" do=\"check that the directory can be written\"",
                  conf->stream, path, strerror(-r));
    free(path);
    if (r < 0)
        spool_close(&s);
    *out = s;
    return r;
}

void spool_close(struct spool **sp)
{
    struct spool *s = *sp;
    struct spool_file *file;
    if (!s)
        return;
    file = TAILQ_LAST(&s->files, spool_files);
    if (s->sync && file && file->fd >= 0)
        syncer_request(s->syncer, file->fd, false, s->stream);
    if (s->ledger)
        timeline_settle(&s->timeline);
    ledger_close(&s->ledger);
    while ((file = TAILQ_FIRST(&s->files))) {
        TAILQ_REMOVE(&s->files, file, entry);
        spool_file_free(file);
    }
    if (s->lockfd >= 0)
        close(s->lockfd);
    if (s->dirfd >= 0)
        close(s->dirfd);
    free(s->stream);
    free(s);
    *sp = NULL;
}
