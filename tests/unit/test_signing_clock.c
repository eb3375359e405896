/* Claims about the time that requests are signed with: corrected by the service's Date, hours are
 * simulated, and what a hostile service says is not followed blindly.
 * Relies on Check.
 * Leaves real answers to tests/faults/clock_skew. */
#include "common/signing_clock.h"
#include "tests/unit/suite.h"

#include <check.h>

#define T0 ((time_t)1767225600) /* 2026-01-01T00:00:00Z, a Thursday */
#define HOUR 3600

static enum signing_clock_result learn(struct signing_clock *c, time_t service, time_t wall,
                                       time_t steady)
{
    char date[64];
    struct tm tm;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&service, &tm));
    return signing_clock_learn(c, date, (struct signing_clock_now){wall, steady});
}

static time_t time_of(const struct signing_clock *c, time_t wall, time_t steady)
{
    return signing_clock_time(c, (struct signing_clock_now){wall, steady});
}

START_TEST(a_clock_that_is_hours_off_is_corrected)
{
    for (time_t off = -24 * HOUR; off <= 24 * HOUR; off += HOUR) {
        struct signing_clock c = {0};
        ck_assert_int_eq(time_of(&c, T0 + off, 50), T0 + off);
        ck_assert_int_eq(learn(&c, T0, T0 + off, 50),
                         off ? SIGNING_CLOCK_CORRECTED : SIGNING_CLOCK_SAME);
        ck_assert_int_eq(time_of(&c, T0 + off + 10, 60), T0 + 10);
        ck_assert_int_eq(learn(&c, T0 + 10, T0 + off + 10, 60), SIGNING_CLOCK_SAME);
    }
}
END_TEST

START_TEST(setting_the_machines_clock_later_changes_nothing)
{
    struct signing_clock c = {0};
    learn(&c, T0, T0 - 3 * HOUR, 50);
    ck_assert_int_eq(time_of(&c, T0 + 90, 140), T0 + 90);           /* NTP has put it right */
    ck_assert_int_eq(time_of(&c, T0 + 8 * HOUR, 150), T0 + 100);    /* and somebody wrong */
    ck_assert_int_eq(time_of(&c, 0, 50 + 5 * HOUR), T0 + 5 * HOUR); /* the machine has slept */
}
END_TEST

START_TEST(a_few_seconds_are_no_difference)
{
    struct signing_clock c = {0};
    ck_assert_int_eq(learn(&c, T0 + 29, T0, 50), SIGNING_CLOCK_SAME);
    ck_assert_int_eq(learn(&c, T0 - 29, T0, 50), SIGNING_CLOCK_SAME);
    ck_assert_int_eq(time_of(&c, T0 + 7, 57), T0 + 7);
}
END_TEST

START_TEST(a_machine_without_a_clock_takes_any_time_since_this_program)
{
    struct signing_clock c = {0};
    ck_assert_int_eq(learn(&c, T0, 15, 15), SIGNING_CLOCK_CORRECTED); /* 1970 */
    ck_assert_int_eq(time_of(&c, 16, 16), T0 + 1);
    c = (struct signing_clock){0};
    ck_assert_int_eq(learn(&c, SIGNING_CLOCK_FLOOR - 1, 15, 15), SIGNING_CLOCK_ABSURD);
    ck_assert_int_eq(learn(&c, (time_t)1 << 33, 15, 15), SIGNING_CLOCK_ABSURD);
}
END_TEST

static const char *const absurd[] = {
    "",
    "tomorrow",
    "Thu, 01 Jan 2026 03:00:00",
    "Thu, 01 Jan 2026 03:00:00 CET",
    "Thu, 01 Jan 2026 03:00:00 GMT\x01",
    "2026-01-01T03:00:00Z",
    "Sun, 01 Jan 2023 03:00:00 GMT",
    "Sat, 03 Jan 2026 03:00:00 GMT",
    "Tue, 30 Dec 2025 03:00:00 GMT",
    "Thu, 01 Jan 2126 00:00:00 GMT",
    "Thu, 01 Jan 99999999999999 00:00:00 GMT",
};

START_TEST(an_absurd_date_is_not_followed)
{
    struct signing_clock c = {0};
    struct signing_clock_now now = {T0, 50};
    ck_assert_int_eq(signing_clock_learn(&c, absurd[_i], now), SIGNING_CLOCK_ABSURD);
    ck_assert(!c.corrected);
    learn(&c, T0 - 2 * HOUR, T0, 50);
    now.steady += 2 * SIGNING_CLOCK_PAUSE_S;
    ck_assert_int_eq(signing_clock_learn(&c, absurd[_i], now), SIGNING_CLOCK_ABSURD);
    ck_assert_int_eq(signing_clock_time(&c, now), T0 - 2 * HOUR + 2 * SIGNING_CLOCK_PAUSE_S);
}
END_TEST

START_TEST(a_date_that_jumps_is_followed_once_a_minute_at_most)
{
    struct signing_clock c = {0};
    unsigned followed = 0;
    for (time_t s = 0; s < 600; s++)
        followed += learn(&c, T0 + (s % 2 ? HOUR : 5 * HOUR), T0, s) == SIGNING_CLOCK_CORRECTED;
    ck_assert_uint_eq(followed, 10);
}
END_TEST

START_TEST(steps_do_not_add_up_beyond_a_day)
{
    struct signing_clock c = {0};
    for (int day = 0; day < 30; day++)
        learn(&c, time_of(&c, T0, day * 100) + 20 * HOUR, T0, day * 100);
    ck_assert_int_le(time_of(&c, T0, 3000) - T0, SIGNING_CLOCK_MOST_S + 3000);
}
END_TEST

START_TEST(a_clock_that_is_right_again_is_used_again)
{
    struct signing_clock c = {0};
    learn(&c, T0 + HOUR, T0, 0);
    ck_assert_int_eq(learn(&c, T0 + 100, T0 + 100, 100), SIGNING_CLOCK_CORRECTED);
    ck_assert(!c.corrected);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("signing_clock");
    TCase *t = tcase_create("all");
    tcase_add_test(t, a_clock_that_is_hours_off_is_corrected);
    tcase_add_test(t, setting_the_machines_clock_later_changes_nothing);
    tcase_add_test(t, a_few_seconds_are_no_difference);
    tcase_add_test(t, a_machine_without_a_clock_takes_any_time_since_this_program);
    tcase_add_loop_test(t, an_absurd_date_is_not_followed, 0, sizeof absurd / sizeof *absurd);
    tcase_add_test(t, a_date_that_jumps_is_followed_once_a_minute_at_most);
    tcase_add_test(t, steps_do_not_add_up_beyond_a_day);
    tcase_add_test(t, a_clock_that_is_right_again_is_used_again);
    suite_add_tcase(s, t);
    return suite_run(s);
}
