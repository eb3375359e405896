/* The gap ledger: lines, sums, what it remembers over a restart.
 * Relies on Check, jansson and a temporary directory.
 * Leaves the spool's records to test_spool.c. */
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"
#include "uploader/ledger.h"

#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[96];
static int dirfd_;

static void setup(void)
{
    scratch_make(dir, sizeof dir, "ledger");
    snprintf(path, sizeof path, "%s/gaps.log", dir);
    dirfd_ = open(dir, O_RDONLY | O_DIRECTORY);
}

static void teardown(void)
{
    close(dirfd_);
    unlink(path);
    rmdir(dir);
}

static struct ledger *open_ledger(void)
{
    struct ledger *l = NULL;
    ck_assert_int_eq(ledger_open(dirfd_, "cam", 1, &l), 0);
    return l;
}

static void add(struct ledger *l, unsigned track, uint64_t first, uint64_t last, const char *reason,
                uint64_t offset)
{
    struct ledger_entry e = {.track = track,
                             .first = first,
                             .last = last,
                             .count = last - first + 1,
                             .reason = reason,
                             .at = {1, offset}};
    ledger_add(l, &e);
}

static bool has(const struct ledger *l, unsigned file, uint64_t offset)
{
    return ledger_has(l, (struct ledger_place){file, offset});
}

static unsigned lines(void)
{
    char line[1024];
    unsigned n = 0;
    FILE *f = fopen(path, "r");
    while (fgets(line, sizeof line, f)) {
        json_t *o = json_loads(line, 0, NULL);
        ck_assert_ptr_nonnull(o);
        ck_assert_str_eq(json_string_value(json_object_get(o, "stream")), "cam");
        json_decref(o);
        n++;
    }
    fclose(f);
    return n;
}

START_TEST(gaps_that_follow_each_other_become_one_line)
{
    struct ledger *l = open_ledger();
    for (uint64_t i = 0; i < 100; i++)
        add(l, 1, i, i, "source", 100 + i);
    add(l, 2, 0, 4, "source", 300);
    add(l, 2, 5, 5, "disk_full", 400);
    add(l, 2, 9, 9, "disk_full", 500);
    ledger_close(&l);
    ck_assert_uint_eq(lines(), 4);
}
END_TEST

START_TEST(count_and_place_survive_a_restart)
{
    struct ledger *l = open_ledger();
    add(l, 1, 0, 9, "source", 100);
    add(l, 1, 20, 20, "source", 200);
    ledger_close(&l);
    l = open_ledger();
    ck_assert_uint_eq(ledger_count(l), 11);
    ck_assert(has(l, 1, 200));
    ck_assert(has(l, 1, 100));
    ck_assert(!has(l, 1, 201));
    ck_assert(!has(l, 2, 0));
    ledger_close(&l);
}
END_TEST

/* Two batches of two lines; cut anywhere, what is left is whole batches, and what was cut can be
 * added again. */
START_TEST(torn_tail_at_every_byte_is_told_again_once)
{
    struct ledger *l = open_ledger();
    char text[4096];
    add(l, 1, 0, 9, "source", 100);
    add(l, 2, 0, 4, "source", 200);
    ledger_flush(l);
    add(l, 1, 20, 20, "disk_full", 300);
    add(l, 2, 9, 9, "disk_full", 400);
    ledger_close(&l);
    FILE *f = fopen(path, "r");
    size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    for (size_t cut = 0; cut <= len; cut++) {
        f = fopen(path, "w");
        fwrite(text, 1, cut, f);
        fclose(f);
        l = open_ledger();
        uint64_t left = ledger_count(l);
        ck_assert_msg(left == 0 || left == 15 || left == 17, "cut at %zu: %llu", cut,
                      (unsigned long long)left);
        ck_assert(has(l, 1, 200) == (left >= 15) && has(l, 1, 400) == (left == 17));
        if (!has(l, 1, 200)) {
            add(l, 1, 0, 9, "source", 100);
            add(l, 2, 0, 4, "source", 200);
        }
        if (!has(l, 1, 400)) {
            add(l, 1, 20, 20, "disk_full", 300);
            add(l, 2, 9, 9, "disk_full", 400);
        }
        ledger_close(&l);
        l = open_ledger();
        ck_assert_uint_eq(ledger_count(l), 17);
        ledger_close(&l);
    }
}
END_TEST

START_TEST(garbage_lines_are_passed_over)
{
    FILE *f = fopen(path, "w");
    fputs("garbage\n{\"count\":-4}\n{\"count\":\"x\",\"file\":[]}\n\n"
          "{\"reason\":\"source\",\"count\":3,\"file\":1,\"offset\":7}\n",
          f);
    fclose(f);
    struct ledger *l = open_ledger();
    ck_assert_uint_eq(ledger_count(l), 3);
    ck_assert(has(l, 1, 7));
    ledger_close(&l);
}
END_TEST

START_TEST(an_interval_without_numbers_is_not_counted_as_frames)
{
    struct ledger *l = open_ledger();
    struct ledger_entry e = {
        .track = 1, .first = 7, .last = 7, .reason = "silent", .start_ns = 10, .end_ns = 20};
    ledger_add(l, &e);
    ledger_close(&l);
    ck_assert_uint_eq(lines(), 1);
    l = open_ledger();
    ck_assert_uint_eq(ledger_count(l), 0);
    ck_assert_uint_eq(ledger_totals(l)->intervals[GAPS_CAMERA], 1);
    ledger_close(&l);
}
END_TEST

static void give_up(struct ledger *l, unsigned track, uint64_t first, uint64_t last,
                    uint64_t offset)
{
    struct ledger_entry e = {.track = track,
                             .first = first,
                             .last = last,
                             .count = last - first + 1,
                             .reason = "refused_4006",
                             .fragment = {3, offset}};
    ledger_add(l, &e);
}

START_TEST(fragments_given_up_are_known_after_a_restart)
{
    struct ledger *l = open_ledger();
    give_up(l, 1, 0, 9, 1000);
    give_up(l, 1, 10, 19, 2000);
    give_up(l, 1, 30, 39, 5000);
    ledger_close(&l);
    ck_assert_uint_eq(lines(), 2);
    l = open_ledger();
    ck_assert(ledger_gave_up(l, (struct ledger_place){3, 1000}));
    ck_assert(ledger_gave_up(l, (struct ledger_place){3, 2000}));
    ck_assert(ledger_gave_up(l, (struct ledger_place){3, 5000}));
    ck_assert(!ledger_gave_up(l, (struct ledger_place){3, 3000}));
    ck_assert(!ledger_gave_up(l, (struct ledger_place){2, 1000}));
    ledger_close(&l);
}
END_TEST

START_TEST(the_file_is_bounded_and_keeps_its_counts)
{
    struct ledger *l = open_ledger();
    struct stat st;
    for (uint64_t i = 0; i < 30000; i++) {
        add(l, 1, 2 * i, 2 * i, i % 3 ? "source" : "disk_full", i);
        ledger_flush(l);
    }
    ledger_close(&l);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_le(st.st_size, LEDGER_MAX_BYTES + 4096);
    l = open_ledger();
    ck_assert_uint_eq(ledger_count(l), 30000);
    ck_assert_uint_eq(ledger_totals(l)->frames[GAPS_DISK_FULL], 10000);
    ck_assert_uint_eq(ledger_totals(l)->intervals[GAPS_CAMERA], 20000);
    ck_assert(has(l, 1, 29999));
    ledger_close(&l);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ledger");
    TCase *tc = tcase_create("ledger");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, gaps_that_follow_each_other_become_one_line);
    tcase_add_test(tc, count_and_place_survive_a_restart);
    tcase_add_test(tc, torn_tail_at_every_byte_is_told_again_once);
    tcase_add_test(tc, garbage_lines_are_passed_over);
    tcase_add_test(tc, an_interval_without_numbers_is_not_counted_as_frames);
    tcase_add_test(tc, fragments_given_up_are_known_after_a_restart);
    tcase_add_test(tc, the_file_is_bounded_and_keeps_its_counts);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
