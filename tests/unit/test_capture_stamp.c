/* A frame's number in its picture.
 * Relies on Check.
 * Leaves time stamps to test_anchor.c. */
#include "capture/stamp.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(number_is_read_back)
{
    static const uint64_t n[] = {0, 1, 1234567, 0xffffff};
    static uint8_t luma[640 * 360];
    for (size_t i = 0; i < sizeof n / sizeof *n; i++) {
        memset(luma, 128, sizeof luma);
        stamp_write(luma, 640, 640, 360, n[i]);
        ck_assert_int_eq(stamp_read(luma, 640, 640, 360), (int64_t)n[i]);
    }
}
END_TEST

START_TEST(small_pictures_are_not_overrun)
{
    for (unsigned w = 2; w < 400; w += 38)
        for (unsigned h = 2; h < 60; h += 14) {
            uint8_t *luma = malloc((size_t)w * h);
            stamp_write(luma, w, w, h, 0xabcdef);
            free(luma);
        }
    static uint8_t one[4];
    ck_assert_int_eq(stamp_read(one, 2, 2, 2), -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("capture_stamp");
    TCase *tc = tcase_create("capture_stamp");
    tcase_add_test(tc, number_is_read_back);
    tcase_add_test(tc, small_pictures_are_not_overrun);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
