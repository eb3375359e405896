/* Claims about the queue of fragment metadata: what is taken, replaced, taken out and forgotten. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/metadata.h"
#include "tests/unit/suite.h"

static struct metadata m;

static void down(void)
{
    metadata_fini(&m);
}

START_TEST(a_persistent_name_is_there_once)
{
    ck_assert_int_eq(metadata_put(&m, "lat", "1", true), 0);
    ck_assert_int_eq(metadata_put(&m, "lat", "2", true), 0);
    ck_assert_uint_eq(m.count, 1);
    ck_assert_str_eq(metadata_persistent(&m, "lat")->value, "2");
}
END_TEST

START_TEST(an_empty_value_takes_a_persistent_name_out)
{
    metadata_put(&m, "lat", "1", true);
    ck_assert_int_eq(metadata_put(&m, "lat", "", true), 0);
    ck_assert_uint_eq(m.count, 0);
    ck_assert_int_eq(metadata_put(&m, "lat", "", true), -ENOENT);
}
END_TEST

START_TEST(a_name_of_one_fragment_may_be_there_twice)
{
    metadata_put(&m, "motion", "a", false);
    ck_assert_int_eq(metadata_put(&m, "motion", "b", false), 0);
    ck_assert_uint_eq(m.count, 2);
}
END_TEST

START_TEST(ten_persistent_names_are_the_limit)
{
    char name[8];
    for (int i = 0; i < METADATA_PER_FRAGMENT; i++) {
        snprintf(name, sizeof name, "n%d", i);
        ck_assert_int_eq(metadata_put(&m, name, "v", true), 0);
    }
    ck_assert_int_eq(metadata_put(&m, "more", "v", true), -ENOSPC);
    ck_assert_int_eq(metadata_put(&m, "n3", "other", true), 0);
}
END_TEST

START_TEST(what_waits_is_bounded_and_never_forgotten_before_it_was_given)
{
    for (int i = 0; i < METADATA_WAITING_MAX; i++)
        ck_assert_int_eq(metadata_put(&m, "n", "v", false), 0);
    ck_assert_int_eq(metadata_put(&m, "n", "v", false), -ENOSPC);
    metadata_given(&m.items[5], 77);
    ck_assert_int_eq(metadata_put(&m, "last", "v", false), 0);
    ck_assert_uint_eq(m.count, METADATA_WAITING_MAX);
    for (size_t i = 0; i < m.count; i++)
        ck_assert_int_eq(m.items[i].fragment_ns, 0);
}
END_TEST

START_TEST(one_fragment_has_it_and_no_other)
{
    metadata_put(&m, "motion", "a", false);
    ck_assert(metadata_is_for(&m.items[0], 1000));
    metadata_given(&m.items[0], 1000);
    ck_assert(metadata_is_for(&m.items[0], 1000));
    ck_assert(!metadata_is_for(&m.items[0], 2000));
}
END_TEST

START_TEST(what_the_service_refuses_is_refused)
{
    char longest[METADATA_VALUE_MAX_BYTES + 2];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    ck_assert_int_eq(metadata_put(&m, "", "v", false), -EINVAL);
    ck_assert_int_eq(metadata_put(&m, "AWS_mine", "v", false), -EINVAL);
    ck_assert_int_eq(metadata_put(&m, longest, "v", false), -EINVAL);
    ck_assert_int_eq(metadata_put(&m, "n", longest, true), -EINVAL);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("metadata");
    Suite *s = suite_create("metadata");
    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(tc, NULL, down);
    tcase_add_test(tc, a_persistent_name_is_there_once);
    tcase_add_test(tc, an_empty_value_takes_a_persistent_name_out);
    tcase_add_test(tc, a_name_of_one_fragment_may_be_there_twice);
    tcase_add_test(tc, ten_persistent_names_are_the_limit);
    tcase_add_test(tc, what_waits_is_bounded_and_never_forgotten_before_it_was_given);
    tcase_add_test(tc, one_fragment_has_it_and_no_other);
    tcase_add_test(tc, what_the_service_refuses_is_refused);
    return suite_run(s);
}
