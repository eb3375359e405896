/* Marking where fragments begin.
 * Relies on Check; times are the frames' own.
 * Leaves what the muxer makes of the marks to test_fragment.c and test_mux.c. */
#include "common/fragmenter.h"

#include <check.h>

#include "common/clock.h"
#include "tests/unit/suite.h"

#define T0 (INT64_C(1700000000) * NS_PER_S)

static const struct conf_fragment by_key = {.by = CONF_FRAGMENT_KEYFRAME};
static struct link_format video = {.number = 1, .video = true},
                          other = {.number = 2, .video = true};

/* The start of its fragment in ms from T0. */
static int64_t mark(struct fragmenter *f, struct link_format *format, int64_t ms, bool key)
{
    struct link_item item = {.format = format, .key = key, .pts_ns = T0 + ms * NS_PER_MS};
    fragmenter_mark(f, &by_key, true, &item);
    return (item.fragment_ns - T0) / NS_PER_MS;
}

START_TEST(a_key_frame_a_second_later_starts)
{
    struct fragmenter f = {0};
    ck_assert_int_eq(mark(&f, &video, 0, true), 0);
    ck_assert_int_eq(mark(&f, &video, 500, true), 0);
    ck_assert_int_eq(mark(&f, &video, 999, true), 0);
    ck_assert_int_eq(mark(&f, &video, 1000, true), 1000);
    ck_assert_int_eq(mark(&f, &video, 1040, false), 1000);
}
END_TEST

START_TEST(a_key_frame_of_another_format_starts_at_once)
{
    struct fragmenter f = {0};
    ck_assert_int_eq(mark(&f, &video, 0, true), 0);
    ck_assert_int_eq(mark(&f, &other, 933, true), 933);
    ck_assert_int_eq(mark(&f, &other, 1000, true), 933);
    ck_assert_int_eq(mark(&f, &video, 1100, true), 1100);
}
END_TEST

START_TEST(a_cut_fragment_ends_with_the_next_key_frame)
{
    struct fragmenter f = {0};
    mark(&f, &video, 0, true);
    f.cut = true;
    ck_assert_int_eq(mark(&f, &video, 40, false), 0);
    ck_assert_int_eq(mark(&f, &video, 80, true), 80);
    ck_assert_int_eq(mark(&f, &video, 120, true), 80);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fragmenter");
    TCase *tc = tcase_create("fragmenter");
    tcase_add_test(tc, a_key_frame_a_second_later_starts);
    tcase_add_test(tc, a_key_frame_of_another_format_starts_at_once);
    tcase_add_test(tc, a_cut_fragment_ends_with_the_next_key_frame);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
