/* Fuzzes the fragment rules of PutMedia (server/ingest.h): the first byte chooses the size of the
 * pieces. Relies on libFuzzer, or on replay.c. Leaves the connection to unit tests. */
#include <stdlib.h>

#include "server/ingest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_begin(void *arg, int64_t timecode_ms, int64_t producer_ms)
{
}

static void on_complete(void *arg, const struct ingest_fragment *f)
{
    struct blob *header = f->header, *bytes = f->data;
    if ((size_t)f->pre_len + f->cluster_len > bytes->len || f->length_ms < 0)
        abort();
    blob_unref(&header);
    blob_unref(&bytes);
}

static void on_error(void *arg, enum ingest_error id, bool began)
{
    int *errors = arg;
    if (++*errors > 1)
        abort();
}

static const struct ingest_limits limits = {
    .tracks = 3, .tags = 10, .max_ms = 20000, .max_bytes = 50u << 20, .ahead_ms = 86400000};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ingest_ops ops = {on_begin, on_complete, on_error};
    struct ingest in;
    int errors = 0;
    if (size < 1)
        return 0;
    size_t piece = (data[0] >> 1) ? (size_t)(data[0] >> 1) * 16 : 1;
    ingest_init(&in, &ops, &errors, &limits, data[0] & 1, 1000);
    for (size_t at = 1; at < size; at += piece)
        ingest_feed(&in, data + at, size - at < piece ? size - at : piece, 1000000);
    ingest_finish(&in);
    ingest_fini(&in);
    return 0;
}
