/* Raw audio in blocks of 1024 samples.
 * Relies on Check.
 * Leaves the conversion of samples to GStreamer. */
#include "capture/blocks.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <string.h>

#define RATE 48000
#define BYTES 4

static struct {
    int64_t pts, duration;
    uint8_t first, last;
} got[64];
static unsigned ngot;

static void keep(void *arg, struct blob *b, int64_t pts, int64_t duration)
{
    ck_assert_uint_eq(b->len, 1024 * BYTES);
    ck_assert_uint_lt(ngot, 64);
    got[ngot].pts = pts;
    got[ngot].duration = duration;
    got[ngot].first = b->data[0];
    got[ngot++].last = b->data[b->len - 1];
    blob_unref(&b);
}

static void setup(struct blocks *b)
{
    blocks_init(b, RATE, BYTES);
    ngot = 0;
}

static void add(struct blocks *b, unsigned samples, int fill, int64_t pts)
{
    static uint8_t data[8192 * BYTES];
    memset(data, fill, samples * BYTES);
    blocks_add(b, data, samples * BYTES, pts, keep, NULL);
}

START_TEST(odd_pieces_give_whole_blocks_with_exact_times)
{
    struct blocks b;
    int64_t at = 0;
    setup(&b);
    for (int i = 0; i < 100; i++, at += 480)
        add(&b, 480, 1, 7 + at * 1000000000 / RATE);
    ck_assert_uint_eq(ngot, 46);
    for (unsigned i = 0; i < ngot; i++)
        ck_assert_int_eq(got[i].pts, 7 + (int64_t)i * 1024 * 1000000000 / RATE);
    blocks_fini(&b);
}
END_TEST

START_TEST(jitter_of_the_source_does_not_show)
{
    struct blocks b;
    setup(&b);
    for (int i = 0; i < 10; i++)
        add(&b, 1024, 1, (int64_t)i * 1024 * 1000000000 / RATE + (i % 3) * 5000000);
    for (unsigned i = 0; i < ngot; i++)
        ck_assert_int_eq(got[i].pts, (int64_t)i * 1024 * 1000000000 / RATE);
    blocks_fini(&b);
}
END_TEST

START_TEST(hole_ends_the_block_with_silence_and_the_time_goes_with_the_source)
{
    struct blocks b;
    setup(&b);
    add(&b, 512, 9, 0);
    add(&b, 1024, 8, 1000000000);
    ck_assert_uint_eq(ngot, 2);
    ck_assert_uint_eq(got[0].first, 9);
    ck_assert_uint_eq(got[0].last, 0);
    ck_assert_int_eq(got[1].pts, 1000000000);
    ck_assert_uint_eq(got[1].first, 8);
    blocks_fini(&b);
}
END_TEST

START_TEST(flush_puts_the_rest_out_once)
{
    struct blocks b;
    setup(&b);
    add(&b, 1100, 5, 0);
    blocks_flush(&b, keep, NULL);
    blocks_flush(&b, keep, NULL);
    ck_assert_uint_eq(ngot, 2);
    blocks_fini(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("capture_blocks");
    TCase *tc = tcase_create("capture_blocks");
    tcase_add_test(tc, odd_pieces_give_whole_blocks_with_exact_times);
    tcase_add_test(tc, jitter_of_the_source_does_not_show);
    tcase_add_test(tc, hole_ends_the_block_with_silence_and_the_time_goes_with_the_source);
    tcase_add_test(tc, flush_puts_the_rest_out_once);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
