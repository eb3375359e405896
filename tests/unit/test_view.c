/* What `kvpipe` shows of the monitor's JSON.
 * Relies on Check and Jansson.
 * Leaves the terminal to live.c. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "cli/view.h"
#include "tests/unit/suite.h"

static char line[512];

static json_t *json(const char *text)
{
    json_t *o = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(o);
    return o;
}

START_TEST(a_stream_is_one_line)
{
    json_t *s = json("{\"name\":\"demo\",\"frames_per_s\":29.94,\"kbit_per_s\":2034.2,"
                     "\"fragments_persisted\":12,\"backlog_fragments\":1,\"backlog_bytes\":200000,"
                     "\"state\":\"live\",\"note\":\"\",\"frames_dropped\":0}");
    view_stream(s, 4, line, sizeof line);
    ck_assert_str_eq(line, "demo   29.9 frames/s   2034 kbit/s  12 fragments persisted  "
                           "backlog 1 (0.2 MB)  live");
    json_decref(s);
}
END_TEST

START_TEST(drops_and_notes_are_shown)
{
    json_t *s = json(
        "{\"name\":\"a\",\"state\":\"connecting\",\"note\":\"no route\",\"frames_dropped\":7}");
    view_stream(s, 4, line, sizeof line);
    ck_assert_ptr_nonnull(strstr(line, "connecting  7 frames dropped  no route"));
    json_decref(s);
}
END_TEST

START_TEST(control_characters_do_not_reach_the_terminal)
{
    json_t *s = json("{\"name\":\"a\\u001b[2J\",\"state\":\"x\\ny\",\"note\":\"\\u0007\"}");
    view_stream(s, 4, line, sizeof line);
    for (const char *p = line; *p; p++)
        ck_assert((unsigned char)*p >= 0x20);
    json_decref(s);
}
END_TEST

START_TEST(a_line_is_cut_at_its_buffer)
{
    char small[20];
    json_t *s = json("{\"name\":\"a\",\"state\":\"live\",\"note\":\"long\",\"frames_dropped\":1}");
    view_stream(s, 30, small, sizeof small);
    ck_assert_uint_eq(strlen(small), sizeof small - 1);
    json_decref(s);
}
END_TEST

START_TEST(only_processes_that_are_not_well_are_problems)
{
    json_t *s = json("{\"instance\":\"muxer-1\",\"state\":\"ready\",\"last_exit\":null}");
    ck_assert_int_eq(view_problem(s, line, sizeof line), -ENOENT);
    json_decref(s);
    s = json(
        "{\"instance\":\"muxer-1\",\"state\":\"restarting\",\"last_exit\":139,\"log\":\"/none\"}");
    ck_assert_int_eq(view_problem(s, line, sizeof line), 0);
    ck_assert_str_eq(line, "! muxer-1 restarting (exit code 139); see /none");
    json_decref(s);
}
END_TEST

START_TEST(json_of_another_shape_is_shown_as_empty)
{
    json_t *s = json("{\"name\":5,\"state\":[],\"frames_per_s\":\"x\",\"streams\":1}");
    view_stream(s, 4, line, sizeof line);
    ck_assert_int_eq(view_problem(s, line, sizeof line), -ENOENT);
    ck_assert_int_eq(view_name_width(s), 4);
    view_status(s);
    json_decref(s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("view");
    TCase *t = tcase_create("view");
    tcase_add_test(t, a_stream_is_one_line);
    tcase_add_test(t, drops_and_notes_are_shown);
    tcase_add_test(t, control_characters_do_not_reach_the_terminal);
    tcase_add_test(t, a_line_is_cut_at_its_buffer);
    tcase_add_test(t, only_processes_that_are_not_well_are_problems);
    tcase_add_test(t, json_of_another_shape_is_shown_as_empty);
    suite_add_tcase(s, t);
    return suite_run(s);
}
