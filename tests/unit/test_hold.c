/* Sound behind pictures that an encoder is busy with.
 * Relies on Check.
 * Leaves who is busy to test_encoder_stream.c. */
#include "encoder/hold.h"

#include <check.h>

#include "common/clock.h"
#include "tests/unit/suite.h"

static struct hold hold;

static void setup(void)
{
    hold_init(&hold);
}

static void teardown(void)
{
    hold_reset(&hold);
}

static void push(uint64_t seq, int64_t ms, bool gap)
{
    struct link_item item = {
        .track = 2, .seq = seq, .last = seq, .dts_ns = ms * NS_PER_MS, .gap = gap};
    hold_push(&hold, &item);
}

/* The number that leaves, or -1. */
static int pop(bool busy)
{
    struct link_item item;
    return hold_pop(&hold, busy, &item) ? (int)item.seq : -1;
}

START_TEST(nothing_is_held_when_the_encoder_is_not_busy)
{
    push(0, 60000, false);
    push(1, 60021, false);
    ck_assert_int_eq(pop(false), 0);
    ck_assert_int_eq(pop(false), 1);
    ck_assert_int_eq(pop(false), -1);
}
END_TEST

START_TEST(sound_waits_for_the_first_picture)
{
    push(0, 0, false);
    ck_assert_int_eq(pop(true), -1);
    hold_picture(&hold, 0);
    ck_assert_int_eq(pop(true), 0);
}
END_TEST

START_TEST(sound_may_be_half_a_second_ahead)
{
    hold_picture(&hold, 1000 * NS_PER_MS);
    push(0, 900, false);
    push(1, 1500, false);
    push(2, 1501, false);
    ck_assert_int_eq(pop(true), 0);
    ck_assert_int_eq(pop(true), 1);
    ck_assert_int_eq(pop(true), -1);
    hold_picture(&hold, 1001 * NS_PER_MS);
    ck_assert_int_eq(pop(true), 2);
}
END_TEST

START_TEST(a_gap_keeps_its_place_and_waits_for_nothing)
{
    hold_picture(&hold, 0);
    push(0, 0, true);
    push(1, 700, false);
    push(2, 0, true);
    ck_assert_int_eq(pop(true), 0);
    ck_assert_int_eq(pop(true), -1);
    hold_picture(&hold, 200 * NS_PER_MS);
    ck_assert_int_eq(pop(true), 1);
    ck_assert_int_eq(pop(true), 2);
}
END_TEST

START_TEST(a_new_session_starts_without_pictures)
{
    hold_picture(&hold, 5000 * NS_PER_MS);
    push(0, 9000, false);
    hold_reset(&hold);
    ck_assert_int_eq(pop(false), -1);
    push(0, 0, false);
    ck_assert_int_eq(pop(true), -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hold");
    TCase *tc = tcase_create("hold");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, nothing_is_held_when_the_encoder_is_not_busy);
    tcase_add_test(tc, sound_waits_for_the_first_picture);
    tcase_add_test(tc, sound_may_be_half_a_second_ahead);
    tcase_add_test(tc, a_gap_keeps_its_place_and_waits_for_nothing);
    tcase_add_test(tc, a_new_session_starts_without_pictures);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
