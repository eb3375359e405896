/* Slices of a config: which change concerns which process, and whether it must be started anew.
 * Relies on Check and the config parser.
 * Leaves what a process does about it to tests/monitor/reload. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf_slice.h"
#include "common/mem.h"
#include "common/stage.h"
#include "tests/unit/suite.h"

#define DOOR "  - {name: door, source: {type: test}}\n"
#define YARD "  - {name: yard, source: {type: rtsp, url: 'rtsp://a/b'}}\n"

static const char *const stages[] = {"server",  "uploader", "muxer",
                                     "encoder", "capture",  "monitor"};
enum { SERVER = 1, UPLOADER = 2, MUXER = 4, ENCODER = 8, CAPTURE = 16, MONITOR = 32 };
enum { MEDIA = UPLOADER | MUXER | ENCODER | CAPTURE };

static struct conf *parse(const char *head, const char *streams)
{
    struct conf *conf;
    char *text = xasprintf("%sstreams:\n%s", head, streams);
    ck_assert_int_eq(conf_parse(text, strlen(text), "a.yaml", stderr, &conf), 0);
    free(text);
    return conf;
}

static const struct {
    const char *head, *streams;
    unsigned anew, told; /* stages that are started anew, and that are told */
} changes[] = {
    {"", DOOR YARD, 0, 0},
    {"# a comment\n", DOOR YARD, 0, 0},
    {"log: debug\n", DOOR YARD, 0, 63},
    {"", DOOR, 0, MEDIA},
    {"", "  - {name: door, source: {type: test, width: 640}}\n" YARD, 0, CAPTURE},
    {"", "  - {name: door, source: {type: test}, window: {frames: 7}}\n" YARD, 0, CAPTURE},
    {"", "  - {name: door, source: {type: test}, video: {bitrate_kbps: 99}}\n" YARD, 0, ENCODER},
    {"", "  - {name: door, source: {type: test}, tags: [{name: a, value: b}]}\n" YARD, 0, MUXER},
    {"", "  - {name: door, source: {type: test}, absolute: false}\n" YARD, 0, MUXER | UPLOADER},
    {"", "  - {name: door, source: {type: test}, fragment: {duration_ms: 3000}}\n" YARD, 0,
     MUXER | ENCODER | CAPTURE},
    {"run: other\n", DOOR YARD, 63, 0},
    {"link: {credit: 7}\n", DOOR YARD, MEDIA, 0},
    {"spool: {file_seconds: 7}\n", DOOR YARD, UPLOADER, 0},
    {"endpoint: {staleness_s: 7}\n", DOOR YARD, UPLOADER, 0},
    {"server: {limits: {tracks: 7}}\n", DOOR YARD, SERVER, 0},
    {"monitor: {listen: '127.0.0.1:7'}\n", DOOR YARD, MONITOR, 0},
    {"monitor: {hang_s: 7}\n", DOOR YARD, 63, 0},
    {"muxer: {process: {nice: 7}}\n", DOOR YARD, MUXER, 0},
    {"muxer: {exec: /bin/other}\n", DOOR YARD, MUXER, 0},
    {"encoder: {replicas: 2}\n", DOOR YARD, ENCODER | MUXER, 0}, /* its ends, and who finds them */
};

static char *line(const struct conf *conf, size_t i)
{
    char *instance = xasprintf("%s-1", stages[i]);
    char *text = stage_identity(conf, stages[i], NULL, instance);
    free(instance);
    return text;
}

START_TEST(a_change_reaches_those_that_it_is_for)
{
    struct conf *a = parse("", DOOR YARD);
    struct conf *b = parse(changes[_i].head, changes[_i].streams);
    unsigned anew = 0, told = 0;
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        char *before = line(a, i), *after = line(b, i);
        if (!stage_identity_is_close(before, after))
            anew |= 1u << i;
        else if (strcmp(before, after) != 0)
            told |= 1u << i;
        free(before);
        free(after);
    }
    ck_assert_msg(anew == changes[_i].anew, "%s: %u anew", changes[_i].head, anew);
    ck_assert_msg(told == changes[_i].told, "%s%s: %u told", changes[_i].head, changes[_i].streams,
                  told);
    conf_free(&a);
    conf_free(&b);
}
END_TEST

START_TEST(a_stream_is_the_same_when_its_settings_are)
{
    struct conf *a = parse("", DOOR YARD);
    struct conf *b = parse("", YARD "  - {name: door, source: {type: test, rate: 7}}\n"
                                    "  - {name: new, source: {type: test}}\n");
    ck_assert(conf_slice_same_stream(a, b, "capture", "yard"));
    ck_assert(!conf_slice_same_stream(a, b, "capture", "door"));
    ck_assert(conf_slice_same_stream(a, b, "encoder", "door"));
    ck_assert(!conf_slice_same_stream(a, b, "encoder", "new"));
    ck_assert(conf_slice_same_stream(a, b, "encoder", "in neither"));
    conf_free(&a);
    conf_free(&b);
}
END_TEST

START_TEST(an_isolated_process_is_told_of_its_own_stream_alone)
{
    const char head[] = "capture: {isolate: true}\n";
    struct conf *a = parse(head, DOOR YARD);
    struct conf *b = parse(head, DOOR "  - {name: yard, source: {type: test}}\n");
    char *before = stage_identity(a, "capture", "door", "capture-door");
    char *after = stage_identity(b, "capture", "door", "capture-door");
    char *yard = stage_identity(b, "capture", "yard", "capture-yard");
    ck_assert_str_eq(before, after);
    ck_assert(!stage_identity_is_close(before, yard));
    free(before);
    free(after);
    free(yard);
    conf_free(&a);
    conf_free(&b);
}
END_TEST

START_TEST(a_config_lives_as_long_as_it_is_held)
{
    struct conf *a = parse("", DOOR);
    const struct conf *held = conf_hold(a);
    conf_free(&a);
    ck_assert_ptr_null(a);
    ck_assert_str_eq(held->streams[0].name, "door");
    conf_release(&held);
    ck_assert_ptr_null(held);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("conf_slice");
    TCase *t = tcase_create("conf_slice");
    tcase_add_loop_test(t, a_change_reaches_those_that_it_is_for, 0,
                        sizeof changes / sizeof *changes);
    tcase_add_test(t, a_stream_is_the_same_when_its_settings_are);
    tcase_add_test(t, an_isolated_process_is_told_of_its_own_stream_alone);
    tcase_add_test(t, a_config_lives_as_long_as_it_is_held);
    suite_add_tcase(s, t);
    return suite_run(s);
}
