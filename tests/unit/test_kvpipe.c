/* Claims about libkvpipe: its end of the link against an inlet of ours, its thread against the
 * test's. Relies on common/link_socket for the other end, over ipc://.
 * Leaves whole pipelines to tests/pipeline/libkvpipe. */
#include "capture/libkvpipe/kvpipe.h"

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/link_socket.h"
#include "common/mem.h"
#include "tests/unit/suite.h"

#define DEADLINE_NS (20 * NS_PER_S)
#define MS INT64_C(1000000)

static char dir[64], address[96];
static struct kvpipe *k;
static struct kvpipe_stream *s;
static struct event_base *base;
static struct link_client *client;
static atomic_uint connected, waiting, lost, replaced, stored_track;
static _Atomic int64_t stored_pts;
static char lines[8192];

/* What the muxer of the test has. */
static struct {
    bool deaf; /* answers no Open */
    bool fences;
    unsigned opens, frames, gap_frames, tags, ended;
    uint64_t next[LINK_TRACKS_MAX], credit;
    struct link_vector vector;
    char first_tag[64];
    uint64_t format;
} mux;

static void on_line(void *arg, enum kvpipe_level level, const char *line)
{
    (void)arg, (void)level;
    size_t n = strlen(lines);
    snprintf(lines + n, sizeof lines - n, "%s\n", line);
}

static void on_event(void *arg, struct kvpipe_stream *stream, const struct kvpipe_event *e)
{
    (void)arg, (void)stream;
    connected += e->type == KVPIPE_CONNECTED;
    waiting += e->type == KVPIPE_WAITING;
    replaced += e->type == KVPIPE_REPLACED;
    if (e->type == KVPIPE_LOST)
        lost += (unsigned)e->frames;
    if (e->type == KVPIPE_STORED) {
        stored_track = e->track;
        stored_pts = e->stored_pts_ns;
    }
}

/* ---- the other end ---- */

static struct link_positions positions(void)
{
    struct link_positions at = {.tracks = 1};
    at.next[0] = mux.next[0];
    at.credit[0] = mux.credit;
    return at;
}

static void on_open(void *arg, struct inlet_session *session, const struct link_msg *msg)
{
    struct link_vector greatest = {.n = 2, .v = {UINT64_C(1) << 62, 1}};
    struct link_positions at = positions();
    (void)arg;
    mux.opens++;
    mux.vector = msg->vector;
    if (mux.fences)
        inlet_fence(link_client_inlet(client), session, &greatest);
    else if (!mux.deaf)
        inlet_resume(link_client_inlet(client), session, &at);
}

static int on_item(void *arg, struct inlet_session *session, struct link_item *item)
{
    (void)arg;
    if (item->gap)
        mux.gap_frames += (unsigned)(item->last - item->seq + 1);
    else
        mux.frames++;
    if (item->tags) {
        mux.tags += item->tags->n;
        snprintf(mux.first_tag, sizeof mux.first_tag, "%s=%s", item->tags->tag[0].name,
                 item->tags->tag[0].value);
    }
    mux.format = item->format ? item->format->number : mux.format;
    mux.next[item->track - 1] = item->last + 1;
    struct link_positions at = positions();
    inlet_ack(link_client_inlet(client), session, &at);
    link_item_fini(item);
    return 0;
}

static void on_ended(void *arg, struct inlet_session *session)
{
    (void)arg, (void)session;
    mux.ended++;
}

static void muxer(void)
{
    static const struct inlet_ops ops = {.open = on_open, .item = on_item, .ended = on_ended};
    static const struct conf_link conf = {
        .heartbeat_ms = 50, .silence_ms = 2000, .resolve_ms = 60000};
    ck_assert_int_eq(link_client_create(base, address, &conf, "muxer-test", &ops, NULL, &client),
                     0);
}

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

#define wait_until(condition)                                                                      \
    do {                                                                                           \
        int64_t end_ = clock_mono_ns() + DEADLINE_NS;                                              \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_mono_ns() < end_, "waited in vain for %s", #condition);            \
            event_base_loop(base, EVLOOP_ONCE);                                                    \
        }                                                                                          \
    } while (0)

/* ---- our end ---- */

static const struct kvpipe_track video = {.codec = KVPIPE_H264};

static int stream_open(bool can_wait)
{
    struct kvpipe_stream_options o = {.name = "cam",
                                      .tracks = &video,
                                      .ntracks = 1,
                                      .can_wait = can_wait,
                                      .window_bytes = 4000,
                                      .event = on_event};
    return kvpipe_stream_open(k, &o, &s);
}

static int put(int64_t ms, bool key)
{
    static const uint8_t data[100] = {0, 0, 0, 1, 0x65};
    struct kvpipe_frame f = {.track = 1,
                             .key = key,
                             .data = data,
                             .bytes = sizeof data,
                             .pts_ns = ms * MS,
                             .dts_ns = KVPIPE_NO_TIME};
    return kvpipe_put_frame(s, &f, 50);
}

static int open_as(const char *name, struct kvpipe **out)
{
    struct kvpipe_options o = {.name = name, .run = dir};
    return kvpipe_open(&o, out);
}

static void setup(void)
{
    static const struct timeval often = {.tv_usec = 1000};
    snprintf(dir, sizeof dir, "/tmp/kvpipe-lib-%d", (int)getpid());
    snprintf(address, sizeof address, "ipc://%s/sinks/*.sock", dir);
    memset(&mux, 0, sizeof mux);
    mux.credit = 1000;
    lines[0] = '\0';
    connected = waiting = lost = replaced = stored_track = 0;
    base = event_base_new();
    struct event *poll = event_new(base, -1, EV_PERSIST, on_poll, NULL);
    event_add(poll, &often);
    kvpipe_set_log(on_line, NULL);
    ck_assert_int_eq(open_as("test", &k), 0);
}

static void teardown(void)
{
    char *command = xasprintf("rm -rf %s", dir);
    kvpipe_stream_close(&s, 0);
    kvpipe_close(&k);
    if (client)
        link_client_destroy(&client, false);
    ck_assert_int_eq(system(command), 0);
    free(command);
    kvpipe_set_log(NULL, NULL);
    /* the poll event goes with the process */
}

/* ---- claims ---- */

START_TEST(frames_reach_the_muxer_and_are_told_as_stored)
{
    muxer();
    ck_assert_int_eq(stream_open(false), 0);
    for (int i = 0; i < 30; i++)
        ck_assert_int_eq(put(i * 40, i % 25 == 0), 0);
    wait_until(mux.frames == 30);
    struct kvpipe_stats st = {0};
    wait_until((kvpipe_stream_stats(s, &st), st.stored_frames == 30));
    ck_assert_uint_eq(st.frames, 30);
    ck_assert_uint_eq(st.held_frames, 0);
    ck_assert(st.connected && connected == 1 && stored_track == 1);
    ck_assert_int_gt(stored_pts, 0);
}
END_TEST

START_TEST(what_is_put_before_a_muxer_is_there_is_held)
{
    ck_assert_int_eq(stream_open(false), 0);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(put(i * 40, i == 0), 0);
    muxer();
    wait_until(mux.frames == 20);
    ck_assert_uint_eq(mux.gap_frames, 0);
}
END_TEST

START_TEST(a_live_stream_gives_up_its_oldest_and_counts_them)
{
    ck_assert_int_eq(stream_open(false), 0);
    for (int i = 0; i < 200; i++) /* the window has room for 40 */
        ck_assert(put(i * 40, i % 10 == 0) != -ETIMEDOUT);
    muxer();
    wait_until(mux.frames + mux.gap_frames == 200);
    ck_assert_uint_gt(mux.gap_frames, 0);
    struct kvpipe_stats st = {0};
    wait_until((kvpipe_stream_stats(s, &st), st.stored_frames + st.lost_frames == 200));
    ck_assert_uint_eq(st.lost_frames, mux.gap_frames);
    wait_until(lost == mux.gap_frames);
}
END_TEST

START_TEST(a_stream_that_can_wait_waits)
{
    int put_ = 0;
    ck_assert_int_eq(stream_open(true), 0);
    while (put(put_ * 40, put_ % 10 == 0) == 0 && put_ < 1000)
        put_++;
    ck_assert_int_lt(put_, 1000);
    ck_assert_int_eq(put(put_ * 40, false), -ETIMEDOUT);
    muxer();
    wait_until(mux.frames == (unsigned)put_);
    ck_assert_int_eq(put(put_ * 40, false), 0);
    ck_assert_uint_eq(mux.gap_frames, 0);
}
END_TEST

static atomic_int closed;

static void *closer(void *arg)
{
    (void)arg;
    closed = kvpipe_stream_close(&s, 10000);
    return NULL;
}

START_TEST(close_waits_until_all_is_stored)
{
    pthread_t thread;
    closed = 1;
    ck_assert_int_eq(stream_open(false), 0);
    for (int i = 0; i < 20; i++)
        put(i * 40, i == 0);
    pthread_create(&thread, NULL, closer, NULL);
    muxer();
    wait_until(closed <= 0);
    pthread_join(thread, NULL);
    ck_assert_int_eq(closed, 0);
    ck_assert_uint_eq(mux.ended, 1);
    ck_assert_uint_eq(mux.frames, 20);
}
END_TEST

START_TEST(the_end_is_told_a_new_muxer_when_the_old_one_is_gone)
{
    pthread_t thread;
    closed = 1;
    muxer();
    ck_assert_int_eq(stream_open(false), 0);
    put(0, true);
    wait_until(stored_track == 1);
    link_client_destroy(&client, false);
    pthread_create(&thread, NULL, closer, NULL);
    muxer();
    wait_until(closed <= 0);
    pthread_join(thread, NULL);
    ck_assert_int_eq(closed, 0);
    ck_assert_uint_eq(mux.ended, 1);
}
END_TEST

START_TEST(the_end_can_be_told_without_waiting)
{
    struct kvpipe_stats st = {0};
    muxer();
    ck_assert_int_eq(stream_open(false), 0);
    put(0, true);
    kvpipe_stream_end(s);
    wait_until(mux.ended == 1);
    wait_until((kvpipe_stream_stats(s, &st), st.held_frames == 0));
    ck_assert_uint_eq(st.frames, 1);
}
END_TEST

START_TEST(a_live_stream_takes_a_burst)
{
    unsigned refused = 0;
    ck_assert_int_eq(stream_open(false), 0);
    for (int i = 0; i < 2000; i++)
        refused += put(i, i % 25 == 0) != 0;
    ck_assert_uint_eq(refused, 0);
}
END_TEST

START_TEST(close_says_what_was_not_stored)
{
    ck_assert_int_eq(stream_open(false), 0);
    for (int i = 0; i < 20; i++)
        put(i * 40, i == 0);
    ck_assert_int_eq(kvpipe_stream_close(&s, 10), -ETIMEDOUT);
    ck_assert_msg(strstr(lines, "kvpipe.close stream=cam lost=20 ") != NULL, "%s", lines);
}
END_TEST

START_TEST(with_nothing_held_close_does_not_wait)
{
    ck_assert_int_eq(stream_open(false), 0);
    ck_assert_int_eq(kvpipe_stream_close(&s, 60000), 0);
}
END_TEST

START_TEST(the_next_epoch_is_greater)
{
    muxer();
    ck_assert_int_eq(stream_open(false), 0);
    wait_until(mux.opens == 1);
    uint64_t first = mux.vector.v[0];
    ck_assert_int_eq(kvpipe_stream_close(&s, 0), 0);
    ck_assert_int_eq(stream_open(false), 0);
    wait_until(mux.opens == 2);
    ck_assert_uint_gt(mux.vector.v[0], first);
}
END_TEST

START_TEST(metadata_travels_with_the_frames)
{
    muxer();
    ck_assert_int_eq(stream_open(false), 0);
    ck_assert_int_eq(kvpipe_put_metadata(s, "site", "north", true), 0);
    put(0, true);
    wait_until(mux.tags == 1);
    ck_assert_str_eq(mux.first_tag, "site=north");
    ck_assert_int_eq(kvpipe_put_metadata(s, "AWSmine", "x", false), -EINVAL);
}
END_TEST

START_TEST(a_new_description_is_a_new_format)
{
    struct kvpipe_track wider = {.codec = KVPIPE_H264, .width = 1280, .height = 720};
    muxer();
    ck_assert_int_eq(stream_open(false), 0);
    put(0, true);
    wait_until(mux.format == 1);
    ck_assert_int_eq(kvpipe_set_track(s, 1, &wider), 0);
    ck_assert_int_eq(kvpipe_set_track(s, 2, &wider), -EINVAL);
    put(1000, true);
    wait_until(mux.format == 2);
}
END_TEST

START_TEST(fenced_twice_it_is_replaced)
{
    mux.fences = true;
    muxer();
    ck_assert_int_eq(stream_open(false), 0);
    wait_until(replaced == 1);
    ck_assert_int_eq(put(0, true), -ESTALE);
}
END_TEST

START_TEST(a_name_is_one_program_s)
{
    struct kvpipe *other;
    ck_assert_int_eq(open_as("test", &other), -EBUSY);
    ck_assert_ptr_null(other);
    ck_assert_int_eq(open_as("other", &other), 0);
    kvpipe_close(&other);
}
END_TEST

START_TEST(a_stream_is_open_once)
{
    struct kvpipe_stream *first;
    ck_assert_int_eq(stream_open(false), 0);
    first = s;
    ck_assert_int_eq(stream_open(false), -EEXIST);
    s = first;
}
END_TEST

START_TEST(options_are_checked)
{
    static const struct kvpipe_track tracks[] = {
        {.codec = 0},
        {.codec = KVPIPE_OTHER},
        {.codec = KVPIPE_AAC},
        {.codec = KVPIPE_H264, .codec_private = "xyz", .codec_private_bytes = 3},
        {.codec = KVPIPE_H265, .codec_private = "\0\0\0\1x", .codec_private_bytes = 5},
        {.codec = KVPIPE_H264, .rate_num = 25},
        {.codec = KVPIPE_H264, .codec_private = NULL, .codec_private_bytes = 3},
    };
    struct kvpipe_stream_options o = {.name = "a", .tracks = &tracks[_i], .ntracks = 1};
    ck_assert_int_eq(kvpipe_stream_open(k, &o, &s), -EINVAL);
    ck_assert_ptr_null(s);
    ck_assert_msg(strstr(lines, "kvpipe.track stream=a track=1 cause=") != NULL, "%s", lines);
}
END_TEST

START_TEST(names_are_checked)
{
    static const char *const bad[] = {"", "..", "a/b", "a b"};
    struct kvpipe_stream_options o = {.name = bad[_i], .tracks = &video, .ntracks = 1};
    struct kvpipe *other;
    ck_assert_int_eq(kvpipe_stream_open(k, &o, &s), -EINVAL);
    ck_assert_int_eq(open_as(bad[_i], &other), -EINVAL);
}
END_TEST

START_TEST(frames_are_checked)
{
    static const uint8_t data[4] = {0};
    static const struct kvpipe_frame bad[] = {
        {.track = 0, .data = data, .bytes = 4},
        {.track = 2, .data = data, .bytes = 4},
        {.track = 1, .data = NULL, .bytes = 4},
        {.track = 1, .data = data, .bytes = 0},
        {.track = 1, .data = data, .bytes = (64u << 20) + 1},
        {.track = 1, .data = data, .bytes = 4, .pts_ns = KVPIPE_NO_TIME},
        {.track = 1, .data = data, .bytes = 4, .duration_ns = -1},
    };
    ck_assert_int_eq(stream_open(false), 0);
    ck_assert_int_eq(kvpipe_put_frame(s, &bad[_i], 0), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kvpipe");
    TCase *tc = tcase_create("kvpipe");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, frames_reach_the_muxer_and_are_told_as_stored);
    tcase_add_test(tc, what_is_put_before_a_muxer_is_there_is_held);
    tcase_add_test(tc, a_live_stream_gives_up_its_oldest_and_counts_them);
    tcase_add_test(tc, a_stream_that_can_wait_waits);
    tcase_add_test(tc, close_waits_until_all_is_stored);
    tcase_add_test(tc, the_end_is_told_a_new_muxer_when_the_old_one_is_gone);
    tcase_add_test(tc, the_end_can_be_told_without_waiting);
    tcase_add_test(tc, a_live_stream_takes_a_burst);
    tcase_add_test(tc, close_says_what_was_not_stored);
    tcase_add_test(tc, with_nothing_held_close_does_not_wait);
    tcase_add_test(tc, the_next_epoch_is_greater);
    tcase_add_test(tc, metadata_travels_with_the_frames);
    tcase_add_test(tc, a_new_description_is_a_new_format);
    tcase_add_test(tc, fenced_twice_it_is_replaced);
    tcase_add_test(tc, a_name_is_one_program_s);
    tcase_add_test(tc, a_stream_is_open_once);
    tcase_add_loop_test(tc, options_are_checked, 0, 7);
    tcase_add_loop_test(tc, names_are_checked, 0, 4);
    tcase_add_loop_test(tc, frames_are_checked, 0, 7);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
