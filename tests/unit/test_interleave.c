/* Claims about muxer/interleave: order, waiting, bounds.
 * Relies on Check.
 * Leaves fragments to test_fragment and test_mux. */
#include "muxer/interleave.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <string.h>

#define S INT64_C(1000000000)

static struct interleave il;
static uint64_t seq;

static void setup(void)
{
    interleave_init(&il, 3, 1);
    seq = 0;
}

static void teardown(void)
{
    interleave_fini(&il);
}

static void push(unsigned track, int64_t tick, int64_t now)
{
    struct link_item i = {
        .track = (uint8_t)track, .seq = seq, .last = seq, .pts_ns = tick, .dts_ns = tick};
    seq++;
    interleave_push(&il, &i, tick, now);
}

static void push_bytes(unsigned track, int64_t tick, size_t len)
{
    uint8_t *data;
    struct link_item i = {.track = (uint8_t)track, .pts_ns = tick, .payload = blob_new(len, &data)};
    interleave_push(&il, &i, tick, 0);
}

/* The tick of the next item that leaves, -1 when none may. */
static int64_t pop(int64_t now, unsigned *track)
{
    struct link_item i;
    if (!interleave_pop(&il, now, false, &i))
        return -1;
    if (track)
        *track = i.track;
    int64_t t = i.pts_ns;
    link_item_fini(&i);
    return t;
}

START_TEST(leaves_in_order_of_time)
{
    unsigned track;
    push(1, 10, 0);
    push(1, 30, 0);
    push(2, 5, 0);
    push(2, 20, 0);
    push(2, 40, 0);
    ck_assert_int_eq(pop(0, &track), 5);
    ck_assert_int_eq(pop(0, &track), 10);
    ck_assert_uint_eq(track, 1);
    ck_assert_int_eq(pop(0, &track), 20);
    ck_assert_int_eq(pop(0, &track), 30);
    ck_assert_int_eq(pop(0, &track), -1);
}
END_TEST

START_TEST(video_first_at_the_same_tick)
{
    unsigned track;
    push(2, 10, 0);
    push(1, 10, 0);
    ck_assert_int_eq(pop(0, &track), 10);
    ck_assert_uint_eq(track, 1);
}
END_TEST

START_TEST(waits_for_a_track_without_items)
{
    push(1, 10, 0);
    ck_assert_int_eq(pop(0, NULL), -1);
    push(2, 11, 0);
    ck_assert_int_eq(pop(0, NULL), 10);
}
END_TEST

START_TEST(goes_on_without_a_silent_track)
{
    push(2, 1, 0);
    push(1, 2, 0);
    ck_assert_int_eq(pop(0, NULL), 1);
    push(1, 3 + INTERLEAVE_BEHIND_NS, 0);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_OTHER_NS - 1, NULL), -1);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_OTHER_NS, NULL), 2);
}
END_TEST

START_TEST(a_track_that_is_not_behind_in_its_own_time_is_late_not_silent)
{
    push(2, 1, 0);
    push(1, 2, 0);
    ck_assert_int_eq(pop(0, NULL), 1);
    push(1, INTERLEAVE_BEHIND_NS, 0);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_ANY_NS - 1, NULL), -1);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_ANY_NS, NULL), 2);
}
END_TEST

START_TEST(a_slow_track_that_goes_on_is_waited_for)
{
    push(1, 1, 0);
    push(2, 2, 0);
    push(2, 2 + INTERLEAVE_BEHIND_NS, 0);
    ck_assert_int_eq(pop(0, NULL), 1);
    push(1, 2, INTERLEAVE_WAIT_ANY_NS - 1);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_ANY_NS - 1, NULL), 2);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_ANY_NS + INTERLEAVE_WAIT_LEAD_NS - 2, NULL), -1);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_ANY_NS + INTERLEAVE_WAIT_LEAD_NS - 1, NULL), 2);
}
END_TEST

START_TEST(a_track_whose_clock_is_far_behind_is_not_waited_for)
{
    push(1, 1, 0);
    push(2, 2 + INTERLEAVE_HOPELESS_NS, 0);
    ck_assert_int_eq(pop(0, NULL), 1);
    push(1, 2, INTERLEAVE_WAIT_LEAD_NS);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_LEAD_NS, NULL), 2);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_LEAD_NS, NULL), 2 + INTERLEAVE_HOPELESS_NS);
}
END_TEST

START_TEST(audio_waits_longer_for_video)
{
    push(1, 1, 0);
    push(2, 2, 0);
    push(2, 2 + INTERLEAVE_BEHIND_NS, 0);
    ck_assert_int_eq(pop(0, NULL), 1);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_OTHER_NS, NULL), -1);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_LEAD_NS, NULL), 2);
}
END_TEST

START_TEST(first_item_of_a_track_is_waited_for_longer)
{
    push(1, 10, 0);
    push(1, 10 + INTERLEAVE_BEHIND_NS, 0);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_OTHER_NS, NULL), -1);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_LEAD_NS, NULL), 10);
}
END_TEST

START_TEST(every_head_waits_anew)
{
    push(2, 1, 0);
    push(1, 2, 0);
    ck_assert_int_eq(pop(0, NULL), 1);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_ANY_NS, NULL), 2);
    /* a sparse track is not late because it was not there a moment ago */
    push(1, 3, INTERLEAVE_WAIT_ANY_NS + S);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_ANY_NS + S, NULL), -1);
}
END_TEST

START_TEST(inactive_track_is_not_waited_for)
{
    il.active = 1;
    push(1, 10, 0);
    ck_assert_int_eq(pop(0, NULL), 10);
}
END_TEST

START_TEST(inactive_track_that_was_just_heard_is_waited_for)
{
    il.active = 1;
    push(2, 1, 0);
    push(1, 2, 0);
    ck_assert_int_eq(pop(0, NULL), 1);
    ck_assert_int_eq(pop(S / 2, NULL), -1);
    ck_assert_int_eq(pop(INTERLEAVE_WAIT_OTHER_NS, NULL), 2);
}
END_TEST

START_TEST(gap_leaves_at_once)
{
    struct link_item gap = {.gap = true, .track = 2, .seq = 0, .last = 4, .pts_ns = 77};
    push(1, 1, 0);
    interleave_push(&il, &gap, 0, 0);
    ck_assert_int_eq(pop(0, NULL), 77);
    ck_assert_int_eq(pop(0, NULL), -1);
}
END_TEST

START_TEST(too_many_bytes_make_it_go_on)
{
    push_bytes(1, 1, INTERLEAVE_MAX_BYTES / 2);
    ck_assert_int_eq(pop(0, NULL), -1);
    push_bytes(1, 2, INTERLEAVE_MAX_BYTES / 2 + 1);
    ck_assert_int_eq(pop(0, NULL), 1);
    ck_assert_int_eq(pop(0, NULL), -1);
    ck_assert_uint_eq(il.bytes, INTERLEAVE_MAX_BYTES / 2 + 1);
}
END_TEST

START_TEST(flush_waits_for_nothing)
{
    struct link_item i;
    push(1, 10, 0);
    ck_assert(interleave_pop(&il, 0, true, &i));
    ck_assert(!interleave_pop(&il, 0, true, &i));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("interleave");
    TCase *tc = tcase_create("interleave");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, leaves_in_order_of_time);
    tcase_add_test(tc, video_first_at_the_same_tick);
    tcase_add_test(tc, waits_for_a_track_without_items);
    tcase_add_test(tc, goes_on_without_a_silent_track);
    tcase_add_test(tc, a_track_that_is_not_behind_in_its_own_time_is_late_not_silent);
    tcase_add_test(tc, a_slow_track_that_goes_on_is_waited_for);
    tcase_add_test(tc, a_track_whose_clock_is_far_behind_is_not_waited_for);
    tcase_add_test(tc, audio_waits_longer_for_video);
    tcase_add_test(tc, first_item_of_a_track_is_waited_for_longer);
    tcase_add_test(tc, every_head_waits_anew);
    tcase_add_test(tc, inactive_track_is_not_waited_for);
    tcase_add_test(tc, inactive_track_that_was_just_heard_is_waited_for);
    tcase_add_test(tc, gap_leaves_at_once);
    tcase_add_test(tc, too_many_bytes_make_it_go_on);
    tcase_add_test(tc, flush_waits_for_nothing);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
