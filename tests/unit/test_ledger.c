/* The gap ledger: lines, sums, what it remembers over a restart.
 * Relies on Check, jansson and a temporary directory.
 * Leaves the spool's records to test_spool.c. */
#include "uploader/ledger.h"

#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64], path[96];
static int dirfd_;

static void setup(void)
{
    strcpy(dir, "/tmp/kvpipe-ledger-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
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
    ck_assert_int_eq(ledger_open(dirfd_, "cam", &l), 0);
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
                             .file = 1,
                             .offset = offset};
    ledger_add(l, &e);
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
    ck_assert(ledger_has(l, 1, 200));
    ck_assert(ledger_has(l, 1, 100));
    ck_assert(!ledger_has(l, 1, 201));
    ck_assert(!ledger_has(l, 2, 0));
    ledger_close(&l);
}
END_TEST

START_TEST(torn_last_line_is_dropped)
{
    struct ledger *l = open_ledger();
    add(l, 1, 0, 9, "source", 100);
    ledger_close(&l);
    FILE *f = fopen(path, "a");
    fputs("{\"stream\":\"cam\",\"count\":5", f);
    fclose(f);
    l = open_ledger();
    ck_assert_uint_eq(ledger_count(l), 10);
    add(l, 1, 10, 10, "source", 200);
    ledger_close(&l);
    ck_assert_uint_eq(lines(), 2);
}
END_TEST

START_TEST(garbage_lines_are_passed_over)
{
    FILE *f = fopen(path, "w");
    fputs("garbage\n{\"count\":-4}\n{\"count\":\"x\",\"file\":[]}\n\n{\"count\":3}\n", f);
    fclose(f);
    struct ledger *l = open_ledger();
    ck_assert_uint_eq(ledger_count(l), 3);
    ledger_close(&l);
}
END_TEST

START_TEST(events_of_the_stream_are_not_counted)
{
    struct ledger *l = open_ledger();
    struct ledger_entry e = {.first = 7, .last = 7, .reason = "epoch_end"};
    ledger_add(l, &e);
    ledger_close(&l);
    ck_assert_uint_eq(lines(), 1);
    l = open_ledger();
    ck_assert_uint_eq(ledger_count(l), 0);
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
    tcase_add_test(tc, torn_last_line_is_dropped);
    tcase_add_test(tc, garbage_lines_are_passed_over);
    tcase_add_test(tc, events_of_the_stream_are_not_counted);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
