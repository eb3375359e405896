/* The fragment rules of server/ingest.h, fed with Matroska made by media/mkv_writer.
 * Relies on Check.
 * Leaves HTTP, acks and the archive to tests/conformance/server. */
#include <check.h>
#include <string.h>

#include "media/mkv_writer.h"
#include "server/fragment_number.h"
#include "server/ingest.h"
#include "server/put_media.h"
#include "server/token.h"
#include "tests/unit/suite.h"

static const struct ingest_limits limits = {
    .tracks = 3, .tags = 10, .max_ms = 20000, .max_bytes = 50u << 20, .ahead_ms = 86400000};
static struct buf in_bytes;
static struct ingest in;
static int begun, completed, error_id, error_began;
static int64_t last_tc, last_producer, last_length;
static struct ingest_fragment last;

static void on_begin(void *arg, int64_t timecode_ms, int64_t producer_ms)
{
    begun++;
    last_tc = timecode_ms;
    last_producer = producer_ms;
}

static void drop_last(void)
{
    blob_unref(&last.header);
    blob_unref(&last.data);
}

static void on_complete(void *arg, const struct ingest_fragment *f)
{
    drop_last();
    last = *f;
    last_length = f->length_ms;
    completed++;
}

static void on_error(void *arg, enum ingest_error id, bool began)
{
    ck_assert_int_eq(error_id, 0);
    error_id = id;
    error_began = began;
}

static const struct ingest_ops ops = {
    .begin = on_begin, .complete = on_complete, .error = on_error};

static void setup(void)
{
    buf_init(&in_bytes, 200u << 20);
    begun = completed = error_id = error_began = 0;
    ingest_init(&in, &ops, NULL, &limits, true, 0);
}

static void teardown(void)
{
    ingest_fini(&in);
    buf_fini(&in_bytes);
    drop_last();
}

static void header(unsigned ntracks, uint64_t scale_ns)
{
    struct mkv_header h = {.timecode_scale_ns = scale_ns, .ntracks = ntracks};
    for (unsigned i = 0; i < ntracks; i++) {
        h.tracks[i].number = i + 1;
        h.tracks[i].type = MKV_TRACK_VIDEO;
        strcpy(h.tracks[i].codec_id, "V_MPEG4/ISO/AVC");
    }
    ck_assert_int_eq(mkv_write_header(&in_bytes, &h), 0);
}

static void block(uint32_t track, int16_t rel)
{
    mkv_write_block_header(&in_bytes, track, rel, true, false, 4);
    buf_append(&in_bytes, "data", 4);
}

static void fragment(uint64_t tc)
{
    mkv_write_cluster(&in_bytes, tc);
    for (int16_t rel = 0; rel < 1000; rel += 250)
        block(1, rel);
}

static void feed_in(size_t piece)
{
    for (size_t at = 0; at < in_bytes.len; at += piece) {
        size_t n = in_bytes.len - at < piece ? in_bytes.len - at : piece;
        ingest_feed(&in, in_bytes.data + at, n, 1000000);
    }
}

static void tag(const char *name, const char *value)
{
    struct mkv_tag t = {name, value};
    mkv_write_tags(&in_bytes, &t, 1);
}

START_TEST(any_split_gives_the_same_fragments)
{
    header(1, 0);
    fragment(1000);
    tag("k", "v");
    fragment(2000);
    feed_in((size_t)_i + 1);
    ingest_finish(&in);
    ck_assert_int_eq(error_id, 0);
    ck_assert_int_eq(begun, 2);
    ck_assert_int_eq(completed, 2);
    ck_assert_int_eq(last_tc, 2000);
    ck_assert_int_eq(last_producer, 2000);
    ck_assert_int_eq(last_length, 1000);
}
END_TEST

START_TEST(relative_times_start_at_the_producers_start)
{
    ingest_fini(&in);
    ingest_init(&in, &ops, NULL, &limits, false, 500000);
    header(1, 100000);
    mkv_write_cluster(&in_bytes, 20000);
    block(1, 0);
    block(1, 400);
    feed_in(1 << 20);
    ingest_finish(&in);
    ck_assert_int_eq(last_tc, 2000);
    ck_assert_int_eq(last_producer, 502000);
    ck_assert_int_eq(last_length, 80);
}
END_TEST

START_TEST(end_of_fragment_tag_closes_and_is_not_kept)
{
    header(1, 0);
    fragment(1000);
    tag("AWS_KINESISVIDEO_END_OF_FRAGMENT", "");
    feed_in(1 << 20);
    ck_assert_int_eq(completed, 1);
    ck_assert_uint_eq(last.pre_len + last.cluster_len, last.data->len);
}
END_TEST

START_TEST(tags_belong_to_the_cluster_before_them)
{
    header(1, 0);
    tag("first", "1");
    fragment(1000);
    tag("behind", "2");
    feed_in(1 << 20);
    ck_assert_int_eq(completed, 0);
    ingest_finish(&in);
    ck_assert_int_eq(completed, 1);
    ck_assert_ptr_nonnull(memmem(last.data->data, last.pre_len, "first", 5));
    size_t at = last.pre_len + last.cluster_len;
    ck_assert_ptr_nonnull(memmem(last.data->data + at, last.data->len - at, "behind", 6));
}
END_TEST

START_TEST(abort_drops_the_open_fragment)
{
    header(1, 0);
    fragment(1000);
    feed_in(1 << 20);
    ingest_abort(&in);
    ck_assert_int_eq(begun, 1);
    ck_assert_int_eq(completed, 0);
}
END_TEST

START_TEST(abort_keeps_a_fragment_whose_cluster_ended)
{
    header(1, 0);
    fragment(1000);
    tag("k", "v");
    feed_in(1 << 20);
    ingest_abort(&in);
    ck_assert_int_eq(completed, 1);
}
END_TEST

static void expect_error(int id, int began)
{
    feed_in(1 << 20);
    ingest_finish(&in);
    ck_assert_int_eq(error_id, id);
    ck_assert_int_eq(error_began, began);
}

START_TEST(garbage_is_4006)
{
    buf_append(&in_bytes, "no matroska here", 16);
    expect_error(INGEST_BAD_MKV, 0);
}
END_TEST

START_TEST(longer_than_20_s_is_4002)
{
    header(1, 0);
    mkv_write_cluster(&in_bytes, 1000);
    block(1, 0);
    block(1, 20001);
    expect_error(INGEST_FRAGMENT_DURATION, 1);
}
END_TEST

START_TEST(four_tracks_are_4005)
{
    header(4, 0);
    fragment(1000);
    expect_error(INGEST_TRACKS, 1);
}
END_TEST

START_TEST(first_time_must_pass_the_last_one_before)
{
    header(1, 0);
    fragment(1000);
    fragment(1750);
    expect_error(INGEST_TIMECODE_ORDER, 1);
    ck_assert_int_eq(completed, 1);
}
END_TEST

START_TEST(undeclared_track_is_4010)
{
    header(1, 0);
    mkv_write_cluster(&in_bytes, 1000);
    block(2, 0);
    expect_error(INGEST_TRACK_NUMBER, 1);
}
END_TEST

START_TEST(track_without_a_frame_is_4011)
{
    header(2, 0);
    fragment(1000);
    expect_error(INGEST_TRACK_MISSING, 1);
}
END_TEST

START_TEST(cluster_without_a_frame_is_4011)
{
    header(1, 0);
    mkv_write_cluster(&in_bytes, 1000);
    expect_error(INGEST_TRACK_MISSING, 1);
}
END_TEST

START_TEST(far_future_is_4007)
{
    header(1, 0);
    fragment(1000000 + INT64_C(25) * 3600 * 1000);
    expect_error(INGEST_PRODUCER_TIMESTAMP, 1);
}
END_TEST

START_TEST(bad_name_before_the_first_cluster_waits_for_its_timecode)
{
    header(1, 0);
    tag("AWS_FOO", "v");
    fragment(1000);
    expect_error(INGEST_METADATA_NAME, 1);
    ck_assert_int_eq(last_tc, 1000);
}
END_TEST

START_TEST(eleventh_tag_is_4009)
{
    header(1, 0);
    fragment(1000);
    for (int i = 0; i < 11; i++)
        tag("k", "v");
    expect_error(INGEST_METADATA_LIMIT, 1);
}
END_TEST

static void limit(uint32_t tracks, uint32_t tags, int64_t max_ms, int64_t min_ms)
{
    struct ingest_limits l = limits;
    l.tracks = tracks;
    l.tags = tags;
    l.max_ms = max_ms;
    l.min_ms = min_ms;
    ingest_fini(&in);
    ingest_init(&in, &ops, NULL, &l, true, 0);
}

START_TEST(limits_can_be_raised)
{
    limit(5, 20, 60000, 0);
    header(5, 0);
    mkv_write_cluster(&in_bytes, 1000);
    for (unsigned t = 1; t <= 5; t++)
        block(t, t == 5 ? 30000 : 0);
    for (int i = 0; i < 20; i++)
        tag("k", "v");
    expect_error(0, 0);
    ck_assert_int_eq(completed, 1);
}
END_TEST

START_TEST(a_short_fragment_is_4013_when_another_follows)
{
    limit(3, 10, 20000, 1001);
    header(1, 0);
    fragment(1000);
    fragment(2000);
    expect_error(INGEST_FRAGMENT_SHORT, 1);
    ck_assert_int_eq(begun, 1);
    ck_assert_int_eq(completed, 0);
}
END_TEST

START_TEST(the_last_fragment_may_be_short)
{
    limit(3, 10, 20000, 1001);
    header(1, 0);
    fragment(1000);
    expect_error(0, 0);
    ck_assert_int_eq(completed, 1);
}
END_TEST

static const struct {
    const char *text;
    long long ms;
} starts[] = {{"1732012345.678", 1732012345678},
              {"1732012345.7", 1732012345700},
              {"5", 5000},
              {"5.", 5000},
              {"", -1},
              {"-1", -1},
              {"1e9", -1},
              {"nan", -1},
              {"0x10", -1},
              {"999999999999999", -1}};

START_TEST(start_timestamps)
{
    long long ms = -1;
    int r = put_media_parse_start(starts[_i].text, &ms);
    ck_assert_int_eq(r == 0, starts[_i].ms >= 0);
    ck_assert_int_eq(ms, starts[_i].ms);
}
END_TEST

static const struct {
    const char *text;
    int64_t seq;
} fragment_numbers[] = {{"91343852333181432000000000000000000000000000005", 5},
                        {"0091343852333181432000000000000000000000000000005", 5},
                        {"1", -1},
                        {"0", -1},
                        {"91343852333181431999999999999999999999999999999", -1},
                        {"91343852333181433000000000000000000000000000000", INT64_MAX},
                        {"91343852333181432999999999999999999999999999999", INT64_MAX},
                        {"913438523331814320000000000000000000000000000051", INT64_MAX}};

START_TEST(fragment_numbers_compare_as_numbers)
{
    int64_t seq = 0;
    ck_assert_int_eq(fragment_number_parse(fragment_numbers[_i].text, &seq), 0);
    ck_assert_int_eq(seq, fragment_numbers[_i].seq);
}
END_TEST

START_TEST(fragment_numbers_round_trip)
{
    char text[FRAGMENT_NUMBER_LEN];
    int64_t seq = 0;
    fragment_number_format(INT64_C(1795388710998201988), text);
    ck_assert_uint_eq(strlen(text), 47);
    ck_assert_int_eq(fragment_number_parse(text, &seq), 0);
    ck_assert_int_eq(seq, INT64_C(1795388710998201988));
    ck_assert_int_lt(fragment_number_parse("12a", &seq), 0);
    ck_assert_int_lt(fragment_number_parse("", &seq), 0);
}
END_TEST

START_TEST(tokens_round_trip_and_refuse_other_text)
{
    char token[TOKEN_MAX], text[TOKEN_TEXT_MAX];
    for (const char *t = "abcdef"; *t; t++) {
        token_encode(t, token);
        ck_assert_int_eq(token_decode(token, text), 0);
        ck_assert_str_eq(text, t);
    }
    ck_assert_int_lt(token_decode("abc", text), 0);
    ck_assert_int_lt(token_decode("!!!!", text), 0);
    ck_assert_int_lt(token_decode("", text), 0);
}
END_TEST

#define N(a) ((int)(sizeof(a) / sizeof *(a)))

int main(void)
{
    Suite *s = suite_create("server_put_media");
    TCase *t = tcase_create("server_put_media");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, any_split_gives_the_same_fragments, 0, 64);
    tcase_add_test(t, relative_times_start_at_the_producers_start);
    tcase_add_test(t, end_of_fragment_tag_closes_and_is_not_kept);
    tcase_add_test(t, tags_belong_to_the_cluster_before_them);
    tcase_add_test(t, abort_drops_the_open_fragment);
    tcase_add_test(t, abort_keeps_a_fragment_whose_cluster_ended);
    tcase_add_test(t, garbage_is_4006);
    tcase_add_test(t, longer_than_20_s_is_4002);
    tcase_add_test(t, four_tracks_are_4005);
    tcase_add_test(t, first_time_must_pass_the_last_one_before);
    tcase_add_test(t, undeclared_track_is_4010);
    tcase_add_test(t, track_without_a_frame_is_4011);
    tcase_add_test(t, cluster_without_a_frame_is_4011);
    tcase_add_test(t, far_future_is_4007);
    tcase_add_test(t, bad_name_before_the_first_cluster_waits_for_its_timecode);
    tcase_add_test(t, eleventh_tag_is_4009);
    tcase_add_test(t, limits_can_be_raised);
    tcase_add_test(t, a_short_fragment_is_4013_when_another_follows);
    tcase_add_test(t, the_last_fragment_may_be_short);
    tcase_add_loop_test(t, start_timestamps, 0, N(starts));
    tcase_add_loop_test(t, fragment_numbers_compare_as_numbers, 0, N(fragment_numbers));
    tcase_add_test(t, fragment_numbers_round_trip);
    tcase_add_test(t, tokens_round_trip_and_refuse_other_text);
    suite_add_tcase(s, t);
    return suite_run(s);
}
