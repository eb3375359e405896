/* Claims about what the monitor notes for people: entries, their bound, and what is noticed from
 * one status to the next. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/events.h"
#include "monitor/watch.h"
#include "tests/unit/suite.h"

static struct events *events;
static struct watch *watch;
static int added;

static void on_added(void *arg, const json_t *entry)
{
    added++;
}

static void up(void)
{
    added = 0;
    events = events_create(5, on_added, NULL);
    watch = watch_create(events);
}

static void down(void)
{
    watch_destroy(&watch);
    events_destroy(&events);
}

static void add(const char *about, const char *text)
{
    events_add(events, 1000,
               &(struct event_text){EVENT_WARN, "kind", about, text, "look at the log"});
}

static size_t count(void)
{
    json_t *list = events_json(events, 0);
    size_t n = json_array_size(list);
    json_decref(list);
    return n;
}

/* A text of the newest entry; "" when there is none. */
static const char *newest(const char *key)
{
    static char text[512];
    json_t *list = events_json(events, 0);
    const char *found =
        json_string_value(json_object_get(json_array_get(list, json_array_size(list) - 1), key));
    snprintf(text, sizeof text, "%s", found ? found : "");
    json_decref(list);
    return text;
}

START_TEST(the_oldest_go)
{
    static const char *const texts[] = {"a", "b", "c", "d", "e", "f"};
    for (int i = 0; i < 6; i++)
        add("x", texts[i]);
    ck_assert_uint_eq(count(), 5);
    ck_assert_int_eq(events_last(events), 6);
    ck_assert_int_eq(added, 6);
}
END_TEST

START_TEST(what_repeats_is_one_entry_with_a_count)
{
    add("x", "a");
    add("y", "b");
    add("x", "a");
    json_t *list = events_json(events, 2);
    ck_assert_uint_eq(count(), 2);
    ck_assert_uint_eq(json_array_size(list), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(list, 0), "times")), 2);
    json_decref(list);
}
END_TEST

START_TEST(text_that_is_not_utf8_is_no_crash)
{
    add("x", "\xff\xfe");
    ck_assert_str_eq(newest("text"), "?");
}
END_TEST

static void see_stage(int pid, const char *state, int restarts, int last_exit)
{
    json_t *stages =
        json_pack("[{s:s,s:i,s:s,s:i,s:i,s:s}]", "instance", "encoder-1", "pid", pid, "state",
                  state, "restarts", restarts, "last_exit", last_exit, "note", "");
    watch_stages(watch, stages, 1000);
    json_decref(stages);
}

START_TEST(a_start_is_no_event)
{
    see_stage(0, "waiting", 0, 0);
    see_stage(10, "starting", 0, 0);
    see_stage(10, "ready", 0, 0);
    ck_assert_uint_eq(count(), 0);
}
END_TEST

START_TEST(a_kill_with_a_restart_between_two_looks_is_seen)
{
    see_stage(10, "ready", 0, 0);
    see_stage(11, "starting", 1, 137);
    ck_assert_uint_eq(count(), 1);
    ck_assert_str_eq(newest("kind"), "restarted");
    ck_assert_str_eq(newest("text"), "was killed (SIGKILL) and was restarted");
    ck_assert_str_eq(newest("level"), "warn");
}
END_TEST

START_TEST(an_end_and_the_restart_after_it_are_two_events)
{
    see_stage(10, "ready", 0, 0);
    see_stage(0, "restarting", 0, 3);
    ck_assert_str_eq(newest("text"), "ended with exit code 3");
    see_stage(11, "starting", 1, 3);
    ck_assert_str_eq(newest("text"), "was restarted");
    ck_assert_uint_eq(count(), 2);
}
END_TEST

START_TEST(a_restart_that_was_asked_for_is_no_warning)
{
    see_stage(10, "ready", 0, 0);
    see_stage(10, "restarting", 0, 0);
    see_stage(11, "starting", 0, 0);
    ck_assert_uint_eq(count(), 1);
    ck_assert_str_eq(newest("level"), "info");
}
END_TEST

START_TEST(giving_up_says_what_to_do)
{
    see_stage(10, "starting", 0, 0);
    see_stage(0, "gave up", 0, 2);
    ck_assert_str_eq(newest("level"), "error");
    ck_assert_ptr_nonnull(strstr(newest("advice"), "kvpipe restart"));
}
END_TEST

/* lost: frames by window_full. offsite < 0: no uploader tells. */
static void see_stream(const char *state, double offsite, int gaps, int lost)
{
    json_t *s =
        json_pack("[{s:s,s:s,s:s,s:o,s:{s:i},s:{s:i}}]", "name", "cam", "state", state, "note",
                  "check the cable", "backlog_s", offsite < 0 ? json_null() : json_real(offsite),
                  "gaps", "window_full", gaps, "lost", "window_full", lost);
    watch_streams(watch, s, 1000);
    json_decref(s);
}

START_TEST(a_state_counts_when_it_stays)
{
    see_stream("live", 1, 0, 0);
    see_stream("live", 1, 0, 0);
    see_stream("connecting", 1, 0, 0);
    ck_assert_uint_eq(count(), 0);
    see_stream("connecting", 1, 0, 0);
    ck_assert_str_eq(newest("text"), "is connecting: check the cable");
    see_stream("live", 1, 0, 0);
    see_stream("live", 1, 0, 0);
    ck_assert_str_eq(newest("text"), "is live again");
}
END_TEST

START_TEST(a_short_change_is_no_event)
{
    see_stream("live", 1, 0, 0);
    see_stream("live", 1, 0, 0);
    see_stream("waiting", 1, 0, 0);
    see_stream("live", 1, 0, 0);
    see_stream("live", 1, 0, 0);
    ck_assert_uint_eq(count(), 0);
}
END_TEST

START_TEST(frames_that_are_lost_are_said_once)
{
    see_stream("live", 1, 1, 10); /* of before: no news */
    see_stream("live", 1, 2, 13);
    ck_assert_uint_eq(count(), 1);
    ck_assert_str_eq(newest("text"), "lost 3 captured frames: window_full");
    see_stream("live", 1, 2, 13);
    ck_assert_uint_eq(count(), 1);
}
END_TEST

START_TEST(an_uploader_that_is_away_loses_nothing)
{
    see_stream("live", 1, 1, 10);
    see_stream("live", -1, 0, 0);
    see_stream("live", 1, 1, 10);
    ck_assert_uint_eq(count(), 0);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("events");
    Suite *s = suite_create("events");
    suite_add_tcase(s, t);
    tcase_add_checked_fixture(t, up, down);
    tcase_add_test(t, the_oldest_go);
    tcase_add_test(t, what_repeats_is_one_entry_with_a_count);
    tcase_add_test(t, text_that_is_not_utf8_is_no_crash);
    tcase_add_test(t, a_start_is_no_event);
    tcase_add_test(t, a_kill_with_a_restart_between_two_looks_is_seen);
    tcase_add_test(t, an_end_and_the_restart_after_it_are_two_events);
    tcase_add_test(t, a_restart_that_was_asked_for_is_no_warning);
    tcase_add_test(t, giving_up_says_what_to_do);
    tcase_add_test(t, a_state_counts_when_it_stays);
    tcase_add_test(t, a_short_change_is_no_event);
    tcase_add_test(t, frames_that_are_lost_are_said_once);
    tcase_add_test(t, an_uploader_that_is_away_loses_nothing);
    return suite_run(s);
}
