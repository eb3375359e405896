/* Claims about muxer/mux under random and hostile input: whatever comes, what leaves are valid
 * fragments, every number once. Relies on mux_harness.h; the seed is the loop index, so that a
 * failure can be seen again. Leaves single rules to test_mux. */
#include "tests/unit/mux_harness.h"

static uint64_t state;

static uint64_t rnd(uint64_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % n;
}

static int64_t now_ms, start_ms, before_ms;

static int64_t wild(void)
{
    static const int64_t values[] = {INT64_MIN, INT64_MAX, -1, 0, 1, INT64_C(1) << 62};
    return values[rnd(sizeof values / sizeof *values)];
}

static struct link_item random_video(void)
{
    bool start = rnd(20) == 0, key = start || rnd(30) == 0;
    struct link_item i;
    if (start) {
        before_ms = start_ms;
        start_ms = now_ms;
    }
    i = frame(VIDEO, now_ms + (rnd(50) ? 0 : (int64_t)rnd(4000) - 2000), key,
              rnd(100) ? start_ms : -1, rnd(10) ? before_ms : -1, picture, rnd(sizeof picture) + 1);
    if (start && rnd(20)) {
        i.pts_ns = T0 + now_ms * MS;
        i.fragment_ns = i.pts_ns;
    }
    if (!rnd(200))
        i.pts_ns = wild();
    if (!rnd(200))
        i.dts_ns = wild();
    if (!rnd(200))
        i.fragment_ns = wild();
    if (!rnd(200))
        i.previous_fragment_ns = wild();
    return i;
}

static void random_change(void)
{
    static const uint8_t junk[] = {1, 2, 3};
    link_format_unref(&h.video);
    switch (rnd(4)) {
    case 0:
        h.video = make_video(rnd(9) + 1, "avcc", junk, sizeof junk);
        break;
    case 1:
        h.video = make_video(rnd(9) + 1, "annexb", NULL, 0);
        break;
    case 2:
        h.video = make_video(rnd(9) + 1, "avcc", other_config, sizeof other_config);
        break;
    default:
        h.video = make_video(rnd(9) + 1, "avcc", avcc_config, sizeof avcc_config);
    }
}

static void random_step(void)
{
    now_ms += (int64_t)rnd(60);
    if (!rnd(300))
        now_ms += (int64_t)rnd(30000);
    if (!rnd(100))
        random_change();
    if (!rnd(40))
        wait_ms((int64_t)rnd(4000));
    if (rnd(100) < 5) {
        struct link_item gap = {
            .gap = true, .track = (uint8_t)(1 + rnd(2)), .reason = LINK_GAP_SOURCE};
        gap.seq = h.next[gap.track - 1];
        gap.last = gap.seq + rnd(5);
        give(gap);
    }
    if (rnd(3))
        give(random_video());
    if (rnd(3))
        give(frame(AUDIO, now_ms + (int64_t)rnd(40) - 20, true, -1, -1, "sound", 5));
}

static void check_numbers(void)
{
    uint64_t next[2] = {0};
    for (unsigned i = 0; i < h.n; i++) {
        claim(h.out[i].seq == next[h.out[i].track - 1]);
        next[h.out[i].track - 1] = h.out[i].last + 1;
    }
    ck_assert_uint_eq(next[0], h.next[0]);
    ck_assert_uint_eq(next[1], h.next[1]);
}

/* F5, F8, F10 and the 15 bits of relative timecodes. */
static void check_fragments(void)
{
    int64_t latest = INT64_MIN, before = INT64_MIN, first = 0;
    unsigned cluster = 0;
    for (unsigned i = 0; i < parsed.nblocks; i++) {
        const struct parsed_block *b = &parsed.blocks[i];
        bool declared = false;
        if (b->cluster != cluster) {
            cluster = b->cluster;
            before = latest;
            first = b->ms;
        }
        claim(b->relative >= 0);
        claim(b->ms > before);
        claim(b->ms - first < 20000);
        for (unsigned t = 0; t < parsed.header[b->segment - 1].ntracks; t++)
            declared = declared || parsed.header[b->segment - 1].tracks[t].number == b->track;
        claim(declared);
        if (b->ms > latest)
            latest = b->ms;
    }
}

START_TEST(whatever_comes_valid_fragments_leave)
{
    state = UINT64_C(88172645463325252) + (uint64_t)_i * 7919;
    now_ms = start_ms = 0;
    before_ms = -1;
    harness_begin(3);
    for (unsigned i = 0; i < 2000; i++)
        random_step();
    flush();
    check_numbers();
    parse_log();
    check_fragments();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("mux_random");
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, whatever_comes_valid_fragments_leave, 0, 40);
    return harness_run("mux_random", tc);
}
