/* The ack parser: every split, every form the service and its copies use, and damage.
 * Relies on Check.
 * Leaves what an ack means to test_session_policy.c and the pipeline tests. */
#include "tests/unit/suite.h"
#include "uploader/ack.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

/* Feeds text in pieces of `step` bytes; returns the number of whole acks (at most 8 kept) and of
 * malformed ones. */
static unsigned feed(const char *text, size_t step, struct ack out[8], unsigned *bad)
{
    struct ack_parser p;
    unsigned n = 0;
    ack_parser_init(&p);
    *bad = 0;
    for (size_t at = 0, len = strlen(text); at < len; at += step) {
        const char *data = text + at;
        size_t left = len - at < step ? len - at : step;
        enum ack_result r;
        struct ack a;
        while ((r = ack_parser_next(&p, &data, &left, &a)) != ACK_MORE) {
            if (r == ACK_MALFORMED)
                ++*bad;
            else if (n < 8)
                out[n++] = a;
        }
    }
    return n;
}

static const struct {
    const char *text;
    struct ack want;
} forms[] = {
    {"{\"EventType\":\"PERSISTED\",\"FragmentTimecode\":1711124585823,\"FragmentNumber\":"
     "\"1234567890123456789\"}\n",
     {ACK_PERSISTED, true, 1711124585823, "1234567890123456789", 0, ""}},
    {"{\"FragmentNumber\":91343852333181432392682062607743920146264094721,\"FragmentTimecode\":"
     "\"5\",\"EventType\":\"RECEIVED\"}",
     {ACK_RECEIVED, true, 5, "91343852333181432392682062607743920146264094721", 0, ""}},
    {" \r\n\t{ \"EventType\" :\n\"BUFFERING\" , \"FragmentTimecode\" : 0 , \"Other\" : "
     "[1,{\"a\":\"}\"}], \"x\": {\"y\": 1} }\r\n",
     {ACK_BUFFERING, true, 0, "", 0, ""}},
    {"{\"EventType\":\"ERROR\",\"FragmentTimecode\":7,\"ErrorId\":4006,\"ErrorCode\":\"INVALID_MKV_"
     "DATA\"}",
     {ACK_ERROR, true, 7, "", 4006, "INVALID_MKV_DATA"}},
    {"{\"EventType\":\"ERROR\",\"ErrorId\":\"5001\"}", {ACK_ERROR, false, 0, "", 5001, ""}},
    {"{\"EventType\":\"ERROR\",\"ErrorCode\":\"MIN_FRAGMENT_DURATION_REACHED\","
     "\"FragmentTimecode\":9}",
     {ACK_ERROR, true, 9, "", 0, "MIN_FRAGMENT_DURATION_REACHED"}},
    {"{\"EventType\":\"IDLE\"}", {ACK_IDLE, false, 0, "", 0, ""}},
    {"{ Acknowledgement : { \"EventType\": \"PERSISTED\", \"FragmentTimecode\": 12, "
     "\"FragmentNumber\": 3 } }",
     {ACK_PERSISTED, true, 12, "3", 0, ""}},
    {"{\"Acknowledgement\":{\"EventType\":\"PERSISTED\",\"FragmentTimecode\":12,\"ErrorId\":null}}",
     {ACK_PERSISTED, true, 12, "", 0, ""}},
    {"{\"AckEventType\":\"PERSISTED\",\"FragmentTimecode\":12,}",
     {ACK_PERSISTED, true, 12, "", 0, ""}},
};

START_TEST(every_form_at_every_split)
{
    for (size_t step = 1; step <= strlen(forms[_i].text); step++) {
        struct ack got[8];
        unsigned bad;
        ck_assert_uint_eq(feed(forms[_i].text, step, got, &bad), 1);
        ck_assert_uint_eq(bad, 0);
        ck_assert_int_eq(got[0].event, forms[_i].want.event);
        ck_assert_int_eq(got[0].has_timecode, forms[_i].want.has_timecode);
        ck_assert_int_eq(got[0].timecode, forms[_i].want.timecode);
        ck_assert_int_eq(got[0].error_id, forms[_i].want.error_id);
        ck_assert_str_eq(got[0].number, forms[_i].want.number);
        ck_assert_str_eq(got[0].error_code, forms[_i].want.error_code);
    }
}
END_TEST

START_TEST(several_acks_in_one_read)
{
    struct ack got[8];
    unsigned bad;
    const char *text = "{\"EventType\":\"BUFFERING\",\"FragmentTimecode\":1}{\"EventType\":"
                       "\"RECEIVED\",\"FragmentTimecode\":1}\r\n"
                       "{\"EventType\":\"PERSISTED\",\"FragmentTimecode\":1}\n\n";
    ck_assert_uint_eq(feed(text, 1000, got, &bad), 3);
    ck_assert_uint_eq(bad, 0);
    ck_assert_int_eq(got[2].event, ACK_PERSISTED);
}
END_TEST

static const char *const damaged[] = {
    "{\"EventType\":\"persisted\",\"FragmentTimecode\":1}", /* case counts */
    "{\"EventType\":\"PERSISTED\"}",                        /* which fragment? */
    "{\"EventType\":\"ERROR\",\"FragmentTimecode\":1}",     /* which error? */
    "{\"EventType\":\"ERROR\",\"ErrorId\":\"many\"}",
    "{\"EventType\":\"PERSISTED\",\"EventType\":\"ERROR\",\"FragmentTimecode\":1}",
    "{\"FragmentTimecode\":1}",
    "{}",
    "{\"EventType\" \"PERSISTED\"}",
    "{\"EventType\":{\"a\":1},\"FragmentTimecode\":1}",
    "{\"EventType\":\"PERSISTED\",\"FragmentTimecode\":99999999999999999999}",
    "{\"EventType\":\"PERSISTED\",\"FragmentTimecode\":1,\"FragmentNumber\":\"0x1\"}",
    "{\"Acknowledgement\":3}",
    "garbage",
    "{\"EventType\":\"PERS",
    "<html>502 Bad Gateway</html>",
};

START_TEST(damage_is_reported_once_and_the_next_ack_is_read)
{
    char text[512];
    snprintf(text, sizeof text, "%s\n{\"EventType\":\"PERSISTED\",\"FragmentTimecode\":77}\n",
             damaged[_i]);
    for (size_t step = 1; step < 8; step++) {
        struct ack got[8];
        unsigned bad;
        ck_assert_uint_eq(feed(text, step, got, &bad), 1);
        ck_assert_uint_eq(bad, 1);
        ck_assert_int_eq(got[0].timecode, 77);
    }
}
END_TEST

START_TEST(ack_over_1024_bytes_is_refused_and_skipped)
{
    char text[4096];
    struct ack got[8];
    unsigned bad;
    int n =
        snprintf(text, sizeof text, "{\"EventType\":\"PERSISTED\",\"FragmentTimecode\":1,\"x\":\"");
    memset(text + n, 'a', 2000);
    strcpy(text + n + 2000, "\"}\n{\"EventType\":\"IDLE\"}\n");
    for (size_t step = 1; step < 1500; step += 100) {
        ck_assert_uint_eq(feed(text, step, got, &bad), 1);
        ck_assert_uint_eq(bad, 1);
        ck_assert_int_eq(got[0].event, ACK_IDLE);
    }
}
END_TEST

START_TEST(ack_of_exactly_1024_bytes_is_read)
{
    char text[2048];
    struct ack got[8];
    unsigned bad;
    int n = snprintf(text, sizeof text, "{\"EventType\":\"IDLE\",\"x\":\"");
    memset(text + n, 'a', (size_t)(1024 - n - 2));
    strcpy(text + 1022, "\"}");
    ck_assert_uint_eq(feed(text, 7, got, &bad), 1);
    ck_assert_uint_eq(bad, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ack");
    TCase *tc = tcase_create("ack");
    tcase_add_loop_test(tc, every_form_at_every_split, 0, sizeof forms / sizeof *forms);
    tcase_add_test(tc, several_acks_in_one_read);
    tcase_add_loop_test(tc, damage_is_reported_once_and_the_next_ack_is_read, 0,
                        sizeof damaged / sizeof *damaged);
    tcase_add_test(tc, ack_over_1024_bytes_is_refused_and_skipped);
    tcase_add_test(tc, ack_of_exactly_1024_bytes_is_read);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
