/* The gap ledger as people and programs read it: joined, summed, from a time on; hostile lines.
 * Relies on Check, jansson and a temporary directory.
 * Leaves writing it to test_ledger.c. */
#include "common/gaps.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], folder[80], path[96];

static void setup(void)
{
    scratch_make(dir, sizeof dir, "gaps");
    snprintf(folder, sizeof folder, "%s/cam", dir);
    snprintf(path, sizeof path, "%s/" GAPS_FILE, folder);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
}

static void teardown(void)
{
    unlink(path);
    rmdir(folder);
    rmdir(dir);
}

static void write_text(const char *text)
{
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
}

static json_t *read_since(int64_t since_ns)
{
    json_t *o = NULL;
    ck_assert_int_eq(gaps_read(dir, "cam", since_ns, &o), 0);
    return o;
}

static size_t listed(const json_t *o)
{
    return json_array_size(json_object_get(o, "gaps"));
}

static json_int_t total(const json_t *o, const char *cause, const char *key)
{
    return json_integer_value(
        json_object_get(json_object_get(json_object_get(o, "totals"), cause), key));
}

#define LINE(first, last, count, reason, start, end)                                               \
    "{\"stream\":\"cam\",\"track\":1,\"epoch\":7,\"first\":" #first ",\"last\":" #last             \
    ",\"count\":" #count ",\"reason\":\"" reason "\",\"start_ns\":" #start ",\"end_ns\":" #end     \
    "}\n"

START_TEST(no_ledger_is_no_gap)
{
    json_t *o = read_since(0);
    ck_assert_uint_eq(listed(o), 0);
    ck_assert_uint_eq(json_object_size(json_object_get(o, "totals")), 0);
    json_decref(o);
}
END_TEST

START_TEST(lines_that_continue_each_other_are_one_gap)
{
    write_text(LINE(0, 4, 5, "window_full", 10, 20) LINE(5, 9, 5, "window_full", 20, 30)
                   LINE(10, 10, 1, "disk_full", 30, 31));
    json_t *o = read_since(0), *g = json_array_get(json_object_get(o, "gaps"), 0);
    ck_assert_uint_eq(listed(o), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(g, "count")), 10);
    ck_assert_int_eq(json_integer_value(json_object_get(g, "end_ns")), 30);
    ck_assert_int_eq(total(o, "window_full", "intervals"), 1);
    ck_assert_int_eq(total(o, "window_full", "frames"), 10);
    json_decref(o);
}
END_TEST

START_TEST(since_leaves_out_what_was_over_before)
{
    write_text(LINE(0, 0, 1, "source", 10, 20) LINE(9, 9, 1, "source", 90, 95));
    json_t *o = read_since(21);
    ck_assert_uint_eq(listed(o), 1);
    ck_assert_int_eq(total(o, "camera", "intervals"), 2);
    json_decref(o);
}
END_TEST

START_TEST(what_was_compacted_is_in_the_totals)
{
    write_text(
        "{\"stream\":\"cam\",\"compacted\":{\"disk_full\":{\"intervals\":3,\"frames\":70}}}\n" LINE(
            0, 0, 1, "disk_full", 10, 20));
    json_t *o = read_since(0);
    ck_assert_int_eq(total(o, "disk_full", "intervals"), 4);
    ck_assert_int_eq(total(o, "disk_full", "frames"), 71);
    json_decref(o);
}
END_TEST

static const char *const hostile[] = {"garbage\n",
                                      "[]\n",
                                      "{\"reason\":7}\n",
                                      "{\"reason\":\"x\",\"count\":-5,\"end_ns\":\"no\"}\n",
                                      "{\"compacted\":[1,2]}\n",
                                      "{\"compacted\":{\"disk_full\":3}}\n",
                                      "\xff\xfe\n",
                                      "{\"reason\":\"source\",\"count\":5"};

START_TEST(hostile_lines_do_no_harm)
{
    write_text(hostile[_i]);
    json_t *o = read_since(0);
    ck_assert_int_eq(total(o, "camera", "frames"), 0);
    json_decref(o);
}
END_TEST

START_TEST(every_cause_has_a_name_of_its_own_and_is_found_by_it)
{
    for (unsigned i = 0; i < GAPS_CAUSES; i++)
        ck_assert_uint_eq(gaps_cause_of(gaps_cause_name(i)), i);
    ck_assert_uint_eq(gaps_cause_of("refused_4006"), GAPS_ENDPOINT_REFUSED);
    ck_assert_uint_eq(gaps_cause_of("silent"), GAPS_CAMERA);
    ck_assert_uint_eq(gaps_cause_of("what is this"), GAPS_UNKNOWN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gaps");
    TCase *tc = tcase_create("gaps");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, no_ledger_is_no_gap);
    tcase_add_test(tc, lines_that_continue_each_other_are_one_gap);
    tcase_add_test(tc, since_leaves_out_what_was_over_before);
    tcase_add_test(tc, what_was_compacted_is_in_the_totals);
    tcase_add_loop_test(tc, hostile_lines_do_no_harm, 0, sizeof hostile / sizeof *hostile);
    tcase_add_test(tc, every_cause_has_a_name_of_its_own_and_is_found_by_it);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
