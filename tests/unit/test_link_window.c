/* The window of one track: what is held, forgotten, found.
 * Relies on link_trace.h for frames.
 * Leaves bounds to test_link_outlet.c. */
#include "common/link_window.h"

#include "tests/unit/link_trace.h"

static struct link_window w;
static struct link_format *format;

static void setup(void)
{
    format = format_of('r', 1);
    link_window_reset(&w, 10);
}

static void teardown(void)
{
    link_window_fini(&w);
    link_format_unref(&format);
}

static void push(size_t bytes)
{
    struct link_item it = frame_of(format, 1, w.next, true, 0, bytes);
    link_window_push(&w, &it);
    ck_assert_ptr_null(it.payload); /* taken over */
}

static void push_gap(uint64_t numbers)
{
    struct link_item it = {.gap = true, .track = 1, .seq = w.next, .last = w.next + numbers - 1};
    link_window_push(&w, &it);
}

START_TEST(empty_window_has_nothing)
{
    ck_assert_ptr_null(link_window_oldest(&w));
    ck_assert_ptr_null(link_window_newest(&w));
    ck_assert_ptr_null(link_window_find(&w, 10));
    ck_assert_uint_eq(w.low, 10);
}
END_TEST

START_TEST(every_held_number_is_found_over_growth_and_wrap)
{
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned i = 0; i < 30; i++)
            push(1);
        link_window_forget(&w, w.next - 7);
        ck_assert_uint_eq(w.len, 7);
        for (uint64_t n = w.low; n < w.next; n++)
            ck_assert_uint_eq(link_window_find(&w, n)->seq, n);
        ck_assert_ptr_null(link_window_find(&w, w.low - 1));
        ck_assert_ptr_null(link_window_find(&w, w.next));
    }
    for (unsigned i = 0; i < 500; i++) /* grows while it is wrapped */
        push(1);
    for (uint64_t n = w.low; n < w.next; n++)
        ck_assert_uint_eq(link_window_find(&w, n)->seq, n);
    ck_assert_uint_eq(w.bytes, 507);
}
END_TEST

START_TEST(drop_takes_the_oldest_and_its_bytes)
{
    push(5);
    push(7);
    link_window_drop(&w);
    ck_assert_uint_eq(w.bytes, 7);
    ck_assert_uint_eq(w.low, 11);
    ck_assert_uint_eq(link_window_oldest(&w)->seq, 11);
    ck_assert_uint_eq(link_window_newest(&w)->seq, 11);
}
END_TEST

START_TEST(a_gap_is_found_by_each_of_its_numbers)
{
    push(1);
    push_gap(5);
    push(1);
    for (uint64_t n = 11; n <= 15; n++)
        ck_assert(link_window_find(&w, n)->gap);
    ck_assert(!link_window_find(&w, 16)->gap);
}
END_TEST

START_TEST(forget_inside_a_gap_raises_its_first_number)
{
    push_gap(5);
    link_window_forget(&w, 12);
    ck_assert_uint_eq(link_window_oldest(&w)->seq, 12);
    ck_assert_uint_eq(link_window_oldest(&w)->last, 14);
    ck_assert_uint_eq(w.low, 12);
    link_window_forget(&w, 11); /* never back */
    ck_assert_uint_eq(w.low, 12);
}
END_TEST

START_TEST(forget_beyond_the_end_moves_the_next_number)
{
    push(3);
    link_window_forget(&w, 100);
    ck_assert_uint_eq(w.len, 0);
    ck_assert_uint_eq(w.bytes, 0);
    ck_assert_uint_eq(w.next, 100);
    push(1);
    ck_assert_uint_eq(link_window_find(&w, 100)->seq, 100);
}
END_TEST

START_TEST(reset_empties)
{
    push(3);
    push_gap(2);
    link_window_reset(&w, 4);
    ck_assert_uint_eq(w.len, 0);
    ck_assert_uint_eq(w.low, 4);
    ck_assert_uint_eq(w.next, 4);
}
END_TEST

static void fill(TCase *tc)
{
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, empty_window_has_nothing);
    tcase_add_test(tc, every_held_number_is_found_over_growth_and_wrap);
    tcase_add_test(tc, drop_takes_the_oldest_and_its_bytes);
    tcase_add_test(tc, a_gap_is_found_by_each_of_its_numbers);
    tcase_add_test(tc, forget_inside_a_gap_raises_its_first_number);
    tcase_add_test(tc, forget_beyond_the_end_moves_the_next_number);
    tcase_add_test(tc, reset_empties);
}

int main(void)
{
    return run_suite("link_window", fill);
}
