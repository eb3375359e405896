/* Fuzzes the monitor's table of reports, and what Prometheus is given of what it takes.
 * Relies on monitor/report_table, samples, prometheus.
 * Leaves expected results to tests/unit/test_report.c. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/prometheus.h"
#include "monitor/report_table.h"
#include "monitor/samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Two reports in one input: the second finds the first one's numbers. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct conf conf;
    static struct instances none;
    struct samples samples = {0};
    struct offsite offsite = {0};
    struct report_table *table;
    size_t cut = size ? data[0] % size : 0;
    report_table_create(NULL, NULL, NULL, NULL, NULL, &table);
    for (int i = 0; i < 3; i++) {
        const uint8_t *at = i == 1 && cut ? data + cut : size ? data + 1 : data;
        size_t len = size ? size - (size_t)(at - data) : 0;
        const struct report_row *row = report_table_take(table, at, len, (i + 1) * NS_PER_S);
        if (row)
            offsite_heard(&offsite, row, table, (i + 1) * NS_PER_S);
    }
    samples_take(&samples, &conf, &none, table, &offsite, 4 * NS_PER_S);
    char *text = prometheus_text(&samples);
    for (const char *c = text; *c; c++)
        if (*c != '\n' && ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e))
            abort();
    free(text);
    samples_fini(&samples);
    offsite_fini(&offsite);
    report_table_destroy(&table);
    return 0;
}
