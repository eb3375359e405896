/* The time that requests are signed with.
 * Relies on nothing.
 * Leaves reading clocks and headers to api.c. */
#include "common/signing_clock.h"

#include <errno.h>
#include <string.h>

#define CEILING INT64_C(4102444800) /* 2100-01-01 */

time_t signing_clock_time(const struct signing_clock *c, struct signing_clock_now now)
{
    return c->corrected ? c->service + (now.steady - c->steady) : now.wall;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static int parse(const char *date, time_t *out)
{
    struct tm tm = {0};
    const char *end = strptime(date, "%a, %d %b %Y %H:%M:%S", &tm);
    if (!end || strcmp(end, " GMT") != 0)
        return -EINVAL;
    *out = timegm(&tm);
    return 0;
}

static bool believable(time_t service, time_t wall)
{
    if (service < SIGNING_CLOCK_FLOOR || service >= CEILING)
        return false;
    time_t off = service - wall;
    return wall < SIGNING_CLOCK_FLOOR ||
           (off <= SIGNING_CLOCK_MOST_S && off >= -SIGNING_CLOCK_MOST_S);
}

static bool near(time_t a, time_t b)
{
    return a - b < SIGNING_CLOCK_LEAST_S && b - a < SIGNING_CLOCK_LEAST_S;
}

enum signing_clock_result signing_clock_learn(struct signing_clock *c, const char *date,
                                              struct signing_clock_now now)
{
    time_t service;
    if (parse(date, &service) < 0)
        return SIGNING_CLOCK_ABSURD;
    if (near(service, signing_clock_time(c, now)))
        return SIGNING_CLOCK_SAME;
    if (!believable(service, now.wall))
        return SIGNING_CLOCK_ABSURD;
    if (c->corrected && now.steady - c->steady < SIGNING_CLOCK_PAUSE_S)
        return SIGNING_CLOCK_UNSTEADY;
    *c = (struct signing_clock){
        .corrected = !near(service, now.wall), .service = service, .steady = now.steady};
    return SIGNING_CLOCK_CORRECTED;
}
