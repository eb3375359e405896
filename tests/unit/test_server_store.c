/* The store and its archive (server/store.h, server/archive.h) on a directory of its own.
 * Relies on Check and libevent.
 * Leaves crashes of the process to tests/conformance/server. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/archive_internal.h"
#include "server/store.h"

static struct event_base *base;
static struct store *store;
static char dir[64];
static int waiting, last_result, stored_count;

static void open_store(void)
{
    ck_assert_int_eq(store_open(base, dir, "us-west-2", &store), 0);
}

static void setup(void)
{
    log_set_level(LOG_ERROR);
    snprintf(dir, sizeof dir, "/tmp/kvpipe-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    base = event_base_new();
    waiting = stored_count = 0;
    open_store();
}

static void teardown(void)
{
    char cmd[128];
    store_close(&store);
    event_base_free(base);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    ck_assert_int_eq(system(cmd), 0);
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
    int r = archive_append(a, f, id, "folder", header, data, &row);
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
    tcase_set_timeout(t, 20);
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
    tcase_add_test(t, deleted_stream_takes_no_more_and_leaves_nothing);
    tcase_add_test(t, failed_write_leaves_file_and_index_as_they_were);
    tcase_add_test(t, transaction_that_sqlite_ended_takes_nothing_more);
    tcase_add_test(t, two_stores_on_one_directory_are_refused);
    tcase_add_loop_test(t, timestamp_finds_what_covers_it_else_the_next, 0, sizeof at / sizeof *at);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int n = srunner_ntests_failed(r);
    srunner_free(r);
    return n ? EXIT_FAILURE : EXIT_SUCCESS;
}
