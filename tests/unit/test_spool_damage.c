/* The spool on a disk that gives back other bytes than were written: what is whole is sent, what is
 * not is counted. Relies on Check and a temporary directory. Leaves real disks to tests/faults. */
#include <fcntl.h>

#include "tests/unit/spool_harness.h"
#include "tests/unit/suite.h"

#define FRAGMENTS 6u
#define FRAMES (5 * FRAGMENTS)

static struct blob *whole[FRAGMENTS]; /* what must be read back of each */

/* Two files of three fragments; all was acked, so upstream has nothing of it any more. */
static void fill(void)
{
    struct spool_conf c = conf_default();
    uint64_t next[LINK_TRACKS_MAX];
    c.file_ns = 2500 * NS_PER_MS;
    struct spool *s = open_spool(&c);
    session(s, 7, 1, next);
    put_fragments(s, 0, FRAGMENTS);
    ck_assert_int_eq(spool_end(s), 0);
    spool_close(&s);
    ck_assert_uint_gt(size_of("000002.mkv"), 0);
}

static struct blob *content(struct spool *s, const struct spool_fragment *f)
{
    uint8_t bytes[4096];
    uint64_t pos = f->offset;
    ssize_t n = spool_read(s, f, &pos, bytes, sizeof bytes);
    ck_assert_int_ge(n, 0);
    return blob_copy(bytes, (size_t)n);
}

static void remember(void)
{
    struct spool *s = open_spool(NULL);
    unsigned n = 0;
    for (struct spool_fragment *f = spool_next(s, NULL); f; f = spool_next(s, f)) {
        ck_assert_uint_lt(n, FRAGMENTS);
        whole[n++] = content(s, f);
    }
    ck_assert_uint_eq(n, FRAGMENTS);
    spool_close(&s);
}

static void forget(void)
{
    for (unsigned i = 0; i < FRAGMENTS; i++)
        blob_unref(&whole[i]);
}

static uint8_t *read_file(const char *name, size_t *len)
{
    *len = size_of(name);
    uint8_t *bytes = malloc(*len);
    FILE *f = fopen(path_of(name), "r");
    ck_assert_uint_eq(fread(bytes, 1, *len, f), *len);
    fclose(f);
    return bytes;
}

static void write_file(const char *name, const uint8_t *bytes, size_t len)
{
    FILE *f = fopen(path_of(name), "w");
    ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
    ck_assert_int_eq(fclose(f), 0);
}

/* The last fragment may be cut short when its checksum is what was damaged. */
static bool is_known(const struct blob *b)
{
    for (unsigned i = 0; i < FRAGMENTS; i++)
        if (b->len && whole[i]->len >= b->len && memcmp(whole[i]->data, b->data, b->len) == 0)
            return true;
    return false;
}

/* Sent with the header that it was written with. */
static bool has_its_segment(const struct spool_fragment *f)
{
    struct blob *b = spool_segment(f), *want = format->segment;
    bool same = b->len == want->len && memcmp(b->data, want->data, want->len) == 0;
    blob_unref(&b);
    return same;
}

/* Opens, reads all, goes on with a session whose upstream has forgotten everything. Returns the
 * frames found; *lost: those in the ledger; *strange: fragments that were never written so. */
static uint64_t read_back(uint64_t *lost, unsigned *strange)
{
    const uint64_t base[LINK_TRACKS_MAX] = {4 * FRAGMENTS, FRAGMENTS};
    uint64_t next[LINK_TRACKS_MAX], frames = 0;
    struct link_vector v = vec(7, 2);
    struct spool *s = open_spool(NULL);
    *strange = 0;
    for (struct spool_fragment *f = spool_next(s, NULL); f; f = spool_next(s, f)) {
        struct blob *b = content(s, f);
        *strange += !is_known(b) || !has_its_segment(f);
        blob_unref(&b);
        frames += f->count[0] + f->count[1];
    }
    ck_assert_int_eq(spool_session(s, &v, base, next), 0);
    *lost = spool_get_stats(s).dropped;
    spool_close(&s);
    return frames;
}

static const char *const files[] = {"000001.mkv", "000002.mkv"};
static const uint8_t masks[] = {0x01, 0x80, 0xff};

/* _i: which file, and which bits turn. */
START_TEST(every_flipped_byte_is_found_and_counted)
{
    const char *name = files[_i / 3], *other = files[!(_i / 3)];
    size_t len, other_len;
    fill();
    remember();
    uint8_t *bytes = read_file(name, &len), *second = read_file(other, &other_len);
    for (size_t at = 0; at < len; at++) {
        unsigned strange;
        uint64_t lost, frames;
        bytes[at] ^= masks[_i % 3];
        write_file(name, bytes, len);
        write_file(other, second, other_len);
        unlink(path_of("gaps.log"));
        frames = read_back(&lost, &strange);
        ck_assert_msg(frames + lost == FRAMES && !strange,
                      "%s byte %zu: %" PRIu64 " frames, %" PRIu64 " counted, %u strange", name, at,
                      frames, lost, strange);
        ck_assert_msg(frames >= FRAMES / 2, "%s byte %zu: only %" PRIu64 " left", name, at, frames);
        bytes[at] ^= masks[_i % 3];
    }
    free(bytes);
    free(second);
    forget();
}
END_TEST

START_TEST(a_hole_of_zeros_costs_the_fragments_it_touches)
{
    unsigned strange;
    uint64_t lost;
    size_t len;
    fill();
    remember();
    uint8_t *bytes = read_file(files[1], &len);
    memset(bytes + len / 2, 0, 40);
    write_file(files[1], bytes, len);
    ck_assert_uint_ge(read_back(&lost, &strange), FRAMES - 10);
    ck_assert_uint_ge(lost, 5);
    ck_assert_uint_le(lost, 10);
    ck_assert_uint_eq(strange, 0);
    free(bytes);
    forget();
}
END_TEST

START_TEST(damage_is_counted_once_over_restarts)
{
    unsigned strange;
    uint64_t lost, again;
    size_t len;
    fill();
    remember();
    uint8_t *bytes = read_file(files[0], &len);
    bytes[len / 2] ^= 0xff;
    write_file(files[0], bytes, len);
    read_back(&lost, &strange);
    struct spool *s = open_spool(NULL);
    for (struct spool_fragment *f = spool_next(s, NULL); f; f = spool_next(s, f))
        ;
    again = spool_get_stats(s).dropped;
    spool_close(&s);
    ck_assert_uint_eq(lost, 5);
    ck_assert_uint_eq(again, lost);
    free(bytes);
    forget();
}
END_TEST

START_TEST(an_open_fragment_that_goes_on_after_a_restart_gets_the_right_checksum)
{
    uint64_t next[LINK_TRACKS_MAX];
    unsigned n = 0;
    struct spool *s = open_spool(NULL);
    session(s, 7, 1, next);
    put_fragments(s, 0, 1);
    spool_close(&s);
    s = open_spool(NULL);
    session(s, 7, 2, next);
    ck_assert_int_eq(put(s, 1, 4, 0, 990, false, 10), 0);
    ck_assert_int_eq(spool_end(s), 0);
    spool_close(&s);
    s = open_spool(NULL);
    for (struct spool_fragment *f = spool_next(s, NULL); f; f = spool_next(s, f), n++)
        ck_assert_uint_ne(f->sum_end, 0);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(spool_get_stats(s).dropped, 0);
    spool_close(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spool_damage");
    TCase *tc = tcase_create("spool_damage");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, every_flipped_byte_is_found_and_counted, 0, 6);
    tcase_add_test(tc, a_hole_of_zeros_costs_the_fragments_it_touches);
    tcase_add_test(tc, damage_is_counted_once_over_restarts);
    tcase_add_test(tc, an_open_fragment_that_goes_on_after_a_restart_gets_the_right_checksum);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
