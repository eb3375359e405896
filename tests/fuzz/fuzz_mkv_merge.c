/* Fuzzes the merging of Matroska documents (media/mkv_merge.h): the first byte chooses the size of
 * the pieces. Relies on libFuzzer, or on replay.c. Leaves what comes out to unit tests. */
#include "media/mkv_merge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_out(void *arg, const void *data, size_t len)
{
    size_t *total = arg;
    *total += len;
    return 0;
}

static int on_tags(void *arg, const struct mkv_tag *tags, unsigned n)
{
    size_t *total = arg;
    for (unsigned i = 0; i < n; i++)
        *total += tags[i].name[0] + (size_t)tags[i].value[0];
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mkv_merge_ops ops = {on_out, on_tags};
    struct mkv_merge m;
    size_t total = 0;
    if (size < 1)
        return 0;
    size_t piece = data[0] ? (size_t)data[0] * 8 : 1;
    mkv_merge_init(&m, &ops, &total);
    for (size_t at = 1; at < size; at += piece)
        mkv_merge_feed(&m, data + at, size - at < piece ? size - at : piece);
    mkv_merge_cut(&m);
    mkv_merge_fini(&m);
    return 0;
}
