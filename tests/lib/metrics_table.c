/* Prints the table of every number that kvpipe has, for the test that compares it with the manual:
 * name as Prometheus shows it, kind, unit, label or "-", stages, name in CloudWatch, meaning.
 * Relies on common/metrics. Leaves comparing to tests/monitor/metrics. */
#include <stdio.h>

#include "common/metrics.h"

int main(void)
{
    static const char *const kinds[] = {"", "counter", "gauge", "histogram"};
    static const char *const stages[] = {"capture",  "encoder", "muxer",
                                         "uploader", "server",  "monitor"};
    for (int id = METRIC_NONE + 1; id < METRICS; id++) {
        const struct metrics_def *d = metrics_def(id);
        const char *comma = "";
        printf("%s%s\t%s\t%s\t%s\t", d->name, d->kind == METRICS_COUNTER ? "_total" : "",
               kinds[d->kind], d->unit, d->label ? d->label : "-");
        for (unsigned i = 0; i < 6; i++)
            if (d->from >> i & 1) {
                printf("%s%s", comma, stages[i]);
                comma = " ";
            }
        printf("\t%s\t%s\n", d->cloudwatch, d->help);
    }
    return 0;
}
