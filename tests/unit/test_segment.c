/* Claims about muxer/segment and muxer/track: headers, their identity, numbers, descriptions of
 * hostile formats. Relies on mux_harness.h for formats and media/mkv_reader. Leaves when segments
 * begin to test_mux. */
#include "tests/unit/mux_harness.h"

static struct track_desc descs[LINK_TRACKS_MAX];
static const struct segment_conf conf = {.stream = "cam", .epoch = 5, .scale_ns = 1000000};

static struct track_desc describe(const struct link_format *f)
{
    struct track_desc d;
    const char *why = NULL;
    ck_assert_int_eq(track_describe(f, NULL, NULL, &d, &why), 0);
    return d;
}

static void both(void)
{
    descs[0] = describe(h.video);
    descs[1] = describe(h.audio);
}

static struct segment *make(const struct segment_conf *c, uint8_t mask, uint64_t last)
{
    struct segment *s = NULL;
    ck_assert_int_eq(segment_create(c, mask, descs, last, &s), 0);
    return s;
}

static void done(struct segment *a, struct segment *b)
{
    segment_unref(&a);
    segment_unref(&b);
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        track_desc_fini(&descs[i]);
}

static bool same_header(const struct segment *a, const struct segment *b)
{
    const struct blob *x = a->formats[0]->segment, *y = b->formats[0]->segment;
    return x->len == y->len && memcmp(x->data, y->data, x->len) == 0;
}

START_TEST(same_tracks_give_the_identical_header_and_number)
{
    both();
    struct segment *a = make(&conf, 3, 0), *b = make(&conf, 3, 0);
    ck_assert(same_header(a, b));
    ck_assert_uint_eq(a->number, b->number);
    ck_assert_uint_gt(a->number, SEGMENT_NUMBER_UNKNOWN);
    done(a, b);
}
END_TEST

START_TEST(another_stream_or_epoch_gives_another_header)
{
    struct segment_conf other = conf;
    both();
    if (_i)
        other.epoch++;
    else
        other.stream = "yard";
    struct segment *a = make(&conf, 3, 0), *b = make(&other, 3, 0);
    ck_assert(!same_header(a, b));
    done(a, b);
}
END_TEST

START_TEST(number_always_grows)
{
    both();
    struct segment *a = make(&conf, 3, 0), *b = make(&conf, 1, a->number);
    ck_assert_uint_gt(b->number, a->number);
    done(a, b);
}
END_TEST

START_TEST(fits_compares_tracks_not_numbers)
{
    both();
    struct segment *a = make(&conf, 3, 0);
    descs[0].number = 9;
    ck_assert(segment_fits(a, 3, descs));
    ck_assert(!segment_fits(a, 1, descs));
    descs[0].width++;
    ck_assert(!segment_fits(a, 3, descs));
    done(a, NULL);
}
END_TEST

START_TEST(every_track_carries_the_header)
{
    both();
    struct segment *a = make(&conf, 3, 0);
    ck_assert_ptr_eq(a->formats[0]->segment, a->formats[1]->segment);
    ck_assert_ptr_null(a->formats[2]);
    ck_assert_uint_eq(a->formats[1]->number, a->number);
    ck_assert_str_eq(a->formats[0]->layout, "avcc");
    done(a, NULL);
}
END_TEST

START_TEST(size_comes_from_the_sps)
{
    h.video->width = 1;
    h.video->height = 1;
    struct track_desc d = describe(h.video);
    ck_assert_uint_eq(d.width, 1280);
    ck_assert_uint_eq(d.height, 720);
    track_desc_fini(&d);
}
END_TEST

START_TEST(aac_without_config_is_described_from_rate_and_channels)
{
    blob_unref(&h.audio->config);
    struct track_desc d = describe(h.audio);
    ck_assert_uint_eq(d.codec_private->len, sizeof asc);
    ck_assert_mem_eq(d.codec_private->data, asc, sizeof asc);
    track_desc_fini(&d);
}
END_TEST

START_TEST(damaged_configurations_are_refused)
{
    static const uint8_t junk[] = {0xff, 0x00};
    struct track_desc d;
    const char *why = NULL;
    struct link_format *f = _i == 2 ? h.audio : h.video;
    if (_i == 1)
        f->codec = LINK_CODEC_H265;
    blob_unref(&f->config);
    f->config = blob_copy(junk, _i == 2 ? 0 : sizeof junk);
    ck_assert_int_eq(track_describe(f, NULL, NULL, &d, &why), -EBADMSG);
    ck_assert_ptr_nonnull(why);
    ck_assert_ptr_null(d.codec_private);
}
END_TEST

START_TEST(avcc_without_config_is_refused)
{
    struct track_desc d;
    const char *why = NULL;
    blob_unref(&h.video->config);
    ck_assert_int_eq(track_describe(h.video, NULL, NULL, &d, &why), -ENODATA);
    ck_assert_ptr_nonnull(why);
}
END_TEST

START_TEST(codec_ids_that_do_not_fit_are_refused)
{
    struct track_desc d;
    const char *why = NULL;
    h.video->codec = LINK_CODEC_OTHER;
    memset(h.video->layout, 'V', 39);
    h.video->layout[39] = '\0';
    ck_assert_int_eq(track_describe(h.video, NULL, NULL, &d, &why), -ENOTSUP);
    h.video->layout[0] = '\0';
    ck_assert_int_eq(track_describe(h.video, NULL, NULL, &d, &why), -ENOTSUP);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("segment");
    tcase_add_test(tc, same_tracks_give_the_identical_header_and_number);
    tcase_add_loop_test(tc, another_stream_or_epoch_gives_another_header, 0, 2);
    tcase_add_test(tc, number_always_grows);
    tcase_add_test(tc, fits_compares_tracks_not_numbers);
    tcase_add_test(tc, every_track_carries_the_header);
    tcase_add_test(tc, size_comes_from_the_sps);
    tcase_add_test(tc, aac_without_config_is_described_from_rate_and_channels);
    tcase_add_loop_test(tc, damaged_configurations_are_refused, 0, 3);
    tcase_add_test(tc, avcc_without_config_is_refused);
    tcase_add_test(tc, codec_ids_that_do_not_fit_are_refused);
    return harness_run("segment", tc);
}
