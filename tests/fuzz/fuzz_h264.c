/* Fuzzes media/nal and media/h264: conversions must come back, records that were built must parse.
 * Relies on those two.
 * Leaves expected results to tests/unit/test_h264 and test_nal. */
#include "media/h264.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES (1 << 22)

static void convert(const uint8_t *data, size_t size)
{
    struct buf a, b, c;
    buf_init(&a, MAX_BYTES);
    buf_init(&b, MAX_BYTES);
    buf_init(&c, MAX_BYTES);
    h264_annexb_to_avcc(&c, data, size, H264_SKIP_AUD | H264_SKIP_SPS | H264_SKIP_PPS);
    buf_clear(&c);
    if (h264_annexb_to_avcc(&a, data, size, 0) == 0) {
        /* From Annex B every unit can be said, so the second round must equal the first. */
        if (nal_avcc_to_annexb(&b, a.data, a.len, 4) < 0 ||
            (b.len && h264_annexb_to_avcc(&c, b.data, b.len, 0) < 0))
            abort();
        if (a.len != c.len || (a.len && memcmp(a.data, c.data, a.len) != 0))
            abort();
        if (h264_is_idr(data, size, false, 0) != h264_is_idr(a.data, a.len, true, 4))
            abort();
    }
    for (unsigned n = 1; n <= 4; n++) {
        buf_clear(&b);
        nal_avcc_to_annexb(&b, data, size, n);
        h264_is_idr(data, size, true, n);
    }
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&c);
}

static void check_sps(const struct nal *nal)
{
    struct h264_sps sps;
    if (h264_parse_sps(nal, &sps) == 0 &&
        (sps.width == 0 || sps.height == 0 || sps.bit_depth_luma > 14))
        abort();
}

static void build(const struct h264_parameter_sets *sets)
{
    struct h264_avcc avcc;
    struct buf b;
    buf_init(&b, MAX_BYTES);
    if (h264_build_avcc(&b, sets->sps, sets->nsps, sets->pps, sets->npps) == 0 &&
        (h264_parse_avcc(b.data, b.len, &avcc) < 0 || avcc.sets.nsps != sets->nsps ||
         avcc.sets.npps != sets->npps))
        abort();
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nal whole = {data, size};
    struct h264_parameter_sets sets;
    struct h264_avcc avcc;
    convert(data, size);
    check_sps(&whole);
    if (h264_find_parameter_sets(data, size, &sets) == 0) {
        for (unsigned i = 0; i < sets.nsps; i++)
            check_sps(&sets.sps[i]);
        build(&sets);
    }
    if (h264_parse_avcc(data, size, &avcc) == 0)
        build(&avcc.sets);
    return 0;
}
