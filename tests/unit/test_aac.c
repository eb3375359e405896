/* Claims about media/aac: ADTS headers, AudioSpecificConfig.
 * Relies on Check; the first ADTS header was made by ffmpeg's encoder.
 * Leaves nothing. */
#include "media/aac.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <errno.h>
#include <string.h>

START_TEST(adts_header_of_a_real_encoder)
{
    static const uint8_t in[] = {0xff, 0xf1, 0x4c, 0x80, 0x24, 0xff, 0xfc, 0xde};
    struct aac_adts adts;
    ck_assert_int_eq(aac_parse_adts(in, sizeof in, &adts), 0);
    ck_assert_uint_eq(adts.config.object_type, AAC_LC);
    ck_assert_uint_eq(adts.config.sample_rate, 48000);
    ck_assert_uint_eq(adts.config.channels, 2);
    ck_assert_uint_eq(adts.header_bytes, 7);
    ck_assert_uint_eq(adts.frame_bytes, 0x24 << 3 | 0xff >> 5);
    ck_assert_uint_eq(adts.blocks, 1);
}
END_TEST

START_TEST(adts_with_crc_has_nine_bytes)
{
    static const uint8_t in[] = {0xff, 0xf0, 0x4c, 0x80, 0x24, 0xff, 0xfc, 0, 0};
    struct aac_adts adts;
    ck_assert_int_eq(aac_parse_adts(in, 9, &adts), 0);
    ck_assert_uint_eq(adts.header_bytes, 9);
    ck_assert_int_eq(aac_parse_adts(in, 8, &adts), -EAGAIN);
}
END_TEST

static const uint8_t bad_adts[][7] = {
    {0xfe, 0xf1, 0x4c, 0x80, 0x24, 0xff, 0xfc}, /* syncword */
    {0xff, 0xf3, 0x4c, 0x80, 0x24, 0xff, 0xfc}, /* layer 1: MPEG audio */
    {0xff, 0xf1, 0x74, 0x80, 0x24, 0xff, 0xfc}, /* reserved sample rate */
    {0xff, 0xf1, 0x4c, 0x80, 0x00, 0x5f, 0xfc}, /* frame shorter than its header */
};

START_TEST(damaged_adts_is_refused)
{
    struct aac_adts adts;
    ck_assert_int_eq(aac_parse_adts(bad_adts[_i], 7, &adts), -EBADMSG);
}
END_TEST

START_TEST(short_adts_asks_for_more)
{
    static const uint8_t in[] = {0xff, 0xf1, 0x4c, 0x80, 0x24, 0xff};
    struct aac_adts adts;
    for (size_t n = 0; n <= sizeof in; n++)
        ck_assert_int_eq(aac_parse_adts(in, n, &adts), -EAGAIN);
}
END_TEST

static const struct {
    uint8_t bytes[8];
    size_t len;
    unsigned object_type, channels;
    uint32_t rate, sbr_rate;
} configs[] = {
    {{0x11, 0x90}, 2, AAC_LC, 2, 48000, 0},
    {{0x12, 0x08}, 2, AAC_LC, 1, 44100, 0},
    {{0x11, 0xB8}, 2, AAC_LC, 8, 48000, 0},                   /* 7.1 */
    {{0x17, 0x80, 0x1F, 0x40, 0x10}, 5, AAC_LC, 2, 16000, 0}, /* rate escape */
    {{0x2B, 0x11, 0x88, 0x00}, 4, AAC_LC, 2, 24000, 48000},   /* HE-AAC */
    {{0xEB, 0x09, 0x88, 0x00}, 4, AAC_LC, 1, 24000, 48000},   /* HE-AAC v2 */
};

START_TEST(audio_specific_config_is_parsed)
{
    struct aac_config c;
    ck_assert_int_eq(aac_parse_config(configs[_i].bytes, configs[_i].len, &c), 0);
    ck_assert_uint_eq(c.object_type, configs[_i].object_type);
    ck_assert_uint_eq(c.channels, configs[_i].channels);
    ck_assert_uint_eq(c.sample_rate, configs[_i].rate);
    ck_assert_uint_eq(c.sbr_sample_rate, configs[_i].sbr_rate);
    ck_assert_int_eq(c.sbr, configs[_i].sbr_rate != 0);
}
END_TEST

START_TEST(cut_config_is_refused)
{
    struct aac_config c;
    for (size_t n = 0; n + 1 < configs[_i].len; n++)
        ck_assert_int_eq(aac_parse_config(configs[_i].bytes, n, &c), -EBADMSG);
}
END_TEST

static const uint32_t rates[] = {96000, 48000, 44100, 8000, 7350, 12345};

START_TEST(config_round_trips)
{
    struct aac_config in = {.object_type = AAC_LC, .sample_rate = rates[_i], .channels = 2}, out;
    struct buf b;
    buf_init(&b, 64);
    ck_assert_int_eq(aac_build_config(&b, &in), 0);
    ck_assert_int_eq(aac_parse_config(b.data, b.len, &out), 0);
    ck_assert_uint_eq(out.object_type, AAC_LC);
    ck_assert_uint_eq(out.sample_rate, rates[_i]);
    ck_assert_uint_eq(out.channel_config, 2);
    ck_assert_uint_eq(out.frame_length, 1024);
    buf_fini(&b);
}
END_TEST

START_TEST(config_bytes_are_the_usual_ones)
{
    struct aac_config in = {.object_type = AAC_LC, .sample_rate = 48000, .channels = 2};
    struct buf b;
    buf_init(&b, 64);
    ck_assert_int_eq(aac_build_config(&b, &in), 0);
    ck_assert_uint_eq(b.len, 2);
    ck_assert_mem_eq(b.data, "\x11\x90", 2);
    buf_fini(&b);
}
END_TEST

static const struct aac_config unsayable[] = {
    {.object_type = 0, .sample_rate = 48000, .channels = 2},
    {.object_type = AAC_SBR, .sample_rate = 48000, .channels = 2},
    {.object_type = AAC_LC, .sample_rate = 0, .channels = 2},
    {.object_type = AAC_LC, .sample_rate = 1 << 24, .channels = 2},
    {.object_type = AAC_LC, .sample_rate = 48000, .channels = 0},
    {.object_type = AAC_LC, .sample_rate = 48000, .channels = 9},
    {.object_type = AAC_LC, .sample_rate = 48000, .channel_config = 16},
    {.object_type = AAC_LC, .sample_rate = 48000, .channels = 2, .frame_length = 512},
};

START_TEST(config_that_cannot_be_said_is_refused)
{
    struct buf b;
    buf_init(&b, 64);
    ck_assert_int_eq(aac_build_config(&b, &unsayable[_i]), -EINVAL);
    ck_assert_uint_eq(b.len, 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("aac");
    TCase *t = tcase_create("aac");
    tcase_add_test(t, adts_header_of_a_real_encoder);
    tcase_add_test(t, adts_with_crc_has_nine_bytes);
    tcase_add_loop_test(t, damaged_adts_is_refused, 0, sizeof bad_adts / sizeof bad_adts[0]);
    tcase_add_test(t, short_adts_asks_for_more);
    tcase_add_loop_test(t, audio_specific_config_is_parsed, 0, sizeof configs / sizeof configs[0]);
    tcase_add_loop_test(t, cut_config_is_refused, 0, sizeof configs / sizeof configs[0]);
    tcase_add_loop_test(t, config_round_trips, 0, sizeof rates / sizeof rates[0]);
    tcase_add_test(t, config_bytes_are_the_usual_ones);
    tcase_add_loop_test(t, config_that_cannot_be_said_is_refused, 0,
                        sizeof unsayable / sizeof unsayable[0]);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return suite_run(suite());
}
