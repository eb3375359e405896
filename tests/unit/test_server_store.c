/* The store and its archive (server/store.h, server/archive.h) on a directory of its own.
 * Relies on Check and libevent.
 * Leaves crashes of the process to tests/conformance/server. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/archive_private.h"
#include "server/archive_seal.h"
#include "server/kms.h"
#include "server/store.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

/* What was synced when: these stand in front of the C library's for the server and for sqlite. */
static struct {
    char path[400];
    long size;
    int order;
} synced[256];
static int nsynced, order;
static pthread_mutex_t synced_lock = PTHREAD_MUTEX_INITIALIZER;

static void note_synced(const char *path, long size)
{
    pthread_mutex_lock(&synced_lock);
    int i = 0;
    while (i < nsynced && strcmp(synced[i].path, path) != 0)
        i++;
    ck_assert_int_lt(i, 256);
    nsynced += i == nsynced;
    snprintf(synced[i].path, sizeof synced[i].path, "%s", path);
    synced[i].size = size;
    synced[i].order = ++order;
    pthread_mutex_unlock(&synced_lock);
}

static void note_synced_fd(int fd)
{
    char link[64], path[400];
    struct stat sb;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0 || fstat(fd, &sb) < 0)
        return;
    path[n] = '\0';
    note_synced(path, (long)sb.st_size);
}

int fdatasync(int fd)
{
    note_synced_fd(fd);
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    note_synced_fd(fd);
    return (int)syscall(SYS_fsync, fd);
}

static int note_file(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    if (type == FTW_F && strstr(path, ".mkv"))
        note_synced(path, (long)sb->st_size);
    return 0;
}

static struct event_base *base;
static struct store *store;
static char dir[64];
static int waiting, last_result, stored_count;
static struct kms *kms;

int syncfs(int fd)
{
    nftw(dir, note_file, 8, FTW_PHYS);
    return (int)syscall(SYS_syncfs, fd);
}

static void open_store(void)
{
    ck_assert_int_eq(store_open(base, dir, "us-west-2", &store), 0);
}

static void setup(void)
{
    log_set_level(LOG_ERROR);
    /* In memory where that can be: what is tested is order, not the disk. */
    snprintf(dir, sizeof dir, "%s/kvpipe-store-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    base = event_base_new();
    waiting = stored_count = 0;
    open_store();
}

static void teardown(void)
{
    store_close(&store);
    kms_free(&kms);
    event_base_free(base);
    scratch_remove(dir);
}

static void wait_done(void)
{
    while (waiting)
        event_base_loop(base, EVLOOP_ONCE);
}

static void created(void *arg, struct stream *st, int result)
{
    waiting--;
    last_result = result;
}

static void deleted(void *arg, int result)
{
    waiting--;
    last_result = result;
}

static struct stream *make(const char *name, uint32_t retention_h)
{
    struct stream_spec spec = {.name = name, .retention_h = retention_h};
    waiting++;
    struct stream *st = store_create(store, &spec, created, NULL);
    ck_assert_ptr_nonnull(st);
    wait_done();
    ck_assert_int_eq(last_result, 0);
    return st;
}

static void stored(void *arg, struct fragment *f, int result)
{
    waiting--;
    last_result = result;
    stored_count++;
}

static int64_t add(struct stream *st, const char *header, const char *data, int64_t server_ms)
{
    struct fragment *f =
        fragment_new(blob_copy(header, strlen(header)), blob_copy(data, strlen(data)));
    f->row.seq = stream_next_seq(st, server_ms * NS_PER_MS);
    f->row.server_ms = f->row.producer_ms = server_ms;
    f->row.length_ms = 1000;
    f->row.cluster_len = (uint32_t)strlen(data);
    int64_t seq = f->row.seq;
    waiting++;
    stream_add(st, f, stored, NULL);
    return seq;
}

static struct archive_reader *reader(void)
{
    struct archive_reader *r;
    ck_assert_int_eq(archive_reader_open(dir, &r), 0);
    return r;
}

static int count(struct stream *st)
{
    static struct archive_row rows[1000];
    struct archive_reader *r = reader();
    int n = archive_list(r, st->id, ARCHIVE_SERVER_CLOCK, 0, INT64_MAX, INT64_MIN, 0, rows, 1000);
    archive_reader_close(&r);
    return n;
}

static int files(struct stream *st)
{
    char path[400];
    int n = 0;
    snprintf(path, sizeof path, "%s/%s", dir, st->folder);
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d)))
        n += strstr(e->d_name, ".mkv") != NULL;
    if (d)
        closedir(d);
    return n;
}

START_TEST(names_are_unique)
{
    struct stream_spec spec = {.name = "a"};
    make("a", 1);
    ck_assert_ptr_null(store_create(store, &spec, created, NULL));
}
END_TEST

START_TEST(streams_outlive_a_restart)
{
    make("b", 3);
    char *arn = strdup(make("a", 0)->arn);
    store_close(&store);
    open_store();
    ck_assert_str_eq(store_first(store)->name, "a");
    ck_assert_str_eq(store_find(store, "a")->arn, arn);
    ck_assert_uint_eq(store_find(store, "b")->retention_h, 3);
    ck_assert_int_eq(store_find(store, "a")->status, STREAM_ACTIVE);
    free(arn);
}
END_TEST

START_TEST(fragments_are_archived_in_one_file_until_the_header_changes)
{
    struct stream *st = make("a", 1);
    int64_t first = add(st, "HEAD", "one", 1000);
    add(st, "HEAD", "two", 2000);
    wait_done();
    ck_assert_int_eq(last_result, 1);
    ck_assert_int_eq(files(st), 1);
    add(st, "OTHER", "three", 3000);
    wait_done();
    ck_assert_int_eq(files(st), 2);
    ck_assert_int_eq(count(st), 3);

    struct archive_reader *r = reader();
    struct archive_row row;
    ck_assert_int_eq(archive_after(r, st->id, first, &row), 1);
    ck_assert_uint_eq(row.offset, 7);
    char bytes[8] = "";
    int fd = archive_open_file(r, st->folder, row.file);
    ck_assert_int_eq(pread(fd, bytes, row.length, (off_t)row.offset), 3);
    ck_assert_str_eq(bytes, "two");
    close(fd);
    archive_reader_close(&r);
}
END_TEST

START_TEST(numbers_rise_across_restarts_and_clock_steps)
{
    struct stream *st = make("a", 1);
    int64_t a = add(st, "H", "one", 5000);
    int64_t b = add(st, "H", "two", 1000);
    wait_done();
    ck_assert_int_gt(b, a);
    store_close(&store);
    open_store();
    ck_assert_int_gt(stream_next_seq(store_find(store, "a"), 1), b);
}
END_TEST

START_TEST(numbers_rise_for_streams_that_keep_nothing)
{
    struct stream *st = make("a", 0);
    int64_t a = add(st, "H", "one", 5000);
    ck_assert_int_eq(last_result, 0);
    ck_assert_int_eq(waiting, 0);
    store_close(&store);
    open_store();
    ck_assert_int_gt(stream_next_seq(store_find(store, "a"), 1), a);
    ck_assert_int_eq(count(store_find(store, "a")), 0);
}
END_TEST

START_TEST(numbers_that_were_told_but_never_stored_do_not_come_again)
{
    struct stream *st = make("a", 1);
    int64_t told = stream_next_seq(st, 5000 * NS_PER_S);
    for (int s = 1; s <= 100; s++)
        told = stream_next_seq(st, (5000 + s) * NS_PER_S);
    for (int restart = 0; restart < 3; restart++) {
        store_close(&store);
        open_store();
        st = store_find(store, "a");
        for (int i = 0; i < 10; i++) {
            int64_t seq = stream_next_seq(st, 1000 * NS_PER_S); /* the clock went back */
            ck_assert_int_gt(seq, told);
            told = seq;
        }
    }
    ck_assert_int_lt(told, 5200 * NS_PER_S);
}
END_TEST

/* Adds a fragment whose number was given out earlier. */
static void add_late(struct stream *st, int64_t seq)
{
    struct fragment *f = fragment_new(blob_copy("H", 1), blob_copy("x", 1));
    f->row.seq = seq;
    f->row.cluster_len = 1;
    waiting++;
    stream_add(st, f, stored, NULL);
}

START_TEST(readers_can_tell_that_a_lower_number_is_still_coming)
{
    struct stream *st = make("a", 1);
    struct stream_producer first = {0}, second = {0};
    TAILQ_INSERT_TAIL(&st->producers, &first, link);
    TAILQ_INSERT_TAIL(&st->producers, &second, link);
    first.open_seq = stream_next_seq(st, 1000);
    second.open_seq = stream_next_seq(st, 2000);
    int64_t low = first.open_seq, high = second.open_seq;
    second.open_seq = 0;
    add_late(st, high);
    ck_assert_int_eq(stream_ring_after(st, 0)->row.seq, high);
    ck_assert(stream_gap_open(st, 0, high));
    ck_assert(!stream_gap_open(st, low, high));
    first.open_seq = 0;
    add_late(st, low);
    ck_assert(!stream_gap_open(st, 0, high));
    ck_assert_int_eq(stream_ring_after(st, 0)->row.seq, low);
    ck_assert_int_eq(stream_ring_after(st, low)->row.seq, high);
    TAILQ_INIT(&st->producers);
    wait_done();
}
END_TEST

START_TEST(buffer_of_retention_zero_is_bounded)
{
    struct stream *st = make("a", 0);
    static char big[40 << 20];
    memset(big, 'x', sizeof big - 1);
    for (int i = 0; i < 8; i++)
        add(st, "H", big, 1000 + i);
    ck_assert_uint_le(st->ring_bytes, 200u << 20);
    ck_assert_ptr_nonnull(stream_ring_after(st, st->evicted_seq));
    ck_assert_int_gt(st->evicted_seq, 0);
}
END_TEST

START_TEST(torn_tail_is_cut_and_stray_files_go)
{
    struct stream *st = make("a", 1);
    char path[400], stray[400], folder[232];
    add(st, "HEAD", "one", 1000);
    wait_done();
    snprintf(folder, sizeof folder, "%s", st->folder);
    store_close(&store);
    snprintf(path, sizeof path, "%s/%s/0001.mkv", dir, folder);
    snprintf(stray, sizeof stray, "%s/%s/0002.mkv", dir, folder);
    FILE *f = fopen(path, "a");
    fputs("torn", f);
    fclose(f);
    f = fopen(stray, "w");
    fclose(f);
    open_store();
    struct stat sb;
    ck_assert_int_eq(stat(path, &sb), 0);
    ck_assert_int_eq(sb.st_size, 7);
    ck_assert_int_ne(stat(stray, &sb), 0);
}
END_TEST

START_TEST(file_that_lost_its_end_loses_those_rows)
{
    struct stream *st = make("a", 1);
    char path[400];
    add(st, "HEAD", "one", 1000);
    add(st, "HEAD", "two", 2000);
    wait_done();
    snprintf(path, sizeof path, "%s/%s/0001.mkv", dir, st->folder);
    store_close(&store);
    ck_assert_int_eq(truncate(path, 8), 0);
    log_set_level(LOG_NONE);
    open_store();
    ck_assert_int_eq(count(store_find(store, "a")), 1);
}
END_TEST

START_TEST(sweep_removes_old_fragments_and_empty_files)
{
    struct stream *st = make("a", 1);
    int64_t now = clock_wall_ns() / NS_PER_MS;
    add(st, "HEAD", "old", now - 2 * 3600000);
    add(st, "OTHER", "older but one", now - 3500000);
    add(st, "OTHER", "new", now);
    wait_done();
    ck_assert_int_eq(files(st), 2);
    store_sweep(store, now * NS_PER_MS);
    add(st, "OTHER", "newer", now + 1);
    wait_done();
    ck_assert_int_eq(count(st), 3);
    ck_assert_int_eq(files(st), 1);
}
END_TEST

START_TEST(sweep_of_very_many_goes_in_pieces_to_the_end)
{
    struct stream *st = make("a", 1);
    int64_t now = clock_wall_ns() / NS_PER_MS;
    for (int i = 0; i < 2 * ARCHIVE_SWEEP_ROWS + 10; i++)
        add(st, "HEAD", "old", now - 2 * 3600000 + i);
    add(st, "OTHER", "new", now);
    wait_done();
    store_sweep(store, now * NS_PER_MS);
    while (files(st) != 1)
        event_base_loop(base, EVLOOP_ONCE);
    ck_assert_int_eq(count(st), 1);
}
END_TEST

START_TEST(deleted_stream_takes_no_more_and_leaves_nothing)
{
    struct stream *st = make("a", 1);
    char path[400];
    add(st, "HEAD", "one", 1000);
    wait_done();
    snprintf(path, sizeof path, "%s/%s", dir, st->folder);
    stream_ref(st);
    int64_t id = st->id;
    waiting++;
    store_delete(st, deleted, NULL);
    ck_assert_ptr_null(store_find(store, "a"));
    add(st, "HEAD", "two", 2000);
    ck_assert_int_lt(last_result, 0);
    wait_done();
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_eq(count(&(struct stream){.id = id}), 0);
    stream_unref(&st);
}
END_TEST

START_TEST(failed_write_leaves_file_and_index_as_they_were)
{
    struct stream *st = make("a", 1);
    char path[400], away[128];
    snprintf(path, sizeof path, "%s/%s", dir, st->folder);
    snprintf(away, sizeof away, "%s/away", dir);
    ck_assert_int_eq(rename(path, away), 0);
    log_set_level(LOG_NONE);
    add(st, "HEAD", "one", 1000);
    wait_done();
    ck_assert_int_lt(last_result, 0);
    ck_assert_ptr_null(stream_ring_after(st, 0));
    ck_assert_int_eq(rename(away, path), 0);
    add(st, "HEAD", "two", 2000);
    wait_done();
    ck_assert_int_eq(last_result, 1);
    ck_assert_int_eq(count(st), 1);
}
END_TEST

static int append(struct archive *a, struct archive_file *f, int64_t id, int64_t seq)
{
    struct blob *header = blob_copy("HEAD", 4), *data = blob_copy("data", 4);
    struct archive_row row = {.seq = seq, .cluster_len = 4, .server_ms = seq};
    struct archive_target to = {.stream = id, .folder = "folder", .arn = "arn"};
    int r = archive_append(a, f, &to, header, data, &row);
    blob_unref(&header);
    blob_unref(&data);
    return r;
}

/* As SQLite does when the disk is full: what was in the batch is gone, and what follows must not be
 * committed one by one, unsynced. */
START_TEST(transaction_that_sqlite_ended_takes_nothing_more)
{
    char path[128];
    struct archive *a;
    struct archive_stream s = {
        .name = "a", .folder = "folder", .arn = "arn", .version = "v", .retention_h = 1};
    int64_t id;
    snprintf(path, sizeof path, "%s/other", dir);
    log_set_level(LOG_NONE);
    ck_assert_int_eq(archive_open(path, &a), 0);
    ck_assert_int_eq(archive_add_stream(a, &s, &id), 0);
    ck_assert_int_eq(archive_commit(a), 0);
    struct archive_file *f = archive_file_new();
    ck_assert_int_eq(append(a, f, id, 1), 0);
    ck_assert_int_eq(sqlite3_exec(a->db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_lt(append(a, f, id, 2), 0);
    ck_assert_int_lt(archive_commit(a), 0);
    ck_assert_int_eq(append(a, f, id, 3), 0);
    ck_assert_int_eq(archive_commit(a), 0);
    struct archive_reader *r;
    struct archive_row rows[4];
    ck_assert_int_eq(archive_reader_open(path, &r), 0);
    ck_assert_int_eq(archive_list(r, id, ARCHIVE_SERVER_CLOCK, 0, INT64_MAX, INT64_MIN, 0, rows, 4),
                     1);
    ck_assert_int_eq(rows[0].seq, 3);
    archive_reader_close(&r);
    archive_file_free(a, &f);
    archive_close(&a);
}
END_TEST

/* ---- what PERSISTED means ---- */

static int synced_at(const char *path, long size)
{
    int at = 0;
    pthread_mutex_lock(&synced_lock);
    for (int i = 0; i < nsynced; i++)
        if (!strcmp(synced[i].path, path) && synced[i].size >= size)
            at = synced[i].order;
    pthread_mutex_unlock(&synced_lock);
    return at;
}

static void stored_and_synced(void *arg, struct fragment *f, int result)
{
    const struct stream *st = arg;
    char path[400], wal[128], folder[400];
    ck_assert_int_eq(result, 1);
    snprintf(path, sizeof path, "%s/%s/%04u.mkv", dir, st->folder, f->row.file);
    snprintf(folder, sizeof folder, "%s/%s", dir, st->folder);
    snprintf(wal, sizeof wal, "%s/index.sqlite-wal", dir);
    int data = synced_at(path, (long)(f->row.offset + f->row.length)), row = synced_at(wal, 1);
    ck_assert_int_gt(data, 0);
    ck_assert_int_gt(row, data);
    ck_assert_int_gt(synced_at(folder, 0), 0);
    waiting--;
}

/* One stream's file is synced by itself, many by one syncfs. */
START_TEST(no_fragment_is_persisted_before_file_folder_and_index_are_synced)
{
    static const char text[] = "fragment";
    struct stream *st[16];
    int n = _i;
    for (int i = 0; i < n; i++) {
        char name[8];
        snprintf(name, sizeof name, "s%d", i);
        st[i] = make(name, 1);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < n; i++) {
            struct fragment *f = fragment_new(blob_copy("HEAD", 4), blob_copy(text, sizeof text));
            f->row.seq = stream_next_seq(st[i], (round + 1) * NS_PER_S);
            waiting++;
            stream_add(st[i], f, stored_and_synced, st[i]);
        }
        wait_done();
    }
}
END_TEST

/* ---- what a disk can do ---- */

static void path_of(const struct stream *st, const char *name, char out[400])
{
    snprintf(out, 400, "%s/%s/%s", dir, st->folder, name);
}

static long size_of(const char *path)
{
    struct stat sb;
    return stat(path, &sb) == 0 ? (long)sb.st_size : -1;
}

/* Reads a fragment back, or returns the error. */
static int read_back(const struct stream *st, int64_t seq, char *out, size_t n)
{
    struct archive_reader *r = reader();
    struct archive_row row;
    struct archive_in *in = NULL;
    archive_reader_use_kms(r, kms);
    ck_assert_int_eq(archive_after(r, st->id, seq - 1, &row), 1);
    ck_assert_int_eq(row.seq, seq);
    int err = archive_in_open(r, st->id, st->folder, row.file, &in);
    if (err == 0)
        err = archive_in_fragment(in, &row, 0, out, row.length < n ? row.length : n);
    archive_in_close(&in);
    archive_reader_close(&r);
    return err;
}

#define THREE "three fragments of some length"

/* The file ends anywhere: what is whole stays, what is not leaves the index. */
START_TEST(file_cut_at_any_byte_keeps_what_is_whole)
{
    struct stream *st = make("a", 1);
    char path[400];
    static const int ends[] = {4 + 30, 4 + 60, 4 + 90};
    for (int i = 0; i < 3; i++)
        add(st, "HEAD", THREE, 1000 + i);
    wait_done();
    path_of(st, "0001.mkv", path);
    log_set_level(LOG_NONE);
    for (int cut = 4 + 90; cut >= 0; cut -= 7) {
        store_close(&store);
        ck_assert_int_eq(truncate(path, cut), 0);
        open_store();
        int whole = 0;
        while (whole < 3 && ends[whole] <= cut)
            whole++;
        ck_assert_int_eq(count(store_find(store, "a")), whole);
    }
}
END_TEST

START_TEST(missing_file_takes_only_its_own_fragments)
{
    struct stream *st = make("a", 1), *other = make("b", 1);
    char path[400];
    add(st, "HEAD", "one", 1000);
    add(st, "OTHER", "two", 2000);
    add(other, "HEAD", "three", 2000);
    wait_done();
    path_of(st, "0001.mkv", path);
    store_close(&store);
    ck_assert_int_eq(unlink(path), 0);
    log_set_level(LOG_NONE);
    open_store();
    ck_assert_int_eq(count(store_find(store, "a")), 1);
    ck_assert_int_eq(count(store_find(store, "b")), 1);
    add(store_find(store, "a"), "HEAD", "four", 3000);
    wait_done();
    ck_assert_int_eq(last_result, 1);
}
END_TEST

START_TEST(missing_folder_is_not_taken_for_an_empty_one)
{
    struct stream *st = make("a", 1);
    char folder[400], away[128];
    int64_t seq = add(st, "HEAD", "one", 1000);
    wait_done();
    path_of(st, "", folder);
    snprintf(away, sizeof away, "%s/away", dir);
    store_close(&store);
    ck_assert_int_eq(rename(folder, away), 0);
    log_set_level(LOG_NONE);
    open_store();
    st = store_find(store, "a");
    char out[8];
    ck_assert_int_eq(read_back(st, seq, out, sizeof out), -ENOENT);
    add(st, "HEAD", "two", 2000);
    wait_done();
    ck_assert_int_lt(last_result, 0);
    store_close(&store);
    ck_assert_int_eq(rename(away, folder), 0);
    open_store();
    ck_assert_int_eq(count(store_find(store, "a")), 1);
}
END_TEST

/* Each page in turn is overwritten: the server says so or works, and changes no video. */
START_TEST(damaged_index_is_said_and_harms_no_file)
{
    struct stream *st = make("a", 1);
    char index[128], copy[128], path[400], cmd[800];
    for (int i = 0; i < 50; i++)
        add(st, "HEAD", THREE, 1000 + i);
    wait_done();
    path_of(st, "0001.mkv", path);
    long size = size_of(path);
    store_close(&store);
    snprintf(index, sizeof index, "%s/index.sqlite", dir);
    snprintf(copy, sizeof copy, "%s/copy", dir);
    snprintf(cmd, sizeof cmd, "cp %s %s", index, copy);
    ck_assert_int_eq(system(cmd), 0);
    log_set_level(LOG_NONE);
    for (long at = 0; at < size_of(copy); at += 4096) {
        snprintf(cmd, sizeof cmd,
                 "rm -f %s-wal %s-shm; cp %s %s; "
                 "head -c 4096 /dev/zero | tr '\\0' '\\252' | dd of=%s bs=1 seek=%ld "
                 "conv=notrunc 2>/dev/null",
                 index, index, copy, index, index, at);
        ck_assert_int_eq(system(cmd), 0);
        int r = store_open(base, dir, "us-west-2", &store);
        if (at == 0)
            ck_assert_int_eq(r, -EBADMSG);
        if (r == 0 && (st = store_find(store, "a"))) {
            add(st, "OTHER", "more", 5000);
            wait_done();
        }
        store_close(&store);
        ck_assert_int_eq(size_of(path), size);
    }
    snprintf(cmd, sizeof cmd, "rm -f %s-wal %s-shm; cp %s %s", index, index, copy, index);
    ck_assert_int_eq(system(cmd), 0);
    open_store();
    ck_assert_int_eq(count(store_find(store, "a")), 50);
}
END_TEST

/* ---- encryption ---- */

#define MASTER                                                                                     \
    "{\"keys\":[{\"id\":\"mine\",\"material\":"                                                    \
    "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\",\"state\":\"%s\"}]}"

static void master_key(const char *state)
{
    char path[128], tmp[128];
    snprintf(path, sizeof path, "%s/master", dir);
    snprintf(tmp, sizeof tmp, "%s/master.new", dir);
    FILE *f = fopen(tmp, "w");
    fprintf(f, MASTER, state);
    fclose(f);
    ck_assert_int_eq(chmod(tmp, 0600), 0);
    ck_assert_int_eq(rename(tmp, path), 0);
    if (!kms)
        ck_assert_int_eq(kms_file_open(path, &kms), 0);
    store_use_kms(store, kms);
}

static struct stream *make_sealed(void)
{
    struct stream_spec spec = {.name = "sealed", .retention_h = 1, .kms_key = "mine"};
    waiting++;
    struct stream *st = store_create(store, &spec, created, NULL);
    wait_done();
    return st;
}

static bool on_disk(const struct stream *st, const char *text)
{
    char cmd[512];
    snprintf(cmd, sizeof cmd, "grep -qr '%s' %s", text, dir);
    return system(cmd) == 0;
}

START_TEST(encrypted_stream_has_nothing_in_clear_on_disk_and_reads_back)
{
    static char big[3 * ARCHIVE_SEGMENT_LEN + 1], out[sizeof big];
    master_key("Enabled");
    struct stream *st = make_sealed();
    memset(big, 'x', sizeof big - 1);
    memcpy(big + ARCHIVE_SEGMENT_LEN - 3, "SECRET", 6);
    add(st, "PRIVATE", "secret one", 1000);
    int64_t two = add(st, "PRIVATE", big, 2000);
    wait_done();
    ck_assert_int_eq(last_result, 1);
    ck_assert(!on_disk(st, "secret") && !on_disk(st, "SECRET") && !on_disk(st, "PRIVATE"));
    ck_assert_int_eq(read_back(st, two, out, sizeof out), 0);
    ck_assert_mem_eq(out, big, sizeof big - 1);
    store_close(&store);
    open_store();
    store_use_kms(store, kms);
    ck_assert_int_eq(count(store_find(store, "sealed")), 2);
}
END_TEST

START_TEST(key_that_is_disabled_stores_and_gives_nothing)
{
    master_key("Enabled");
    struct stream *st = make_sealed();
    char out[8];
    int64_t one = add(st, "HEAD", "one", 1000);
    wait_done();
    master_key("Disabled");
    ck_assert_int_eq(read_back(st, one, out, sizeof out), -4501);
    log_set_level(LOG_NONE);
    add(st, "HEAD", "two", 2000); /* in the file whose data key is there */
    wait_done();
    ck_assert_int_eq(last_result, -4501);
    add(st, "OTHER", "two", 2000); /* in a new one */
    wait_done();
    ck_assert_int_eq(last_result, -4501);
    master_key("Enabled");
    ck_assert_int_eq(read_back(st, one, out, sizeof out), 0);
    add(st, "OTHER", "two", 2000);
    wait_done();
    ck_assert_int_eq(last_result, 1);
}
END_TEST

START_TEST(encrypted_file_that_was_changed_anywhere_is_not_given)
{
    master_key("Enabled");
    struct stream *st = make_sealed();
    char path[400], out[64];
    int64_t one = add(st, "HEAD", "some text", 1000);
    wait_done();
    path_of(st, "0001.mkv.enc", path);
    long size = size_of(path), record = size - 9 - ARCHIVE_TAG_LEN;
    for (long at = record; at < size; at++) {
        FILE *f = fopen(path, "r+");
        fseek(f, at, SEEK_SET);
        int c = fgetc(f);
        fseek(f, at, SEEK_SET);
        fputc(c ^ 1, f);
        fclose(f);
        ck_assert_int_eq(read_back(st, one, out, sizeof out), -EBADMSG);
        f = fopen(path, "r+");
        fseek(f, at, SEEK_SET);
        fputc(c, f);
        fclose(f);
    }
    ck_assert_int_eq(read_back(st, one, out, sizeof out), 0);
}
END_TEST

START_TEST(torn_tail_of_an_encrypted_file_is_cut)
{
    master_key("Enabled");
    struct stream *st = make_sealed();
    char path[400], out[8];
    int64_t one = add(st, "HEAD", "one", 1000);
    wait_done();
    path_of(st, "0001.mkv.enc", path);
    long size = size_of(path);
    store_close(&store);
    FILE *f = fopen(path, "a");
    fputs("torn", f);
    fclose(f);
    open_store();
    store_use_kms(store, kms);
    ck_assert_int_eq(size_of(path), size);
    ck_assert_int_eq(read_back(store_find(store, "sealed"), one, out, sizeof out), 0);
    store_close(&store);
    ck_assert_int_eq(truncate(path, size - 1), 0);
    log_set_level(LOG_NONE);
    open_store();
    ck_assert_int_eq(count(store_find(store, "sealed")), 0);
}
END_TEST

/* A data key never writes twice at one place: what a failed batch wrote is another file's. */
START_TEST(failed_batch_of_an_encrypted_file_starts_another)
{
    master_key("Enabled");
    struct archive *a;
    struct archive_stream s = {.name = "a",
                               .folder = "folder",
                               .arn = "arn",
                               .version = "v",
                               .kms_key = "mine",
                               .retention_h = 1};
    struct archive_target to = {.folder = "folder", .arn = "arn", .kms_key = "mine"};
    struct blob *head = blob_copy("HEAD", 4), *data = blob_copy("data", 4);
    char path[128];
    snprintf(path, sizeof path, "%s/other", dir);
    log_set_level(LOG_NONE);
    ck_assert_int_eq(archive_open(path, &a), 0);
    archive_use_kms(a, kms);
    ck_assert_int_eq(archive_add_stream(a, &s, &to.stream), 0);
    struct archive_file *f = archive_file_new();
    struct archive_row row[3] = {{.seq = 1}, {.seq = 2}, {.seq = 3}};
    ck_assert_int_eq(archive_append(a, f, &to, head, data, &row[0]), 0);
    ck_assert_int_eq(archive_commit(a), 0);
    ck_assert_int_eq(archive_append(a, f, &to, head, data, &row[1]), 0);
    ck_assert_int_eq(sqlite3_exec(a->db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_lt(archive_commit(a), 0);
    ck_assert_int_eq(archive_append(a, f, &to, head, data, &row[2]), 0);
    ck_assert_int_eq(archive_commit(a), 0);
    ck_assert_uint_ne(row[2].file, row[0].file);
    archive_file_free(a, &f);
    archive_close(&a);
    blob_unref(&head);
    blob_unref(&data);
}
END_TEST

START_TEST(archive_of_an_older_version_is_taken_over)
{
    struct stream *st = make("a", 1);
    char cmd[400];
    add(st, "HEAD", "one", 1000);
    wait_done();
    store_close(&store);
    snprintf(cmd, sizeof cmd, "%s/index.sqlite", dir);
    sqlite3 *db;
    ck_assert_int_eq(sqlite3_open(cmd, &db), SQLITE_OK);
    ck_assert_int_eq(
        sqlite3_exec(
            db,
            "ALTER TABLE files DROP COLUMN wrapped; ALTER TABLE streams DROP "
            "COLUMN settings; ALTER TABLE fragments DROP COLUMN frames; PRAGMA user_version=1",
            NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    open_store();
    st = store_find(store, "a");
    ck_assert_int_eq(count(st), 1);
    add(st, "HEAD", "two", 2000);
    wait_done();
    ck_assert_int_eq(last_result, 1);
}
END_TEST

/* ---- commits ---- */

START_TEST(fragments_of_many_streams_share_a_commit)
{
    enum { N = 16 };
    struct stream *st[N];
    for (int i = 0; i < N; i++) {
        char name[8];
        snprintf(name, sizeof name, "s%d", i);
        st[i] = make(name, 1);
        add(st[i], "HEAD", "first", 1000);
    }
    wait_done();
    uint64_t before = store_syncs(store);
    for (int i = 0; i < N; i++)
        add(st[i], "HEAD", "next", 2000);
    wait_done();
    ck_assert_int_eq(last_result, 1);
    ck_assert_uint_le(store_syncs(store) - before, 6); /* two for a commit; at most three commits */
}
END_TEST

START_TEST(two_stores_on_one_directory_are_refused)
{
    struct store *other;
    log_set_level(LOG_NONE);
    ck_assert_int_eq(store_open(base, dir, "us-west-2", &other), -EBUSY);
    ck_assert_ptr_null(other);
}
END_TEST

static const struct {
    int64_t t, want;
} at[] = {{0, 1000}, {1000, 1000}, {1500, 1000}, {2000, 5000}, {5000, 5000}, {6000, 0}};

START_TEST(timestamp_finds_what_covers_it_else_the_next)
{
    struct stream *st = make("a", 1);
    add(st, "H", "one", 1000);
    add(st, "H", "two", 5000);
    wait_done();
    struct archive_reader *r = reader();
    struct archive_row row;
    int n = archive_at(r, st->id, ARCHIVE_PRODUCER_CLOCK, at[_i].t, &row);
    ck_assert_int_eq(n, at[_i].want != 0);
    if (n)
        ck_assert_int_eq(row.producer_ms, at[_i].want);
    archive_reader_close(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("server_store");
    TCase *t = tcase_create("server_store");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, names_are_unique);
    tcase_add_test(t, streams_outlive_a_restart);
    tcase_add_test(t, fragments_are_archived_in_one_file_until_the_header_changes);
    tcase_add_test(t, numbers_rise_across_restarts_and_clock_steps);
    tcase_add_test(t, numbers_rise_for_streams_that_keep_nothing);
    tcase_add_test(t, numbers_that_were_told_but_never_stored_do_not_come_again);
    tcase_add_test(t, readers_can_tell_that_a_lower_number_is_still_coming);
    tcase_add_test(t, buffer_of_retention_zero_is_bounded);
    tcase_add_test(t, torn_tail_is_cut_and_stray_files_go);
    tcase_add_test(t, file_that_lost_its_end_loses_those_rows);
    tcase_add_test(t, sweep_removes_old_fragments_and_empty_files);
    tcase_add_test(t, sweep_of_very_many_goes_in_pieces_to_the_end);
    tcase_add_test(t, deleted_stream_takes_no_more_and_leaves_nothing);
    tcase_add_test(t, failed_write_leaves_file_and_index_as_they_were);
    tcase_add_test(t, transaction_that_sqlite_ended_takes_nothing_more);
    tcase_add_loop_test(t, no_fragment_is_persisted_before_file_folder_and_index_are_synced, 1, 11);
    tcase_add_test(t, file_cut_at_any_byte_keeps_what_is_whole);
    tcase_add_test(t, missing_file_takes_only_its_own_fragments);
    tcase_add_test(t, missing_folder_is_not_taken_for_an_empty_one);
    tcase_add_test(t, damaged_index_is_said_and_harms_no_file);
    tcase_add_test(t, encrypted_stream_has_nothing_in_clear_on_disk_and_reads_back);
    tcase_add_test(t, key_that_is_disabled_stores_and_gives_nothing);
    tcase_add_test(t, encrypted_file_that_was_changed_anywhere_is_not_given);
    tcase_add_test(t, torn_tail_of_an_encrypted_file_is_cut);
    tcase_add_test(t, failed_batch_of_an_encrypted_file_starts_another);
    tcase_add_test(t, archive_of_an_older_version_is_taken_over);
    tcase_add_test(t, fragments_of_many_streams_share_a_commit);
    tcase_add_test(t, two_stores_on_one_directory_are_refused);
    tcase_add_loop_test(t, timestamp_finds_what_covers_it_else_the_next, 0, sizeof at / sizeof *at);
    suite_add_tcase(s, t);
    return suite_run(s);
}
