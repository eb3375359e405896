/* Times as people write them on the command line.
 * Relies on strptime.
 * Leaves what the time is for to the commands. */
#include "cli/when.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"

int when_parse(const char *option, const char *text, int64_t now_ns, int64_t *out)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S",
                                        "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    static const char units[] = "smhd";
    static const int64_t seconds[] = {1, 60, 3600, 86400};
    char *end;
    long n = strtol(text, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (end != text && unit && !end[1] && n >= 0 && n < 100000000) {
        *out = now_ns - n * seconds[unit - units] * NS_PER_S;
        return 0;
    }
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm tm = {0};
        const char *rest = strptime(text, forms[i], &tm);
        if (rest && !*rest) {
            *out = (int64_t)timegm(&tm) * NS_PER_S;
            return 0;
        }
    }
    fprintf(stderr,
            "kvpipe: %s %s: expected 90s, 30m, 12h or 7d, or a UTC time as "
            "2026-01-31T12:00\n",
            option, text);
    return -EINVAL;
}

void when_print(int64_t ns, char out[40])
{
    time_t s = (time_t)(ns / NS_PER_S);
    struct tm tm;
    size_t n = strftime(out, 32, "%Y-%m-%d %H:%M:%S", gmtime_r(&s, &tm));
    snprintf(out + n, 40 - n, ".%d", (int)(ns % NS_PER_S / (NS_PER_S / 10)));
}
