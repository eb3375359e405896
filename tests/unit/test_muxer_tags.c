/* Claims about fragment metadata: which items, how often, and where the Tags elements stand. Times
 * in ms. Relies on mux_harness.h and muxer/tags. Leaves the reading of Tags to test_mkv_reader. */
#include "tests/unit/mux_harness.h"

#include "muxer/tags.h"

static struct conf_tag two[] = {{(char *)"site", (char *)"north", true},
                                {(char *)"run", (char *)"1", false}};

static void with(struct conf_tag *tags, unsigned n)
{
    h.conf.tags = tags;
    h.conf.tags_count = n;
}

static unsigned count(bool first)
{
    static const struct metadata none;
    return tags_count(&h.conf, &none, &(struct tags_fragment){.start_ns = T0, .first = first});
}

START_TEST(without_tags_there_is_no_element)
{
    harness_begin(1);
    video(0, 0, -1);
    video(1000, 1000, 0);
    parse_log();
    ck_assert_uint_eq(parsed.ntags, 0);
}
END_TEST

START_TEST(first_fragment_has_its_tags_in_front_others_behind)
{
    with(two, 1);
    harness_begin(1);
    for (int64_t t = 0; t < 4000; t += 1000)
        video(t, t, t ? t - 1000 : -1);
    parse_log();
    ck_assert_uint_eq(parsed.clusters, 4);
    ck_assert_uint_eq(parsed.ntags, 3);
    ck_assert_uint_eq(parsed.tags[0].after_cluster, 0); /* before the first: of fragment 1 */
    ck_assert_uint_eq(parsed.tags[1].after_cluster, 2); /* of fragment 2 */
    ck_assert_uint_eq(parsed.tags[2].after_cluster, 3); /* of fragment 3 */
    ck_assert_str_eq(parsed.tags[2].first, "site=north");
}
END_TEST

START_TEST(non_persistent_tags_on_the_first_fragment_only)
{
    with(two, 2);
    harness_begin(1);
    for (int64_t t = 0; t < 4000; t += 1000)
        video(t, t, t ? t - 1000 : -1);
    parse_log();
    ck_assert_uint_eq(parsed.tags[0].n, 2);
    ck_assert_uint_eq(parsed.tags[1].n, 1);
    ck_assert_uint_eq(parsed.tags[2].n, 1);
}
END_TEST

START_TEST(new_segment_has_tags_in_front_without_the_non_persistent)
{
    with(two, 2);
    harness_begin(1);
    video(0, 0, -1);
    link_format_unref(&h.video);
    h.video = make_video(2, "avcc", other_config, sizeof other_config);
    video(1000, 1000, 0);
    parse_log();
    ck_assert_uint_eq(parsed.segments, 2);
    ck_assert_uint_eq(parsed.ntags, 2);
    ck_assert_uint_eq(parsed.tags[1].segment, 2);
    ck_assert_uint_eq(parsed.tags[1].n, 1);
}
END_TEST

START_TEST(after_a_restart_the_fragment_before_gets_its_tags)
{
    with(two, 2);
    h.next[0] = 30;
    harness_begin(1);
    video(1200, 1000, -1);
    video(2000, 2000, 1000);
    ck_assert_uint_eq(h.out[1].payload->data[0], 0x12); /* Tags of 1000, then the Cluster of 2000 */
}
END_TEST

START_TEST(after_a_restart_never_more_than_the_limit_together)
{
    static struct conf_tag many[6];
    for (unsigned i = 0; i < 6; i++)
        many[i] = (struct conf_tag){(char *)"n", (char *)"v", true};
    with(many, 6);
    h.next[0] = 30;
    harness_begin(1);
    video(1200, 1000, -1);
    video(2000, 2000, 1000);
    video(3000, 3000, 2000);
    ck_assert_uint_eq(h.out[1].payload->data[0],
                      0x1f); /* 1000 may have them: six twice would be refused */
    ck_assert_uint_eq(h.out[2].payload->data[0], 0x12);
}
END_TEST

START_TEST(at_most_ten_items)
{
    static struct conf_tag many[12];
    for (unsigned i = 0; i < 12; i++)
        many[i] = (struct conf_tag){(char *)"n", (char *)"v", true};
    with(many, 12);
    ck_assert_uint_eq(count(true), 10);
}
END_TEST

START_TEST(names_that_the_service_refuses_are_left_out)
{
    static const struct {
        const char *name;
        unsigned n;
    } cases[] = {{"AWS_mine", 0},
                 {"AWSmine", 0},
                 {"", 0},
                 {"aws", 1},
                 {"AWS_KINESISVIDEO_IMAGE_GENERATION", 1},
                 {"AWS_KINESISVIDEO_NOTIFICATION", 1}};
    struct conf_tag tag = {(char *)cases[_i].name, NULL, true};
    with(&tag, 1);
    ck_assert_uint_eq(count(false), cases[_i].n);
}
END_TEST

START_TEST(lengths_are_bounded)
{
    char name[130], value[258];
    struct conf_tag tag = {name, value, true};
    memset(name, 'n', sizeof name);
    memset(value, 'v', sizeof value);
    name[128] = value[256] = '\0';
    with(&tag, 1);
    ck_assert_uint_eq(count(false), 1);
    value[256] = 'v', value[257] = '\0';
    ck_assert_uint_eq(count(false), 0);
    value[256] = '\0', name[128] = 'n', name[129] = '\0';
    ck_assert_uint_eq(count(false), 0);
}
END_TEST

/* Fragments of 1 s from 0; something is put at 1500, within the second. */
static void put_at_1500(const char *name, const char *value, bool persistent)
{
    harness_begin(1);
    video(0, 0, -1);
    video(1000, 1000, 0);
    ck_assert_int_eq(mux_metadata(h.mux, name, value, persistent), 0);
    for (int64_t t = 2000; t < 5000; t += 1000)
        video(t, t, t - 1000);
    parse_log();
}

START_TEST(live_metadata_goes_with_the_fragment_that_is_being_made)
{
    put_at_1500("door", "open", false);
    ck_assert_uint_eq(parsed.ntags, 1);
    ck_assert_uint_eq(parsed.tags[0].after_cluster, 2);
    ck_assert_str_eq(parsed.tags[0].first, "door=open");
}
END_TEST

START_TEST(persistent_live_metadata_goes_with_all_that_follow)
{
    put_at_1500("door", "open", true);
    ck_assert_uint_eq(parsed.ntags, 3);
    ck_assert_uint_eq(parsed.tags[0].after_cluster, 2);
    ck_assert_str_eq(parsed.tags[2].first, "door=open");
}
END_TEST

START_TEST(live_metadata_stands_in_for_a_configured_tag)
{
    with(two, 1);
    put_at_1500("site", "south", true);
    ck_assert_str_eq(parsed.tags[0].first, "site=north");
    ck_assert_str_eq(parsed.tags[1].first, "site=south");
    ck_assert_uint_eq(parsed.tags[1].n, 1);
}
END_TEST

START_TEST(live_metadata_comes_again_when_its_fragment_is_written_again)
{
    put_at_1500("door", "open", false);
    h.next[0] = 2; /* the log ends behind the second: the third is asked for again */
    harness_begin(1);
    video(2000, 2000, 1000);
    ck_assert_uint_eq(h.out[h.n - 1].payload->data[0], 0x12); /* Tags, as before */
    video(3000, 3000, 2000);
    ck_assert_uint_eq(h.out[h.n - 1].payload->data[0], 0x1f);
}
END_TEST

/* A frame that starts the fragment at `ms`, with tags on it. */
static void start_with(int64_t ms, int64_t previous, const struct link_tag *tags, unsigned n)
{
    struct link_item f = frame(VIDEO, ms, true, ms, previous, picture, sizeof picture);
    f.tags = link_tags_new(tags, n);
    give(f);
}

static const struct link_tag own = {.name = "site", .value = "south"},
                             before = {.name = "site", .value = "south", .previous = true},
                             late = {
                                 .name = "door", .value = "open", .previous = true, .late = true};

START_TEST(tags_of_the_first_frame_stand_in_front)
{
    harness_begin(1);
    start_with(0, -1, &own, 1);
    parse_log();
    ck_assert_uint_eq(parsed.ntags, 1);
    ck_assert_str_eq(parsed.tags[0].first, "site=south");
}
END_TEST

START_TEST(tags_of_the_fragment_before_stand_behind_it)
{
    const struct link_tag all[] = {own, before, late};
    harness_begin(1);
    start_with(0, -1, &own, 1);
    start_with(1000, 0, all, 2);
    start_with(2000, 1000, all, 3);
    parse_log();
    ck_assert_uint_eq(parsed.ntags, 2);
    ck_assert_uint_eq(parsed.tags[1].after_cluster, 2);
    ck_assert_uint_eq(parsed.tags[1].n, 2);
}
END_TEST

START_TEST(late_tags_follow_those_in_front)
{
    const struct link_tag all[] = {own, before, late};
    harness_begin(1);
    start_with(0, -1, &own, 1);
    start_with(1000, 0, all, 3);
    parse_log();
    ck_assert_uint_eq(parsed.ntags, 2);
    ck_assert_uint_eq(parsed.tags[1].after_cluster, 1);
    ck_assert_str_eq(parsed.tags[1].first, "door=open");
    ck_assert_uint_eq(parsed.tags[1].n, 1);
}
END_TEST

START_TEST(tags_of_frames_stand_in_for_configured_ones)
{
    with(two, 1);
    harness_begin(1);
    start_with(0, -1, &own, 1);
    parse_log();
    ck_assert_uint_eq(parsed.tags[0].n, 1);
    ck_assert_str_eq(parsed.tags[0].first, "site=south");
}
END_TEST

START_TEST(pieces_carry_no_tags_on)
{
    harness_begin(1);
    start_with(0, -1, &own, 1);
    ck_assert_ptr_null(h.out[0].tags);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("muxer_tags");
    tcase_add_test(tc, without_tags_there_is_no_element);
    tcase_add_test(tc, first_fragment_has_its_tags_in_front_others_behind);
    tcase_add_test(tc, non_persistent_tags_on_the_first_fragment_only);
    tcase_add_test(tc, new_segment_has_tags_in_front_without_the_non_persistent);
    tcase_add_test(tc, after_a_restart_the_fragment_before_gets_its_tags);
    tcase_add_test(tc, after_a_restart_never_more_than_the_limit_together);
    tcase_add_test(tc, at_most_ten_items);
    tcase_add_loop_test(tc, names_that_the_service_refuses_are_left_out, 0, 6);
    tcase_add_test(tc, lengths_are_bounded);
    tcase_add_test(tc, live_metadata_goes_with_the_fragment_that_is_being_made);
    tcase_add_test(tc, persistent_live_metadata_goes_with_all_that_follow);
    tcase_add_test(tc, live_metadata_stands_in_for_a_configured_tag);
    tcase_add_test(tc, live_metadata_comes_again_when_its_fragment_is_written_again);
    tcase_add_test(tc, tags_of_the_first_frame_stand_in_front);
    tcase_add_test(tc, tags_of_the_fragment_before_stand_behind_it);
    tcase_add_test(tc, late_tags_follow_those_in_front);
    tcase_add_test(tc, tags_of_frames_stand_in_for_configured_ones);
    tcase_add_test(tc, pieces_carry_no_tags_on);
    return harness_run("muxer_tags", tc);
}
