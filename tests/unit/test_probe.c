/* Claims about encoder/probe: the choice by what a try says, and real tries of what runs without
 * hardware. Relies on Check and GStreamer. Leaves the encoders themselves to test_codec_gst. */
#include "encoder/probe.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <event2/event.h>
#include <gst/gst.h>

static struct conf_video video = {.encoder = "auto",
                                  .bitrate_kbps = 500,
                                  .keyframe_ms = 2000,
                                  .profile = "main",
                                  .preset = "veryfast"};
static const struct link_format size = {.width = 320, .height = 240, .rate_num = 30, .rate_den = 1};
static char tried[512];
static const char *works;

static int fake_try(const struct candidate *c, const struct conf_video *conf,
                    const struct link_format *format, char *why)
{
    snprintf(tried + strlen(tried), sizeof tried - strlen(tried), "%s ", c->element);
    if (works && strcmp(works, c->element) == 0)
        return 0;
    snprintf(why, 256, "reason %s", c->element);
    return -ENODEV;
}

START_TEST(auto_tries_hardware_first_and_takes_the_first_that_works)
{
    struct probe_result r;

    works = "x264enc";
    probe_choose(&video, &size, fake_try, &r);
    ck_assert_int_eq(r.state, PROBE_OK);
    ck_assert_str_eq(r.candidate->element, "x264enc");
    ck_assert_str_eq(tried, "nvh264enc vah264enc vaapih264enc v4l2h264enc qsvh264enc x264enc ");
}
END_TEST

START_TEST(auto_without_any_says_what_to_do)
{
    struct probe_result r;

    probe_choose(&video, &size, fake_try, &r);
    ck_assert_int_eq(r.state, PROBE_FAILED);
    ck_assert_ptr_nonnull(strstr(r.note, "install"));
}
END_TEST

START_TEST(named_one_that_fails_is_not_replaced_by_another)
{
    struct probe_result r;

    works = "x264enc";
    video.encoder = "vaapi";
    probe_choose(&video, &size, fake_try, &r);
    ck_assert_int_eq(r.state, PROBE_FAILED);
    ck_assert_str_eq(tried, "vah264enc vaapih264enc ");
    ck_assert_ptr_nonnull(strstr(r.note, "reason vaapih264enc"));
    ck_assert_ptr_nonnull(strstr(r.note, "auto"));
}
END_TEST

START_TEST(unknown_name_fails)
{
    struct probe_result r;

    video.encoder = "av1";
    probe_choose(&video, &size, fake_try, &r);
    ck_assert_int_eq(r.state, PROBE_FAILED);
    ck_assert_str_eq(tried, "");
}
END_TEST

START_TEST(software_encoders_work_at_usual_and_odd_sizes)
{
    static const uint32_t sizes[][2] = {{320, 240}, {1280, 720}, {321, 241}};
    static const char *const names[] = {"x264", "openh264"};

    for (unsigned k = 0; k < G_N_ELEMENTS(sizes); k++) {
        struct link_format f = {.width = sizes[k][0], .height = sizes[k][1]};
        char why[256] = "";

        ck_assert_msg(probe_try(candidate_get(names[_i], 0), &video, &f, why) == 0, "%s %u: %s",
                      names[_i], sizes[k][0], why);
    }
    codec_gst_settle(5000);
}
END_TEST

START_TEST(element_that_encodes_nothing_is_found_out)
{
    struct candidate fake = *candidate_get("x264", 0);
    char why[256] = "";

    fake.element = "fakesink"; /* exists, but is no encoder */
    ck_assert_int_lt(probe_try(&fake, &video, &size, why), 0);
    ck_assert_str_ne(why, "");
    fake.element = "identity"; /* lets raw frames through */
    ck_assert_int_lt(probe_try(&fake, &video, &size, why), 0);
    codec_gst_settle(5000);
}
END_TEST

static void on_done(void *arg)
{
    event_base_loopbreak(arg);
}

START_TEST(answer_comes_to_the_loop_and_is_kept)
{
    struct event_base *base = event_base_new();
    struct probe *p;
    const struct probe_result *r;

    video.encoder = "x264";
    ck_assert_int_eq(probe_create(base, on_done, base, &p), 0);
    ck_assert_int_eq(probe_ask(p, &video, &size)->state, PROBE_PENDING);
    event_base_dispatch(base);
    r = probe_ask(p, &video, &size);
    ck_assert_int_eq(r->state, PROBE_OK);
    ck_assert_str_eq(r->candidate->element, "x264enc");
    probe_forget(p, &video, &size);
    ck_assert_int_eq(probe_ask(p, &video, &size)->state, PROBE_PENDING);
    probe_destroy(&p);
    codec_gst_settle(5000);
    event_base_free(base);
}
END_TEST

START_TEST(many_sizes_at_once_are_no_harm)
{
    struct event_base *base = event_base_new();
    struct probe *p;

    video.encoder = "nvenc";
    ck_assert_int_eq(probe_create(base, on_done, base, &p), 0);
    for (uint32_t w = 16; w < 1016; w++) {
        struct link_format f = {.width = w, .height = 16};

        probe_ask(p, &video, &f);
    }
    probe_destroy(&p);
    codec_gst_settle(5000);
    event_base_free(base);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("probe");
    TCase *t = tcase_create("probe");

    gst_init(NULL, NULL);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, auto_tries_hardware_first_and_takes_the_first_that_works);
    tcase_add_test(t, auto_without_any_says_what_to_do);
    tcase_add_test(t, named_one_that_fails_is_not_replaced_by_another);
    tcase_add_test(t, unknown_name_fails);
    tcase_add_loop_test(t, software_encoders_work_at_usual_and_odd_sizes, 0, 2);
    tcase_add_test(t, element_that_encodes_nothing_is_found_out);
    tcase_add_test(t, answer_comes_to_the_loop_and_is_kept);
    tcase_add_test(t, many_sizes_at_once_are_no_harm);
    suite_add_tcase(s, t);
    return suite_run(s);
}
