/* Fuzzes media/h265 and media/aac: records that were built must parse and say the same.
 * Relies on those two.
 * Leaves expected results to tests/unit/test_h265 and test_aac. */
#include "media/h265.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "media/aac.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES (1 << 22)

static void convert(const uint8_t *data, size_t size)
{
    struct buf a, b;
    buf_init(&a, MAX_BYTES);
    buf_init(&b, MAX_BYTES);
    h265_annexb_to_hvcc(&b, data, size,
                        H265_SKIP_AUD | H265_SKIP_VPS | H265_SKIP_SPS | H265_SKIP_PPS);
    if (h265_annexb_to_hvcc(&a, data, size, 0) == 0 &&
        h265_is_irap(data, size, false, 0) != h265_is_irap(a.data, a.len, true, 4))
        abort();
    for (unsigned n = 1; n <= 4; n++) {
        buf_clear(&b);
        nal_avcc_to_annexb(&b, data, size, n);
        h265_is_irap(data, size, true, n);
    }
    buf_fini(&a);
    buf_fini(&b);
}

static void check_sps(const struct nal *nal)
{
    struct h265_sps sps;
    if (h265_parse_sps(nal, &sps) == 0 &&
        (sps.width == 0 || sps.height == 0 || sps.max_sub_layers > 7))
        abort();
}

static void build(const struct h265_parameter_sets *sets)
{
    struct h265_hvcc hvcc;
    struct buf b;
    buf_init(&b, MAX_BYTES);
    if (h265_build_hvcc(&b, sets) == 0 &&
        (h265_parse_hvcc(b.data, b.len, &hvcc) < 0 || hvcc.sets.nvps != sets->nvps ||
         hvcc.sets.nsps != sets->nsps || hvcc.sets.npps != sets->npps))
        abort();
    buf_fini(&b);
}

static void aac(const uint8_t *data, size_t size)
{
    struct aac_adts adts;
    struct aac_config config, again;
    struct buf b;
    buf_init(&b, 64);
    if (aac_parse_adts(data, size, &adts) == 0 &&
        (adts.frame_bytes < adts.header_bytes || adts.header_bytes > size))
        abort();
    if (aac_parse_config(data, size, &config) == 0 && aac_build_config(&b, &config) == 0 &&
        (aac_parse_config(b.data, b.len, &again) < 0 || again.sample_rate != config.sample_rate ||
         again.object_type != config.object_type || again.channels != config.channels))
        abort();
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nal whole = {data, size};
    struct h265_parameter_sets sets;
    struct h265_hvcc hvcc;
    convert(data, size);
    check_sps(&whole);
    if (h265_find_parameter_sets(data, size, &sets) == 0) {
        for (unsigned i = 0; i < sets.nsps; i++)
            check_sps(&sets.sps[i]);
        build(&sets);
    }
    if (h265_parse_hvcc(data, size, &hvcc) == 0)
        build(&hvcc.sets);
    aac(data, size);
    return 0;
}
