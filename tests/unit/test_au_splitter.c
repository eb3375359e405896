/* Byte streams cut into access units, in pieces of any size.
 * Relies on Check.
 * Leaves real transport streams to tests/pipeline/passthrough. */
#include "media/au_splitter.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define NOTHING                                                                                    \
    {                                                                                              \
        0                                                                                          \
    }

static const uint8_t sps[] = {0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xbf, 0xe5,
                              0xc0, 0x44, 0,    0,    3,    0,    4,    0,    0,
                              3,    0,    0xf0, 0x3c, 0x58, 0xba, 0x80};
static const uint8_t pps[] = {0x68, 0xce, 0x3c, 0x80};
static const uint8_t sei[] = {0x06, 5, 1, 0xaa, 0x80}, aud[] = {0x09, 0xf0};

struct bits {
    uint8_t data[128];
    size_t n;
};

static void u(struct bits *b, uint32_t v, unsigned n)
{
    while (n--) {
        b->data[b->n / 8] |= (uint8_t)((v >> n & 1) << (7 - b->n % 8));
        b->n++;
    }
}

static void ue(struct bits *b, uint32_t v)
{
    unsigned len = 0;
    while ((v + 1) >> (len + 1))
        len++;
    u(b, 0, len);
    u(b, v + 1, len + 1);
}

static uint8_t all[4096];
static size_t all_len;

static void raw(const void *data, size_t len)
{
    memcpy(all + all_len, data, len);
    all_len += len;
}

static void unit(const void *data, size_t len)
{
    static const uint8_t code[] = {0, 0, 0, 1};
    raw(code, sizeof code);
    raw(data, len);
}
#define UNIT(a) unit(a, sizeof a)

/* bottom below 0: the SPS is of frames only */
static void slice(unsigned type, unsigned ref, uint32_t first_mb, uint32_t frame_num, int bottom)
{
    struct h264_sps s;
    struct bits b = NOTHING;
    ck_assert_int_eq(h264_parse_sps(&(struct nal){sps, sizeof sps}, &s), 0);
    u(&b, ref << 5 | type, 8);
    ue(&b, first_mb);
    ue(&b, 7);
    ue(&b, 0);
    u(&b, frame_num, s.frame_num_bits);
    if (bottom >= 0)
        u(&b, 2u | (unsigned)bottom, 2);
    if (type == 5)
        ue(&b, 0);
    u(&b, 1, s.poc_lsb_bits);
    for (int i = 0; i < 20; i++)
        u(&b, 0xa5, 8);
    unit(b.data, b.n / 8 + 1);
}

static size_t got[64];
static int64_t got_pts[64];
static unsigned ngot;
static size_t got_bytes;

static void keep(void *arg, const uint8_t *data, size_t len, const struct au_times *times)
{
    ck_assert_uint_lt(ngot, 64);
    ck_assert_mem_eq(data, all + got_bytes, len);
    got_bytes += len;
    got_pts[ngot] = times->given ? times->pts_ns : -1;
    got[ngot++] = len;
}

static void reset(void)
{
    all_len = got_bytes = ngot = 0;
}

static void cut(bool h265, size_t step)
{
    struct au_splitter s;
    ngot = 0;
    got_bytes = 0;
    au_splitter_init(&s, h265, 1 << 20);
    for (size_t at = 0; at < all_len; at += step) {
        struct au_times t = {.pts_ns = (int64_t)at, .given = true};
        au_splitter_push(&s, all + at, step < all_len - at ? step : all_len - at, &t, keep, NULL);
    }
    au_splitter_flush(&s, keep, NULL);
    ck_assert_uint_eq(au_splitter_junk(&s), 0);
    au_splitter_fini(&s);
}

/* Cuts at every step and expects access units that end at `ends`. */
static void expect(bool h265, const size_t *ends, unsigned n)
{
    for (size_t step = 1; step <= all_len; step++) {
        size_t at = 0;
        cut(h265, step);
        ck_assert_msg(ngot == n, "step %zu: %u access units", step, ngot);
        for (unsigned i = 0; i < n; i++) {
            at += got[i];
            ck_assert_msg(at == ends[i], "step %zu: access unit %u ends at %zu, not %zu", step, i,
                          at, ends[i]);
        }
    }
}

START_TEST(units_before_a_slice_belong_to_its_picture)
{
    size_t ends[4];
    reset();
    UNIT(aud);
    UNIT(sei);
    UNIT(sps);
    UNIT(pps);
    UNIT(sei);
    slice(5, 3, 0, 0, -1);
    ends[0] = all_len;
    UNIT(aud);
    slice(1, 2, 0, 1, -1);
    ends[1] = all_len;
    UNIT(sei);
    slice(1, 2, 0, 2, -1);
    ends[2] = all_len;
    slice(1, 2, 0, 3, -1);
    ends[3] = all_len;
    expect(false, ends, 4);
}
END_TEST

START_TEST(slices_of_a_picture_stay_together_also_with_parameter_sets_between)
{
    size_t ends[2];
    reset();
    UNIT(sps);
    UNIT(pps);
    slice(5, 3, 0, 0, -1);
    slice(5, 3, 40, 0, -1);
    UNIT(sps);
    UNIT(pps);
    slice(5, 3, 80, 0, -1);
    ends[0] = all_len;
    UNIT(sps);
    UNIT(pps);
    slice(1, 2, 0, 1, -1);
    slice(1, 2, 40, 1, -1);
    ends[1] = all_len;
    expect(false, ends, 2);
}
END_TEST

START_TEST(first_slice_that_was_lost_still_begins_a_picture)
{
    size_t ends[2];
    reset();
    UNIT(sps);
    UNIT(pps);
    slice(5, 3, 0, 0, -1);
    ends[0] = all_len;
    slice(1, 2, 40, 1, -1);
    ends[1] = all_len;
    expect(false, ends, 2);
}
END_TEST

START_TEST(filler_and_ends_of_sequence_stay_with_the_picture_before)
{
    static const uint8_t filler[] = {0x0c, 0xff, 0xff, 0x80}, end[] = {0x0a};
    size_t ends[2];
    reset();
    UNIT(sps);
    UNIT(pps);
    slice(5, 3, 0, 0, -1);
    UNIT(filler);
    UNIT(end);
    raw("\0\0\0", 3); /* trailing zeros stay */
    ends[0] = all_len;
    UNIT(aud);
    slice(5, 3, 0, 0, -1);
    ends[1] = all_len;
    expect(false, ends, 2);
}
END_TEST

START_TEST(h265_pictures_begin_at_their_first_slice_segment)
{
    static const uint8_t vps[] = {0x40, 1, 0x0c}, first[] = {0x26, 1, 0xaf, 9, 9},
                         more[] = {0x26, 1, 0x2f, 9, 9}, suffix[] = {0x50, 1, 0x84, 0x80},
                         delta[] = {2, 1, 0xd0, 9, 9}, prefix[] = {0x4e, 1, 5, 0x80};
    size_t ends[3];
    reset();
    UNIT(vps);
    UNIT(first);
    UNIT(more);
    UNIT(suffix);
    ends[0] = all_len;
    UNIT(prefix);
    UNIT(delta);
    ends[1] = all_len;
    UNIT(delta);
    ends[2] = all_len;
    expect(true, ends, 3);
}
END_TEST

START_TEST(times_go_to_the_first_access_unit_that_begins_in_the_chunk)
{
    struct au_splitter s;
    struct au_times t = {.given = true};
    size_t second, third, half;
    reset();
    UNIT(sps);
    UNIT(pps);
    slice(5, 3, 0, 0, -1);
    second = all_len;
    slice(1, 2, 0, 1, -1);
    third = all_len;
    slice(1, 2, 0, 2, -1);
    half = third - 6;
    au_splitter_init(&s, false, 1 << 20);
    t.pts_ns = 10;
    au_splitter_push(&s, all, half, &t, keep, NULL); /* two begin here, one gets the time */
    t.pts_ns = 30;
    au_splitter_push(&s, all + half, all_len - half, &t, keep, NULL);
    au_splitter_flush(&s, keep, NULL);
    ck_assert_uint_eq(ngot, 3);
    ck_assert_uint_eq(got[0], second);
    ck_assert_int_eq(got_pts[0], 10);
    ck_assert_int_eq(got_pts[1], -1);
    ck_assert_int_eq(got_pts[2], 30);
    au_splitter_fini(&s);
}
END_TEST

START_TEST(said_end_puts_a_picture_out_and_keeps_parameter_sets)
{
    struct au_splitter s;
    struct au_times t = {.given = true};
    size_t sets;
    reset();
    UNIT(sps);
    UNIT(pps);
    sets = all_len;
    slice(5, 3, 0, 0, -1);
    au_splitter_init(&s, false, 1 << 20);
    au_splitter_push(&s, all, sets, &t, keep, NULL);
    au_splitter_end(&s, keep, NULL);
    ck_assert_uint_eq(ngot, 0);
    au_splitter_push(&s, all + sets, all_len - sets, &t, keep, NULL);
    au_splitter_end(&s, keep, NULL);
    ck_assert_uint_eq(ngot, 1);
    ck_assert_uint_eq(got[0], all_len);
    au_splitter_fini(&s);
}
END_TEST

static void ignore(void *arg, const uint8_t *data, size_t len, const struct au_times *times)
{
    ck_assert_uint_gt(len, 0);
    ck_assert_uint_le(len, 256);
}

START_TEST(garbage_is_bounded_and_counted)
{
    static const uint8_t alphabet[] = {0,    0,    0,    0,    1,    1,    3,
                                       0x65, 0x41, 0x67, 0x68, 0x09, 0x88, 0x26};
    struct au_splitter s;
    struct au_times t = {.given = true};
    uint8_t chunk[50];
    srandom(1);
    for (int round = 0; round < 2; round++) {
        au_splitter_init(&s, round, 256);
        for (int i = 0; i < 20000; i++) {
            size_t len = (size_t)random() % sizeof chunk + 1;
            for (size_t k = 0; k < len; k++)
                chunk[k] = random() % 3 ? alphabet[random() % sizeof alphabet] : (uint8_t)random();
            t.pts_ns = i;
            au_splitter_push(&s, chunk, len, &t, ignore, NULL);
            if (random() % 97 == 0)
                au_splitter_flush(&s, ignore, NULL);
            ck_assert_uint_le(s.bytes.len, 256);
        }
        ck_assert_uint_gt(au_splitter_junk(&s), 0);
        au_splitter_fini(&s);
    }
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("au_splitter");
    Suite *s = suite_create("au_splitter");

    tcase_set_timeout(c, 60);
    tcase_add_test(c, units_before_a_slice_belong_to_its_picture);
    tcase_add_test(c, slices_of_a_picture_stay_together_also_with_parameter_sets_between);
    tcase_add_test(c, first_slice_that_was_lost_still_begins_a_picture);
    tcase_add_test(c, filler_and_ends_of_sequence_stay_with_the_picture_before);
    tcase_add_test(c, h265_pictures_begin_at_their_first_slice_segment);
    tcase_add_test(c, times_go_to_the_first_access_unit_that_begins_in_the_chunk);
    tcase_add_test(c, said_end_puts_a_picture_out_and_keeps_parameter_sets);
    tcase_add_test(c, garbage_is_bounded_and_counted);
    suite_add_tcase(s, c);
    return suite_run(s);
}
