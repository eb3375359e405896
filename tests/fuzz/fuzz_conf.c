/* Hostile bytes as a config: never a crash, a leak or a wait.
 * Relies on conf_parse alone; what it says goes to /dev/null.
 * Leaves what is right to test_conf.c. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *out;
    struct conf *conf;
    if (!out)
        out = fopen("/dev/null", "w");
    if (conf_parse((const char *)data, size, "fuzz.yaml", out, &conf) == 0) {
        free(conf_stage_listen(conf, "encoder", NULL, "encoder-2"));
        free(conf_stage_connect(conf, "muxer", NULL));
        conf_localize(conf, "capture", conf->streams_count ? conf->streams[0].name : NULL, "x");
        conf_free(&conf);
    }
    return 0;
}
