/* Claims about metadata that a program puts: which fragment an item is of, and with which frame it
 * travels. Relies on capture/libkvpipe/frame_tags. Leaves the Tags element to test_muxer_tags. */
#include "capture/libkvpipe/frame_tags.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct frame_tags t;
static char text[4096];

static void teardown(void)
{
    frame_tags_fini(&t);
}

/* "name=value", with < for the fragment before and ! for late ones. */
static const char *start(void)
{
    struct link_tags *tags = frame_tags_start(&t);
    size_t n = 0;
    text[0] = '\0';
    for (unsigned i = 0; tags && i < tags->n; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s%s%s=%s", i ? " " : "",
                              tags->tag[i].previous ? "<" : "", tags->tag[i].late ? "!" : "",
                              tags->tag[i].name, tags->tag[i].value);
    link_tags_unref(&tags);
    return text;
}

START_TEST(without_items_there_are_no_tags)
{
    struct link_tags *tags = frame_tags_start(&t);
    ck_assert_ptr_null(tags);
}
END_TEST

START_TEST(what_is_put_before_the_first_frame_is_of_the_first_fragment)
{
    ck_assert_int_eq(frame_tags_put(&t, "door", "open", false), 0);
    ck_assert_str_eq(start(), "door=open");
    ck_assert_str_eq(start(), "<door=open");
    ck_assert_str_eq(start(), "");
}
END_TEST

START_TEST(what_is_put_later_travels_with_the_next_fragment)
{
    start();
    ck_assert_int_eq(frame_tags_put(&t, "door", "open", false), 0);
    ck_assert_str_eq(start(), "<!door=open");
    ck_assert_str_eq(start(), "");
}
END_TEST

START_TEST(persistent_items_are_of_all_that_follow)
{
    start();
    ck_assert_int_eq(frame_tags_put(&t, "site", "north", true), 0);
    ck_assert_str_eq(start(), "<!site=north site=north");
    ck_assert_str_eq(start(), "<site=north site=north");
}
END_TEST

START_TEST(a_persistent_item_is_taken_out_with_an_empty_value)
{
    frame_tags_put(&t, "site", "north", true);
    start();
    ck_assert_int_eq(frame_tags_put(&t, "site", "", true), 0);
    ck_assert_str_eq(start(), "<site=north");
    ck_assert_str_eq(start(), "");
    ck_assert_int_eq(frame_tags_put(&t, "site", "", true), -ENOENT);
}
END_TEST

START_TEST(the_same_name_put_twice_has_the_newer_value)
{
    start();
    frame_tags_put(&t, "door", "open", false);
    frame_tags_put(&t, "door", "shut", false);
    ck_assert_str_eq(start(), "<!door=shut");
}
END_TEST

START_TEST(a_fragment_has_ten)
{
    char name[8];
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "n%d", i);
        ck_assert_int_eq(frame_tags_put(&t, name, "v", false), 0);
    }
    ck_assert_int_eq(frame_tags_put(&t, "more", "v", false), -ENOSPC);
    ck_assert_int_eq(frame_tags_put(&t, "more", "v", true), -ENOSPC);
    start();
    start();
    ck_assert_int_eq(frame_tags_put(&t, "more", "v", false), 0);
}
END_TEST

START_TEST(ten_of_both_fragments_fit)
{
    char name[8];
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "n%d", i);
        ck_assert_int_eq(frame_tags_put(&t, name, "v", true), 0);
    }
    start();
    struct link_tags *tags = frame_tags_start(&t);
    ck_assert_uint_eq(tags->n, LINK_TAGS_MAX);
    link_tags_unref(&tags);
}
END_TEST

START_TEST(names_that_the_service_refuses_are_refused)
{
    ck_assert_int_eq(frame_tags_put(&t, "AWSmine", "v", false), -EINVAL);
    ck_assert_int_eq(frame_tags_put(&t, "", "v", false), -EINVAL);
    ck_assert_str_eq(start(), "");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("frame_tags");
    TCase *tc = tcase_create("frame_tags");
    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, without_items_there_are_no_tags);
    tcase_add_test(tc, what_is_put_before_the_first_frame_is_of_the_first_fragment);
    tcase_add_test(tc, what_is_put_later_travels_with_the_next_fragment);
    tcase_add_test(tc, persistent_items_are_of_all_that_follow);
    tcase_add_test(tc, a_persistent_item_is_taken_out_with_an_empty_value);
    tcase_add_test(tc, the_same_name_put_twice_has_the_newer_value);
    tcase_add_test(tc, a_fragment_has_ten);
    tcase_add_test(tc, ten_of_both_fragments_fit);
    tcase_add_test(tc, names_that_the_service_refuses_are_refused);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
